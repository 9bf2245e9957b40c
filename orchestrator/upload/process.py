"""The process that sends a sweep's runs to W&B while the sweep goes on, or afterwards.

Run as ``python -m orchestrator.upload.process FD`` by its owner, with whom it speaks JSON lines over the socket FD: it
is told the sweep, which trials began and which ended; it tells the sweep's path on the server, how many runs are on
their way, and what is in the way. It dies with its owner, at any moment without harm: what a server has is known from
the server.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, assert_never

from orchestrator.layout import TrialDir
from orchestrator.ledger.records import WandbSweep
from orchestrator.trial.processes import die_with_parent
from orchestrator.upload.client import Client, Refused, Sync, Unreachable, log_in
from orchestrator.upload.messages import (
    Begin,
    Declined,
    LeftOut,
    LoggedOut,
    News,
    OnServer,
    Order,
    Settle,
    Settled,
    Status,
    Watch,
    order_of,
)
from orchestrator.upload.relay import Misplaced, Relay
from orchestrator.upload.runs import RecordedRun, recorded_runs

TICK_S = 0.5
"""How often the logs of running trials are looked at; wandb's sync looks at its copy once a second."""

LATE_S = 10.0
"""How long after a trial's end its run's own end is waited for: ending the runs of killed trials takes a moment."""

LATE_TICK_S = 0.1

SILENT_S = 10.0
"""After how long without an answer a server is said not to answer."""

AT_ONCE = 256
"""Trials whose runs are followed or sent at the same time; the others wait their turn."""

FIRST_RETRY_S, LAST_RETRY_S = 2.0, 60.0
"""Pauses before something that failed is tried again: doubled each time."""

TRIES = 6
"""How often a run that the server does not take is tried before it is left for later."""

MOST_LEFT_OUT = 20
"""Files that are left out which are named; a directory from elsewhere may have any number."""

NICENESS = 5
"""Trials go first where there are not enough CPUs for both."""


@dataclass(slots=True, kw_only=True)
class Trial:
    """A trial that may have runs to send."""

    number: int
    path: Path
    ended: bool = False
    is_settled: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Uploader:
    """Sends the runs of a sweep's trials."""

    def __init__(self, connection: socket.socket, client: Client, begin: Begin) -> None:
        self._connection = connection
        self._client = client
        self._begin = begin
        self._trials: dict[int, Trial] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._sweep: asyncio.Future[WandbSweep]
        self._senders: set[RunSender] = set()
        self._trouble: str | None = None
        self._told: Status | None = None
        self._n_sent = 0
        self._failed: set[int] = set()
        self._left_out: set[str] = set()
        self._settling: asyncio.Event
        self._is_last = False
        self._writer: asyncio.StreamWriter

    async def main(self) -> None:
        """Serve the owner until it hangs up."""
        self._sweep = asyncio.get_running_loop().create_future()
        self._settling = asyncio.Event()
        reader, self._writer = await asyncio.open_connection(sock=self._connection)
        helpers = [self._begin_task(c) for c in (self._make_sweep(), self._report(), self._settle())]
        while line := await reader.readline():
            self._hear(order_of(json.loads(line)))
        del helpers

    def _begin_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin something; its failure (a core that died, most likely) ends this process, and the owner starts another."""
        task = asyncio.get_running_loop().create_task(coroutine)
        task.add_done_callback(self._fall_over)
        return task

    def _fall_over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._client.core.stop()
            os._exit(1)

    def _hear(self, order: Order) -> None:
        match order:
            case Watch():
                self._watch(order)
            case Settle():
                self._is_last = order.finished
                self._settling.set()
            case Begin():
                pass  # it was told when this process began
            case _:
                assert_never(order)

    def _watch(self, order: Watch) -> None:
        """A trial began, goes on, or ended; one that ended may go on again."""
        number = order.trial
        trial = self._trials.setdefault(number, Trial(number=number, path=Path(order.dir)))
        trial.ended, trial.is_settled = order.ended, order.settled
        trial.changed.set()
        task = self._tasks.get(number)
        if task is None or task.done():
            self._tasks[number] = self._begin_task(self._follow(trial))

    def _tell(self, news: News) -> None:
        self._writer.write(news.encode())

    async def _make_sweep(self) -> None:
        """Create the sweep, unless there is one, however long the server needs to come up."""
        begin, pause_s = self._begin, FIRST_RETRY_S
        if begin.path is not None:
            self._know(WandbSweep.parse(begin.path))
            return
        fields = {name: value for name, value in asdict(begin).items() if name != "path"}
        while True:
            try:
                sweep = await asyncio.to_thread(self._client.create_sweep, **fields)
            except Refused as error:
                self._tell(Declined(why=str(error)))
                return
            except Unreachable as error:
                self._trouble = str(error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_RETRY_S)
            else:
                break
        self._trouble = None
        self._know(sweep)

    def _know(self, sweep: WandbSweep) -> None:
        self._tell(OnServer(path=str(sweep), url=self._client.url(sweep)))
        self._sweep.set_result(sweep)

    async def _follow(self, trial: Trial) -> None:
        """Send what a trial records, until it has ended and all of it went up or was given up."""
        async with self._slots:
            sweep = await self._sweep
            senders: dict[str, RunSender] = {}
            while not await self._look(trial, sweep, senders):
                await self._pause(trial)
            self._senders -= set(senders.values())
            self._n_sent += sum(sender.is_sent and not sender.is_empty for sender in senders.values())
            is_all_sent = all(sender.is_sent for sender in senders.values())
            (self._failed.discard if is_all_sent else self._failed.add)(trial.number)

    async def _look(self, trial: Trial, sweep: WandbSweep, senders: dict[str, "RunSender"]) -> bool:
        """Take what is new of a trial's runs; return whether nothing more will come of it."""
        trial.changed.clear()
        ended = trial.ended
        try:
            for run in recorded_runs(TrialDir(trial.path)):
                if not run.is_complete and run.run_id not in senders:
                    senders[run.run_id] = RunSender(self._client, sweep, self._leave_out)
                    self._senders.add(senders[run.run_id])
                if run.run_id in senders:
                    await senders[run.run_id].step(run, ended=ended, is_settled=trial.is_settled)
        except OSError as error:
            self._trouble = f"{error.filename}: {error.strerror}"
            return ended
        return ended and trial.ended and all(sender.is_done for sender in senders.values())

    def _leave_out(self, line: str) -> None:
        """Tell once which file is not sent."""
        if line in self._left_out or len(self._left_out) > MOST_LEFT_OUT:
            return
        self._left_out.add(line)
        self._tell(LeftOut(line=line if len(self._left_out) <= MOST_LEFT_OUT else "more files are like these"))

    async def _pause(self, trial: Trial) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(trial.changed.wait(), LATE_TICK_S if trial.ended else TICK_S)

    async def _report(self) -> None:
        """Tell the owner where things stand, when that has changed."""
        while True:
            await asyncio.sleep(TICK_S)
            trouble = self._trouble or await self._trouble_of_runs()
            open_trials = sum(not task.done() for n, task in self._tasks.items() if self._trials[n].ended)
            status = Status(open=open_trials, trouble=trouble, sent=self._n_sent, failed=len(self._failed))
            if status != self._told:
                self._told = status
                self._tell(status)

    async def _trouble_of_runs(self) -> str | None:
        """What the runs on their way wait for; looking at a few of them tells."""
        for sender in list(self._senders)[:8]:
            trouble = await sender.trouble()
            if trouble is not None:
                return trouble
        return None

    async def _settle(self) -> None:
        """Once the owner has said that nothing more will come, say when all is up."""
        await self._settling.wait()
        while any(not task.done() for task in self._tasks.values()):
            await asyncio.wait([task for task in self._tasks.values() if not task.done()], timeout=TICK_S)
        if self._is_last and not self._failed and self._sweep.done():
            with contextlib.suppress(Unreachable, Refused):
                await asyncio.to_thread(self._client.finish_sweep, self._sweep.result())
        self._tell(Settled(sent=self._n_sent, failed=len(self._failed)))


class RunSender:
    """One run on its way: its relay, and wandb's sync of it, again and again until the server has all of it."""

    def __init__(self, client: Client, sweep: WandbSweep, leave_out: Callable[[str], None]) -> None:
        self._client = client
        self._sweep = sweep
        self._leave_out = leave_out
        self._relay: Relay | None = None
        self._sync: Sync | None = None
        self._task: asyncio.Task[list[str]] | None = None
        self._ended_s: float | None = None
        self._retry_s = 0.0
        self._failures = 0
        self.problem: str | None = None
        self.is_done = False
        self.is_sent = False
        self.is_empty = False

    async def step(self, run: RecordedRun, *, ended: bool, is_settled: bool) -> None:
        """Take what is new of the run's logs, and look after its sync. Never raises."""
        now_s = asyncio.get_running_loop().time()
        self._ended_s = None if not ended else self._ended_s or now_s
        if self.is_done or now_s < self._retry_s:
            return
        try:
            await self._advance(
                run, ended=ended, is_late=is_settled or (ended and now_s - (self._ended_s or 0) > LATE_S)
            )
        except Unreachable as error:
            self._again(str(error))
        except Refused as error:
            self._refuse(str(error))
        except Misplaced as error:
            self._leave_out(str(error))
            self._refuse(str(error))
        except OSError as error:
            self._again(f"{error.filename}: {error.strerror}")

    async def trouble(self) -> str | None:
        """What the sync is trying again, or waits for; None when it goes on."""
        if self._sync is None:
            return self.problem
        state = await self._sync.state()
        self.problem = state.trouble or ("no answer" if state.waits_s > SILENT_S else None)
        return self.problem

    async def _advance(self, run: RecordedRun, *, ended: bool, is_late: bool) -> None:
        if self._relay is None:
            there = await asyncio.to_thread(self._client.n_rows, self._sweep, run.run_id) if run.may_be_there else 0
            self._relay = Relay(run, self._sweep, there)
        relay = self._relay
        await asyncio.to_thread(relay.pump, run.logs)
        for line in relay.take_left_out():
            self._leave_out(line)
        if ended and not relay.is_closed and (relay.exit_code is not None or is_late):
            if not relay.has_run:
                self.is_done = self.is_sent = self.is_empty = True
                return
            relay.close()
        if self._task is None and relay.has_run:
            self._sync = await self._client.begin_sync(relay.path)
            self._task = asyncio.create_task(self._sync.errors())
        if self._task is not None and self._task.done():
            await self._concluded(run, self._task.result())

    async def _concluded(self, run: RecordedRun, errors: list[str]) -> None:
        assert self._relay is not None
        if not errors and self._relay.is_closed:
            run.mark_complete()
            self.is_done = self.is_sent = True
            return
        why = errors[0] if errors else "the upload ended early"
        refusal = await asyncio.to_thread(self._client.is_refused)
        if refusal is not None:
            self._refuse(refusal)
        else:
            self._again(why)

    def _again(self, why: str) -> None:
        """Try all of it again after a pause, from what the server then has; give up in the end, until the next time."""
        self._failures += 1
        self._reset()
        self.problem = why
        self.is_done = self._failures >= TRIES
        pause_s = min(FIRST_RETRY_S * 2 ** (self._failures - 1), LAST_RETRY_S)
        self._retry_s = asyncio.get_running_loop().time() + pause_s

    def _refuse(self, why: str) -> None:
        self._reset()
        self.problem = why
        self.is_done = True

    def _reset(self) -> None:
        if self._relay is not None:
            self._relay.abandon()
        self._relay = self._sync = self._task = None


def main() -> None:
    """Serve on the socket whose descriptor is the first argument."""
    die_with_parent(os.getppid())
    os.nice(NICENESS)
    os.environ |= {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    for name in ("WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SERVICE"):
        os.environ.pop(name, None)
    connection = socket.socket(fileno=int(sys.argv[1]))
    begin = order_of(json.loads(connection.makefile("rb", buffering=0).readline()))
    assert isinstance(begin, Begin)
    client = log_in()
    if client is None:
        connection.sendall(LoggedOut().encode())
        return
    connection.setblocking(False)
    try:
        client.run(lambda: Uploader(connection, client, begin).main())
    finally:
        client.core.stop()
        os._exit(0)


if __name__ == "__main__":
    main()
