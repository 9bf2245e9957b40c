"""What a copy does, and what it never does."""

import errno
import os

import pytest

from orchestrator.execution.shipping.parts import Append, Arrive, Check, Folder, Gone, Link, Move, Piece, Sync
from orchestrator.execution.shipping.receiver import EscapingPathError, Receiver


@pytest.fixture
def copy(tmp_path):
    """A copy, with something beside it that nobody may touch."""
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("s")
    return Receiver(tmp_path / "root", tmp_path / "staging")


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "a/../../secret", "", ".", "a//b", "a/./b", "in/secret", "a\0b"]
)
@pytest.mark.parametrize(
    "part",
    [
        lambda p: Append(p, 0, b"x"),
        Gone,
        Folder,
        lambda p: Link(p, "a"),
        lambda p: Move("a", p),
        lambda p: Arrive(1, p, 0, 0o644, 0),
        lambda p: Check(p, 1, ""),
    ],
)
def test_nothing_outside_is_touched(copy, tmp_path, path, part):
    """By whatever way a path leads out, a link that is already there included."""
    (tmp_path / "root/in").symlink_to(tmp_path)
    (tmp_path / "root/a").touch()
    with pytest.raises(EscapingPathError):
        copy.apply(1, [part(path)])
    assert (tmp_path / "secret").read_text() == "s"


@pytest.mark.parametrize(("path", "target"), [("l", "../x"), ("l", "/x"), ("d/l", "../../x"), ("l", "..")])
def test_no_link_leads_out(copy, path, target):
    """A link's target is judged where the link lies."""
    with pytest.raises(EscapingPathError):
        copy.apply(1, [Link(path, target)])


def test_appending_follows_no_link(copy, tmp_path):
    """A file that was replaced by a link on this side."""
    (tmp_path / "root/log").symlink_to("../secret")
    with pytest.raises(OSError):
        copy.apply(1, [Append("log", 0, b"x")])
    assert (tmp_path / "secret").read_text() == "s"


def test_a_batch_goes_on_where_a_full_disk_stopped_it(copy, tmp_path, monkeypatch):
    """Parts that were done are not done again: half of a file would take the place of the whole."""
    copy.apply(1, [Piece(1, 0, b"aaaa")])
    batch = [Piece(1, 4, b"bbbb"), Arrive(1, "f", 8, 0o600, 0), Append("log", 0, b"x"), Check("f", 1, "")]
    real = os.open

    def full(path, *rest):
        if str(path).endswith("log"):
            raise OSError(errno.ENOSPC, "no space")
        return real(path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        with pytest.raises(OSError, match="no space"):
            copy.apply(2, batch)
    assert copy.apply(2, batch) == ["f"]
    assert (tmp_path / "root/f").read_bytes() == b"aaaabbbb"
    assert (tmp_path / "root/log").read_bytes() == b"x"
    assert copy.apply(3, [Sync()]) == []
