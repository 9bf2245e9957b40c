"""What the user takes home, measured: the loop with and without collation, and the report of 3 to 3,000 trials.

Without Chromium the time until a page is drawn is left out.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from orchestrator.layout import SweepDir
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.reporting.experiment import Experiment
from orchestrator.reporting.page.render import write_report
from orchestrator.reporting.results import read_results
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported
from orchestrator.watch.collation import Collation
from tests.conftest import CHROMIUM, CHROMIUM_FLAGS
from tests.reporting.planted import plant

N_EVENTS = 400


def main() -> None:
    """Print both measurements."""
    with tempfile.TemporaryDirectory() as folder:
        loop(Path(folder))
        for n in (3, 60, 3000):
            report(Path(folder), n)


def loop(folder: Path) -> None:
    """One trial after the other recorded in a sweep of 1,000, told to nobody and told to the collation."""
    sweep_dir = plant(folder, n=1000, sweep_id="loop0000")
    with LedgerReader(sweep_dir.ledger_path) as reader:
        spec = read_results(sweep_dir, reader).spec
    alone = min(trials(sweep_dir, None) for _ in range(3))
    collation = Collation(sweep_dir, spec, experiment=Experiment(sweep_dir, spec), say=print)
    beside = min(trials(sweep_dir, collation) for _ in range(3))
    collation.close()
    print(
        f"{N_EVENTS} trials recorded: {1000 * alone / N_EVENTS:.2f} ms each alone, {1000 * beside / N_EVENTS:.2f} with collation"
    )
    print(f"ratio {beside / alone:.2f} (1 is free)")


def trials(sweep_dir: SweepDir, collation: Collation | None) -> float:
    """Return the seconds for recording `N_EVENTS` trials."""
    ledger = Ledger(sweep_dir.ledger_path)
    ledger.load([Objective(name="valid/accuracy", sign=-1.0, last=False)])
    config = ledger.trials()[0].config
    began = time.perf_counter()
    for i in range(N_EVENTS):
        number = ledger.add_trial(config).number
        ledger.begin_attempt(number)
        rows = (Report(index=0, time=1.0, step=1, metrics={"valid/accuracy": 0.5 + i / 1e4}),)
        events = [
            Reported(trial=number, attempt=0, reports=rows),
            Ended(trial=number, attempt=0, time=2.0, cause=Cause.FINISHED),
        ]
        ledger.record(events, {number: (TrialState.FINISHED, None)})
        if collation is not None:
            collation.event(events[-1])
    took = time.perf_counter() - began
    ledger.close()
    return took


def report(folder: Path, n: int) -> None:
    """The report of `n` trials: seconds to write, size, seconds until it is drawn."""
    sweep_dir = plant(folder, n=n, gpus=8, sweep_id=f"n{n:07d}")
    began = time.perf_counter()
    path = write_report(sweep_dir)
    took = time.perf_counter() - began
    drawn = f", drawn after {opened(path):.2f} s" if CHROMIUM else " (no Chromium to open it)"
    print(f"report of {n} trials: written in {took:.2f} s, {path.stat().st_size / 1e6:.2f} MB{drawn}")
    shutil.rmtree(sweep_dir.path)


def opened(path: Path) -> float:
    """Seconds from the start of a page to its last plot."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        page.wait_for_selector(".canvas:not([data-drawn])", state="detached")
        seconds = float(page.evaluate("performance.now()")) / 1000
        browser.close()
    return seconds


if __name__ == "__main__":
    main()
