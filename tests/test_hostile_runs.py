"""A runs directory that came from elsewhere, with anything anywhere in it: every command ends, and none with a traceback."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer import Exit

from orchestrator.cli.main import OF_THE_MACHINE, OF_THE_NAME, build
from orchestrator.errors import SweepError
from tests.reporting.planted import Plan, plant

PLACES = (
    "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite-journal", "environment.json", "sweep.yaml",
    "controller.lock", "report.html", "best.yaml", "best.sh", "trials.csv", "prior.jsonl", "function.pkl", ".origin", "trials",
    "trials/0000", "trials/0000/output.log", "trials/0000/reports.jsonl", "trials/0000/.end-0.json", "trials/0000/config.yaml",
    "trials/0000/wandb", ".pool-00000000", "events.out.tfevents.1.x", "odd \x1b]0;x\x07 \u202e", "../other/ledger.sqlite",
    "../other",
)  # fmt: skip
LINKS = ("/dev/zero", "/dev/tty", "/etc/passwd", "../..", "nothing", "/proc/self/mem", "SELF")
KINDS = ("pipe", "folder", "huge", "deep", "bytes", "empty", *LINKS)
COMMANDS = (
    ["ls"], ["ls", "--json"], ["show"], ["show", "last", "0"], ["show", "--json"], ["best"], ["compare", "0", "1"],
    ["export"], ["export", "--to", "wandb-yaml"], ["report"], ["logs", "last", "0"], ["stop"],
)  # fmt: skip
SPEC = """
program: train.py
method: random
metric: {name: loss, goal: minimize}
run_cap: 6
parameters: {lr: {min: 0.0, max: 1.0}, kind: {values: [a, b]}}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A sweep that is whole, and a file beside the runs directory that is nobody's business."""
    home = tmp_path_factory.mktemp("home")
    sweep_dir = plant(
        home / "runs", n=6, spec=SPEC, play=lambda n, _c, r: Plan([{"loss": r.random()} for _ in range(n + 1)])
    )
    sweep_dir.trial(0).log_path.write_text("hello\n")
    return home


def put(path, kind):
    """Put something odd in a place, instead of what was there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 36)
    elif kind == "deep":
        path.write_text("[" * 200_000)
    elif kind == "bytes":
        path.write_bytes(bytes(range(256)) * 20)
    elif kind == "empty":
        path.touch()
    else:
        path.symlink_to(path if kind == "SELF" else kind)


def run(words, runs):
    """Run a command as `main` does; what is no error for people gets out."""
    try:
        build()([*words, "--runs-dir", str(runs)], prog_name="sweep", standalone_mode=False)
    except (SweepError, Exit):
        pass
    except OSError as error:
        if error.errno not in OF_THE_MACHINE | OF_THE_NAME:
            raise


class Hangs(BaseException):
    """Goes through every `except Exception`."""


def hang(*_):
    raise Hangs


@example(odd={"controller.lock": "SELF"}, command=["stop"])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    odd=st.dictionaries(st.sampled_from(PLACES), st.sampled_from(KINDS), min_size=1, max_size=4),
    command=st.sampled_from(COMMANDS),
)
def test_no_reader_hangs_or_fails_unexplained(original, tmp_path_factory, odd, command, capfd):
    """Pipes, devices, links out, holes of gigabytes and garbage in up to four places; nothing beside the sweep changes."""
    home = tmp_path_factory.mktemp("hostile")
    runs = home / "runs"
    shutil.copytree(original / "runs", runs)
    sweep_dir = next(path for path in runs.iterdir() if path.name.startswith("sweep"))
    victim = home / "victim"
    victim.write_text("precious")
    for place, kind in sorted(odd.items()):
        try:
            put(sweep_dir / place, kind)
        except OSError:  # its folder is odd already
            continue
    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(60)
    try:
        run(command, runs)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        shutil.rmtree(home)


def test_a_thousand_odd_entries_do_not_hide_a_sweep(original, tmp_path, capsys):
    """They cost a line each where they look like sweeps, and `last` is one that can be read."""
    shutil.copytree(original / "runs", tmp_path / "runs")
    for i in range(1000):
        place = tmp_path / "runs" / f"odd-{i:08d}"
        if i % 5 == 0:
            place.write_text("no directory")
        elif i % 5 == 1:
            place.symlink_to(place)
        else:
            put(place / "ledger.sqlite", KINDS[i % len(KINDS)])
    run(["ls"], tmp_path / "runs")
    shown = capsys.readouterr()
    assert "k3x9w2ab" in shown.out
    assert shown.err.count("warning: ") <= 600
    run(["show", "k3x9w2ab"], tmp_path / "runs")
    assert "best " in capsys.readouterr().out
    assert Path("/etc/passwd").exists()
