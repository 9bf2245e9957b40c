"""What stands below the table of a sweep: each pane draws one thing about the trials that are meant, as text."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from orchestrator.cli.watching.followed import Picture
from orchestrator.cli.watching.log_tail import LogTail
from orchestrator.cli.watching.looks import MARKS, Palette
from orchestrator.cli.watching.plot import Curve, plot
from orchestrator.cli.watching.weighing import Weighing
from orchestrator.execution.gpu_turns import holders, lock_dir
from orchestrator.layout import SweepDir
from orchestrator.ledger.ranking import ENDED
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.printable import clean
from orchestrator.reporting.recipe import config_text, paths
from orchestrator.reporting.use_text import used, using
from orchestrator.reporting.wording import counted, duration, listed, number
from orchestrator.spec.model import EarlyTerminate
from orchestrator.stopping.rungs import bands, n_kept
from orchestrator.stopping.wording import share
from orchestrator.trial.contract.bounds import LARGEST_STEP
from orchestrator.trial.contract.resource_use import last_look
from orchestrator.watch.text import sparklines

POINTS = 400
"""Points of a curve: two per column of a wide terminal."""

MOST_RUNNING = 8
"""Trials that a rung names."""

BAR = 20
"""Characters of a bar that stands for everything."""

SHARE = 0.05
"""The largest share of the time that goes into what takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a pane is asked for.

    Attributes:
        number: The trial at the cursor; None where there is none.
        marked: The trials that are marked, in the order they were.
        which: Which of several metrics: a number that counts round.
        width: Columns that there are.
        height: Lines that there are.
    """

    number: int | None
    marked: tuple[int, ...]
    which: int
    width: int
    height: int
    palette: Palette


class Pane(Protocol):
    """Draws; may take its time, for it is asked in a thread, never twice at once."""

    def draw(self, picture: Picture, wanted: Wanted) -> Text:
        """Return what is to be shown.

        Raises:
            SweepError, OSError: It cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of what is open, once nothing is drawn any more."""
        ...


class _OfLedger:
    """What panes have in common that read the ledger by themselves."""

    def __init__(self, sweep_dir: SweepDir) -> None:
        self._sweep_dir = sweep_dir
        self._reader: LedgerReader | None = None
        self._alone = threading.Lock()

    def draw(self, picture: Picture, wanted: Wanted) -> Text:
        with self._alone:
            if self._reader is not None and self._reader.was_replaced():
                self._let_go()
            if self._reader is None:
                self._reader = LedgerReader(self._sweep_dir.ledger_path, whole=False)
            return self._drawn(self._reader, picture, wanted)

    def close(self) -> None:
        with self._alone:
            self._let_go()

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _drawn(self, reader: LedgerReader, picture: Picture, wanted: Wanted) -> Text:
        raise NotImplementedError


class LogPane:
    """The end of the log of the trial at the cursor."""

    def __init__(self, sweep_dir: SweepDir) -> None:
        self._sweep_dir = sweep_dir
        self._tail: LogTail | None = None

    def draw(self, picture: Picture, wanted: Wanted) -> Text:  # noqa: ARG002 - all panes are asked alike
        """Return its lines."""
        if wanted.number is None:
            return Text("there is no trial yet", style=wanted.palette.muted)
        path = self._sweep_dir.trial(wanted.number).log_path
        if self._tail is None or self._tail.path != path:
            self._tail = LogTail(path, inside=self._sweep_dir.path)
        return self._tail.look()

    def close(self) -> None:
        """Nothing is kept open."""


class CurvesPane(_OfLedger):
    """The marked trials' curves, or those of the trial at the cursor and of the best: of the metric, or of another one."""

    def _drawn(self, reader: LedgerReader, picture: Picture, wanted: Wanted) -> Text:
        palette, best = wanted.palette, picture.progress.best
        numbers = list(wanted.marked)
        if not numbers:
            numbers = [n for n in (wanted.number, None if best is None else best.number) if n is not None]
        trials = [trial for n in dict.fromkeys(numbers) if (trial := _trial(picture, n)) is not None]
        names = _metrics(picture, trials)
        if not names:
            return Text("no metric has been reported", style=palette.muted)
        name = names[wanted.which % len(names)]
        found, by_step = [], True
        for trial in trials:
            points = _points(reader, trial, name, is_metric=name == picture.progress.metric)
            by_step = by_step and all(step is not None for _, step, _ in points)
            found.append((trial, points))
        curves = [
            Curve(
                name=f"{trial.number}" + (" (best)" if best is not None and trial.number == best.number else ""),
                colour=palette.curves[i % len(palette.curves)],
                points=[(float(step if by_step and step is not None else row), value) for row, step, value in points],
            )
            for i, (trial, points) in enumerate(found)
        ]
        more = f"   m: {len(names) - 1} more" if len(names) > 1 else ""
        along = f" {clean(name)} by {'step' if by_step else 'row'}{more} "
        return plot(curves, width=wanted.width, height=wanted.height, muted=palette.muted, along=along)


class ImportancePane:
    """How much each parameter matters for the metric, or for another objective."""

    def __init__(self, sweep_dir: SweepDir) -> None:
        self._sweep_dir = sweep_dir
        self._weighings: dict[int, Weighing] = {}

    def draw(self, picture: Picture, wanted: Wanted) -> Text:
        """Return a bar per parameter."""
        palette, objectives = wanted.palette, picture.spec.objectives
        if not objectives:
            return Text("there is no metric that anything could matter for", style=palette.muted)
        objective = wanted.which % len(objectives)
        weighing = self._weighings.setdefault(objective, Weighing(self._sweep_dir, objective))
        weights = weighing.weights(sum(trial.state in ENDED for trial in picture.table.records))
        if weights is None:
            return Text("finding out what matters ...", style=palette.muted)
        if not weights:
            return Text("too few trials have ended to tell what matters", style=palette.muted)
        more = "   m: the next metric" if len(objectives) > 1 else ""
        said = f"share of the variance of {clean(objectives[objective].name)}, 90 % intervals{more}"
        lines = [Text(said, style=palette.muted)]
        width = min(max(cell_len(weight.name) for weight in weights), max(8, wanted.width // 3))
        for each in weights:
            line = Text(f"{set_cell_size(each.name, width)}  {100 * each.share:3.0f} %  ")
            line.append(f"{100 * each.low:3.0f} to {100 * each.high:3.0f}  ", style=palette.muted)
            line.append("█" * round(BAR * each.share), style=palette.good)
            lines.append(line.append(f"  {each.note}" if each.note else "", style=palette.muted))
        return _fit(lines, wanted.width)

    def close(self) -> None:
        """End what is being found out."""
        for weighing in self._weighings.values():
            weighing.close()


class RungsPane(_OfLedger):
    """What early termination does: how many trials reached each rung, what it takes to go on, who stands there."""

    def __init__(self, sweep_dir: SweepDir) -> None:
        super().__init__(sweep_dir)
        self._known: tuple[tuple[LedgerReader, int] | None, dict[int, dict[int, float]]] = (None, {})
        self._until_s = 0.0

    def _drawn(self, reader: LedgerReader, picture: Picture, wanted: Wanted) -> Text:
        early, palette = picture.spec.early_terminate, wanted.palette
        n_stopped = picture.progress.stopped
        if early is None:
            return Text("the spec has no early_terminate: every trial runs to its end", style=palette.muted)
        rungs = [rung for rung in dict.fromkeys(bands(early)) if rung <= LARGEST_STEP]
        if not rungs:
            said = f"{early.type}: {counted(n_stopped, 'trial')} ended early so far; this rule has no rungs"
            return Text(said, style=palette.muted)
        values = self._values(reader, rungs)
        reached = [rung for rung in rungs if values.get(rung)]
        shown = rungs[: len(reached) + 1]
        said = f"{early.type}, eta {early.eta:g}: the {share(early.eta)} goes on at each rung (rows of the metric); "
        lines = [Text(f"{said}{counted(n_stopped, 'trial')} ended early", style=palette.muted)]
        lines.append(
            Text(f"{'rung':>6}{'reached':>9}{'ended':>7}{'best':>11}{'cut':>11}  running", style=palette.muted)
        )
        sign = picture.spec.objectives[0].goal.sign
        for i, rung in enumerate(shown):
            beyond = values.get(rungs[i + 1], {}) if i + 1 < len(rungs) else {}
            lines.append(_rung(rung, values.get(rung, {}), beyond, picture, early, sign))
        return _fit(lines, wanted.width)

    def _values(self, reader: LedgerReader, rungs: Sequence[int]) -> dict[int, dict[int, float]]:
        """The values at each rung by trial; read again where the ledger is another, and not too often."""
        began_s, version = time.monotonic(), (reader, reader.version())
        if version != self._known[0] and began_s >= self._until_s:
            self._known = (version, reader.values_at(rungs))
            now_s = time.monotonic()
            self._until_s = now_s + (now_s - began_s) / SHARE
        return self._known[1]


class SlotsPane:
    """What runs where, and what is free; who has the GPUs of this machine."""

    def __init__(self, sweep_dir: SweepDir) -> None:
        self._sweep_dir = sweep_dir

    def draw(self, picture: Picture, wanted: Wanted) -> Text:
        """Return a line per running trial."""
        palette, rows = (
            wanted.palette,
            sorted(picture.progress.running, key=lambda row: (row.host, row.gpu_ids, row.number)),
        )
        slots = picture.progress.slots if picture.who is not None else 0
        limit = picture.spec.options.concurrency
        said = f"{len(rows)} of {counted(slots, 'slot')} in use" if slots else "no slots: nobody runs the sweep"
        if picture.who is None:
            said = "nobody runs the sweep"
        lines = [Text(said + (f", at most {limit} at once" if limit is not None else ""), style=palette.muted)]
        places = [" ".join([clean(row.host) or "?", *(f"GPU {clean(gpu)}" for gpu in row.gpu_ids)]) for row in rows]
        width = max((cell_len(place) for place in places), default=0)
        bars = sparklines([row.values for row in rows], width=12)
        for row, place, bar in zip(rows, places, bars, strict=True):
            line = Text(f"{set_cell_size(place, width)}  trial {row.number:<5} ")
            line.append(f"{duration(row.elapsed_s):>7}  {number(row.values[-1]) if row.values else '-':>9}  ")
            line.append(set_cell_size(bar, 12), style=palette.good)
            wrong = f"ending: {row.ending}" if row.ending else ", ".join(flag.issue for flag in row.flags)
            use = self._use(row.number)
            line.append(f"  {clean(wrong)}" if wrong else "", style=palette.stopped)
            lines.append(line.append(f"  {use}" if use else "", style=palette.muted))
        lines.extend(Text(line, style=palette.muted) for line in _gpus())
        return _fit(lines, wanted.width)

    def _use(self, trial: int) -> str:
        """What a trial uses now; empty where nobody has looked."""
        look = last_look(self._sweep_dir.trial(trial))
        return "" if look is None else using(look.now)

    def close(self) -> None:
        """Nothing is kept open."""


class TrialPane(_OfLedger):
    """Everything about the trial at the cursor: how it went, its attempts, its config, its last metrics, its files."""

    def _drawn(self, reader: LedgerReader, picture: Picture, wanted: Wanted) -> Text:
        palette = wanted.palette
        trial = None if wanted.number is None else _trial(picture, wanted.number)
        if trial is None:
            return Text("there is no trial yet", style=palette.muted)
        mark, colour = MARKS[trial.state]
        text = Text(f"{mark} trial {trial.number} {trial.state}", style=f"bold {getattr(palette, colour)}")
        if trial.value is not None:
            text.append(f"  {number(trial.value)} at {trial.reached_at()}", style="not bold")
        why = [trial.error or trial.reason or "", picture.labels.of(trial.number).words]
        text.append("".join(f"\n{clean(said)}" for said in why if said))
        for attempt in reader.attempts(trial.number):
            ended = "runs" if attempt.cause is None else attempt.cause.words
            took = attempt.ended - attempt.started if attempt.ended and attempt.started else None
            where = " ".join([attempt.host or "", *(f"GPU {gpu}" for gpu in attempt.gpu_ids)])
            text.append(f"\nattempt {attempt.attempt}: {ended} {duration(took)} {clean(where)}", style=palette.muted)
        look = last_look(self._sweep_dir.trial(trial.number))
        text.append(f"\nused {used(look.so_far)}" if look is not None else "", style=palette.muted)
        text.append("\n\n").append(config_text(trial.config).rstrip())
        for name, value in sorted(trial.metrics.items()):
            text.append(f"\nlast {clean(name)} ", style=palette.muted).append(number(value))
        for what, path in paths(self._sweep_dir, trial).items():
            if path is not None and what in {"directory", "checkpoints"}:
                text.append(f"\n{what} {clean(path)}", style=palette.muted)
        return text


PANES: Mapping[str, Callable[[SweepDir], Pane]] = {
    "log": LogPane,
    "curves": CurvesPane,
    "trial": TrialPane,
    "importance": ImportancePane,
    "rungs": RungsPane,
    "slots": SlotsPane,
}
"""What there is, in the order of their keys."""


def _trial(picture: Picture, wanted: int) -> TrialRecord | None:
    place = picture.table.place_of(wanted)
    return None if place is None else picture.table.records[place]


def _metrics(picture: Picture, trials: Sequence[TrialRecord]) -> list[str]:
    """The names that there are curves of: the metric first, then what else these trials logged."""
    first = [] if picture.progress.metric is None else [picture.progress.metric]
    return list(dict.fromkeys([*first, *sorted({name for trial in trials for name in trial.metrics})]))


def _points(
    reader: LedgerReader, trial: TrialRecord, name: str, *, is_metric: bool
) -> Sequence[tuple[int, int | None, float]]:
    if is_metric:
        return reader.curve(trial.number, POINTS)
    rows = [row for row in reader.metric_rows(trial.number) if row.name == name]
    return [(row.report + 1, row.step, row.value) for row in rows]


def _rung(
    rung: int,
    values: Mapping[int, float],
    beyond: Mapping[int, float],
    picture: Picture,
    early: EarlyTerminate,
    sign: float,
) -> Text:
    """One rung: its trials are those that have a value there; those that have none at the next one stand there."""
    scores = sorted(sign * value for value in values.values() if math.isfinite(value))
    line = Text(f"{rung:>6}{len(values):>9}")
    here = [trial for n in values.keys() - beyond.keys() if (trial := _trial(picture, n)) is not None]
    line.append(f"{sum(trial.state is TrialState.STOPPED for trial in here):>7}")
    kept = n_kept(len(scores), early.eta, at_most=early.type == "asha")
    best, cut = (sign * scores[0], sign * scores[min(kept, len(scores)) - 1]) if scores else (None, None)
    line.append(f"{number(best, 4):>11}{number(cut, 4):>11}  ")
    running = sorted(trial.number for trial in here if trial.state is TrialState.RUNNING)
    return line.append(listed([str(n) for n in running], most=MOST_RUNNING), style="bold")


def _gpus() -> list[str]:
    """Who has which GPU of this machine, sweeps of others included."""
    found: list[tuple[object, object, object]] = []
    with suppress(OSError):
        directory = lock_dir()
        found = [] if directory is None else list(holders(directory))
    return [clean(f"GPU {gpu}: {who}{f'; {after} waits' if after else ''}") for gpu, who, after in found]


def _fit(lines: Sequence[Text], width: int) -> Text:
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)
