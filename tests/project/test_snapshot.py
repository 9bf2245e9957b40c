"""Copies by content."""

import io
import os
import tarfile

import pytest

from orchestrator.errors import ProgramError
from orchestrator.project.ignoring import Patterns
from orchestrator.project.listing import files_of, project_of
from orchestrator.project.snapshot import Contents, contents_of, holds, link_the_rest, pack, unpack


@pytest.fixture
def project(tmp_path):
    """A small one with everything that a copy has to keep."""
    root = tmp_path / "project"
    (root / "lib").mkdir(parents=True)
    (root / "train.py").write_text("import lib")
    (root / "lib/__init__.py").touch()
    (root / "run.sh").touch(mode=0o755)
    (root / os.fsdecode(b"caf\xe9")).write_bytes(bytes(range(256)) * 300)
    (root / "link").symlink_to("lib/__init__.py")
    (root / "far").symlink_to("/nowhere/at all")
    return project_of(root)


def packed(project):
    archive = io.BytesIO()
    contents = pack(project, files_of(project), archive)
    archive.seek(0)
    return contents, archive


def test_what_is_unpacked_is_what_was_packed(project, tmp_path):
    """Bytes, names, links and permissions; reading the project without packing it names the same contents."""
    contents, archive = packed(project)
    assert contents == contents_of(project.root, files_of(project))
    unpack(archive, contents, tmp_path / "copy")
    for path in contents.entries:
        there, here = project.root / path, tmp_path / "copy" / path
        assert here.is_symlink() == there.is_symlink()
        if here.is_symlink():
            assert here.readlink() == there.readlink()
        else:
            assert here.read_bytes() == there.read_bytes()
            assert here.stat().st_mode & 0o100 == there.stat().st_mode & 0o100
    assert holds(tmp_path / "copy", contents)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "project"]


def test_the_fingerprint_is_of_the_contents_alone(project, tmp_path):
    """The same elsewhere and later; another for another byte, name or permission."""
    before = contents_of(project.root, files_of(project))
    project.root.rename(tmp_path / "elsewhere")
    moved = project_of(tmp_path / "elsewhere")
    os.utime(moved.root / "train.py", (1, 1))
    assert contents_of(moved.root, files_of(moved)).fingerprint == before.fingerprint
    (moved.root / "train.py").write_text("import lib ")
    (moved.root / "run.sh").chmod(0o644)
    (moved.root / "link").unlink()
    (moved.root / "new").touch()
    after = contents_of(moved.root, files_of(moved))
    assert after.changes_since(before) == ["D link", "A new", "M run.sh", "M train.py"]
    assert len({after.fingerprint, before.fingerprint}) == 2


def test_what_was_changed_in_a_copy_is_put_back(project, tmp_path):
    """And nothing else of it is touched: data that was put there, what trials wrote; what is in the way is moved aside."""
    contents, archive = packed(project)
    unpack(archive, contents, tmp_path / "copy")
    (tmp_path / "copy/out.txt").touch()
    unpack(archive, contents, tmp_path / "copy")
    assert (tmp_path / "copy/out.txt").exists()
    (tmp_path / "copy/train.py").write_text("other")
    (tmp_path / "copy/link").unlink()
    (tmp_path / "copy/link").mkdir()
    (tmp_path / "copy/link/mine").touch()
    (tmp_path / "copy/lib").rename(tmp_path / "mine")
    (tmp_path / "mine/__init__.py").write_text("mine")
    (tmp_path / "copy/lib").symlink_to(tmp_path / "mine")
    archive.seek(0)
    unpack(archive, contents, tmp_path / "copy")
    assert holds(tmp_path / "copy", contents)
    assert (tmp_path / "copy/train.py").read_text() == "import lib"
    assert (tmp_path / "copy/out.txt").exists()
    assert (tmp_path / "mine/__init__.py").read_text() == "mine"
    assert len(list((tmp_path / "copy").glob("l*.aside-*/[m_]*"))) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "mine", "project"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"no archive", lambda _: hostile()]
)
def test_a_damaged_archive_leaves_nothing(project, tmp_path, damage):
    """Cut, something else, or one that leads out of its directory: refused, and no half of it stays."""
    contents, archive = packed(project)
    with pytest.raises(ProgramError, match="copy of the project"):
        unpack(io.BytesIO(damage(archive.getvalue())), contents, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def hostile():
    """An archive with a file above the directory it is unpacked in."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../escaped"))
    return out.getvalue()


def test_what_did_not_go_along_is_linked(project, tmp_path):
    """Data and built files are where the program looks for them; what trials write there is in the project."""
    contents, archive = packed(project)
    for name in ("data/x", "lib/built.so", "wandb/run", ".env"):
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text(name)
    caches = Patterns(("wandb/",))
    copy = tmp_path / "copy"

    def link(at):
        link_the_rest(at, project.root, contents, but=lambda path, is_dir: caches.name(path, is_dir=is_dir))

    unpack(archive, contents, copy, link)
    assert (copy / "data/x").read_text() == "data/x"
    assert (copy / "lib/built.so").is_symlink()
    assert not (copy / "lib").is_symlink()
    assert not (copy / "wandb").exists()
    moved = project.root.rename(tmp_path / "moved")
    unpack(archive, contents, copy, lambda at: link_the_rest(at, moved, contents, but=lambda *_: False))
    assert (copy / "data/x").read_text() == "data/x"


def test_contents_without_files_have_a_name_too():
    """An empty directory is a project."""
    assert len(Contents(entries={}).fingerprint) == 16
