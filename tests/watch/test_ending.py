import pytest

from orchestrator.reporting.results import Results
from orchestrator.trial.contract.events import Cause
from orchestrator.watch.ending import say_end
from tests.execution.fake_pool import End, FakePool, Log, Wait
from tests.sweeps import GRID, RANDOM, Sweep


def script(launch):
    """Trials 1 and 4 fail alike, 2 otherwise, the rest work."""
    if launch.trial in {1, 4}:
        return iter([End(Cause.FAILED, exit_code=1, error="ValueError: bad \x1b[31mlr")])
    if launch.trial == 2:
        return iter([End(Cause.OUT_OF_MEMORY, exit_code=1, error="OutOfMemoryError: CUDA out of memory")])
    return iter([Log({"loss": 1 / (launch.trial + 1)}), Wait(60)])


def broken(launch):
    """The program takes no such option."""
    error = f"train.py: error: unrecognized arguments: --hiddn={launch.trial}"
    return iter([End(Cause.FAILED, exit_code=2, error=error)])


def misspelt(_):
    """The program works, but logs something else."""
    error = "never reported 'loss', but 'los'; did you mean 'los'?"
    return iter([Log({"los": 1.0}), End(Cause.NO_METRIC, exit_code=0, error=error)])


@pytest.fixture
def said(tmp_path, capsys, monkeypatch):
    """Return `end(text, run=...)`: run a sweep and return what is said at its end, (standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("orchestrator.reporting.their_commands.shutil.which", str)

    def end(text, *, interrupt_at_s=None, script=script):
        made, pool = Sweep(tmp_path, text), FakePool(2, script)
        if interrupt_at_s is not None:
            pool.at(interrupt_at_s, lambda: setattr(made, "interrupts", 1))
        ended = made.run(pool)
        ledger = made.ledger()
        say_end(ended, Results.of(made.dir, made.spec, ledger))
        ledger.close()
        return [text.replace(str(made.dir.path), "DIR").replace(str(tmp_path), "RUNS") for text in capsys.readouterr()]

    return end


@pytest.mark.parametrize(
    ("scene", "text", "options"),
    [
        ("failures", RANDOM.format(run_cap=6), {}),
        ("interrupted", RANDOM.format(run_cap=6), {"interrupt_at_s": 30}),
        ("grid", GRID, {}),
        ("broken", RANDOM.format(run_cap=20), {"script": broken}),
        ("misspelt", RANDOM.format(run_cap=20), {"script": misspelt}),
        ("nothing", RANDOM.format(run_cap=6), {"interrupt_at_s": 0}),
    ],
)
def test_golden_ends(golden, said, scene, text, options):
    """Counts, failures by cause with their logs, the best to paste, where everything lies, how to go on."""
    out, err = said(text, **options)
    golden(f"end-{scene}.txt", f"{out}---- stderr ----\n{err}")
