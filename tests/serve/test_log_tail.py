import os

import pytest

from orchestrator.serve.log_tail import MOST_BYTES, MOST_KEPT, LogTail


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["one\n", "two"], "one\ntwo"),
        (["10 %\r", "20 %\r", "30 %\n", "done\n"], "30 %\ndone\n"),
        (["10 %", "\r20 %"], "20 %"),
        (["a\r\n", "b\r", "\nc"], "a\nb\nc"),
        (["\x1b[31mred\x1b[0m \x1b]0;title\x07plain"], "red plain"),
        (["\x1b[3", "1mred\x1b", "[0m!"], "red!"),
        (["\u202eabc\x07\n"], "?abc?\n"),
        (["caf\u00c3".encode("latin-1"), b"\xa9\n"], "caf\u00e9\n"),
        (["\n", "\na"], "\n\na"),
    ],
)
def test_what_is_shown_is_what_a_terminal_would_show(tmp_path, pieces, shown):
    """Without colours and what else drives a terminal, wherever a piece ends; a bar that is drawn over is there once."""
    path = tmp_path / "output.log"
    tail = LogTail(path, tmp_path)
    assert not tail.look()
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece.encode() if isinstance(piece, str) else piece)
        assert tail.look()
    assert tail.text.replace("\r", "") == shown
    assert not tail.look()


def test_of_a_long_log_there_is_the_end(tmp_path):
    """However it came: a piece of memory, no more."""
    path = tmp_path / "output.log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(100_000)))
    tail = LogTail(path, tmp_path)
    assert tail.look()
    assert tail.text.endswith("line 99999\n")
    assert tail.left_out == path.stat().st_size - MOST_BYTES
    for n in range(40):
        with path.open("ab") as file:
            file.write(b"more %d\n" % n * 1000)
        tail.look()
        assert len(tail.text) <= MOST_KEPT
    assert tail.text.endswith("more 39\n")


def test_a_log_that_begins_anew_is_shown_anew(tmp_path):
    """Another file, or the same one cut off."""
    path = tmp_path / "output.log"
    path.write_text("first attempt\n")
    tail = LogTail(path, tmp_path)
    tail.look()
    path.write_text("2nd\n")
    assert tail.look()
    assert tail.text == "2nd\n"
    other = tmp_path / "other"
    other.write_text("a longer one that takes its place\n")
    other.rename(path)
    assert tail.look()
    assert tail.text.startswith("a longer one")


def test_a_log_that_leads_out_is_not_read(tmp_path):
    """A link to a file of the reader, a pipe that would hang: nothing is shown."""
    (tmp_path / "secret").write_text("secret\n")
    inside = tmp_path / "sweep"
    inside.mkdir()
    (inside / "output.log").symlink_to(tmp_path / "secret")
    tail = LogTail(inside / "output.log", inside)
    assert not tail.look()
    assert tail.text == ""
    (inside / "output.log").unlink()
    os.mkfifo(inside / "output.log")
    assert not tail.look()
