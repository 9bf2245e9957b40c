import json
import os
import platform
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.cli.specs import load
from tests.interpreters.environments import venv

MISTAKES = Path(__file__).parents[2] / "spec" / "mistakes.yaml"
GOOD = "program: train.py\nmethod: random\nparameters: {a: {min: 1, max: 3}, b: {value: 1}}\n"
WARNS = GOOD + "speed: 1\n"
BROKEN = GOOD + "run_cap: 0\n"


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Return `check(*words)`: run the command in a folder with specs; (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    (tmp_path / "mistakes.yaml").write_bytes(MISTAKES.read_bytes())
    for name, text in (("good", GOOD), ("warns", WARNS), ("broken", BROKEN)):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["sweep", "check", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code, *capsys.readouterr()

    return run


def test_golden_mistakes(golden, check):
    """Two dozen mistakes of every section, told at once, each with its line, column, reason and fix."""
    code, out, err = check("mistakes.yaml")
    assert (code, err) == (2, "")
    golden("check-mistakes.txt", out)


def test_golden_json(golden, check):
    """The same findings as data."""
    code, out, err = check("--json", "mistakes.yaml")
    assert (code, err) == (2, "")
    golden("check-mistakes.json", out)


def test_every_place_in_the_golden_files_is_right(check):
    """What stands at each line and column is the key or value that the finding is about."""
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    for finding in json.loads(check("--json", "mistakes.yaml")[1])[0]["findings"]:
        mark, key = finding["mark"], finding["where"].split(".")[-1].split("[")[0]
        there = lines[mark["line"] - 1][mark["column"] - 1 :]
        before = "\n".join(lines[: mark["line"]])[: -len(there)]
        is_key = there.strip('"').startswith((key, "depth", "../secret"))
        assert is_key or f"{key}:" in before.splitlines()[-1] or f"{key}:" in before.splitlines()[-2]


def test_a_good_spec(check):
    """One line, the Python of its trials, and exit code 0."""
    code, out, err = check("good.yaml")
    line, python = out.splitlines()
    assert (code, line, err) == (0, "good.yaml: ok: random, 2 parameters", "")
    assert python.startswith(f"  python  {sys.executable}  {platform.python_version()}, wandb 0.")
    assert python.endswith(" (VIRTUAL_ENV)")
    [entry] = json.loads(check("--json", "good.yaml")[1])[0]["python"]
    assert (entry["for"], entry["path"], entry["own"]) == (None, sys.executable, True)


def test_a_python_that_cannot_be_used_is_an_error_at_its_key(check, tmp_path):
    """What was looked for, and how to mend it."""
    text = (tmp_path / "good.yaml").read_text()
    (tmp_path / "python.yaml").write_text(f"{text}\norchestrator: {{python: nowhere/bin/python}}\n")
    code, out, _ = check("python.yaml")
    assert code == 2
    assert "orchestrator.python: no Python for the trials" in out
    assert "nowhere/bin/python does not exist" in out
    assert check("--python", sys.prefix, "python.yaml")[0] == 0


def test_a_program_that_is_not_here_is_an_error(check, tmp_path):
    """What `sweep run` would say, here and now, at the key that names it."""
    (tmp_path / "train.py").rename(tmp_path / "trian.py")
    code, out, _ = check("good.yaml")
    assert code == 2
    assert out.splitlines()[0] == (
        f"good.yaml:1:1: error: program: train.py does not exist in {tmp_path}; did you mean {tmp_path}/trian.py?"
    )


def test_a_program_beside_the_spec_is_found_by_changing_there(check, tmp_path, monkeypatch):
    """As in W&B it is looked for where the sweep is run; the message says where it is and both ways to reach it."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, _ = check("../good.yaml")
    assert code == 2
    assert out.splitlines()[0].endswith(": `cd ..` first, or write program: ../train.py")


def test_warnings_do_not_refuse_a_spec(check):
    """Unless --strict counts them as errors."""
    code, out, _ = check("warns.yaml")
    assert code == 0
    assert "\nwarns.yaml: ok: random, 2 parameters (1 warning)\n  python  " in out
    code, out, _ = check("--strict", "warns.yaml")
    assert code == 2
    assert out.endswith("\nwarns.yaml: 1 warning, refused by --strict\n")
    assert json.loads(check("--strict", "--json", "warns.yaml")[1])[0]["ok"] is False


def test_several_specs(check):
    """All findings first, then a line for each spec and the sum; one bad one makes the exit code 2."""
    code, out, _ = check("good.yaml", "warns.yaml", "broken.yaml", "missing.yaml", ".")
    assert code == 2
    assert [line for line in out.splitlines() if not line.startswith("  python")][-6:] == [
        "good.yaml: ok: random, 2 parameters",
        "warns.yaml: ok: random, 2 parameters (1 warning)",
        "broken.yaml: 1 error",
        "missing.yaml: 1 error",
        ".: 1 error",
        "2 of 5 specs can be run",
    ]
    assert "missing.yaml: error: no such file or directory" in out
    assert ".: error: a directory\n      = name the files in it: *.yaml" in out
    data = json.loads(check("--json", "good.yaml", "missing.yaml")[1])
    assert [(spec["path"], spec["ok"], len(spec["findings"])) for spec in data] == [
        ("good.yaml", True, 0),
        ("missing.yaml", False, 1),
    ]


def test_set_changes_what_is_checked(check):
    """A finding about it names the option."""
    assert check("--set", "run_cap=3", "broken.yaml")[0] == 0
    code, out, _ = check("--set", "parameters.a.max=high", "good.yaml")
    assert code == 2
    assert out.startswith("--set parameters.a.max: error: parameters.a.max: 'high' is not a number\n")
    code, _, err = check("--set", "nonsense", "good.yaml")
    assert (code, err.splitlines()[0]) == (2, "error: --set 'nonsense' is not KEY=VALUE")


def sweep(*words, **more):
    """Run the installed command."""
    command = [str(Path(sys.executable).with_name("sweep")), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **more)


def test_standard_input(tmp_path):
    """`-` is a spec too, and is called so."""
    (tmp_path / "train.py").touch()
    done = sweep("check", "-", input=WARNS, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<stdin>:4:1: warning: speed: ")
    assert "\n<stdin>: ok: random, 2 parameters (1 warning)\n  python  " in done.stdout


def test_nothing_to_check_is_a_usage_error():
    """With the usage."""
    done = sweep("check")
    assert done.returncode == 2
    assert "Missing argument 'SPEC'" in done.stderr


def on_terminal(words, columns, **env):
    """Run the installed command on a terminal of a width and return what it wrote."""
    master, slave = pty.openpty()
    environ = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"COLUMNS": str(columns)} | env
    command = [str(Path(sys.executable).with_name("sweep")), *words]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environ) as process:
        os.close(slave)
        written = b""
        while select.select([master], [], [], 60)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # Linux says so when the other side has closed
                break
            if not chunk:
                break
            written += chunk
    os.close(master)
    assert process.returncode == 2
    return written.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_and_its_own_width():
    """Quoted lines and hints fit; NO_COLOR and pipes get plain text."""
    coloured = on_terminal(["check", str(MISTAKES)], 80)
    assert "\x1b[31m" in coloured
    plain = on_terminal(["check", str(MISTAKES)], 80, NO_COLOR="1")
    assert "\x1b" not in plain
    quoted = [line for line in plain.splitlines() if line[6:9] in {"| ", "= "} or line.startswith("      ")]
    fixed = [line for line in quoted if "= write: " not in line]
    assert max(map(len, fixed)) <= 80
    assert "\x1b" not in sweep("check", str(MISTAKES)).stdout


TAKES_A = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--a')\nparser.parse_args()\n"


def test_what_the_script_refuses_is_an_error_of_check_and_a_warning_of_run(check, tmp_path):
    """Every trial would fail; what is read from a source alone refuses no sweep."""
    (tmp_path / "train.py").write_text(TAKES_A, encoding="utf-8")
    code, out, _ = check("good.yaml")
    assert code == 2
    assert out.startswith("good.yaml:3:35: error: parameters.b: train.py takes no --b (argparse)\n")
    spec, warnings = load(Path("good.yaml"), [])
    assert list(spec.parameters) == ["a", "b"]
    assert warnings == ["good.yaml:3:35: parameters.b: train.py takes no --b (argparse) (it takes a)"]


def test_what_the_python_lacks_of_the_programs_imports_is_said(check, tmp_path, monkeypatch, capsys):
    """By name, with the interpreter and the way out: a warning at the program; `plan`, `run` and `try` say it and go on."""
    python = venv(tmp_path / "bare", "3.12")
    (tmp_path / "train.py").write_text("import numpy, json, no_such_module\n")
    message = f"{python} does not find what train.py imports: no_such_module, numpy"
    code, out, _ = check("good.yaml", f"--python={python}")
    assert code == 0
    assert f"good.yaml:1:1: warning: program: {message}\n" in out
    assert f"`{python} -m pip install` it, or name the Python that has it: --python PATH" in " ".join(out.split())
    assert check("--strict", "good.yaml", f"--python={python}")[0] == 2
    for words, expected in ((["plan"], 0), (["run", "--prior=nowhere"], 2), (["try", "-n2", "--config=none.json"], 2)):
        monkeypatch.setattr(sys, "argv", ["sweep", *words, "good.yaml", f"--python={python}"])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert exit_.value.code == expected, words
        assert message in capsys.readouterr().err
