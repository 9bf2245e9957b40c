"""Whether a project is the same elsewhere."""

from orchestrator.project.listing import Listed
from orchestrator.project.same import Expected
from orchestrator.project.snapshot import Contents, contents_of


def test_other_files_are_named_and_more_files_do_not_matter(tmp_path):
    """One that is otherwise, one that is missing, a link that leads elsewhere; a project that is not there at all."""
    for name in ("train.py", "lib.py", "same.py"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("lib.py")
    names = ("train.py", "lib.py", "same.py", "link")
    contents = contents_of(tmp_path, [Listed(name, 1, name == "link", False) for name in names])
    assert len(contents.entries) == len(names)
    expected = Expected(root=str(tmp_path), contents=contents)
    (tmp_path / "results.csv").write_text("1")
    assert expected.mismatch() is None
    (tmp_path / "train.py").write_text("stale")
    (tmp_path / "lib.py").unlink()
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("same.py")
    said = expected.mismatch()
    assert said.startswith(f"has other code than this machine in {tmp_path} (D lib.py, M link, M train.py). It gets no")
    gone = Expected(root=str(tmp_path / "gone"), contents=Contents(entries={}))
    assert gone.mismatch().startswith(f"has no directory {tmp_path / 'gone'}. ")
