"""The end of a log, whatever is in it."""

import os

from orchestrator.cli.watching.log_tail import MOST_BYTES, MOST_LINES, LogTail


def test_what_a_log_ends_with(tmp_path):
    """Colours and the last state of a progress bar stay; what would drive a terminal does not; it is read as it grows."""
    path = tmp_path / "output.log"
    tail = LogTail(path, inside=tmp_path)
    assert "nothing yet" in tail.look().plain
    path.write_bytes(b"a\tb\n10%\r20%\r100%\n\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Jx\n\xff\n")
    text = tail.look()
    assert text.plain.split("\n") == ["a       b", "100%", "red ?]0;title??[2Jx", "\ufffd"]
    assert any("red" in str(span.style) or "color(1)" in str(span.style) for span in text.spans)
    with path.open("a", encoding="utf-8") as log:
        log.write("more\n")
    assert tail.look().plain.endswith("more")


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    """Whole lines, no more than a screen could want."""
    path = tmp_path / "output.log"
    path.write_text("".join(f"line {i}\n" for i in range(100_000)), encoding="utf-8")
    lines = LogTail(path, inside=tmp_path).look().plain.split("\n")
    assert (len(lines), lines[-1], lines[0]) == (MOST_LINES, "line 99999", f"line {100_000 - MOST_LINES}")
    path.write_text("x" * (2 * MOST_BYTES), encoding="utf-8")
    assert len(LogTail(path, inside=tmp_path).look().plain) == MOST_BYTES


def test_what_is_no_log(tmp_path):
    """A link out of the directory, or a pipe, is not read."""
    path = tmp_path / "sweep" / "output.log"
    path.parent.mkdir()
    path.symlink_to("/etc/passwd")
    assert "root:" not in LogTail(path, inside=path.parent).look().plain
    path.unlink()
    os.mkfifo(path)
    assert "cannot be read" in LogTail(path, inside=path.parent).look().plain
