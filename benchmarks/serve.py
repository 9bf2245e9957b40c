"""`sweep serve` and a real browser on a sweep of 3,000 trials of which 8 report ten times a second: is it live, at what cost?

The server is the command as people run it; the browser is headless Chromium. Measured: until the page of the sweep has drawn its
data (aim: 0.5 s), beside the same trials as report.html; from a commit of a new best to that on the page (aim: 1 s); the server's
share of a core while the page is looked at (aim: 5 %); what the page's memory grows by meanwhile, and what a sweep of 10,000
trials takes.
"""

import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import watch as filling
from playwright.sync_api import sync_playwright

from orchestrator.ledger.lock import controlling
from orchestrator.ledger.paths import create_sweep_dir
from orchestrator.ledger.store import Ledger
from orchestrator.reporting.page.render import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWEEP = Path(sysconfig.get_path("scripts")) / "sweep"
SIZE = {"width": 1280, "height": 900}
N_OPENED = 5
N_BESTS = 10
LOOKED_AT_S = 30.0
TICKS = os.sysconf("SC_CLK_TCK")


class Writer:
    """A controller's share: eight trials report ten times a second, and now and then one is the best."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._alone = threading.Lock()
        self._done = threading.Event()
        self._row = 0
        self._rng = random.Random(2)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(1 / filling.RATE_HZ):
            self.write()

    def write(self, best: float | None = None) -> None:
        with self._alone, self._ledger.transaction("bench"):
            rows = [filling.report(filling.N_TRIALS + n, self._row, self._rng) for n in range(filling.N_RUNNING)]
            if best is not None:
                rows[0].reports[0].metrics["loss"] = best
            self._ledger.record(rows, {})
            self._row += 1

    def close(self) -> None:
        self._done.set()
        self._thread.join()


@contextmanager
def served(runs: Path):
    """The command on a runs directory; yields its address and its process."""
    command = [SWEEP, "serve", "--quiet", "--port", "0", "--runs-dir", runs]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().partition("/#")[0], process.pid
        finally:
            process.terminate()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def opened_ms(browser, url: str, ready: str) -> str:
    """Medians of how long a page takes in a new browser until it has drawn its data, and of how much of that it computes."""
    times, costs = [], []
    for _ in range(N_OPENED):
        with browser.new_context(bypass_csp=True, viewport=SIZE) as context:
            page = context.new_page()
            session = context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(url, wait_until="commit")
            page.wait_for_function(ready, polling=10)
            times.append(page.evaluate("new Promise(r => requestAnimationFrame(() => r(performance.now())))"))
            metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
            costs.append(1e3 * metrics["TaskDuration"])
    return f"{statistics.median(times):7.0f} ms, of which {statistics.median(costs):.0f} computed"


def heap_mib(page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
    session.detach()
    return used


def arrival_ms(page, writer: Writer) -> list[float]:
    """From a commit to the new best on the page, in order."""
    found = []
    for k in range(1, N_BESTS + 1):
        best = -float(k)
        began_s = time.perf_counter()
        writer.write(best)
        page.wait_for_function(f"document.getElementById('best').textContent === '{best:g}'", polling=10)
        found.append(1e3 * (time.perf_counter() - began_s))
        time.sleep(0.37)
    return sorted(found)


def measured(n_trials: int) -> None:
    filling.N_TRIALS = n_trials
    filling.SPEC = re.sub(r"run_cap: \d+", f"run_cap: {n_trials + filling.N_RUNNING}", filling.SPEC)
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        runs = Path(place)
        sweep_dir = create_sweep_dir(runs, "bench", "abcd1234")
        stack.enter_context(controlling(sweep_dir.lock_path))
        ledger = Ledger(sweep_dir.ledger_path)
        stack.callback(ledger.close)
        filling.fill(ledger, sweep_dir)
        report = write_report(sweep_dir)
        url, pid = stack.enter_context(served(runs))
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
        )
        time.sleep(3.0)  # the newest sweeps are read when it starts
        print(
            f"{n_trials:,} trials, {filling.N_RUNNING} running that report {filling.RATE_HZ} times a second: sweep serve"
        )
        ready = "document.documentElement.hasAttribute('data-ready')"
        print(f"until its page is drawn      {opened_ms(browser, f'{url}/sweeps/abcd1234', ready)}")
        drawn = "document.querySelector('#table tbody tr')"
        print(f"report.html of the same      {opened_ms(browser, report.as_uri(), drawn)}")
        page = browser.new_page(bypass_csp=True, viewport=SIZE)
        page.goto(f"{url}/sweeps/abcd1234")
        page.wait_for_function(ready)
        writer = Writer(ledger)
        try:
            times = arrival_ms(page, writer)
            print(f"from a report to the page    {times[len(times) // 2]:7.0f} ms, at most {times[-1]:.0f}")
            before_mib, before_rss = heap_mib(page), rss_mib(pid)
            before_s, began_s = cpu_s(pid), time.perf_counter()
            page.wait_for_timeout(1e3 * LOOKED_AT_S)
            share = (cpu_s(pid) - before_s) / (time.perf_counter() - began_s)
            print(f"the server meanwhile         {100 * share:7.1f} % of a core")
            print(
                f"the page's memory            {heap_mib(page):7.1f} MiB, {heap_mib(page) - before_mib:+.1f} meanwhile"
            )
            print(f"the server's memory          {rss_mib(pid):7.0f} MiB, {rss_mib(pid) - before_rss:+.1f} meanwhile")
        finally:
            writer.close()
        browser.close()


def main() -> None:
    if CHROMIUM is None:
        sys.exit("needs Chromium (apt-get install chromium)")
    for n_trials in [int(word) for word in sys.argv[1:]] or [3_000, 10_000]:
        measured(n_trials)


if __name__ == "__main__":
    sys.exit(main())
