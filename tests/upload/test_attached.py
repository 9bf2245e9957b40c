"""Runs of a directory that came from elsewhere, on their way to a server: nothing of the user's goes with them, nothing hangs."""

import gzip
import json
import os

import pytest
from wandb.proto import wandb_internal_pb2 as pb

from orchestrator.ledger.records import WandbSweep
from orchestrator.trial.formats.wandb_log import LogWriter, WandbLog
from orchestrator.upload.attached import Attached
from orchestrator.upload.relay import Misplaced, Relay
from orchestrator.upload.runs import recorded_runs
from tests.upload.conftest import settled

SECRET = b"a key of the user's"
SWEEP = WandbSweep(entity="me", project="proj", sweep_id="s1")


def files_record(*names):
    return pb.Record(files=pb.FilesRecord(files=[pb.FilesItem(path=name) for name in names]))


def artifact_record(name, **manifest):
    return pb.Record(artifact=pb.ArtifactRecord(name=name, type="model", manifest=pb.ArtifactManifest(**manifest)))


def plant(log, *records):
    """Let a log say more, behind its run."""
    first, *others = WandbLog(log).read()
    writer = LogWriter(log)
    for record in (first, *others[:1], *records, *others[1:]):
        writer.write(record)
    writer.close()


def test_a_run_from_elsewhere_takes_no_file_of_the_users_along(server, record, uploads, sweep_dir, tmp_path):
    """Links, pipes, names and artifacts that lead out stay here, each said once; the run's own files and all rows go up."""
    secret = tmp_path / "secret.txt"
    secret.write_bytes(SECRET)
    record(0, (0, 3))
    (log,) = sweep_dir.trial(0).wandb_log_paths()
    files = log.parent / "files"
    (files / "odd[1].txt").write_text("mine")
    (files / "inner.txt").symlink_to(files / "odd[1].txt")
    (files / "link.txt").symlink_to(secret)
    (files / "out").symlink_to(tmp_path)
    os.mkfifo(files / "pipe")
    entry = pb.ArtifactManifestEntry(path="m", local_path=str(secret), digest="x", size=1)
    names = (
        "odd[1].txt",
        "inner.txt",
        "link.txt",
        "out/secret.txt",
        "pipe",
        "../../../../../secret.txt",
        str(secret),
        "*",
    )
    plant(log, files_record(*names), artifact_record("weights", contents=[entry]))
    planted = sweep_dir.trial(0).uploads_path / "abcdefgh-0000" / "files"
    planted.mkdir(parents=True)
    (planted / "inner.txt").symlink_to(secret)
    fifo = sweep_dir.trial(1).wandb_path / "offline-run-20260101_000000-abcdefgh-0001"
    fifo.mkdir(parents=True)
    os.mkfifo(fifo / "run-abcdefgh-0001.wandb")
    ours = uploads()
    ours.watch(0, ended=True, settled=True)
    ours.watch(1, ended=True, settled=True)
    standing = settled(ours)
    run = server.run("abcdefgh-0000")
    assert (standing.sent, standing.failed) == (1, 1)
    assert run.values("loss") == [1 / (step + 1) for step in range(3)]
    assert (run.files["odd[1].txt"], run.files["inner.txt"]) == (b"mine", b"mine")
    assert not [name for name, content in run.files.items() if SECRET in content]
    out = f"leads out of {sweep_dir.path}, by a link"
    assert sorted(standing.left_out) == sorted(
        [
            f"link.txt {out}",
            f"out/secret.txt {out}",
            "pipe is a named pipe, not a file",
            "../../../../../secret.txt is no file of the run",
            f"{secret} is no file of the run",
            f"artifact weights, of which {secret} {out}",
            f"{fifo}/run-abcdefgh-0001.wandb is a named pipe, not a file",
        ]
    )
    assert server.unknown == set()


@pytest.mark.parametrize("key", ["local_path", "Local_Path"])
def test_a_long_list_of_an_artifacts_files_is_read_before_it_goes_up(tmp_path, key):
    """One entry that leads out, however it is spelt, keeps the artifact here; a list that is none does, too."""
    sweep_dir = tmp_path / "sweep"
    sweep_dir.mkdir()
    inner, outer = sweep_dir / "inner", tmp_path / "outer"
    inner.touch()
    outer.touch()
    attached = Attached(sweep_dir, sweep_dir / "copy")
    listing = sweep_dir / "list.gz"

    def is_admitted(*paths):
        listing.write_bytes(
            gzip.compress("".join(json.dumps({"path": "a", key: str(p)}) + "\n" for p in paths).encode())
        )
        return attached.admit(artifact_record("a", manifest_file_path=str(listing)), sweep_dir)

    assert is_admitted(inner)
    assert not is_admitted(inner, outer)
    for bad in (b"no gzip", gzip.compress(b"[1]"), gzip.compress(b"[" * 200_000), gzip.compress(b"{}")[:-9]):
        listing.write_bytes(bad)
        assert not attached.admit(artifact_record("a", manifest_file_path=str(listing)), sweep_dir)
    assert len(attached.take_left_out()) == 5
    assert attached.take_left_out() == []


def test_records_that_would_read_or_write_elsewhere_stay_here(tmp_path):
    """A request for an artifact, a directory of TensorBoard's outside; one inside goes on."""
    (tmp_path / "sweep" / "tb").mkdir(parents=True)
    attached = Attached(tmp_path / "sweep", tmp_path / "sweep" / "copy")
    request = pb.Record(request=pb.Request(download_artifact=pb.DownloadArtifactRequest(download_root="/tmp/x")))
    assert not attached.admit(request, tmp_path)
    assert not attached.admit(pb.Record(tbrecord=pb.TBRecord(log_dir=str(tmp_path))), tmp_path)
    assert attached.admit(pb.Record(tbrecord=pb.TBRecord(log_dir=str(tmp_path / "sweep" / "tb"))), tmp_path)


@pytest.fixture
def run(sweep_dir):
    """A run with an empty log."""
    directory = sweep_dir.trial(0).wandb_path / "offline-run-20260101_000000-r"
    directory.mkdir(parents=True)
    LogWriter(directory / "run-r.wandb").close()
    return recorded_runs(sweep_dir.trial(0))[0]


@pytest.mark.parametrize("place", [".upload", ".upload/r"])
def test_the_copy_is_written_nowhere_else(run, tmp_path, place):
    """Where its directory is a link, nothing is made or removed behind it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.wandb").touch()
    (run.trial_dir.path / place).parent.mkdir(exist_ok=True)
    (run.trial_dir.path / place).symlink_to(outside)
    with pytest.raises(Misplaced, match="leads elsewhere, by a link"):
        Relay(run, SWEEP, 0)
    assert [path.name for path in outside.iterdir()] == ["mine.wandb"]


def test_a_log_outside_of_the_sweep_is_not_read(run, tmp_path):
    """Its link is named."""
    (log,) = run.logs
    log.rename(tmp_path / "other.wandb")
    log.symlink_to(tmp_path / "other.wandb")
    relay = Relay(run, SWEEP, 0)
    with pytest.raises(Misplaced, match=r"run-r\.wandb leads out of"):
        relay.pump(run.logs)
    relay.abandon()


def test_the_mark_of_a_sent_run_follows_no_link(run, tmp_path):
    """It replaces what was planted in its place."""
    mark = run.logs[0].with_name("run-r.wandb.synced")
    mark.symlink_to(tmp_path / "made")
    run.mark_complete()
    assert mark.is_file()
    assert not mark.is_symlink()
    assert not (tmp_path / "made").exists()


def test_a_run_that_would_be_its_trial_is_none(run, sweep_dir):
    """Its copy would be the trial's directory, which is removed in the end."""
    (run.logs[0].parent / "run-...wandb").touch()
    (run.logs[0].parent / "run-..wandb").touch()
    assert [found.run_id for found in recorded_runs(sweep_dir.trial(0))] == ["r"]
