"""Files of a directory that came from elsewhere: what is opened is a file, lies inside, and ends."""

import os
import re
import socket
import stat
from pathlib import Path

import pytest

from orchestrator import confined


@pytest.fixture
def place(tmp_path):
    """A sweep's directory with a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "sweep"
    inside.mkdir()
    return inside


def odd(path, kind):
    """Put something odd in a place."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path.name)
        os.chdir(here)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "dangling":
        path.symlink_to(path.parent / "nothing")
    else:
        path.symlink_to(kind)


@pytest.mark.parametrize(
    "kind", ["pipe", "directory", "socket", "loop", "dangling", "/dev/zero", "/dev/tty", "../secret"]
)
def test_nothing_but_a_file_inside_is_opened(place, kind):
    """No pipe is waited for, no device opened, no link out of the directory followed."""
    odd(place / "file", kind)
    assert not confined.is_file(place / "file", place)
    with pytest.raises(OSError, match="file"):
        confined.open_file(place / "file", place)


def test_a_link_that_stays_inside_is_followed(place):
    """As W&B's own latest-run is; also where the directory itself is reached by a link."""
    (place / "file").write_text("text")
    (place / "link").symlink_to("file")
    (place.parent / "runs").symlink_to(place)
    assert confined.read_text(place / "link", place) == "text"
    assert confined.read_text(place.parent / "runs" / "link", place.parent / "runs") == "text"


def test_a_file_in_a_linked_folder_is_outside(place):
    """What counts is where the file lies, not which part of its path is the link."""
    (place / "trials").symlink_to(place.parent)
    with pytest.raises(OSError, match="leads out of"):
        confined.read_text(place / "trials" / "secret", place)
    with pytest.raises(OSError, match="leads out of"):
        confined.check_directory(place / "trials", place)


def test_reading_is_bounded(place):
    """A file of terabytes, most of it a hole, costs no memory."""
    with (place / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="more than 1,000 bytes"):
        confined.read_bytes(place / "file", place, most=1000)


@pytest.mark.parametrize("text", ["[" * 200_000, "{", "", "\ud800"])
def test_bad_json_is_one_kind_of_error(place, text):
    """Nested too deeply, cut short, empty, no text."""
    (place / "file").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"."):
        confined.read_json(place / "file", place)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_a_file_has_the_mode_that_any_new_file_has(place, umask):
    """The user's umask decides, on a new file and on one that is replaced."""
    (place / "old").write_text("")
    (place / "old").chmod(0o640)
    before = os.umask(umask)
    try:
        confined.replace(place / "old", "text")
        confined.replace(place / "script", b"text", executable=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((place / "old").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((place / "script").stat().st_mode) == 0o777 & ~umask
    assert sorted(path.name for path in place.iterdir()) == ["old", "script"]


def test_writing_follows_no_link(place):
    """A link in the place of a file is replaced, and what it led to stays."""
    (place / "file").symlink_to("../secret")
    confined.replace(place / "file", "ours")
    assert (place.parent / "secret").read_text() == "secret"
    assert (place / "file").read_text() == "ours"


def test_the_way_is_cleared_for_our_names_alone(place):
    """Links and pipes of other names are the user's; files and folders stay, whatever they are called."""
    for name in ("ours-link", "theirs"):
        (place / name).symlink_to("../secret")
    os.mkfifo(place / "ours-pipe")
    (place / "ours-file").write_text("")
    (place / "ours-folder").mkdir()
    confined.clear_way(place, re.compile("ours.*"))
    assert sorted(path.name for path in place.iterdir()) == ["ours-file", "ours-folder", "theirs"]


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800", "a/" * 3000])
def test_no_name_is_too_odd_to_ask_for(place, name):
    """Too long, with a NUL, not to be encoded, too deep: there is no such file."""
    assert not confined.is_file(place / name)
