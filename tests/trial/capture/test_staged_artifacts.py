"""Artifacts of a sweep by name: versions, aliases, and notes that are none."""

from types import SimpleNamespace

from orchestrator.layout import SweepDir
from orchestrator.trial.capture.staged_artifacts import find, note


def staged(sweep, trial, digest, *aliases):
    """Stage a version in a trial's directory, as its next one."""
    directory = sweep.trial(trial).artifacts_path
    path = directory / f"w[1]:v{len(list(directory.glob('w*')))}"
    path.mkdir(parents=True)
    note(path, SimpleNamespace(type="model", digest=digest, description=None, metadata={"n": trial}), aliases)
    return path


def test_versions_and_aliases_are_a_servers(tmp_path):
    """Counted over all trials in order; the same content is one version; an alias is where it was given last."""
    sweep = SweepDir(tmp_path)
    first, second = staged(sweep, 3, "a", "best"), staged(sweep, 0, "b", "best")
    assert find(sweep, "w[1]", "v0").path == first
    assert find(sweep, "w[1]", "v1").path == find(sweep, "w[1]", "best").path == find(sweep, "w[1]", "").path == second
    staged(sweep, 1, "a", "good")
    assert find(sweep, "w[1]", "latest").path == find(sweep, "w[1]", "good").path == first
    assert (find(sweep, "w[1]", "v1").metadata, find(sweep, "w[1]", "v1").type) == ({"n": 0}, "model")
    assert find(sweep, "w[1]", "v2") is find(sweep, "w*", "v0") is find(sweep, "w[1]", "other") is None


def test_what_is_no_note_and_what_has_no_files_is_passed_over(tmp_path):
    """Whatever a program put there."""
    sweep = SweepDir(tmp_path)
    path = staged(sweep, 0, "a")
    for number, text in enumerate(("", "[]", "{", '{"logged": "x"}', '{"logged": 1, "aliases": 3}')):
        (path.parent / f".w[1]:v{number + 5}.json").write_text(text)
    path.rmdir()
    assert find(sweep, "w[1]", "latest") is None
