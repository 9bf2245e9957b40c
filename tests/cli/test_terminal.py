"""Whatever stands in a spec, a ledger, a name or a path: no command lets it drive the terminal."""

import io
import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.cli.terminal import COLOURS, Guarded, fitted, guard, harmless, write_data
from orchestrator.errors import ExitCode, SweepError
from orchestrator.printable import clean, clean_lines
from orchestrator.trial.contract.events import Cause
from tests.cli.shell import SWEEP, environ, write_project
from tests.reporting.planted import Plan, plant

EVIL = "\x1b]0;owned\x07\x1b[8m\x9b31m\u202egnol\u2066\u200b\r\x08\x7f"
ALLOWED = re.compile(r"\r\x1b\[K|\x1b\[(?:0|1|3[0-7]|9[0-7])m")
SPEC = """
program: "train\\e]0;p\\a.py"
name: "name\\e]0;n\\a\\u202e"
method: random
metric: {name: "loss\\e]0;m\\a", goal: minimize}
run_cap: 12
parameters:
  lr: {min: 0.0001, max: 0.1}
  kind: {values: ["a\\e]0;v\\a", "b\\x9b8m"]}
"""
FREE = {
    "sweep": ["name", "reason", "cwd", "source_path", "source_text"],
    "trials": ["error", "reason", "host"],
    "attempts": ["host", "cold_reason", "error"],
    "decisions": ["what", "reason"],
}
"""Columns of a ledger that hold text from elsewhere and may hold anything."""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A sweep with control characters in every text there is, in a directory whose name has them, too."""
    home = tmp_path_factory.mktemp("home")
    runs = home / f"runs{EVIL.replace('/', '')}"
    runs.mkdir()

    def play(number, config, rng):
        log = [f"log {EVIL}"]
        if number % 3 == 0:
            return Plan([], cause=Cause.FAILED, error=f"ValueError: {EVIL}", log=log)
        return Plan([{"loss\x1b]0;m\x07": rng.random(), f"other{EVIL}": 1.0} for _ in range(4)], log=log)

    sweep_dir = plant(runs, n=12, spec=SPEC, play=play)
    sweep_dir.trial(0).log_path.write_text(f"log {EVIL} \x1b[31mred\n")
    (sweep_dir.path / "environment.json").write_text(json.dumps({"host": EVIL, "cwd": EVIL, "packages": {EVIL: EVIL}}))
    ledger = sqlite3.connect(sweep_dir.ledger_path)
    ledger.execute("INSERT INTO decisions VALUES (NULL, 1.0, 0, 0, 'what', 'why')")
    for table, columns in FREE.items():
        for column in columns:
            ledger.execute(f"UPDATE {table} SET {column} = coalesce({column}, '') || ?", (EVIL,))
    ledger.execute("UPDATE trials SET gpu_ids = ?", (json.dumps([EVIL]),))
    ledger.execute("UPDATE attempts SET gpu_ids = ?, log_tail = ?", (json.dumps([EVIL]), json.dumps([EVIL])))
    ledger.commit()
    ledger.close()
    (home / f"spec{EVIL.replace('/', '')}.yaml").write_text(SPEC)
    (home / "sweep.yaml").write_text(SPEC)
    return home, runs, sweep_dir


def on_a_terminal(words, cwd):
    """Run a command on a terminal, answer no to whatever it asks, and return all that it sent there."""
    master, slave = pty.openpty()
    os.write(master, b"n\n")  # typed ahead: a command that asks nothing leaves it unread
    with subprocess.Popen([SWEEP, *words], cwd=cwd, env=environ(), stdin=slave, stdout=slave, stderr=slave):
        os.close(slave)
        sent = b""
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            sent += data
    os.close(master)
    return sent.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def driving(text):
    """What of a text would drive a terminal."""
    rest = ALLOWED.sub("", text)
    return sorted({c for c in rest if clean(c) != c and c != "\n"})


COMMANDS = [
    ["ls"],
    ["show", "--all"],
    ["show", "last", "0"],
    ["show", f"x{EVIL}"],
    ["best"],
    ["compare", "0", "1"],
    ["export"],
    ["export", "-o", f"none{EVIL}/x.csv"],
    ["report"],
    ["logs", "last", "0"],
    ["sync"],
    ["resume"],
    ["check", "sweep.yaml", f"spec{EVIL}.yaml"],
    ["plan", "sweep.yaml"],
    ["run", f"spec{EVIL}.yaml"],
    ["try", "sweep.yaml"],
    [f"no{EVIL}"],
]


def test_no_command_lets_anything_drive_the_terminal(hostile):
    """Every command on a terminal, with control characters in every name, value, error, path and argument."""
    home, runs, _ = hostile
    without_runs = {"check", "plan", COMMANDS[-1][0]}

    def run(words):
        return on_a_terminal(words if words[0] in without_runs else [*words, "--runs-dir", str(runs)], home)

    with ThreadPoolExecutor(2) as threads:
        shown = list(threads.map(run, COMMANDS))
    wrong = {
        " ".join(words)[:60]: found or text
        for words, text in zip(COMMANDS, shown, strict=True)
        if (found := driving(COLOURS.sub("", text) if words[0] == "logs" else text)) or "Traceback" in text or not text
    }
    assert wrong == {}


def test_a_pipe_gets_data_as_it_is_and_words_made_clean(hostile):
    """CSV and logs for programs stay exact; JSON is valid; what is told in words is clean also in a file."""
    home, runs, _ = hostile

    def piped(*words):
        return subprocess.run(
            [SWEEP, *words, "--runs-dir", str(runs)], cwd=home, env=environ(), capture_output=True, check=False
        )

    assert "a\x1b]0;v\x07" in piped("export").stdout.decode()
    assert b"\x1b[31mred" in piped("logs", "last", "0").stdout
    assert json.loads(piped("show", "--json").stdout)["sweep"]["name"].endswith(EVIL)
    told = piped("show", "last", "0")
    assert driving(told.stdout.decode() + told.stderr.decode()) == []
    assert driving(piped("show", f"x{EVIL}").stderr.decode()) == []


def test_the_door_lets_a_commands_own_colours_through_on_a_terminal_alone():
    """Bold and colours and an emptied line pass, hidden text and moves do not; elsewhere nothing passes."""
    text = "\r\x1b[K\x1b[31m\x1b[1mred\x1b[0m \x1b[8mhidden\x1b[2J\r\u202e\n\tend"
    terminal, file = Terminal(), io.StringIO()
    Guarded(terminal).write(text)
    Guarded(file).write(text)
    assert terminal.getvalue() == "\r\x1b[K\x1b[31m\x1b[1mred\x1b[0m ?[8mhidden?[2J??\n\tend"
    assert file.getvalue() == "??[K?[31m?[1mred?[0m ?[8mhidden?[2J??\n\tend"


def test_a_table_is_cut_at_the_width_of_its_terminal(monkeypatch):
    """Wide characters count double; a file and a pipe get all of it."""
    monkeypatch.setenv("COLUMNS", "6")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert fitted("short\nlonger\nlongest\n漢字漢字") == "short\nlonger\nlonge…\n漢字 …"
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert fitted("longest") == "longest"


def test_there_is_no_way_around_the_door(monkeypatch):
    """Its buffer is not to be had, it is not put twice, and what an encoding lacks is no error."""
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    guard()
    guard()
    assert isinstance(sys.stdout, Guarded)
    assert sys.stdout.unguarded is ascii_only
    assert not hasattr(sys.stdout, "buffer")
    print("▁█ \ud800")
    write_data("ä\x1b\n")
    sys.stdout.flush()
    assert ascii_only.buffer.getvalue() == b"?? ?\n?\x1b\n"


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", "<&- >&- 2>&-", ">&- 2>/dev/full"])
def test_who_cannot_be_told_is_no_reason_to_stop(tmp_path, streams):
    """A command whose streams are closed or full does what it does, and ends with the exit code that it always has."""
    write_project(tmp_path)
    tried = f"{SWEEP} try sweep.yaml --set lr=0.1 --set orchestrator.wandb=off --runs-dir runs {streams}"
    script = f"{tried} && {SWEEP} show {streams}"
    ended = subprocess.run(script, shell=True, cwd=tmp_path, env=environ(), stdin=subprocess.DEVNULL, check=False)
    assert ended.returncode == ExitCode.USAGE
    assert "done" in (next((tmp_path / "runs").glob("*/trials/0000/output.log"))).read_text()


def test_no_file_gets_the_descriptor_of_a_stream_that_is_closed(tmp_path):
    """What libraries say to standard error would be in a ledger's lock; nor does one of a program that was started."""
    opens = "print(open('a', 'w').fileno(), file=open('b', 'a'))"
    begins = "import os, sys; from orchestrator.cli.terminal import guard; guard()"
    script = f"{begins}; {opens}; os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
    subprocess.run(
        f'{sys.executable} -c "{script}" "{opens}" <&- >&- 2>&-', shell=True, cwd=tmp_path, env=environ(), check=True
    )
    assert all(int(found) > 2 for found in (tmp_path / "b").read_text().split())
    assert len((tmp_path / "b").read_text().split()) == 2


def test_a_directory_that_was_removed_is_named(tmp_path):
    """Whoever removed the one that their shell is in gets no traceback; what has nothing to do with it is what is said."""
    for words, said in (("", "the current directory: it is not there any more"), ("--runs-dir /" + 300 * "a", "/aaa")):
        script = f"mkdir gone; cd gone; rmdir ../gone; {SWEEP} ls {words}"
        ended = subprocess.run(
            script, shell=True, cwd=tmp_path, env=environ(), capture_output=True, text=True, check=False
        )
        assert ended.returncode == ExitCode.USAGE
        assert ended.stderr.startswith(f"error: {said}")


def test_an_error_is_clean_wherever_it_is_shown():
    """Scripts that use the Python API, notebooks and tracebacks show an error by its text."""
    assert str(SweepError(f"no {EVIL}\n  hint")) == clean_lines(f"no {EVIL}\n  hint")
    assert driving(str(SweepError(EVIL))) == []


@pytest.mark.parametrize(
    "category", ["\x00", "\x1b", "\x85", "\x9b", "\u200b", "\u202e", "\u2028", "\ufeff", "\ud800", "\U000e0041"]
)
def test_unseen_characters_become_question_marks(category):
    """C0, C1, zero width, bidirectional, line separators, surrogates and tags."""
    assert clean(f"a{category}b") == "a?b"
    assert harmless(f"a{category}b") == "a?b"
