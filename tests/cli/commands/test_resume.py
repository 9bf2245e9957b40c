"""`sweep resume` of a directory that came from elsewhere: it asks before it runs code."""

import os
import pty
import shutil
import subprocess

import pytest

from orchestrator import session
from orchestrator.layout import SweepDir
from orchestrator.spec import load_text
from tests.cli.shell import SWEEP, environ, sweep

SPEC = "program: %s\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}}\n"


@pytest.fixture
def copied(tmp_path):
    """A sweep as somebody sends it: a copy, whose program is not even here."""
    made = session.create(load_text(SPEC % "gone.py").require(), name="s", runs=tmp_path / "theirs")
    shutil.copytree(made.path, tmp_path / "runs" / made.path.name)
    return SweepDir(tmp_path / "runs" / made.path.name)


def answered(answer, cwd):
    """Resume on a terminal and answer the question."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [SWEEP, "resume"], cwd=cwd, env=environ(), stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        said = b""
        while b"trust it?" not in said:
            said += os.read(master, 4096)
        os.write(master, answer)
        code = process.wait(timeout=60)
        while True:
            try:
                said += os.read(master, 4096)
            except OSError:
                break
    os.close(master)
    return code, said.decode()


def test_without_a_terminal_a_copy_is_refused_until_it_is_trusted(copied, tmp_path):
    """The error names the flag; what it then says is only that the program is missing, and it is not asked again."""
    refused = sweep("resume", cwd=tmp_path)
    assert refused.returncode == 2
    assert "is a copy of one that was made on" in refused.stderr
    assert "--trust" in refused.stderr
    assert not copied.lock_path.exists()
    assert "program gone.py does not exist" in sweep("resume", "--trust", cwd=tmp_path).stderr
    assert "program gone.py does not exist" in sweep("resume", cwd=tmp_path).stderr


def test_on_a_terminal_it_is_a_question(copied, tmp_path):
    """No is the end of it, yes is remembered."""
    code, said = answered(b"n\n", tmp_path)
    assert (code, "nothing was run" in said) == (2, True)
    code, said = answered(b"y\n", tmp_path)
    assert (code, "program gone.py does not exist" in said) == (2, True)
    assert "program gone.py does not exist" in sweep("resume", cwd=tmp_path).stderr


def test_a_function_that_appeared_in_a_sweep_with_a_program_is_refused(tmp_path):
    """Neither is it run silently, nor is it silently left out."""
    made = session.create(load_text(SPEC % "train.py").require(), name="s", runs=tmp_path / "runs")
    (tmp_path / "train.py").write_text("")
    made.function_path.write_bytes(b"cos\nsystem\n.")
    done = sweep("resume", cwd=tmp_path)
    assert done.returncode == 2
    assert "whose spec has program: train.py: which of them is it?" in done.stderr


@pytest.mark.parametrize("program", ["x" * 300 + ".py", "x" * 300 + "/y.py", '"a\\0b.py"'])
def test_a_program_of_any_name_is_no_traceback(tmp_path, program):
    """Too long for a file, too deep, with a NUL: it does not exist, and the error stays short."""
    (tmp_path / "sweep.yaml").write_text(SPEC % program)
    for command in ("check", "run"):
        done = sweep(command, "sweep.yaml", cwd=tmp_path)
        assert "Traceback" not in done.stderr
        assert len(done.stderr) < 3000
        assert done.returncode in {0, 2}


@pytest.mark.parametrize("words", [["run", "x" * 300], ["show", "y/" * 3000], ["ls", "--runs-dir", "z" * 5000]])
def test_an_argument_of_any_length_is_no_traceback(copied, tmp_path, words):
    """A path that no filesystem takes is an error for people."""
    done = sweep(*words, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 2}
    assert len(done.stderr) < 8000
