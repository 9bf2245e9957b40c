"""The loop of one sweep, top-down. Read this first.

Running and resuming are one thing: load what the ledger holds, then continue. Whatever happens is in the ledger before
anybody acts on it: a trial before its worker is asked to run it, an end before its slot is filled again, a decision to
stop before the signal is sent. So the controller may be killed between any two lines and `sweep resume` goes on.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.control.capacity_watch import CapacityWatch
from orchestrator.control.closing import (
    CANCELED,
    INTERRUPTED,
    Closing,
    program_broken,
    target_reached,
)
from orchestrator.control.consequences import Breaker, Request, attributed
from orchestrator.control.culling import Culling
from orchestrator.control.judge import Judge
from orchestrator.control.knowledge import OUTCOMES, Knowledge
from orchestrator.control.launching import Launcher
from orchestrator.control.node_breaker import NodeBreaker
from orchestrator.control.proposals import Pace, Proposal, proposals_of
from orchestrator.control.recovery import settle, whole_truth
from orchestrator.control.room import Room
from orchestrator.control.running import RunningTrials
from orchestrator.control.showing import Showing
from orchestrator.control.spending import Spending
from orchestrator.control.steering import AGAIN, REQUESTS, changed, refusal
from orchestrator.control.timesheet import Timesheet
from orchestrator.control.trials import Trials
from orchestrator.diagnosis.health_monitor import HealthMonitor
from orchestrator.errors import ExitCode, SweepError
from orchestrator.execution.protocol import CapacityChanged, Placed, Pool, PoolEvent
from orchestrator.ledger.records import Asker, SweepState, TrialRecord, TrialState
from orchestrator.ledger.requests import Action, Instruction
from orchestrator.ledger.store import Ledger
from orchestrator.search.protocol import Observation, Search
from orchestrator.spec import dump
from orchestrator.spec.model import SweepSpec
from orchestrator.stopping.protocol import StoppingRule
from orchestrator.trial.contract.events import Ended, Reported, Started, TrialEvent
from orchestrator.watch.progress import (
    STOPPED,
    Note,
    SweepEnded,
    TrialEnded,
    TrialRequeued,
    TrialStarted,
    View,
    all_done,
)
from orchestrator.watch.scoreboard import Scoreboard

IDLE_POLL_S = 0.25
"""The longest the loop waits for events: what else it looks at (requests, signals, budgets) is at most this late."""

SEARCHING_POLL_S = 0.005
"""The same while a slot is free and the search is thinking."""

INTERRUPTING = {
    1: "Stopping softly: all is kept. Ctrl-C again ends it now.",
    2: "Ending running trials now. Ctrl-C again leaves at once.",
}
"""What is said when the user has asked to stop, by how often: all of it also in 60 columns, for it says how to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """What decides: the search, and the stopping rule if the spec has one.

    Attributes:
        adaptive: Whether the search learns from results.
        prior: Trials of earlier sweeps that the search may learn from.
        size: Number of configs the search can propose; None for no end.
    """

    search: Search
    adaptive: bool = False
    rule: StoppingRule | None = None
    prior: Sequence[Observation] = ()
    size: int | None = None


class Controller:
    """One sweep from what its ledger holds to its end.

    Args:
        spec: What to run.
        launcher: Turns a config into a launch.
        ledger: Opened and locked by the caller, who also closes it.
        pool: Where trials run; closed by the caller.
        strategy: Which config next, and which trial ends early.
        view: Who watches.
        interrupts: Counts the times the user asked to stop (Ctrl-C); read, never written.
        clock: Monotonic seconds.
        wait_s: Seconds to wait for a node that could run a trial while there is none.
    """

    def __init__(
        self,
        *,
        spec: SweepSpec,
        launcher: Launcher,
        ledger: Ledger,
        pool: Pool,
        strategy: Strategy,
        view: View,
        wait_s: float,
        interrupts: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._launcher = launcher
        self._ledger = ledger
        self._pool = pool
        self._view = view
        self._interrupts = interrupts
        self._clock = clock
        self._knowledge = Knowledge(spec, ledger, strategy.prior)
        self._proposals = proposals_of(strategy.search, adaptive=strategy.adaptive, known=self._knowledge.known)
        self._board = Scoreboard()
        self._trials = Trials(ledger, self._knowledge, self._board)
        self._running = RunningTrials(ledger, pool)
        self._culling = Culling(limits=spec.limits, rule=strategy.rule, scores=ledger.scores, running=self._running)
        self._room = Room(spec=spec, pool=pool, size=strategy.size)
        self._timesheet = Timesheet(ledger.sweep, clock)
        self._waiting: deque[int] = deque()
        self._judge: Judge
        self._spending: Spending
        self._breaker = Breaker()
        self._nodes = NodeBreaker()
        self._exhausted = False
        self._paused = False
        self._closing: Closing | None = None
        self._health = HealthMonitor(ledger=ledger, objectives=ledger.scores.objectives)
        self._showing = Showing(
            spec=spec,
            sweep_dir=launcher.sweep_dir,
            sweep=launcher.sweep,
            view=view,
            pool=pool,
            room=self._room,
            running=self._running,
            board=self._board,
            trials=self._trials,
            timesheet=self._timesheet,
            health=self._health,
            clock=clock,
        )
        self._capacity = CapacityWatch(wait_s)
        self._obeyed = 0

    def run(self) -> SweepEnded:
        """Run the sweep to its end and return how it ended. Every trial is then in a state that may stay or be resumed.

        Raises:
            SweepError: The ledger cannot be written, or the cluster is gone or can never run a trial of this sweep.
        """
        try:
            self._recover()
            while (end := self._over()) is None:
                self._ledger.check_place()
                self._obey()
                self._fill()
                events = self._pool.poll(self._patience_s())
                self._record(events)
                self._culling.look(events)
                self._listen()
                self._look_at_capacity()
                self._showing.refresh(closing=self._closing is not None, paused=self._paused)
        finally:
            self._proposals.close()
        self._ledger.check_place()
        self._listen()
        self._ledger.sweep.set_state(
            _final_state(end), end.reason, exit_code=end.exit_code, active_s=self._timesheet.elapsed_s
        )
        self._showing.refresh(closing=self._closing is not None, paused=self._paused, now=True)
        self._view.event(end)
        return end

    def _recover(self) -> None:
        """Take up the sweep where its ledger left it."""
        histories = settle(self._ledger, self._launcher, retries=self._spec.options.retries)
        self._judge = Judge(histories, self._nodes)
        self._spending = Spending(self._ledger, self._spec.options.resources)
        self._proposals.restore(self._ledger.memory.of_search(), self._knowledge.remembered())
        for trial in sorted(self._ledger.trials(), key=lambda t: (t.order is None, t.order or 0, t.number)):
            self._trials.add(trial)
            self._board.consider(trial)
            self._close(target_reached(self._spec.metric, trial))
            if trial.state in OUTCOMES:
                self._proposals.tell(self._knowledge.observe(trial))
                self._board.took(trial)
        if self._board.succeeded:
            self._breaker.succeeded()
        self._waiting.extend(sorted(n for n, t in self._trials.items() if t.state is TrialState.PENDING))

    def _over(self) -> SweepEnded | None:
        if self._running:
            return None
        closing = self._closing or self._complete()
        has_worked = bool(self._board.succeeded) or not self._trials
        return None if closing is None else closing.end(n_waiting=len(self._waiting), has_worked=has_worked)

    def _complete(self) -> Closing | None:
        """Why there is nothing more to run, where nobody asked for an end."""
        if self._waiting or self._paused:
            return None
        if self._room.is_full(len(self._trials)):
            return Closing(reason=all_done(len(self._trials)))
        if self._exhausted:
            return Closing(reason=self._proposals.over or "every config of the space has been tried")
        return None

    def _obey(self) -> None:
        """Look at Ctrl-C, at requests from other terminals, and whether the sweep's time is over or its budget used."""
        count = self._interrupts()
        if count > self._obeyed:
            self._obeyed = count
            self._view.event(Note(text=INTERRUPTING.get(count, INTERRUPTING[2])))
            self._close(INTERRUPTED, kill=count > 1)
        for instruction in self._ledger.requests.take():
            self._view.event(Note(text=f"asked to {instruction} from another terminal"))
            self._requested(instruction)
        self._timesheet.keep()
        self._close(self._timesheet.over(self._spec.options.timeout_sweep_s))
        spent = self._spending.over(self._spec.options.budget.hours, self._running.values(), self._clock())
        if spent is not None and self._closing is None:
            self._view.event(Note(text=f"{spent.reason}; running trials finish", topic="budget"))
        self._close(spent)

    def _requested(self, instruction: Instruction) -> None:
        if instruction.trial is not None:
            self._requested_of_trial(instruction.action, instruction.trial)
            return
        match action := instruction.action:
            case Action.SET:
                self._change(instruction.changes)
            case Action.PAUSE | Action.UNPAUSE:
                self._paused = action == Action.PAUSE
                if self._closing is None:
                    self._ledger.sweep.set_state(SweepState.PAUSED if self._paused else SweepState.RUNNING)
            case Action.STOP:
                self._close(Closing(reason=STOPPED))
            case Action.CANCEL:
                self._close(CANCELED, kill=True)

    def _requested_of_trial(self, action: str, number: int) -> None:
        """Do what is asked of one trial; between the request and now it may have come to another state."""
        trial = self._trials.get(number)
        refused = "there is no such trial" if trial is None else refusal(action, trial)
        if trial is None or refused is not None:
            self._view.event(Note(text=f"cannot {action} trial {number}: {refused}"))
        elif action == Action.RETRY:
            self._retry(number)
        elif trial.state is TrialState.RUNNING:
            self._running.stop(number, REQUESTS[action], kill=action == Action.CANCEL)
        else:
            self._waiting.remove(number)
            self._ledger.cancel(number, REQUESTS[action].reason)
            self._is_over(self._trials.move(number), took_s=None)

    def _retry(self, number: int) -> None:
        """Let a trial that is over run again, as if it never had."""
        self._ledger.retry(number, AGAIN)
        self._judge.forget(number)
        self._knowledge.forget(number)
        self._proposals.again(number)
        self._trials.move(number)
        self._waiting.append(number)
        self._view.event(TrialRequeued(number=number, reason=AGAIN, on_resume=self._closing is not None))

    def _change(self, changes: Mapping[str, str]) -> None:
        """Go on with other limits, which hold for trials that run as well."""
        try:
            spec = changed(self._spec, changes)
        except SweepError as error:
            self._view.event(Note(text=f"nothing was set: {error}"))
            return
        self._ledger.sweep.set_spec(dump(spec), self._ledger.sweep.record.source_text)
        if spec.options.timeout_trial_s != self._spec.options.timeout_trial_s:
            for number in self._running:
                self._running.allow(number, spec.options.timeout_trial_s)
        self._spec = spec
        self._launcher = replace(self._launcher, spec=spec)
        self._room.spec = spec
        self._knowledge.aim(spec)
        self._pool.limit(spec.options.concurrency)

    def _close(self, closing: Closing | None, *, kill: bool = False) -> None:
        """Launch nothing from now on, if there is a reason: the first, unless trials that might have finished are now ended."""
        if closing is None:
            return
        if self._closing is None or kill:
            self._ledger.sweep.set_state(SweepState.CANCELING if kill else SweepState.STOPPING)
        if self._closing is None or (self._closing.request is None and closing.request is not None):
            self._closing = closing
        if closing.request is not None:
            for number in list(self._running):
                self._running.stop(number, closing.request, kill=kill)

    def _fill(self) -> None:
        """Launch while there is a slot, something to run, and nobody minds.

        Write first, then ask: a launch that the ledger does not know cannot happen.
        """
        if self._closing is not None or self._paused:
            return
        free = self._room.free(len(self._running))
        if free <= 0:
            return
        attempts: dict[int, int] = {}
        with self._ledger.transaction("launch"):
            for _ in range(free):
                number = self._next_trial()
                if number is None:
                    break
                attempts[number] = self._ledger.begin_attempt(number)
        for number, attempt in attempts.items():
            self._hand_over(number, attempt)

    def _hand_over(self, number: int, attempt: int) -> None:
        """Give an attempt to the pool; one that cannot be put together ends the sweep, for the next would fare the same."""
        try:
            trial = self._trials.move(number)
            launch = self._launcher.launch(number, attempt, trial.config, trial.metrics)
        except (SweepError, OSError) as error:
            self._ledger.requeue(number, f"could not be launched: {error}")
            self._waiting.append(self._trials.move(number).number)
            self._close(Closing(reason=f"trial {number} cannot be launched: {error}", code=ExitCode.INTERRUPTED))
            return
        self._running.launch(launch, avoid=self._nodes.tried(number))

    def _next_trial(self) -> int | None:
        if self._waiting:
            return self._waiting.popleft()
        if self._room.is_full(len(self._trials)) or self._exhausted:
            return None
        proposal = self._propose()
        if proposal is None:
            return None
        if proposal.config is None:
            self._exhausted = True
            self._ledger.memory.keep(proposal.memory)
            return None
        run_id = self._launcher.run_id(len(self._trials))
        trial = self._ledger.add_trial(proposal.config, run_id=run_id, n_observed=proposal.n_observed)
        self._ledger.memory.keep(proposal.memory)
        self._trials.add(trial)
        self._proposals.ask_ahead()
        return trial.number

    def _propose(self) -> Proposal | None:
        """The next config, if the search has one ready; a search that fails lets the running trials finish."""
        trial_s = self._board.typical_s
        pace = None if trial_s is None else Pace(trial_s=trial_s, slots=self._room.at_once)
        try:
            return self._proposals.ready(pace)
        except Exception as error:  # noqa: BLE001 - the search may be the user's own file
            what = str(error) if isinstance(error, SweepError) else f"{type(error).__name__}: {error}"
            reason = f"the search has no config for trial {len(self._trials)}: {what}"
            self._close(Closing(reason=reason, code=ExitCode.INTERRUPTED))
            return None

    def _record(self, events: Sequence[PoolEvent]) -> None:
        """Write a batch of events and what follows from them in one transaction, then act on it."""
        ours = [event for event in events if not isinstance(event, CapacityChanged) and self._running.has(event)]
        for placed in ours:
            if isinstance(placed, Placed):
                self._running[placed.trial].node, self._running[placed.trial].host = placed.node, placed.host
        news = [event for event in ours if not isinstance(event, Placed)]
        known = [
            attributed(told, self._running[event.trial].request)
            for event in news
            for told in whole_truth(event, news, self._running[event.trial], self._ledger)
        ]
        if not known:
            return
        capacity, retries = self._pool.capacity(), self._spec.options.retries
        verdicts = {
            event.trial: self._judge.verdict(event, self._running[event.trial], capacity, retries=retries)
            for event in known
            if isinstance(event, Ended)
        }
        self._ledger.record(known, {number: (v.state, v.reason) for number, v in verdicts.items()})
        for number, n_rows in _new_rows(known, self._spec).items():
            self._proposals.report(number, self._ledger.scores.rows(number)[-n_rows:])
        for event in known:
            match event:
                case Started():
                    self._started(event)
                case Reported():
                    self._reported(event)
                case Ended():
                    self._ended(event, verdicts[event.trial].reason)
        for blame in self._nodes.blame():
            self._pool.leave_out(blame.node, blame.reason)

    def _started(self, event: Started) -> None:
        running = self._running[event.trial]
        running.host, running.gpu_ids, running.since_s = event.host, event.gpu_ids, self._clock()
        self._view.event(
            TrialStarted(
                number=event.trial,
                attempt=event.attempt,
                config=running.launch.config,
                host=event.host,
                gpu_ids=event.gpu_ids,
                cold_reason=event.cold_reason,
            )
        )

    def _reported(self, event: Reported) -> None:
        running = self._running[event.trial]
        running.hear(event)
        for alert in event.alerts:
            self._view.event(Note(text=f"alert of trial {event.trial}: {alert}", topic="alert"))
        self._nodes.worked(event.trial, running.node)
        trial = self._ledger.trial(event.trial)
        self._consider_best(trial)
        self._close(target_reached(self._spec.metric, trial))

    def _ended(self, event: Ended, reason: str | None) -> None:
        self._spending.ended(self._running.pop(event.trial), self._clock())
        trial = self._trials.move(event.trial)
        if trial.state is TrialState.PENDING:
            self._waiting.appendleft(event.trial) if self._nodes.tried(event.trial) else self._waiting.append(
                event.trial
            )
            self._view.event(
                TrialRequeued.after(
                    event.trial,
                    cause=event.cause,
                    error=event.error,
                    reason=reason,
                    on_resume=self._closing is not None,
                )
            )
            return
        self._board.took(trial)
        self._is_over(trial, took_s=trial.took_s, log_tail=event.log_tail)
        self._close(program_broken(self._breaker, event, trial))
        self._close(target_reached(self._spec.metric, trial))

    def _is_over(self, trial: TrialRecord, *, took_s: float | None, log_tail: tuple[str, ...] = ()) -> None:
        """Let everybody know of a trial that is over."""
        self._proposals.tell(self._knowledge.observe(trial))
        self._consider_best(trial)
        self._view.event(
            TrialEnded(
                trial=trial,
                took_s=took_s,
                log_path=str(self._launcher.sweep_dir.trial(trial.number).log_path),
                log_tail=log_tail,
                flags=self._health.examined(trial.number),
                done=self._board.n_ended,
                total=self._room.total_of(len(self._trials)),
            )
        )

    def _consider_best(self, trial: TrialRecord) -> None:
        if (best := self._board.new_best(trial, self._ledger.trials)) is not None:
            self._view.event(best)

    def _listen(self) -> None:
        """Do what the search has said unasked: keep what it wants kept, and end the trials that it has pruned."""
        heard = self._proposals.heard()
        self._ledger.memory.keep(heard.memory)
        for number, reason in heard.stops.items():
            if number in self._running:
                self._running.stop(number, Request(asker=Asker.RULE, reason=reason))
        for text in heard.remarks:
            self._view.event(Note(text=text))

    def _look_at_capacity(self) -> None:
        """Say once what keeps trials from running, and give up where that cannot change."""
        self._pool.want(self._wanted())
        for text in self._capacity.see(self._pool.capacity(), self._clock(), busy=bool(self._running)):
            self._view.event(Note(text=text, topic="node"))

    def _wanted(self) -> float:
        """How many trials could run at once if there were room."""
        if self._closing is not None or self._paused:
            return len(self._running)
        return len(self._running) + len(self._waiting) if self._exhausted else self._room.wanted(self._board.n_ended)

    def _patience_s(self) -> float:
        idle = self._closing is not None or self._paused or self._room.is_full(len(self._trials)) or self._exhausted
        searching = not idle and self._room.free(len(self._running)) > 0
        return SEARCHING_POLL_S if searching else IDLE_POLL_S


def _final_state(end: SweepEnded) -> SweepState:
    if end.exit_code is ExitCode.NO_TRIAL_SUCCEEDED:
        return SweepState.FAILED
    resumable = {ExitCode.INTERRUPTED, ExitCode.BUDGET_STOPPED}
    return SweepState.INTERRUPTED if end.exit_code in resumable else SweepState.FINISHED


def _new_rows(events: Sequence[TrialEvent], spec: SweepSpec) -> Counter[int]:
    """How many values of the first objective a batch has, by trial."""
    name = spec.objectives[0].name if spec.objectives else None
    return Counter(
        event.trial
        for event in events
        if isinstance(event, Reported)
        for report in event.reports
        if name in report.metrics
    )
