"""Files of a sweep from one directory to another: complete, checked, never twice, and never outside."""

import io
import json
import os
import random
from pathlib import Path

import pytest

from orchestrator.errors import SweepError, SweepLockedError, UnknownSweepError
from orchestrator.layout import FETCHED, SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import SweepRecord, SweepState
from orchestrator.ledger.store import Ledger
from orchestrator.remote.fetching import Receiver, StreamError, have
from orchestrator.remote.sending import Wanted, send, wanted

SPEC = "{program: t.py, method: grid, metric: {name: loss}, parameters: {x: {values: [1, 2]}}}"


@pytest.fixture
def there(tmp_path):
    """A sweep's directory as a head has it, with all kinds of files."""
    path = tmp_path / "there" / "far-abcdefgh"
    for folder in ("trials/0000/checkpoints", "trials/0001/wandb", "code/0123456789abcdef", ".claims"):
        (path / folder).mkdir(parents=True)
    record = SweepRecord(
        sweep_id="abcdefgh", name="far", spec_text=SPEC, seed=1, state=SweepState.RUNNING, created=1.0, cwd="/x"
    )
    ledger = Ledger(path / "ledger.sqlite")
    ledger.sweep.create(record)
    ledger.close()
    for name, text in {
        "sweep.yaml": SPEC,
        "best.sh": "#!/bin/sh\n",
        "controller.lock": "me",
        ".claims/x": "",
        "code/0123456789abcdef.tar.gz": "archive",
        "code/0123456789abcdef/t.py": "unpacked",
        "trials/0000/output.log": "line\n" * 1000,
        "trials/0000/checkpoints/weights": os.urandom(3 << 20),
        "trials/0001/empty": "",
    }.items():
        (path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (path / "best.sh").chmod(0o755)
    (path / "trials/0001/wandb/latest-run").symlink_to("run-1")
    (path / "trials/0001/wandb/out").symlink_to("../../../../secret")
    (path / "trials/0001/abs").symlink_to("/etc/passwd")
    os.mkfifo(path / "trials/0001/pipe")
    return path


def stream(there, here=None, **asked):
    """What a head sends of it to who has got what lies here."""
    out = io.BytesIO()
    known = {} if here is None else have(here)
    send(Wanted(sweep="abcdefgh", have=known, name="far-abcdefgh", **asked), there.parent, out)
    return out.getvalue()


def fetch(there, runs, *, pieces=1 << 16, upto=None, **asked):
    """Fetch as a laptop does, as far as `upto` bytes come."""
    here = runs / "far-abcdefgh"
    receiver = Receiver(runs)
    data = stream(there, here if here.exists() else None, **asked)[:upto]
    for at in range(0, len(data), pieces):
        receiver.feed(data[at : at + pieces])
    receiver.close()
    return receiver.fetched, len(data)


def files(path):
    """Every file and link below, with what is in it."""
    return {
        str(each.relative_to(path)): each.readlink() if each.is_symlink() else each.read_bytes()
        for each in path.rglob("*")
        if (each.is_symlink() or each.is_file()) and FETCHED not in each.parts and each.name != "controller.lock"
    }


STAYS = {".claims/x", "code/0123456789abcdef/t.py", "trials/0001/wandb/out", "trials/0001/abs"}
STAYS |= {"ledger.sqlite-wal", "ledger.sqlite-shm"}


def expected(there):
    return {name: content for name, content in files(there).items() if name not in STAYS}


def test_all_comes_and_nothing_twice(there, tmp_path):
    """Byte by byte, with its times and modes; what belongs to the head's machine, and links that lead out, stay."""
    runs = tmp_path / "here"
    found, _ = fetch(there, runs, pieces=777)
    assert (found.is_done, found.n_same, sorted(found.left_out)) == (
        True,
        0,
        ["trials/0001/abs", "trials/0001/wandb/out"],
    )
    assert files(found.path).keys() == expected(there).keys()
    assert {n: c for n, c in files(found.path).items() if n != "ledger.sqlite"} == {
        n: c for n, c in expected(there).items() if n != "ledger.sqlite"
    }
    assert os.access(found.path / "best.sh", os.X_OK)
    assert (found.path / "best.sh").stat().st_mtime_ns == (there / "best.sh").stat().st_mtime_ns
    again, n_bytes = fetch(there, runs)
    assert (again.n_new, again.n_bytes) == (0, 0)
    assert n_bytes < 4096


def test_what_grew_is_appended_and_what_changed_comes_anew(there, tmp_path):
    """The beginning of a log does not come again."""
    found, _ = fetch(there, tmp_path)
    with (there / "trials/0000/output.log").open("a") as log:
        log.write("more\n")
    (there / "sweep.yaml").write_text("#" + SPEC)
    (there / "trials/0001/empty").unlink()
    again, _ = fetch(there, tmp_path)
    assert (again.n_new, again.n_bytes) == (2, len("more\n") + len(SPEC) + 1)
    assert (found.path / "trials/0000/output.log").read_text() == "line\n" * 1000 + "more\n"
    assert (found.path / "trials/0001/empty").exists()


def test_what_was_interrupted_goes_on(there, tmp_path):
    """At any byte, again and again; no file is there in part, and all of it is there in the end."""
    draw, n_bytes, total = random.Random(7), 0, None
    for _ in range(12):
        found, size = fetch(there, tmp_path / "here", upto=draw.randrange(1, 900_000))
        n_bytes += found.n_bytes
        here = files(tmp_path / "here/far-abcdefgh") if found.path else {}
        assert all(content == expected(there)[name] for name, content in here.items() if name != "ledger.sqlite")
    found, size = fetch(there, tmp_path / "here")
    total = sum(len(content) for content in files(found.path).values() if isinstance(content, bytes))
    assert found.is_done
    assert files(found.path).keys() == expected(there).keys()
    assert n_bytes + found.n_bytes <= total + 1_000_000
    assert size < 3 << 20


def test_a_part_may_be_asked_for(there, tmp_path):
    """Without checkpoints; the best trial alone; a sweep that has none says so."""
    found, _ = fetch(there, tmp_path / "a", with_checkpoints=False)
    assert files(found.path).keys() == expected(there).keys() - {"trials/0000/checkpoints/weights"}
    with pytest.raises(SweepError, match="no best one"):
        fetch(there, tmp_path / "b", only_best=True)
    with pytest.raises(UnknownSweepError):
        send(Wanted(sweep="other", have={}), there.parent, io.BytesIO())


@pytest.mark.parametrize(
    "records",
    [
        [{"sweep": "../x"}],
        [{"sweep": ".x"}],
        [{"sweep": "\ud800"}],
        [{"file": "x", "size": 1, "offset": 0}],
        [{"sweep": "far-abcdefgh"}, {"file": "../x", "size": 0, "offset": 0}],
        [{"sweep": "far-abcdefgh"}, {"file": "/x", "size": 0, "offset": 0}],
        [{"sweep": "far-abcdefgh"}, {"file": ".fetched/part", "size": 0, "offset": 0}],
        [{"sweep": "far-abcdefgh"}, {"link": "../x", "to": "y"}],
        [{"sweep": "far-abcdefgh"}, {"file": "ledger.sqlite-wal", "size": 0, "offset": 0}],
        [{"sweep": "far-abcdefgh"}, {"file": "x", "size": 0, "offset": 0}, {"end": "0" * 64}],
        [{"sweep": "far-abcdefgh"}, {"file": "x", "size": 9, "offset": 0}, {"data": 1 << 40}],
        [{"sweep": "far-abcdefgh"}, {"data": 5}],
        [{"sweep": "far-abcdefgh"}, ["x"]],
        [{"sweep": "far-abcdefgh"}, {"sweep": "other-abcdefgh"}],
    ],
)
def test_a_head_that_sends_something_else_writes_nothing(records, tmp_path):
    """Paths that lead out, wrong sums, endless data."""
    receiver = Receiver(tmp_path / "runs")
    with pytest.raises(StreamError):
        receiver.feed(b"".join(json.dumps(record).encode() + b"\n" for record in records))
    receiver.close()
    assert not [
        each for each in tmp_path.rglob("*") if each.is_file() and not {FETCHED, "controller.lock"} & set(each.parts)
    ]


def said(*records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


SWEEP = {"sweep": "far-abcdefgh"}


@pytest.mark.parametrize("path", ["trials/x", "trials/deep/er/x"])
@pytest.mark.parametrize("leads_to", ["outside", "far-abcdefgh/code"])
def test_links_do_not_lead_a_later_file_away(path, leads_to, tmp_path):
    """One that is here already, by whoever made it, is not gone through, and nothing is made behind it."""
    receiver = Receiver(tmp_path)
    receiver.feed(said(SWEEP))
    (tmp_path / leads_to).mkdir()
    (tmp_path / "far-abcdefgh/trials").symlink_to(tmp_path / leads_to)
    for record in ({"file": path, "size": 0, "offset": 0}, {"link": path, "to": "y"}):
        with pytest.raises(StreamError, match="is a link here"):
            receiver.feed(said(record))
    receiver.close()
    assert not list((tmp_path / leads_to).iterdir())


@pytest.mark.parametrize(
    ("to", "is_made"),
    [
        ("../b", True),
        ("../../b", True),
        ("b/c", True),
        ("../../../b", False),
        ("b/../../../../x", False),
        ("b/../c", False),
        ("", False),
        ("/etc", False),
        ("a\0b", False),
        ("\ud800", False),
    ],
)
def test_a_link_may_go_up_at_its_front_alone(to, is_made, tmp_path):
    """Behind a name it may be another link that is gone up from."""
    receiver = Receiver(tmp_path)
    receiver.feed(said(SWEEP, {"link": "trials/0000/link", "to": to}))
    receiver.close()
    assert (tmp_path / "far-abcdefgh/trials/0000/link").is_symlink() == is_made
    assert receiver.fetched.left_out == ([] if is_made else ["trials/0000/link"])


def test_a_link_to_a_file_outside_begins_none(tmp_path):
    """Its first bytes would be told to the head."""
    (tmp_path / "private").write_text("secret")
    receiver = Receiver(tmp_path)
    receiver.feed(said(SWEEP))
    (tmp_path / "far-abcdefgh/x").symlink_to(tmp_path / "private")
    with pytest.raises(OSError, match="leads out"):
        receiver.feed(said({"file": "x", "size": 9, "offset": 3}))
    receiver.close()
    assert have(tmp_path / "far-abcdefgh").get("x") is None


def test_a_sweep_that_was_not_fetched_is_left_alone(there, tmp_path):
    """Also where head and laptop are one machine."""
    with pytest.raises(SweepError, match="was not fetched"):
        fetch(there, there.parent)
    assert not (there / FETCHED).exists()


def test_nothing_is_more_open_than_on_the_head(there, tmp_path):
    """Nor more than the umask here lets it be; what arrives is this user's alone."""
    for name, mode in ((".", 0o700), ("sweep.yaml", 0o600), ("best.sh", 0o750), ("ledger.sqlite", 0o660)):
        (there / name).chmod(mode)
    before = os.umask(0o027)
    try:
        found, _ = fetch(there, tmp_path)
    finally:
        os.umask(before)
    names = (".", "sweep.yaml", "best.sh", "ledger.sqlite", "code/0123456789abcdef.tar.gz", FETCHED)
    modes = [(found.path / name).stat().st_mode & 0o777 for name in names]
    assert modes == [0o700, 0o600, 0o750, 0o640, 0o640, 0o700]


def grow(path, name):
    """Change the ledger there."""
    ledger = Ledger(path / "ledger.sqlite")
    with ledger.transaction("x"):
        ledger.sweep.set_state(SweepState.FINISHED, name)
    ledger.close()


def test_what_was_done_here_since_is_not_overwritten(there, tmp_path):
    """Neither in the ledger nor in its log; what only came, and was read here, is renewed."""
    found, _ = fetch(there, tmp_path)
    grow(there, "there")
    with LedgerReader(found.path / "ledger.sqlite") as reader:
        assert fetch(there, tmp_path)[0].n_new == 1
        assert reader.sweep().state is SweepState.RUNNING
    wal = found.path / "ledger.sqlite-wal"
    wal.write_bytes(b"frames")
    with pytest.raises(SweepError, match="changed here since"):
        fetch(there, tmp_path)
    wal.unlink()
    grow(found.path, "here")
    before = files(found.path)
    with pytest.raises(SweepError, match="fetch -o DIR"):
        fetch(there, tmp_path)
    assert files(found.path) == before
    assert fetch(there, tmp_path / "other")[0].is_done


def test_nothing_of_an_old_ledger_stays_beside_a_new_one(there, tmp_path):
    """SQLite would read it into the new one."""
    found, _ = fetch(there, tmp_path)
    beside = [found.path / f"ledger.sqlite-{name}" for name in ("wal", "shm", "journal")]
    for path in beside:
        path.touch()
    grow(there, "there")
    fetch(there, tmp_path)
    assert not any(path.exists() for path in beside)


@pytest.mark.parametrize(
    ("path", "why"),
    [("sweep.yaml/x", "is a file here"), ("gone", "gone by now"), ("trials/0000", "directory")],
)
def test_what_is_here_instead_is_said(there, tmp_path, path, why):
    """A file where a directory has to be, one that is gone, a directory in the place of a file."""
    found, _ = fetch(there, tmp_path)
    receiver = Receiver(tmp_path)
    with pytest.raises((StreamError, IsADirectoryError, PermissionError), match=why):
        receiver.feed(said(SWEEP, {"file": path, "size": 5, "offset": 5}))
    receiver.close()
    (found.path / "ledger.sqlite").unlink()
    (found.path / "ledger.sqlite").symlink_to("gone")
    with pytest.raises(SweepError, match="changed here"):
        fetch(there, tmp_path)


def test_a_sweep_that_is_held_here_is_refused(there, tmp_path):
    """By a controller, or by another fetch; what is here of it can be read all the same."""
    first = Receiver(tmp_path)
    first.feed(stream(there)[:200_000])
    with pytest.raises(SweepLockedError, match="another `sweep fetch`"):
        fetch(there, tmp_path)
    first.close()
    assert fetch(there, tmp_path)[0].is_done


@pytest.mark.parametrize("text", [b"", b"{}", b'{"have": {"x": 1}}', b'{"have": {}, "sweep": "x", "y": 1}', b"[]"])
def test_requests_of_another_release_are_refused(text):
    """With what they are for."""
    with pytest.raises(SweepError, match="sweep fetch"):
        wanted(io.BytesIO(text))


def test_the_ledger_is_one_of_a_moment(there, tmp_path):
    """Also while it is written: what has not been committed is not in it."""
    ledger = Ledger(SweepDir(there).ledger_path)
    with ledger.transaction("x"):
        ledger.sweep.set_state(SweepState.FINISHED, "never")
        found, _ = fetch(there, tmp_path)
    ledger.close()
    with LedgerReader(Path(found.path, "ledger.sqlite")) as reader:
        assert reader.sweep().state is SweepState.RUNNING
