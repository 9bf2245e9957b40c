"""Which media go to TensorBoard: those of the trial's own run that the program does not write there itself."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.media import Converter, converter_of
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.capture.wandb_runs import next_step

MOST_TIMES = 1000
"""How often one tag is mirrored; TensorBoard itself shows a sample of ten images."""

MOST_TOTAL = 512 * 2**20
"""Bytes that a process mirrors."""

PLAIN: tuple[type, ...] = (float, int, bool, type(None))
WRITES = (
    "add_image",
    "add_images",
    "add_figure",
    "add_histogram",
    "add_text",
    "add_audio",
    "add_video",
    "add_embedding",
)
"""Methods of a SummaryWriter whose first argument is a tag."""

Write = Callable[[list[Any], int], None]
"""Writes values of a summary, of a step, into the trial's event file."""


class MediaMirror:
    """The mirror.

    Args:
        quietly: Does something of ours; its failure is a warning.
        write: Writes into the trial's event file.
        is_own: Whether a run is the trial's own.
    """

    def __init__(self, quietly: Callable[..., None], write: Write, is_own: Callable[[Any], bool]) -> None:
        self._quietly = quietly
        self._write = write
        self._is_own = is_own
        self._kinds: dict[type, Converter | None] = {}
        self._plain = set(PLAIN)
        self._own_tags: set[str] = set()
        self._times: Counter[str] = Counter()
        self._texts: dict[str, str] = {}
        self._left = MOST_TOTAL
        self._calls = itertools.count()

    def patches(self) -> dict[str, Patch]:
        """Return what to change in the libraries that log."""
        return {
            "wandb.sdk.wandb_run": self._patch_run,
            "wandb.sdk.lib.noop_run": self._patch_noop,
            "torch.utils.tensorboard.writer": self._patch_writer,
            "tensorboardX.writer": self._patch_writer,
        }

    def _patch_run(self, module: ModuleType) -> None:
        original = module.Run._log  # noqa: SLF001 - run.log, wandb.log and the integrations all pass through it

        @functools.wraps(original)
        def log(run: Any, data: Any, step: Any = None, commit: Any = None) -> Any:
            media = self._media_of(data)  # W&B changes what is nested
            shown = next_step(run) if media else 0
            result = original(run, data=data, step=step, commit=commit)
            if media:
                self._quietly(self._mirror, run, media, shown if step is None else step, shown)
            return result

        module.Run._log = log  # noqa: SLF001 - as above

    def _patch_noop(self, module: ModuleType) -> None:
        original = module.NoopRun.log

        @functools.wraps(original)
        def log(run: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            media = self._media_of(data)
            result = original(run, data, *args, **kwargs)
            shown, step = next(self._calls), kwargs.get("step", args[0] if args else None)
            if media:
                self._quietly(self._mirror, run, media, shown if step is None else step, 0)
            return result

        module.NoopRun.log = log

    def _patch_writer(self, module: ModuleType) -> None:
        for name in WRITES:
            original = getattr(module.SummaryWriter, name, None)
            if original is not None:
                setattr(module.SummaryWriter, name, self._noting(original))

    def _noting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def add(writer: Any, *args: Any, **kwargs: Any) -> Any:
            tag = args[0] if args else kwargs.get("tag")
            if isinstance(tag, str):
                self._own_tags.add(tag)
            return original(writer, *args, **kwargs)

        return add

    def _media_of(self, data: Any) -> list[tuple[str, Any]]:
        """The media of a row by flat name; a row of numbers is told by types alone, since every call is asked."""
        try:
            if type(data) is dict:
                if self._plain.issuperset(map(type, data.values())):
                    return []
            elif not isinstance(data, Mapping):
                return []
            return self._items("", data, 0)
        except Exception:  # noqa: BLE001 - a class of the program's own, or another thread that changes the row
            return []

    def _mirror(self, run: Any, media: list[tuple[str, Any]], step: Any, lowest: int) -> None:
        if not self._is_own(run) or int(step) < lowest:
            return  # of another run, or W&B drops it
        values = [value for tag, each in media for value in self._values(tag, each)]
        if values:
            self._write(values, int(step))

    def _items(self, prefix: str, data: Mapping[str, Any], depth: int) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for name, value in list(data.items()):
            if isinstance(value, Mapping):
                found += self._items(f"{prefix}{name}.", value, depth + 1) if depth < 20 else []
            elif self._converter(type(value)) is not None:
                found.append((f"{prefix}{name}", value))
        return found

    def _converter(self, kind: type) -> Converter | None:
        if kind not in self._kinds:
            found = self._kinds[kind] = converter_of(kind)
            self._plain |= {kind} if found is None else set()
        return self._kinds[kind]

    def _values(self, tag: str, value: Any) -> list[Any]:
        convert = self._converter(type(value))
        if convert is None or tag in self._own_tags or self._times[tag] >= MOST_TIMES or self._left <= 0:
            return []
        if isinstance(value, str):
            if self._texts.get(tag) == value:
                return []  # said already
            self._texts[tag] = value
        found = list(convert(tag, value))
        self._times[tag] += bool(found)
        self._left -= sum(each.ByteSize() for each in found)
        return found
