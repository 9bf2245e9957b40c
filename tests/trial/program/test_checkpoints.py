"""Checkpoints on disk: the highest number is the newest, whatever attempt made it, and its counts come with it."""

import json

from orchestrator.layout import TrialDir
from orchestrator.trial.program.checkpoints import Checkpoints


def keep(checkpoints, text, **counts):
    partial = checkpoints.begin()
    (partial / "text").write_text(text)
    checkpoints.publish(partial, counts)


def names(tmp_path):
    return sorted(path.name for path in (TrialDir(tmp_path).checkpoints_path).iterdir())


def test_only_the_newest_stays_and_its_number_is_the_highest(tmp_path):
    """A further attempt whose iterations begin anew does not hide its checkpoints behind those of the one before."""
    first = Checkpoints(TrialDir(tmp_path))
    assert first.latest() is None
    for n in (1, 2, 5):
        keep(first, f"first {n}", training_iteration=n)
    second = Checkpoints(TrialDir(tmp_path))
    for n in (1, 2):
        keep(second, f"second {n}", training_iteration=n)
    latest = Checkpoints(TrialDir(tmp_path)).latest()
    assert (latest.path / "text").read_text() == "second 2"
    assert latest.counts == {"training_iteration": 2}
    assert names(tmp_path) == ["checkpoint_000007"]
    assert json.loads(TrialDir(tmp_path).tune_counts_path.read_text()).keys() == {
        "checkpoint_000006",
        "checkpoint_000007",
    }


def test_what_was_lent_stays_until_the_program_ends(tmp_path):
    """A program may look into the checkpoint that it was given after it has reported newer ones."""
    checkpoints = Checkpoints(TrialDir(tmp_path))
    keep(checkpoints, "old", training_iteration=1)
    lent = checkpoints.lend()
    keep(checkpoints, "new", training_iteration=2)
    keep(checkpoints, "newest", training_iteration=3)
    assert (lent / "text").read_text() == "old"
    assert names(tmp_path) == ["checkpoint_000001", "checkpoint_000003"]
    checkpoints.prune()
    assert names(tmp_path) == ["checkpoint_000003"]


def test_what_a_killed_attempt_was_writing_is_no_checkpoint(tmp_path):
    """Half a directory is never given back, and not one of its files gets into the next checkpoint."""
    checkpoints = Checkpoints(TrialDir(tmp_path))
    keep(checkpoints, "whole", training_iteration=1)
    (checkpoints.begin() / "half").write_text("half")
    again = Checkpoints(TrialDir(tmp_path))
    assert (again.latest().path / "text").read_text() == "whole"
    keep(again, "next", training_iteration=2)
    assert [path.name for path in again.latest().path.iterdir()] == ["text"]
    assert names(tmp_path) == ["checkpoint_000002"]


def test_checkpoints_of_an_older_version_and_files_of_the_program_are_left_alone(tmp_path):
    """Without counts the number is the iteration; what a program keeps beside its checkpoints stays, and is none."""
    old = TrialDir(tmp_path).checkpoints_path / "checkpoint_000004"
    old.mkdir(parents=True)
    (TrialDir(tmp_path).checkpoints_path / "checkpoint_best").mkdir()
    (TrialDir(tmp_path).checkpoints_path / "weights").touch()
    TrialDir(tmp_path).tune_counts_path.write_text("{torn")
    checkpoints = Checkpoints(TrialDir(tmp_path))
    assert (checkpoints.latest().path, checkpoints.latest().counts) == (old, {"training_iteration": 4})
    keep(checkpoints, "new", training_iteration=1_000_000)
    keep(checkpoints, "newer", training_iteration=1_000_001)
    assert names(tmp_path) == ["checkpoint_1000001", "checkpoint_best", "weights"]
