"""A sweep in a notebook: one output that is replaced in place, as HTML with plain text beside it."""

import logging
import time
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import yaml

from orchestrator.ledger.ranking import ranked
from orchestrator.ledger.records import TrialState
from orchestrator.printable import clean
from orchestrator.reporting.results import tuned
from orchestrator.reporting.wording import duration, number
from orchestrator.watch.ending import failures
from orchestrator.watch.plain import describe
from orchestrator.watch.progress import Note, Progress, SweepEnded, SweepEvent, TrialEnded, TrialRequeued
from orchestrator.watch.screen import headline
from orchestrator.watch.text import briefs, sparklines

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import SweepSpec

EVERY_S = 0.5
"""The output is replaced at most this often."""

N_ROWS = 12
"""Running trials that are shown."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings of Ray and tqdm about a missing ipywidgets, which nothing here needs."""
    ray = logging.getLogger("ray.widgets.util")
    before = ray.disabled
    ray.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="IProgress not found")
            yield
    finally:
        ray.disabled = before


class NotebookView:
    """A view that lives in the output of the cell that called `agent`."""

    def __init__(self, sweep_dir: "SweepDir", show: "Show | None" = None) -> None:
        self._sweep_dir = sweep_dir
        self._show_bundle = show or _display
        self._id = uuid4().hex
        self._shown = False
        self._shown_s = float("-inf")
        self._lines: deque[str] = deque(maxlen=5)
        self._headline = f"sweep {sweep_dir.sweep_id} starts"
        self._show(self._headline, _lines_html([self._headline]))

    def event(self, event: SweepEvent) -> None:
        """Keep what is worth a line below the table."""
        failed = isinstance(event, TrialEnded) and event.trial.state is TrialState.FAILED
        if failed or isinstance(event, Note | TrialRequeued):
            self._lines.append(describe(event, verbose=True) or "")

    def refresh(self, progress: Progress) -> None:
        """Replace the output."""
        self._headline = headline(progress)
        if time.monotonic() - self._shown_s < EVERY_S:
            return
        lines = [*self._lines, *([clean(progress.problem)] if progress.problem else [])]
        text = "\n".join([self._headline, *lines])
        self._show(text, f"<b>{escape(self._headline)}</b>{_table(progress)}{_lines_html(lines)}")

    def close(self) -> None:
        """The last output stays until `say_end` replaces it."""

    def say_end(self, end: SweepEnded, spec: "SweepSpec", ledger: "Ledger") -> None:
        """Replace the output by how the sweep ended, its best config, and how to get at the rest."""
        trials = ledger.trials()
        lines = [f"{self._headline}: {clean(end.reason)}", *failures(trials, self._sweep_dir)]
        best = next(iter(ranked(trials)), None)
        if best is not None:
            lines.append(f"best {clean(spec.objectives[0].name)} {number(best.value)} in trial {best.number}")
            config = yaml.safe_dump(dict(best.config), sort_keys=False, allow_unicode=True)
            lines += [f"  {clean(line)}" for line in config.splitlines()]
        lines.append(
            f'everything: orchestrator.load("{self._sweep_dir.sweep_id}"), files in {clean(str(self._sweep_dir.path))}'
        )
        self._show("\n".join(lines), _lines_html(lines))

    def _show(self, text: str, html: str) -> None:
        bundle: dict[str, Any] = {"text/plain": text, "text/html": f'<div style="font-family: monospace">{html}</div>'}
        self._show_bundle(bundle, self._id, update=self._shown)
        self._shown, self._shown_s = True, time.monotonic()


class Show(Protocol):
    """Shows a bundle of MIME types as the output of that id."""

    def __call__(self, bundle: Mapping[str, str], display_id: str, *, update: bool) -> None:
        """Show it, or replace what is shown by that id."""


def _display(bundle: Mapping[str, str], display_id: str, *, update: bool) -> None:
    from IPython.display import display

    display(bundle, raw=True, display_id=display_id, update=update)  # type: ignore[no-untyped-call]


def _table(progress: Progress) -> str:
    if not progress.running:
        return ""
    names = ("trial", "rows", clean(progress.metric or "metric"), "", "GPU", "time", "config")
    rows = [_cells("th", names)]
    shown = progress.running[:N_ROWS]
    curves, configs = sparklines([r.values for r in shown]), briefs([tuned(r.config, progress.varying) for r in shown])
    for row, curve, config in zip(shown, curves, configs, strict=True):
        last = number(row.values[-1]) if row.values else "-"
        tail = f"ending: {clean(row.ending)} · {config}" if row.ending else config
        gpus = ",".join(row.gpu_ids) or "-"
        time_ = duration(row.elapsed_s)
        rows.append(_cells("td", (str(row.number), str(row.n_reports), last, curve, gpus, time_, tail)))
    more = len(progress.running) - N_ROWS
    return f"<table>{''.join(rows)}</table>" + (f"and {more} more running" if more > 0 else "")


def _cells(tag: str, texts: tuple[str, ...]) -> str:
    cells = [f'<{tag} style="text-align: left">{escape(text)}</{tag}>' for text in texts]
    return f"<tr>{''.join(cells)}</tr>"


def _lines_html(lines: list[str]) -> str:
    text = escape("\n".join(lines))
    return f'<pre style="margin: 0">{text}</pre>' if lines else ""
