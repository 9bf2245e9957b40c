"""A sweep on a fake pool: the real controller, ledger, search and launcher, in virtual time."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.control.controller import Controller, Strategy
from orchestrator.control.launching import Launcher
from orchestrator.layout import SweepDir
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.paths import create_sweep_dir
from orchestrator.ledger.records import SweepRecord, SweepState
from orchestrator.ledger.store import Ledger
from orchestrator.search.factory import make_search
from orchestrator.search.strategies import is_adaptive
from orchestrator.space import Grid, SearchSpace
from orchestrator.spec import load_text
from orchestrator.spec.model import Goal, Method, SweepSpec
from orchestrator.stopping.factory import make_rule
from orchestrator.watch.progress import NewBest, Note, Progress, TrialEnded, TrialRequeued, TrialStarted

RANDOM = """
program: train.py
method: random
run_cap: {run_cap}
metric: {{name: loss, goal: minimize}}
parameters: {{lr: {{min: 0.0, max: 1.0}}}}
"""

GRID = """
program: train.py
method: grid
metric: {name: loss}
parameters: {a: {values: [1, 2, 3]}, b: {values: [x, y]}}
"""


class Watch:
    """A view that keeps everything it is shown."""

    def __init__(self) -> None:
        self.events = []
        self.shown: list[Progress] = []

    def event(self, event):
        self.events.append(event)

    def refresh(self, progress):
        self.shown.append(progress)

    def close(self):
        pass

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def notes(self):
        return [event.text for event in self.of(Note)]

    @property
    def started(self):
        return [(e.number, e.attempt) for e in self.of(TrialStarted)]

    @property
    def requeued(self):
        return [e.number for e in self.of(TrialRequeued)]

    @property
    def bests(self):
        return [e.value for e in self.of(NewBest)]

    @property
    def last_ended(self):
        return self.of(TrialEnded)[-1]


@dataclass
class Sweep:
    """One sweep in a directory, run by as many controllers as a test likes."""

    runs: Path
    text: str
    overrides: dict[str, str] = field(default_factory=dict)
    interrupts: int = 0
    open: Ledger | None = None
    watch: Watch = field(default_factory=Watch)

    def __post_init__(self) -> None:
        (self.runs / "train.py").touch()
        self.dir: SweepDir = create_sweep_dir(self.runs, "test", "abcd1234")
        ledger = Ledger(self.dir.ledger_path)
        spec = self.spec
        ledger.sweep.create(
            SweepRecord(
                sweep_id="abcd1234",
                name="test",
                spec_text=self.text,
                seed=spec.options.seed or 1,
                state=SweepState.RUNNING,
                created=time.time(),
                cwd=str(self.runs),
            )
        )
        ledger.close()

    @property
    def spec(self) -> SweepSpec:
        return load_text(self.text, overrides=self.overrides, needs_program=False).require()

    def ledger(self, on_commit=None) -> Ledger:
        """Open the ledger and read everything in it."""
        ledger = Ledger(self.dir.ledger_path, on_commit=on_commit)
        last = self.spec.options.objective == "last"
        signs = [(m.name, -1.0 if m.goal is Goal.MAXIMIZE else 1.0) for m in self.spec.objectives]
        ledger.load([Objective(name=name, sign=sign, last=last) for name, sign in signs])
        return ledger

    def run(self, pool, *, search=None, rule=None, prior=(), adaptive=None, on_commit=None, view=None):
        """Run a controller to its end, or to the error it ends with; return how it ended."""
        spec, space = self.spec, SearchSpace.of(self.spec.parameters)
        self.watch = Watch()
        self.open = ledger = self.ledger(on_commit)
        try:
            return Controller(
                spec=spec,
                launcher=Launcher(spec=spec, sweep=ledger.sweep.record, sweep_dir=self.dir, environ=dict(os.environ)),
                ledger=ledger,
                pool=pool,
                strategy=Strategy(
                    search=search or make_search(spec, space, ledger.sweep.record.seed),
                    adaptive=is_adaptive(spec) if adaptive is None else adaptive,
                    rule=rule or make_rule(spec),
                    prior=prior,
                    size=Grid.of(space).size if spec.method is Method.GRID else space.cardinality,
                ),
                view=view or self.watch,
                wait_s=600.0,
                interrupts=lambda: self.interrupts,
                clock=pool.clock,
            ).run()
        finally:
            ledger.close()

    def trials(self):
        """Every trial as the ledger has it."""
        ledger = self.ledger()
        try:
            return ledger.trials()
        finally:
            ledger.close()

    def states(self) -> list[str]:
        """The state of every trial, by number."""
        return [str(trial.state) for trial in self.trials()]

    def record(self) -> SweepRecord:
        """The row about the sweep."""
        ledger = Ledger(self.dir.ledger_path)
        try:
            return ledger.sweep.record
        finally:
            ledger.close()
