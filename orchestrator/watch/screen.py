"""What the live view draws: from a snapshot of a sweep to lines that fit the terminal, in width and in height."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from orchestrator.diagnosis.model import Flag
from orchestrator.ledger.records import TrialRecord, TrialState, says_more
from orchestrator.printable import clean
from orchestrator.reporting.results import tuned
from orchestrator.reporting.wording import duration, number
from orchestrator.watch.progress import Progress, RunningTrial, TrialEnded
from orchestrator.watch.text import brief, briefs, cut, sparkline, sparklines

MARKS = {
    TrialState.FINISHED: ("✓", "green"),
    TrialState.STOPPED: ("◼", "yellow"),
    TrialState.FAILED: ("✗", "red"),
    TrialState.CANCELED: ("⊘", "dim"),
}

HINT = "Ctrl-C stops and keeps everything; `sweep resume` goes on"
LONGEST_METRIC = 20
KEPT_ENDED = 3
"""Lines that running trials leave to ended ones, however many run."""

GAP = "  "


def screen(progress: Progress, ended: Sequence[TrialEnded], *, width: int, height: int, hint: str = HINT) -> list[Text]:
    """Return at most `height` lines of at most `width` cells.

    What matters most stays when there is little room: the head, then as many running trials as fit, then ended ones.

    Args:
        progress: The sweep as it is.
        ended: The latest trials that ended, oldest first.
        width: Columns of the terminal.
        height: Lines that may be used.
        hint: The last line: what Ctrl-C does.
    """
    head = [*_head(progress, width), *_best(progress, width)]
    tail = [Text(clean(progress.problem), style="yellow")] if progress.problem else []
    tail.append(Text(hint, style="dim"))
    room = height - len(head) - len(tail)
    kept = min(len(ended), KEPT_ENDED) + 1 if room > 2 * KEPT_ENDED else 0
    table = _running(progress, width=width, room=room - kept - 1)
    room -= len(table) + 1
    latest = [_ended(event) for event in ended[len(ended) - room + 1 :]] if room > 1 else []
    lines = head + _block(table) + _block(latest) + tail
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines[: max(1, height)]


def headline(progress: Progress) -> str:
    """Return one line: name, counts, elapsed time, what is left, and the best."""
    parts = [f"{clean(progress.name)} {progress.sweep_id}", *counts(progress), times(progress)]
    if progress.best is not None:
        parts.append(f"best {number(progress.best.value)} (trial {progress.best.number})")
    return " · ".join(parts)


def ended_text(event: TrialEnded) -> str:
    """Return how a trial ended, in one line: what happened, how long it took, its value or its error."""
    trial = event.trial
    text = f"trial {trial.number} {_what(trial)} after {duration(event.took_s)}"
    if trial.state is TrialState.FAILED:
        return f"{text}: {clean(trial.error or trial.reason or 'no error message')}"
    if trial.value is not None:
        text += f", {number(trial.value)}"
    if event.flags:
        text += f" {flagged(event.flags)}"
    return f"{text}: {clean(trial.reason)}" if trial.reason else text


def flagged(flags: Sequence[Flag]) -> str:
    """Return what is wrong with a trial, in brackets; empty when nothing is."""
    return f"[{', '.join(flag.issue for flag in flags)}]" if flags else ""


def _block(lines: list[Text]) -> list[Text]:
    return [Text(), *lines] if lines else []


def _head(progress: Progress, width: int) -> list[Text]:
    """The name with the time at the right, and a bar with the counts."""
    name = Text(f"{clean(progress.name)} {progress.sweep_id}", style="bold")
    time = times(progress)
    name.truncate(max(8, width - len(time) - 2), overflow="ellipsis")
    name.append(" " * max(2, width - name.cell_len - len(time)) + time, style="not bold")
    said = GAP + " · ".join(counts(progress))
    return [name, _bar(progress, max(0, min(40, width - len(said)))).append(said)]


def _bar(progress: Progress, width: int) -> Text:
    """How much is done, by what came of it; empty for a sweep without an end."""
    if not progress.total:
        return Text()
    bar, used = Text(), 0
    total = max(progress.total, _done(progress))
    parts = ((progress.finished, "green"), (progress.stopped, "yellow"), (progress.failed, "red"))
    for count, style in parts:
        cells = round(width * count / total)
        used += cells
        bar.append("━" * cells, style=style)
    bar.truncate(width)
    return bar.append("╌" * (width - used), style="dim")


def _best(progress: Progress, width: int) -> list[Text]:
    if progress.best is None:
        nothing = f"no {clean(progress.metric)} reported yet" if progress.metric else "no metric in the spec"
        return [Text(nothing, style="dim")]
    best = progress.best
    line = Text(f"best {clean(progress.metric or '')} ")
    line.append(number(best.value), style="bold")
    line.append(f" in trial {best.number}{GAP}over time ").append(sparkline(progress.best_history, width=24))
    return [line, Text(f"     {brief(tuned(best.config, progress.varying), width=max(10, width - 5))}", style="dim")]


def _running(progress: Progress, *, width: int, room: int) -> list[Text]:
    """A table of running trials in at most `room` lines; it says how many are left out."""
    rows = progress.running
    if not rows or room < 2:
        return []
    shown = rows[: len(rows) if len(rows) < room else max(1, room - 2)]
    columns = _columns(shown, progress.metric)
    widths = [max(cell_len(cell) for cell in column) for column in columns]
    left = width - sum(widths) - len(GAP) * len(widths)
    configs = briefs([tuned(row.config, progress.varying) for row in shown], width=10_000)
    tails = ["config", *(_tail(*each, left) for each in zip(shown, configs, strict=True))] if left >= 10 else []
    tails = tails or [""] * (len(shown) + 1)
    lines = [
        Text(GAP.join(_cells(cells, widths)) + GAP + tail, style="" if index else "dim")
        for index, (cells, tail) in enumerate(zip(zip(*columns, strict=True), tails, strict=True))
    ]
    more = len(rows) - len(shown)
    return [*lines, Text(f"and {more} more running", style="dim")] if more else lines


def _columns(rows: Sequence[RunningTrial], metric: str | None) -> list[list[str]]:
    """The columns with something to tell; numbers are right-aligned by their leading blanks."""
    name = clean(metric or "metric")
    name = name if len(name) <= LONGEST_METRIC else name[: LONGEST_METRIC - 1] + "…"
    columns = [
        _right(["trial", *(str(row.number) for row in rows)]),
        _right(["row", *(str(row.n_reports) for row in rows)]),
        *_steps(rows),
        _right([name, *(number(row.values[-1]) if row.values else "-" for row in rows)]),
        ["", *sparklines([row.values for row in rows])],
        _right(["time", *(duration(row.elapsed_s) for row in rows)]),
    ]
    if any(row.gpu_ids for row in rows):
        columns.append(["GPU", *(",".join(row.gpu_ids) or "-" for row in rows)])
    if len({row.host for row in rows if row.host}) > 1:
        columns.append(["host", *(clean(row.host) or "-" for row in rows)])
    return columns


def _steps(rows: Sequence[RunningTrial]) -> list[list[str]]:
    """The column of the scripts' own steps, where they say more than a count of rows."""
    if not any(says_more(row.step, row.n_reports) for row in rows):
        return []
    return [_right(["step", *("-" if row.step is None else str(row.step) for row in rows)])]


def _right(column: list[str]) -> list[str]:
    width = max(map(cell_len, column))
    return [" " * (width - cell_len(cell)) + cell for cell in column]


def _cells(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=True)]


def _tail(row: RunningTrial, config: str, width: int) -> str:
    """What is wrong or ending, and the config: what there is no room for is cut."""
    wrong = f"ending: {clean(row.ending)} · " if row.ending else f"{flagged(row.flags)} " if row.flags else ""
    return cut(wrong + config, width)


def _ended(event: TrialEnded) -> Text:
    mark, style = MARKS.get(event.trial.state, ("·", "dim"))
    return Text.assemble((f"{mark} ", style), ended_text(event))


def _what(trial: TrialRecord) -> str:
    if trial.state is TrialState.STOPPED:
        return "stopped early"
    cause = f" ({trial.cause.words})" if trial.cause and trial.state is TrialState.FAILED else ""
    return trial.state.value + ("" if cause == " (failed)" else cause)


def counts(progress: Progress) -> list[str]:
    """Return how many trials there are of each kind, in words."""
    total = "" if progress.total is None else f"/{progress.total}"
    kinds = {"running": len(progress.running), "to run again": progress.pending}
    kinds |= {"failed": progress.failed, "stopped early": progress.stopped}
    return [f"{_done(progress)}{total} done", *(f"{n} {what}" for what, n in kinds.items() if n or what == "running")]


def _done(progress: Progress) -> int:
    return progress.finished + progress.stopped + progress.failed


def _range(progress: Progress) -> str:
    """Between what the time left lies, where that is not the same in words."""
    if progress.eta_range_s is None:
        return ""
    low, high = map(duration, progress.eta_range_s)
    return "" if low == high else f" ({low} to {high})"


def times(progress: Progress) -> str:
    """Return how long the sweep has taken, and what is left, in words."""
    left = f", about {duration(progress.eta_s)} left{_range(progress)}" if progress.eta_s else ""
    return ("paused, " if progress.paused else "") + duration(progress.elapsed_s) + left
