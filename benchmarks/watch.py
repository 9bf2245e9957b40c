"""`sweep watch` on a sweep of 10,000 trials of which 8 report ten times a second: is it smooth, and what does it cost?

It fills a ledger as a controller would, then drives the application without a terminal. Measured: until the trials are there;
from a key to the drawn screen (aims: below 50 ms at the median, 150 ms for sorting and filtering all of it), and how much of a
CPU that takes; the share of a core while nobody presses a key (aim: below 25 %), also with curves below; the memory of all.
What each trial used is in the table. The same rows in Textual's own DataTable, for comparison.
"""

import asyncio
import random
import resource
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from textual.app import App
from textual.widgets import DataTable

from orchestrator.cli.watching.app import WatchApp
from orchestrator.layout import SweepDir
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.lock import controlling
from orchestrator.ledger.paths import create_sweep_dir
from orchestrator.ledger.records import SweepRecord, SweepState, TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started
from orchestrator.trial.contract.resource_use import GpuUse, Look, Use

N_TRIALS = int(next(iter(sys.argv[1:]), 10_000))
N_REPORTS = 20
N_RUNNING = 8
RATE_HZ = 10
STILL_S = 10.0
BATCH = 100
SIZE = (120, 40)
SPEC = f"""
program: train.py
method: random
run_cap: {N_TRIALS + N_RUNNING}
metric: {{name: loss, goal: minimize}}
parameters:
  lr: {{min: 0.0, max: 1.0}}
  width: {{values: [16, 32, 64]}}
  dropout: {{min: 0.0, max: 0.5}}
  optimizer: {{values: [adam, sgd]}}
"""
LOSS = (Objective(name="loss", sign=1.0, last=False),)


def fill(ledger: Ledger, sweep_dir: SweepDir) -> None:
    rng = random.Random(1)
    record = SweepRecord(
        sweep_id=sweep_dir.sweep_id,
        name="bench",
        spec_text=SPEC,
        seed=1,
        state=SweepState.RUNNING,
        created=0.0,
        cwd="/",
    )
    ledger.sweep.create(record)
    ledger.load(LOSS)
    for first in range(0, N_TRIALS, BATCH):
        with ledger.transaction("bench"):
            for number in range(first, first + BATCH):
                begin(ledger, rng)
                ledger.record([report(number, i, rng) for i in range(N_REPORTS)], {})
                ended = Ended(trial=number, attempt=0, time=time.time(), cause=Cause.FINISHED, exit_code=0)
                ledger.record([ended], {number: (TrialState.FINISHED, None)})
    for _ in range(N_RUNNING):
        begin(ledger, rng)


def begin(ledger: Ledger, rng: random.Random) -> None:
    config = {"lr": rng.random(), "width": rng.choice([16, 32, 64]), "dropout": rng.random() / 2}
    number = ledger.add_trial(config | {"optimizer": rng.choice(["adam", "sgd"])}).number
    ledger.begin_attempt(number)
    ledger.record([Started(trial=number, attempt=0, time=time.time(), pid=1, host="box", gpu_ids=("0",))], {})


def write_use(sweep_dir: SweepDir, rng: random.Random) -> None:
    """Let every trial have left what it used, of a GPU as well."""
    for number in range(N_TRIALS + N_RUNNING):
        gpu = GpuUse(
            gpu="0", busy=rng.random(), own_busy=None, used_bytes=9e9, own_bytes=6e9, total_bytes=8e10, power_w=300.0
        )
        use = Use(n_looks=9, seconds=90.0, cpus=rng.random(), rss_bytes=3 << 30, n_processes=1, gpus=(gpu,))
        sweep_dir.trial(number).path.mkdir(parents=True)
        sweep_dir.trial(number).use_path.write_text(Look(attempt=0, time=0.0, now=use, so_far=use).encode())


def report(number: int, i: int, rng: random.Random) -> Reported:
    row = Report(index=i, time=time.time(), step=i, metrics={"loss": rng.random(), "accuracy": rng.random()})
    return Reported(trial=number, attempt=0, reports=(row,))


def write_on(ledger: Ledger, done: threading.Event) -> None:
    rng, i = random.Random(2), 0
    while not done.wait(1 / RATE_HZ):
        with ledger.transaction("bench"):
            ledger.record([report(N_TRIALS + n, i, rng) for n in range(N_RUNNING)], {})
        i += 1


def memory_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def key_ms(pilot, *keys: str) -> str:
    """From keys, pressed one after the other, to what they draw: the median of each, and of what the screen's thread computes."""
    times, costs = [], []
    for key in keys:
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        pilot.app.simulate_key(key)
        await pilot._wait_for_screen()  # noqa: SLF001 - `press` waits for longer than a key takes
        pilot.app.screen._compositor.render_strips()  # noqa: SLF001 - what a terminal would get
        times.append(1e3 * (time.perf_counter() - began_s))
        costs.append(1e3 * (time.thread_time() - began_cpu_s))
    return f"{statistics.median(times):6.1f} ms, of which {statistics.median(costs):.1f} computed"


async def still(pilot, what: str) -> None:
    cpu_s, wall_s, main_s = time.process_time(), time.perf_counter(), time.thread_time()
    await pilot.pause(STILL_S)
    wall_s = time.perf_counter() - wall_s
    share, own = (time.process_time() - cpu_s) / wall_s, (time.thread_time() - main_s) / wall_s
    print(f"{what:<28} {100 * share:6.1f} % of a core, the writer included; the screen's thread {100 * own:.1f} %")


async def watched(sweep_dir: SweepDir) -> None:
    before_mib, began_s = memory_mib(), time.perf_counter()
    app = WatchApp(sweep_dir.path.parent, sweep_dir)
    async with app.run_test(size=SIZE) as pilot:
        while getattr(app.screen, "picture", None) is None:
            await pilot.pause(0.01)
        print(f"until the trials are there   {time.perf_counter() - began_s:6.2f} s")
        await pilot.pause(1.0)
        print(f"a row further                {await key_ms(pilot, *['j'] * 100)}")
        print(f"a page further               {await key_ms(pilot, *['pagedown'] * 50)}")
        print(f"the end, the beginning       {await key_ms(pilot, *['G', 'g'] * 10)}")
        print(f"sorting by another column    {await key_ms(pilot, *['full_stop'] * 5)}")
        await key_ms(pilot, "slash")
        print(f"each letter of a filter      {await key_ms(pilot, *'optim', 'i', 'z')}")
        await key_ms(pilot, "escape", "g")
        await still(pilot, "while nobody presses a key")
        await key_ms(pilot, "2")
        await still(pilot, "the same with curves below")
        print(f"a row further, with curves   {await key_ms(pilot, *['j'] * 50)}")
        print(f"memory of all this           {memory_mib() - before_mib:6.1f} MiB")


class Theirs(App):
    """The same rows in Textual's own table."""

    def compose(self):
        yield DataTable()

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns(
            "trial", "state", "loss", "row", "time", "lr", "width", "dropout", "optimizer", "where", "note"
        )
        for i in range(N_TRIALS):
            table.add_row(
                str(i), "finished", "0.12345", "20", "12s", "0.123", "16", "0.25", "adam", "box GPU 0", "", key=str(i)
            )


async def theirs() -> None:
    before_mib, began_s = memory_mib(), time.perf_counter()
    app = Theirs()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        print(f"until the rows are there     {time.perf_counter() - began_s:6.2f} s")
        print(f"a row further                {await key_ms(pilot, *['down'] * 100)}")
        print(f"a page further               {await key_ms(pilot, *['pagedown'] * 50)}")
        table = app.query_one(DataTable)
        began_s = time.perf_counter()
        table.sort(next(iter(table.columns)))
        await pilot.pause()
        print(f"sorting by another column    {1e3 * (time.perf_counter() - began_s):6.1f} ms")
        print(f"memory of all this           {memory_mib() - before_mib:6.1f} MiB")


def main() -> None:
    with tempfile.TemporaryDirectory() as runs, ExitStack() as stack:
        sweep_dir = create_sweep_dir(Path(runs), "bench", "abcd1234")
        stack.enter_context(controlling(sweep_dir.lock_path))
        ledger = Ledger(sweep_dir.ledger_path)
        fill(ledger, sweep_dir)
        write_use(sweep_dir, random.Random(3))
        print(f"{N_TRIALS:,} trials, {N_RUNNING} running that report {RATE_HZ} times a second: sweep watch")
        done = threading.Event()
        writer = threading.Thread(target=write_on, args=(ledger, done))
        writer.start()
        try:
            asyncio.run(watched(sweep_dir))
        finally:
            done.set()
            writer.join()
        ledger.close()
    print("the same rows in Textual's DataTable")
    asyncio.run(theirs())


if __name__ == "__main__":
    sys.exit(main())
