"""A directory and its copy."""

import contextlib
import os
import random
import resource
import shutil
import socket
import stat
import threading
from pathlib import Path

import pytest

from orchestrator.execution.shipping import sender as sending
from orchestrator.execution.shipping.parts import Append, Arrive, Check, Move, Piece, is_end
from orchestrator.execution.shipping.receiver import Receiver
from orchestrator.execution.shipping.sender import Sender


class Pair:
    """A sender and a receiver, joined by batches."""

    def __init__(self, base):
        self.here, self.there = base / "here", base / "there"
        self.here.mkdir()
        self.there.mkdir()
        self.sender = Sender(self.here, left_out=(".upload",))
        self.receiver = Receiver(self.there, base / "staging")
        self.number = 0
        self.parts = []

    def step(self):
        """Pass one batch over and return it."""
        self.number += 1
        parts = self.sender.parts()
        wrong = self.receiver.apply(self.number, parts)
        if any(isinstance(part, Check) for part in parts):
            self.sender.heard(wrong)
        self.parts += parts
        return parts

    def settle(self):
        """Pass batches over until all has been told after an end."""
        self.sender.finish()
        while not self.sender.is_settled:
            self.step()


def tree(root):
    """Everything in a directory that can be copied, with what is in it."""
    found = {}
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        name = str(path.relative_to(root))
        if stat.S_ISLNK(mode):
            found[name] = str(path.readlink())
        elif stat.S_ISREG(mode):
            found[name] = (path.read_bytes(), mode & 0o100)
        elif stat.S_ISDIR(mode):
            found[name] = None
    return found


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """Without pauses between two looks, and with small pieces."""
    monkeypatch.setattr(sending, "SCAN_S", 0.0)
    monkeypatch.setattr(sending, "SCAN_SHARE", 1e9)
    monkeypatch.setattr(sending, "PIECE_BYTES", 1000)
    monkeypatch.setattr(sending, "BATCH_BYTES", 3000)
    made = Pair(tmp_path)
    yield made
    made.sender.close()


def test_every_kind_of_file_arrives(pair):
    """Empty, executable, deep, odd names, links; not pipes, sockets, links that lead out, what stays with the node."""
    (pair.here / "a/b").mkdir(parents=True)
    (pair.here / "a/b/empty").touch()
    (pair.here / "run.sh").touch(mode=0o755)
    (pair.here / os.fsdecode(b"caf\xe9\n")).write_bytes(os.urandom(10_000))
    (pair.here / "link").symlink_to("a/b/empty")
    (pair.here / "whole").symlink_to(pair.here / "a")
    (pair.here / "out").symlink_to("/etc/passwd")
    (pair.here / "up").symlink_to("../there")
    (pair.here / ".upload").mkdir()
    os.mkfifo(pair.here / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(pair.here / "socket"))
    with (pair.here / "sparse").open("wb") as file:
        file.seek(50 << 20)
        file.write(b"end")
        file.truncate(60 << 20)
    pair.settle()
    assert (pair.there / "whole").readlink() == Path("a")
    assert sum(len(part.data) for part in pair.parts if isinstance(part, Piece)) < 1 << 20
    assert (pair.there / "sparse").stat().st_blocks < 4096
    expected = tree(pair.here)
    for name in ("out", "up", ".upload", "whole"):
        del expected[name]
    found = tree(pair.there)
    del found["whole"]
    assert found == expected


def test_what_cannot_be_looked_at_is_not_gone(pair):
    """A process without a file descriptor left sees no directory: the copy keeps what it has."""
    (pair.here / "a").mkdir()
    (pair.here / "a/model.pt").write_bytes(b"model")
    pair.settle()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.open("/", os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        parts = pair.sender.parts()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert parts == []
    pair.settle()
    assert tree(pair.there) == tree(pair.here)


def test_a_copy_outlives_its_directory(pair):
    """Somebody clears the node's disk: what has arrived of a trial stays, and its end is told."""
    (pair.here / "a").mkdir()
    (pair.here / "a/model.pt").write_bytes(b"model")
    pair.settle()
    before = tree(pair.there)
    pair.sender.go_on()
    shutil.rmtree(pair.here)
    pair.settle()
    assert tree(pair.there) == before


def test_a_log_is_followed_while_it_grows(pair):
    """Each look sends what is new, also while a large file is on its way."""
    with (pair.here / "output.log").open("wb") as log:
        log.write(b"1\n")
        log.flush()
        pair.step()
        (pair.here / "model.pt").write_bytes(os.urandom(50_000))
        pair.step()
        for n in range(5):
            log.write(b"line %d\n" % n)
            log.flush()
            pair.step()
            assert (pair.there / "output.log").read_bytes() == (pair.here / "output.log").read_bytes()
            assert not (pair.there / "model.pt").exists()
    pair.settle()
    assert tree(pair.there) == tree(pair.here)


def test_a_file_is_never_seen_in_part(pair):
    """Until it is complete it is not there; one that is replaced stays the old one."""
    (pair.here / "m").write_bytes(b"a" * 9000)
    pair.settle()
    pair.sender.go_on()
    (pair.here / "tmp").write_bytes(b"b" * 9000)
    (pair.here / "tmp").replace(pair.here / "m")
    while (pair.there / "m").read_bytes() != b"b" * 9000:
        assert (pair.there / "m").read_bytes() == b"a" * 9000
        pair.step()


def test_a_rename_costs_no_bytes_also_on_the_way(pair, monkeypatch):
    """A checkpoint that is written beside its place and renamed is sent once."""
    monkeypatch.setattr(sending, "RECENT_NS", 0)
    (pair.here / "tmp").write_bytes(os.urandom(9000))
    pair.step()
    (pair.here / "tmp").rename(pair.here / "m")
    pair.settle()
    (pair.here / "m").rename(pair.here / "n")
    pair.sender.go_on()
    pair.step()
    assert tree(pair.there) == tree(pair.here)
    assert sum(len(part.data) for part in pair.parts if isinstance(part, Piece)) == 9000
    assert [part for part in pair.parts if isinstance(part, Move)] == [Move("m", "n")]


def test_a_change_behind_an_append_is_found_in_the_end(pair):
    """What size and time cannot tell, the comparison does."""
    (pair.here / "db.log").write_bytes(b"a" * 5000)
    while pair.step():
        pass
    with (pair.here / "db.log").open("r+b") as file:
        file.write(b"XX")
        file.seek(0, os.SEEK_END)
        file.write(b"more")
    while pair.step():
        pass
    assert tree(pair.there) != tree(pair.here)
    pair.settle()
    assert tree(pair.there) == tree(pair.here)


def test_the_record_of_an_end_arrives_when_all_else_has(pair):
    """Nobody believes an end whose checkpoint is not there."""
    (pair.here / ".end-0.json").write_text("{}")
    (pair.here / "m").write_bytes(os.urandom(9000))
    for _ in range(3):
        pair.step()
        assert not (pair.there / ".end-0.json").exists()
    pair.settle()
    arrived = [part.path for part in pair.parts if isinstance(part, Arrive)]
    assert set(arrived[:-1]) == {"m"}
    assert is_end(arrived[-1])


def test_a_large_file_that_takes_long_is_waited_for(pair):
    """However often is looked meanwhile: its end is believed when it is there."""
    (pair.here / "m").write_bytes(os.urandom(500 * sending.PIECE_BYTES))
    pair.settle()
    assert tree(pair.there) == tree(pair.here)


def test_an_end_does_not_wait_for_what_never_stops(pair):
    """Something that a program left behind writes faster than its bytes travel; what it had written at the end is there."""
    (pair.here / "m").write_bytes(os.urandom(9000))
    with (pair.here / "left.log").open("ab") as file:
        pair.sender.finish()
        while not pair.sender.is_settled:
            file.write(b"x" * 4000)
            file.flush()
            pair.step()
    assert (pair.there / "m").read_bytes() == (pair.here / "m").read_bytes()
    assert (pair.there / "left.log").stat().st_size > 4000


@pytest.mark.parametrize(("times", "missing"), [(1, []), (10_000, ["m"])])
def test_a_large_file_that_is_replaced_on_its_way_is_waited_for_but_not_for_ever(pair, times, missing):
    """Once, and it arrives; again and again by something left behind, and the end is told without it, and which it was."""
    large = os.urandom(200 * sending.PIECE_BYTES)
    (pair.here / "m").write_bytes(large)
    (pair.here / ".end-0.json").write_text("{}")
    pair.sender.finish()
    while not pair.sender.is_settled:
        if pair.step() and times:
            times -= 1
            (pair.here / "tmp").write_bytes(large)
            (pair.here / "tmp").replace(pair.here / "m")
    assert pair.sender.missing == missing
    assert (pair.there / ".end-0.json").exists()
    assert (pair.there / "m").exists() is not bool(missing)
    assert times == 0 or times > 9000


def test_files_that_grow_are_told_though_there_is_room_for_nothing_else(pair):
    """What people look at does not wait for checkpoints; nor does an end come before those."""
    (pair.here / "m").write_bytes(os.urandom(9000))
    (pair.here / "o.log").write_bytes(b"begun")
    pair.step()
    with (pair.here / "o.log").open("ab") as file:
        file.write(b" on")
    pair.sender.finish()
    assert pair.sender.parts(0) == [Append("o.log", 5, b" on")]
    assert not pair.sender.is_settled


def test_a_copy_that_is_complete_is_sent_nothing(tmp_path, pair):
    """A further attempt begins with what came from the controller: only what it adds goes back."""
    (pair.here / "m.log").write_bytes(os.urandom(9000))
    pair.settle()
    back = Sender(pair.there, is_copied=True)
    assert back.parts() == []
    with (pair.there / "m.log").open("ab") as file:
        file.write(b"more")
    assert back.parts() == [Append("m.log", 9000, b"more")]


def test_a_log_that_is_written_anew_is_no_growth(pair):
    """Also where the new file got the number of the old one: what is behind the end that was sent tells."""
    (pair.here / "m.log").write_bytes(b"a" * 5000)
    while pair.step():
        pass
    with (pair.here / "m.log").open("r+b") as file:
        file.write(b"b" * 9000)
    while pair.step():
        pass
    assert tree(pair.there) == tree(pair.here)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_programs_do_the_copy_is_the_same_in_the_end(pair, seed):
    """Writes, appends, rewriting in place, truncating, renaming, removing, folders for files, at random between batches."""
    rng = random.Random(seed)
    for _ in range(60):
        act(pair.here, rng)
        if rng.random() < 0.5:
            pair.step()
    pair.settle()
    assert tree(pair.there) == tree(pair.here)


def test_a_program_that_writes_all_the_time_does_not_keep_its_end(pair):
    """What still changes after the end goes on arriving; the end does not wait for it for ever."""
    stop = threading.Event()
    (pair.here / ".end-0.json").write_text("{}")

    def work():
        rng = random.Random(0)
        while not stop.is_set():
            act(pair.here, rng)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        pair.settle()
    finally:
        stop.set()
        writer.join()
    assert (pair.there / ".end-0.json").exists()


def act(root, rng):
    """Do one thing that programs do; some of them fail."""
    names = ["a", "b", "c.log", "d/e", "d/f", "g"]
    path, other = root / rng.choice(names), root / rng.choice(names)
    data = rng.randbytes(rng.choice([0, 10, 1500, 5000]))
    with contextlib.suppress(OSError):
        rng.choice([write, append, rewrite, cut, move, remove, link, make])(path, other, data)


def write(path, _other, data):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def append(path, _other, data):
    with path.open("ab") as file:
        file.write(data)


def rewrite(path, _other, data):
    with path.open("r+b") as file:
        file.seek(len(data) // 2)
        file.write(data)


def cut(path, _other, data):
    os.truncate(path, len(data) // 2)


def move(path, other, _data):
    path.rename(other)


def remove(path, _other, data):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink()


def link(path, _other, _data):
    path.symlink_to("g")


def make(path, _other, _data):
    path.mkdir()
