"""What stands above the table of a sweep: where it stands, how far it is, what is the best so far."""

from rich.text import Text

from orchestrator.cli.watching.followed import Picture
from orchestrator.cli.watching.looks import Palette
from orchestrator.ledger.records import SweepState
from orchestrator.printable import clean
from orchestrator.reporting.results import tuned
from orchestrator.reporting.wording import counted, number
from orchestrator.watch.progress import Progress
from orchestrator.watch.screen import counts, times
from orchestrator.watch.text import brief, sparkline

GAP = "  "
WIDEST_BAR = 40
NARROWEST_BAR = 10
"""Cells of the bar: in fewer what is rare does not show."""


def head(picture: Picture, palette: Palette, width: int) -> Text:
    """Return it as lines of at most `width` cells."""
    progress = picture.progress
    lines = [_title(picture, palette, width), _how_far(progress, palette, width), _best(progress, palette, width)]
    if progress.problem and picture.who is not None:
        lines.append(Text(clean(progress.problem), style=palette.stopped))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)


def standing(picture: Picture) -> str:
    """Return where the sweep stands, and why if that is known."""
    record = picture.record
    if not record.is_over and picture.who is None:
        return "interrupted: its controller is gone"
    said, running = str(picture.state), picture.progress.running
    if picture.state in {SweepState.STOPPING, SweepState.CANCELING} and running:
        one, several = ("ends", "end") if any(row.ending for row in running) else ("finishes", "finish")
        return f"{said}: {counted(len(running), 'trial')} {one if len(running) == 1 else several}"
    return f"{said}: {clean(record.reason)}" if record.reason and record.reason != said else said


def _title(picture: Picture, palette: Palette, width: int) -> Text:
    record, colour = picture.record, palette.accent if picture.who is not None else palette.muted
    time = "" if picture.progress.elapsed_s is None else times(picture.progress).removeprefix("paused, ")
    line = Text(f"{clean(record.name)} {record.sweep_id}", style="bold")
    line.append(f"{GAP}{standing(picture)}", style=f"bold {colour}")
    if line.cell_len + len(GAP) + len(time) > width:
        time = time.partition(" (")[0]  # between what it lies matters less than how the sweep stands
    line.truncate(max(8, width - len(time) - 2), overflow="ellipsis")
    line.append(" " * max(2, width - line.cell_len - len(time)) + time, style="not bold")
    return line


def _how_far(progress: Progress, palette: Palette, width: int) -> Text:
    """A bar by what came of the trials, and the counts in words."""
    said = GAP + " · ".join(counts(progress))
    cells = min(WIDEST_BAR, width - len(said))
    if cells < NARROWEST_BAR:
        return Text(said.strip())
    line, done = Text(), progress.finished + progress.stopped + progress.failed
    if progress.total:
        parts = (
            (progress.finished, palette.good),
            (progress.stopped, palette.stopped),
            (progress.failed, palette.failed),
        )
        for count, colour in parts:
            line.append("━" * round(cells * count / max(progress.total, done)), style=colour)
        line.truncate(cells)
        line.append("╌" * (cells - line.cell_len), style=palette.muted)
    return line.append(said if line.plain else said.strip())


def _best(progress: Progress, palette: Palette, width: int) -> Text:
    if progress.best is None:
        nothing = f"no {clean(progress.metric)} reported yet" if progress.metric else "no metric in the spec"
        return Text(nothing, style=palette.muted)
    line = Text(f"best {clean(progress.metric or '')} ")
    line.append(number(progress.best.value), style=f"bold {palette.good}")
    line.append(f" in trial {progress.best.number} ").append(
        sparkline(progress.best_history, width=16), style=palette.good
    )
    room = width - line.cell_len - 2
    if room > 12:
        line.append(f"{GAP}{brief(tuned(progress.best.config, progress.varying), width=room)}", style=palette.muted)
    return line
