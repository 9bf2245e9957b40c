"""The commands that run, resume, steer and show sweeps: real processes, real Ray."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import termios
import time
from pathlib import Path

import pytest

from orchestrator.cli.terminal import harmless
from orchestrator.errors import ExitCode, LedgerError
from orchestrator.ledger.reader import LedgerReader
from orchestrator.spec import load_text
from tests.cli.shell import SPEC, start, sweep, write_project

pytestmark = pytest.mark.ray


class Ended:
    """A grid of four trials, one of which fails."""

    def __init__(self, path):
        self.path = write_project(path)
        self.run = sweep("run", "sweep.yaml", "--num-cpus", "2", cwd=path)
        self.dir = next((path / "sweep-runs").iterdir())
        self.id = self.dir.name.rpartition("-")[2]

    def sweep(self, *words, **more):
        return sweep(*words, cwd=self.path, **more)

    def json(self, *words):
        done = self.sweep(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    return Ended(tmp_path_factory.mktemp("ended"))


def test_a_run_says_what_a_log_file_wants(ended):
    """One line per trial with its place, failures with their log; at the end counts, the best, and how to go on."""
    err = ended.run.stderr
    assert ended.run.returncode == ExitCode.DONE
    assert err.startswith(f"sweep {ended.id} in {ended.dir}\n")
    assert sum(line.startswith("[") for line in err.splitlines()) == 4
    assert "trial 2 failed after" in err
    assert f"ValueError: bad lr 0.95 ({ended.dir}/trials/0002/output.log)" in err
    assert "4 trials (3 finished, 1 failed)" in err
    assert "every config of the space has been tried" in err
    assert "best loss 0.43333 in trial 1 (row 3)" in err
    assert f"failed ones again sweep resume {ended.id} --retry-failed" in err


def test_the_best_config_is_all_of_standard_output(ended):
    """`sweep run spec.yaml > best.yaml` works."""
    assert ended.run.stdout == "lr: 0.1\n"


def test_nothing_of_ray_is_heard(ended):
    """Neither its logs nor its advice."""
    assert "ray" not in ended.run.stderr.replace("array", "").lower()


def test_every_trial_has_its_directory_and_runs(ended):
    """Param file, log, reports, a TensorBoard run and a W&B run."""
    for number in range(4):
        trial = ended.dir / "trials" / f"{number:04d}"
        assert {"config.yaml", "output.log"} <= {path.name for path in trial.iterdir()}
        assert list(trial.glob("events.out.tfevents.*"))
        if number != 2:
            assert len((trial / "reports.jsonl").read_text().splitlines()) == 3
            assert len(list(trial.glob("wandb/*run-*/run-*.wandb"))) == 1


def test_ls_lists_it(ended):
    """As a table and as JSON."""
    table = ended.sweep("ls").stdout.splitlines()
    assert table[0].split() == ["id", "name", "state", "trials", "best", "started"]
    assert table[1].split()[:5] == [ended.id, "train", "finished", "4", "0.43333"]
    (row,) = ended.json("ls")
    assert (row["id"], row["trials"], row["path"]) == (ended.id, {"finished": 3, "failed": 1}, str(ended.dir))


def test_ls_shows_the_others_when_one_is_broken(ended):
    """A warning names the broken one."""
    broken = ended.path / "sweep-runs" / "broken-zzzz0000"
    broken.mkdir()
    (broken / "ledger.sqlite").write_bytes(b"no database" * 1000)
    done = ended.sweep("ls")
    assert ended.id in done.stdout
    assert "warning" in done.stderr
    assert "broken-zzzz0000" in done.stderr
    (broken / "ledger.sqlite").unlink()


def test_best_as_json(ended):
    """An object with the sweep and its trials: number, value, step, config, state, paths."""
    data = ended.json("best", "-k", "2")
    assert data["sweep"]["id"] == ended.id
    assert [trial["number"] for trial in data["trials"]] == [1, 3]
    first = data["trials"][0]
    assert (first["value"], first["step"], first["config"], first["state"]) == (
        pytest.approx(0.1 + 1 / 3),
        3,
        {"lr": 0.1},
        "finished",
    )
    assert Path(first["paths"]["log"]).read_text(encoding="utf-8").endswith("done\n")
    assert Path(first["paths"]["directory"]).is_dir()
    assert Path(first["paths"]["wandb"]).is_dir()


@pytest.mark.parametrize("words", [("show",), ("show", "last", "2"), ("best",)])
def test_every_read_command_has_json_and_text(ended, words):
    """Nothing but JSON on standard output; text without an escape sequence."""
    assert ended.json(*words)
    done = ended.sweep(*words)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout


def test_a_sweep_is_named_in_every_way(ended):
    """Id, its beginning, its directory, last; an unknown one gets the nearest."""
    for name in (ended.id, ended.id[:5], str(ended.dir), f"sweep-runs/{ended.dir.name}/", "last"):
        assert ended.json("show", name)["sweep"]["id"] == ended.id
    wrong = ended.sweep("show", ended.id[:-2] + "zz")
    assert (wrong.returncode, wrong.stdout) == (ExitCode.USAGE, "")
    assert f"Did you mean {ended.id}" in wrong.stderr


def test_where_sweeps_are_is_an_option_or_a_variable(ended, tmp_path):
    """From any folder."""
    runs = str(ended.path / "sweep-runs")
    for words, more in ((("--runs-dir", runs), {}), ((), {"SWEEP_RUNS_DIR": runs})):
        done = sweep("best", "--json", *words, cwd=tmp_path, **more)
        assert json.loads(done.stdout)["sweep"]["id"] == ended.id


def test_logs_are_what_the_trial_printed(ended):
    """Through a pipe byte for byte."""
    lines = ended.sweep("logs", "last", "1").stdout.splitlines()
    assert (lines[0], lines[-1]) == ("hello\x1b]0;title\x07 \x1b[32mgreen\x1b[0m ä", "done")
    assert "ValueError: bad lr 0.95" in ended.sweep("logs", "2", "-f").stdout
    assert ended.sweep("logs").stdout == ended.sweep("logs", "last", "1").stdout


@pytest.mark.parametrize("action", ["stop", "cancel", "pause", "unpause"])
def test_a_sweep_that_does_not_run_cannot_be_steered(ended, action):
    """It says how to go on with it."""
    done = ended.sweep(action)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == f"error: sweep {ended.id} is not running.\n  `sweep resume {ended.id}` goes on with it.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "parameters.lr.valeus=[1]"), "--set parameters.lr.valeus"),
        (("--set", "orchestrator.sede=3"), "did you mean `seed`"),
        (("--set", "orchestrator.sede=3"), "--set orchestrator.sede"),
        (("--set", "run_cap"), "--set 'run_cap' is not KEY=VALUE"),
        (("--set", "parameters.lr.values=[1"), "--set parameters.lr.values=[1: not YAML"),
        (("--set", "program=trian.py"), "program trian.py does not exist"),
        (("--count", "0"), "--count"),
        (("--address", "localhost:1"), "Start one with `ray start --head`"),
    ],
)
def test_a_mistake_is_said_before_anything_starts(ended, words, message, tmp_path):
    """With what was set, and without a traceback."""
    done = ended.sweep("run", "sweep.yaml", "--runs-dir", str(tmp_path / "sweep-runs"), *words)
    assert done.returncode in {ExitCode.USAGE, ExitCode.CLUSTER_UNAVAILABLE}
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("sweep-runs/*"))


def test_who_is_told_hears_that_there_is_no_cluster(tmp_path):
    """A sweep that dies is an end as well."""
    command = "{command: [sh, -c, 'cat >> told']}"
    write_project(tmp_path)
    done = sweep(
        "run", "sweep.yaml", "--address", "localhost:1", "--set", f"orchestrator.notify={command}", cwd=tmp_path
    )
    assert done.returncode == ExitCode.CLUSTER_UNAVAILABLE
    title, why, *_ = (tmp_path / "told").read_text().splitlines()
    assert title.endswith(": failed")
    assert f"error: {why}" in done.stderr


def edit(ended, old, new):
    path = ended.path / "sweep.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("method: grid", "method: random", "method"),
        ("  lr:", "  rate:", "the names of the parameters"),
        ("method: grid", "method: grid\norchestrator: {seed: 99}", "orchestrator.seed"),
    ],
)
def test_an_edit_that_would_spoil_the_sweep_is_refused(ended, old, new, broken):
    """Trials so far would not compare; the diff and the reason are shown, and nothing is changed."""
    edit(ended, old, new)
    try:
        done = ended.sweep("resume")
    finally:
        (ended.path / "sweep.yaml").write_text(SPEC, encoding="utf-8")
    assert done.returncode == ExitCode.USAGE
    assert f"error: {broken} cannot change in a sweep that has begun" in done.stderr
    assert f"learns from the trials of this one: `sweep run sweep.yaml --prior {ended.id}`" in done.stderr
    assert "was edited since the sweep began" in done.stderr
    assert new.splitlines()[-1].strip() in done.stderr


def test_a_sweep_is_said_to_run_from_when_it_is_taken_up(ended):
    """Its report has it finished; taken up, `ls` and `show` say "running" while the cluster is still awaited."""
    assert 'class="state finished"' in (ended.dir / "report.html").read_text(encoding="utf-8")
    with socket.create_server(("", 0)) as silent:
        silent.settimeout(60)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        resumed = start("resume", "--retry-failed", "--address", address, cwd=ended.path)
        silent.accept()[0].close()
        states = [ended.json("ls")[0]["state"], ended.json("show")["sweep"]["state"]]
        for waiting in Path(f"/proc/{resumed.pid}/task/{resumed.pid}/children").read_text(encoding="utf-8").split():
            os.kill(int(waiting), signal.SIGKILL)  # the process that asks the cluster, which would be patient
        resumed.communicate(timeout=60)
    assert states == ["running"] * 2
    assert resumed.returncode == ExitCode.CLUSTER_UNAVAILABLE
    assert ended.json("ls")[0]["state"] == "finished"  # as before: nothing has begun


def test_resuming_goes_on(ended):
    """A grid with one more value in its edited file, and the failed trial once more: two trials run, three are left alone."""
    edit(ended, "0.3]", "0.3, 0.2]")
    text = (ended.path / "train.py").read_text(encoding="utf-8")
    (ended.path / "train.py").write_text(text.replace("> 0.9", "> 9"), encoding="utf-8")
    before = {t["number"]: t["attempt"] for t in ended.json("show")["trials"]}
    done = ended.sweep("resume", "--retry-failed", "--num-cpus", "2", "--cpus-per-trial", "2", "--concurrency", "3")
    assert done.returncode == 0, done.stderr
    with LedgerReader(ended.dir / "ledger.sqlite") as reader:
        options = load_text(reader.sweep().spec_text, path="recorded").require().options
    assert (options.resources.cpu, options.concurrency) == (2, 3)
    assert "+  lr: {values: [0.5, 0.1, 0.95, 0.3, 0.2]}" in done.stderr
    after = {t["number"]: (t["attempt"], t["state"]) for t in ended.json("show")["trials"]}
    assert before == {0: 0, 1: 0, 2: 0, 3: 0}
    assert after == {n: (int(n == 2), "finished") for n in range(5)}


def test_a_mended_metric_scores_what_was_reported(ended):
    """Nothing runs again: no cluster is started, and everything that is kept knows the new best."""
    n = len(ended.json("show")["trials"])
    edit(ended, "{name: loss, goal: minimize}", "{name: acc, goal: maximize}")
    done = ended.sweep("resume", "--set", f"run_cap={n}")
    assert done.returncode == 0, done.stderr
    assert f"the metric is now acc (maximize, best value): {n} of {n} trials have it, nothing runs again" in done.stderr
    assert "best acc 0.9 in trial 1" in done.stderr
    assert "# trial 1 of" in (ended.dir / "best.yaml").read_text()
    assert [t["attempt"] for t in ended.json("show")["trials"]] == [0, 0, 1, 0, 0]
    assert ended.json("best")["trials"][0]["value"] == 0.9


def test_a_complete_sweep_is_not_started_for_nothing(ended):
    """It says at once that there is nothing to do, and what there could be."""
    started = time.monotonic()
    n = len(ended.json("show")["trials"])
    done = ended.sweep("resume", "--set", f"run_cap={n}")
    assert done.returncode == 0
    assert f"all {n} trials are done" in done.stderr
    assert f"sweep resume {ended.id} --add N" in done.stderr
    assert time.monotonic() - started < 30
    done = ended.sweep("resume", "-q", "--set", f"run_cap={n}")
    assert (done.stdout, done.stderr) == (f"{ended.dir}\n", "")


def test_every_option_of_run(tmp_path, ray_head):
    """Events as JSON lines; count, concurrency, seed, name and shares of a CPU are the command line's."""
    write_project(tmp_path)
    words = (
        "--count 2 --concurrency 1 --cpus-per-trial 0.5 --gpus-per-trial 0 --seed 7 --name mine --runs-dir out --json"
    )
    settings = ["--set", "method=random", "--set", "parameters.lr={min: 0.0, max: 0.5}", "--address", ray_head]
    done = sweep("run", "sweep.yaml", *words.split(), *settings, cwd=tmp_path, RAY_AUTH_MODE="disabled")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds.count("trial_ended") == 2
    assert kinds[-1] == "sweep_ended"
    order = [kind for kind in kinds if kind in {"trial_started", "trial_ended"}]
    assert order == ["trial_started", "trial_ended"] * 2
    (directory,) = (tmp_path / "out").iterdir()
    assert directory.name.startswith("mine-")
    assert json.loads(sweep("ls", "--json", "--runs-dir", "out", cwd=tmp_path).stdout)[0]["seed"] == 7


WAITS = """\
program: train.py
method: random
run_cap: 50
metric: {name: loss}
parameters: {lr: {min: 0.0, max: 0.5}, naps: {value: 1}}
"""


class Steered:
    """A sweep whose trials wait until the file `go` is there."""

    def __init__(self, path, address, **streams):
        self.path = write_project(path, WAITS)
        self.address = address
        self.control("run", "sweep.yaml", **streams)

    def control(self, *words, **streams):
        """Start a controller in the background, on the Ray that is there: `go` appears in the project itself."""
        self.process = start(
            *words,
            "--no-pin",
            "--address",
            self.address,
            cwd=self.path,
            RAY_AUTH_MODE="disabled",
            TERM="xterm",
            **streams,
        )

    def sweep(self, *words):
        return sweep(*words, cwd=self.path)

    def read(self, what):
        """What a reader of the ledger says; None while there is no sweep yet."""
        ledgers = list(self.path.glob("sweep-runs/*/ledger.sqlite"))
        if not ledgers or not ledgers[0].stat().st_size:
            return None
        try:
            with LedgerReader(ledgers[0]) as reader:
                return what(reader)
        except LedgerError:
            return None

    def trials(self):
        return self.read(lambda reader: reader.trials()) or []

    def until_state(self, state):
        self.until(lambda _: self.read(lambda reader: reader.sweep().state) == state)

    def until(self, condition):
        deadline = time.monotonic() + 90
        while not condition(self.trials()):
            assert time.monotonic() < deadline, self.process.communicate()
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)

    def until_reported(self, n=2):
        self.until(lambda trials: sum(t.n_reports == 3 for t in trials) >= n)

    def go(self):
        (self.path / "go").touch()


@pytest.fixture
def steered(tmp_path, ray_head):
    made = Steered(tmp_path, ray_head)
    yield made
    made.go()
    made.process.kill()
    made.process.communicate()


def test_pause_unpause_stop_from_another_terminal(steered):
    """Held, trials finish and none start; a second controller is refused; stopped, the running ones finish: exit code 0."""
    steered.until_reported()
    followed = start("logs", "last", "0", "-f", cwd=steered.path)
    refused = steered.sweep("resume")
    assert refused.returncode == ExitCode.LOCKED
    assert f"is controlled by pid {steered.process.pid} on " in refused.stderr

    paused = steered.sweep("pause")
    assert paused.stdout.endswith("on hold: the running trials finish, none are started\n")
    steered.until_state("paused")
    assert json.loads(steered.sweep("ls", "--json").stdout)[0]["state"] == "paused"
    steered.go()
    steered.until(lambda trials: all(t.state == "finished" for t in trials))
    n_paused = len(steered.trials())
    assert followed.communicate(timeout=60)[0].endswith("done\n")

    (steered.path / "go").unlink()
    steered.sweep("unpause")
    steered.until(lambda trials: len(trials) > n_paused)
    steered.sweep("stop")
    steered.until_state("stopping")
    steered.go()
    _, err = steered.process.communicate(timeout=60)
    assert steered.process.returncode == ExitCode.DONE, err
    assert "stopped on request" in err
    assert "the rest          sweep resume " in err
    assert "asked to pause from another terminal" in err


def test_sigterm_is_a_ctrl_c_and_cancel_is_for_good(steered):
    """A batch system's SIGTERM keeps everything, exit code 5; the resumed sweep is canceled from another terminal."""
    steered.until_reported()
    steered.process.send_signal(signal.SIGTERM)
    _, err = steered.process.communicate(timeout=60)
    assert steered.process.returncode == ExitCode.INTERRUPTED, err
    assert "SIGTERM received" not in err
    assert "2 to run again" in err
    assert {t.state for t in steered.trials()} == {"pending"}

    steered.control("resume")
    steered.until(lambda trials: sum(t.state == "running" and t.n_reports == 3 for t in trials) >= 2)
    steered.sweep("cancel")
    _, err = steered.process.communicate(timeout=60)
    assert steered.process.returncode == ExitCode.INTERRUPTED, err
    assert "canceled on request" in err
    assert [t.state for t in steered.trials()] == ["canceled"] * 2


@pytest.fixture
def on_terminal(tmp_path, ray_head):
    """A sweep on a terminal of 24 lines, and the end at which that terminal is looked at."""
    looked_at, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    made = Steered(tmp_path, ray_head, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    yield made, looked_at
    made.go()
    made.process.kill()
    made.process.wait()
    os.close(looked_at)


def test_a_terminal_is_left_as_it_was(on_terminal):
    """The live table is drawn and redrawn in place; after Ctrl-C it is gone, the cursor is back, and the end is told."""
    steered, looked_at = on_terminal
    seen, asked = "", False
    while chunk := read(looked_at):
        seen += chunk
        if not asked and seen.count("2 running") > 1:
            steered.process.send_signal(signal.SIGINT)
            asked = True
    assert steered.process.wait(60) == ExitCode.INTERRUPTED
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")
    assert seen.rindex("2 trials (2 to run again) in") > seen.rindex("Ctrl-C stops and keeps everything")
    codes = {code for group in re.findall(r"\x1b\[([0-9;]*)m", seen) for code in group.split(";")}
    assert codes <= {"0", "1", "2"}  # NO_COLOR: bold and dim are no colours
    drawn = max(frame.count("\r\n") for frame in seen.split("\x1b[2K"))
    assert drawn < 24


@pytest.mark.soak
def test_a_sweep_runs_on_while_its_terminal_stands_still(on_terminal):
    """Nobody reads what it draws: all trials run, and once somebody does, the end is told."""
    steered, looked_at = on_terminal
    steered.go()
    steered.until(lambda trials: sum(t.ended is not None for t in trials) == 50)
    seen = ""
    while chunk := read(looked_at):
        seen += chunk
    assert steered.process.wait(60) == ExitCode.DONE
    assert "50 trials (50 finished)" in seen


def read(terminal):
    """What a terminal gets next; nothing once nobody writes to it any more."""
    try:
        return os.read(terminal, 65536).decode("utf-8", "replace")
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;32mgreen\x1b[0m", "\x1b[1;32mgreen\x1b[0m"),
        ("10%\r20%\r", "10%\r20%\r"),
        ("\x1b]0;title\x07", "?]0;title?"),
        ("\x1b[2J\x1b[H", "?[2J?[H"),
        ("\x1bP+q\x1b\\", "?P+q?\\"),
        ("\x9b2J\x08", "?2J?"),
        ("a\x1b", "a?"),
        ("日本 ä", "日本 ä"),
    ],
)
def test_a_log_cannot_drive_the_terminal(text, shown):
    """Colours and progress bars stay; titles, clearing, clipboard and other sequences do not."""
    assert harmless(text) == shown
