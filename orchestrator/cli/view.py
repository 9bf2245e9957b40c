"""Three ways to watch a sweep: a live table on a terminal, plain lines elsewhere, JSON events for programs."""

import dataclasses
import json
import shlex
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.cli.text import brief, clean, duration, number, sparkline
from orchestrator.diagnosis.model import Flag
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.progress import (
    NewBest,
    Note,
    Progress,
    RunningTrial,
    SweepEnded,
    SweepEvent,
    TrialEnded,
    TrialRequeued,
    TrialStarted,
    View,
)

MARKS = {
    TrialState.FINISHED: ("✓", "green"),
    TrialState.STOPPED: ("◼", "yellow"),
    TrialState.FAILED: ("✗", "red"),
    TrialState.CANCELED: ("⊘", "dim"),
}

PLAIN_EVERY_S = 30.0
"""A plain view says where the sweep stands at most this often, however many trials end."""


def make_view(*, as_json: bool, verbose: bool) -> View:
    """Return the view that suits where the command's output goes."""
    if as_json:
        return JsonView(sys.stdout)
    if sys.stderr.isatty():
        return LiveView(Console(stderr=True))
    return PlainView(sys.stderr, verbose=verbose)


class JsonView:
    """One JSON object per event on standard output, named by its ``event`` key."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def event(self, event: SweepEvent) -> None:
        """Print the event as one line."""
        body: dict[str, Any] = {"event": _snake(type(event).__name__), "time": time.time(), **dataclasses.asdict(event)}
        self._out.write(json.dumps(body, default=str) + "\n")
        self._out.flush()

    def refresh(self, progress: Progress) -> None:
        """Events say it all."""

    def close(self) -> None:
        """Nothing to leave behind."""


class PlainView:
    """Quiet lines: failures, new bests, notes, and now and then where the sweep stands."""

    def __init__(self, out: IO[str], *, verbose: bool) -> None:
        self._out = out
        self._verbose = verbose
        self._next_s = 0.0

    def event(self, event: SweepEvent) -> None:
        """Print what a reader of a log file wants to find there."""
        line = describe(event, verbose=self._verbose)
        if line is not None:
            self._write(line)

    def refresh(self, progress: Progress) -> None:
        """Say where the sweep stands, every `PLAIN_EVERY_S` seconds."""
        now = time.monotonic()
        if now < self._next_s:
            return
        if self._next_s:
            self._write(headline(progress))
        self._next_s = now + PLAIN_EVERY_S

    def close(self) -> None:
        """Nothing to leave behind."""

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


class LiveView:
    """The live table. Redrawn in place; what should stay (failures, notes) is printed above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._ended: deque[TrialEnded] = deque(maxlen=5)

    def event(self, event: SweepEvent) -> None:
        """Keep ended trials for the table; print notes above it; end with the sweep."""
        if isinstance(event, TrialEnded):
            self._ended.append(event)
        if isinstance(event, Note | TrialRequeued):
            self._console.print(Text(describe(event, verbose=True) or "", style="dim"))
        if isinstance(event, SweepEnded):
            self.close()

    def refresh(self, progress: Progress) -> None:
        """Draw the table anew."""
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self._draw(progress), refresh=True)

    def close(self) -> None:
        """Take the table away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, progress: Progress) -> Group:
        parts: list[Any] = [Text(headline(progress), style="bold"), _best_line(progress)]
        room = max(3, self._console.height - 12)
        if progress.running:
            parts.append(_running_table(progress.running[:room], progress.metric))
        if len(progress.running) > room:
            parts.append(Text(f"  and {len(progress.running) - room} more running", style="dim"))
        parts += [_ended_line(event) for event in self._ended]
        if progress.problem:
            parts.append(Text(clean(progress.problem), style="yellow"))
        parts.append(Text("Ctrl-C stops and keeps everything; `sweep resume` goes on", style="dim"))
        return Group(*parts)


def headline(progress: Progress) -> str:
    """Return one line: name, counts, elapsed time and what is left."""
    done = progress.finished + progress.stopped + progress.failed
    parts = [f"{clean(progress.name)} {progress.sweep_id}", f"{done}/{progress.total or '∞'} done"]
    counts = {"running": len(progress.running), "waiting": progress.pending}
    counts |= {"failed": progress.failed, "stopped early": progress.stopped}
    parts += [f"{count} {what}" for what, count in counts.items() if count or what == "running"]
    left = f", about {duration(progress.eta_s)} left" if progress.eta_s else ""
    parts.append(("paused, " if progress.paused else "") + duration(progress.elapsed_s) + left)
    if progress.best is not None:
        parts.append(f"best {number(progress.best.value)} (trial {progress.best.number})")
    return " · ".join(parts)


def describe(event: SweepEvent, *, verbose: bool) -> str | None:
    """Return an event as one plain line, or None when it is not worth one."""
    match event:
        case TrialStarted():
            where = f" on GPU {','.join(event.gpu_ids)}" if event.gpu_ids else ""
            return f"trial {event.number} started{where}: {brief(event.config)}" if verbose else None
        case TrialEnded():
            return _ended_text(event) if verbose or event.trial.state is TrialState.FAILED else None
        case TrialRequeued():
            return f"trial {event.number} runs again: {clean(event.reason)}"
        case NewBest():
            return f"new best {number(event.value)} in trial {event.number}"
        case Note():
            return clean(event.text)
        case SweepEnded():
            return None


def command_line(argv: tuple[str, ...] | list[str]) -> str:
    """Return a command line that can be pasted into a shell."""
    return clean(shlex.join(argv))


def _best_line(progress: Progress) -> Text:
    if progress.best is None:
        metric = f"no {clean(progress.metric)} reported yet" if progress.metric else "no metric in the spec"
        return Text(metric, style="dim")
    line = Text("best ")
    line.append(number(progress.best.value), style="bold green")
    line.append(f" {clean(progress.metric or '')} trial {progress.best.number}  ")
    line.append(sparkline(progress.best_history, width=24), style="green")
    return line.append("  " + brief(progress.best.config), style="dim")


def _running_table(rows: "list[RunningTrial] | Any", metric: str | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("trial", "reports", Text(clean(metric or "metric")), "", "GPU", "time", "config"):
        table.add_column(column, justify="right" if column in {"trial", "reports", "time"} else "left", no_wrap=True)
    for row in rows:
        last = number(row.values[-1]) if row.values else "-"
        gpu = ",".join(row.gpu_ids) or "-"
        tail = f"ending: {clean(row.ending)}" if row.ending else _with_flags(brief(row.config, width=48), row.flags)
        cells = (str(row.number), str(row.n_reports), last, sparkline(row.values), gpu, duration(row.elapsed_s), tail)
        table.add_row(*[Text(cell) for cell in cells])
    return table


def _with_flags(text: str, flags: Sequence[Flag]) -> str:
    """A trial's text with what is wrong with it in front, in words of a line."""
    return f"[{', '.join(flag.illness for flag in flags)}] {text}" if flags else text


def _ended_line(event: TrialEnded) -> Text:
    mark, style = MARKS.get(event.trial.state, ("·", "dim"))
    return Text(f"{mark} ", style=style).append(_ended_text(event), style="dim")


def _ended_text(event: TrialEnded) -> str:
    trial = event.trial
    text = f"trial {trial.number} {_what(trial)} after {duration(event.took_s)}"
    if trial.state is TrialState.FAILED:
        return f"{text}: {clean(trial.error or trial.reason or 'no error message')} ({event.log_path})"
    if trial.value is not None:
        text += f", {number(trial.value)}"
    text = f"{text} [{', '.join(flag.illness for flag in event.flags)}]" if event.flags else text
    return f"{text}: {clean(trial.reason)}" if trial.reason else text


def _what(trial: TrialRecord) -> str:
    if trial.state is TrialState.STOPPED:
        return "stopped early"
    cause = f" ({trial.cause.value.replace('_', ' ')})" if trial.cause and trial.state is TrialState.FAILED else ""
    return trial.state.value + cause


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
