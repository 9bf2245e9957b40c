"""Sees what a program writes with `SummaryWriter`s (torch's, tensorboardX's): scalars are reports, writers stay in the trial.

``SummaryWriter()`` writes into the trial's directory; a relative directory becomes one inside it; an absolute one is left alone.
TensorBoard shows a trial that uses one writer as one run. What other writers of it log is in the trial's own run as well, so
that the HParams page has it; the hyperparameters that a program writes itself are left out: a trial is one row there.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.hub import Hub
from orchestrator.trial.capture.mirroring import TENSORBOARD
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.capture.sigterm import uninterruptible
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.scalars import scalar
from orchestrator.trial.contract.series import Series, Split
from orchestrator.trial.formats.eventfile import event_scalar, tags_in


class TensorBoardCalls:
    """The hooks on `SummaryWriter`s, and what this process knows of their series.

    Args:
        hub: Where reports go.
        guard: Does something of ours.
        launch: The attempt.
        leads: Whether this process is the trial, and not one that the trial started.
    """

    def __init__(self, hub: Hub, guard: Guard, launch: Launch, *, leads: bool) -> None:
        self._hub = hub
        self._guard = guard
        self._dir = Path(launch.trial_dir)
        self._root = os.path.realpath(launch.trial_dir)
        self._attempt = launch.attempt
        self._metric = launch.metric
        self._series = Series(launch.trial_dir, launch.metric)
        self._called: set[tuple[str, str]] = set()
        self._known_places: set[str] = set()
        self._files: set[str] = set()
        self.forked(leads=leads)

    def forked(self, *, leads: bool = False) -> None:
        """Begin anew in a process that the program forked: open writers are its parent's."""
        self._leads = leads
        self._local = threading.local()
        self._writers: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def patches(self) -> dict[str, Patch]:
        """Return what to change in the libraries that write event files."""
        return {
            "torch.utils.tensorboard.writer": self._patch_summary_writer,
            "tensorboardX.writer": self._patch_summary_writer,
            "tensorboard.summary.writer.event_file_writer": self._patch_event_writer,
            "tensorboardX.event_file_writer": self._patch_event_writer,
        }

    def close(self) -> None:
        """Write out what writers hold that were left open."""
        for writer in list(self._writers):
            self._guard.quietly(writer.flush)

    def _patch_summary_writer(self, module: ModuleType) -> None:
        original, add_scalars = module.SummaryWriter.__init__, module.SummaryWriter.add_scalars
        add_hparams = module.SummaryWriter.add_hparams

        @functools.wraps(original)
        def init(writer: Any, log_dir: Any = None, *args: Any, **kwargs: Any) -> None:
            given = kwargs.pop("log_dir", None) or kwargs.pop("logdir", None) or log_dir
            original(writer, self._guard.answer(self._place, given, given), *args, **kwargs)
            self._hub.use(TENSORBOARD)

        @functools.wraps(add_scalars)
        def scalars(
            writer: Any, main_tag: str, values: Mapping[str, Any], global_step: Any = None, *a: Any, **k: Any
        ) -> None:
            with uninterruptible:
                with self._guard.inside():  # its sub-writers would report one name for all
                    add_scalars(writer, main_tag, values, global_step, *a, **k)
                self._guard.quietly(self._take_group, writer, main_tag, values, global_step)

        @functools.wraps(add_hparams)
        def hparams(writer: Any, *args: Any, **kwargs: Any) -> None:
            self._local.of_trial = True  # it writes into a directory of its own
            try:
                add_hparams(writer, *args, **kwargs)
            finally:
                self._local.of_trial = False

        module.SummaryWriter.__init__ = init
        module.SummaryWriter.add_scalars = scalars
        module.SummaryWriter.add_hparams = hparams
        self._patch_file_writer(module.FileWriter)

    def _patch_file_writer(self, file_writer: Any) -> None:
        """See whether an event has a step: 0 and none are one in the event itself."""
        add_event = file_writer.add_event

        @functools.wraps(add_event)
        def add(writer: Any, event: Any, step: Any = None, *args: Any, **kwargs: Any) -> Any:
            self._local.unstepped = step is None
            try:
                return add_event(writer, event, step, *args, **kwargs)
            finally:
                self._local.unstepped = False

        file_writer.add_event = add

    def _place(self, log_dir: Any) -> str:
        """Where a writer's events go."""
        if not log_dir:
            return str(self._dir)
        path = os.fspath(log_dir)
        if os.path.isabs(path) or "://" in path:
            return str(path)
        parts = [part for part in Path(path).parts if part not in {"..", "."}]
        return str(self._dir.joinpath(*parts))

    def _patch_event_writer(self, module: ModuleType) -> None:
        original, close = module.EventFileWriter.add_event, module.EventFileWriter.close

        @functools.wraps(original)
        def add_event(writer: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
            with uninterruptible:
                self._guard.quietly(self._before, writer, event)
                if event.HasField("summary") and not event.summary.value:
                    return None
                result = original(writer, event, *args, **kwargs)
                self._guard.quietly(self._take_event, writer, event)
            return result

        @functools.wraps(close)
        def closed(writer: Any, *args: Any, **kwargs: Any) -> Any:
            result = close(writer, *args, **kwargs)
            self._writers.pop(writer, None)  # it holds nothing any more, and takes a flush amiss
            return result

        module.EventFileWriter.add_event = add_event
        module.EventFileWriter.close = closed

    def _before(self, writer: Any, event: Any) -> None:
        """Do what has to be done before an event is written."""
        if not self._leads:
            self._announce(writer)
        if any(map(_is_hparams, event.summary.value)):
            self._without_hparams(writer, event)

    def _announce(self, writer: Any) -> None:
        """Say that an event file is captured from inside, before there is anything in it that is read from outside."""
        path = getattr(writer, "_file_name", None) or getattr(getattr(writer, "_ev_writer", None), "_file_name", None)
        if path is None or path in self._files:
            return
        self._files.add(path)
        self._hub.note(api="file", path=os.path.realpath(path))

    def _without_hparams(self, writer: Any, event: Any) -> None:
        """Take out what would make another row of the HParams page: a trial has its own, with the objective."""
        values = event.summary.value
        if not self._series.is_inside(self._place_of(writer)):
            return
        kept = [value for value in values if not _is_hparams(value)]
        del values[:]
        values.extend(kept)

    def _take_event(self, writer: Any, event: Any) -> None:
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            self._purge(self._place_of(writer), event.step)
        if not event.HasField("summary"):
            return
        found = {value.tag: number for value in event.summary.value if (number := event_scalar(value)) is not None}
        is_unstepped = getattr(self._local, "unstepped", False)
        self._take_scalars(self._place_of(writer), found, None if is_unstepped else event.step, event.step)

    def _place_of(self, writer: Any) -> str:
        """The directory of a writer of events, as it was without links when it was first seen."""
        found = self._writers.get(writer)
        if found is None:
            found = self._writers[writer] = os.path.realpath(writer.get_logdir())
        return found

    def _take_group(self, writer: Any, main_tag: str, values: Mapping[str, Any], step: Any) -> None:
        """Take what `add_scalars` wrote with writers of its own, a directory each."""
        found = {
            f"{main_tag}/{name}": number for name, value in values.items() if (number := scalar(value)) is not None
        }
        self._take_scalars(os.path.realpath(_directory(writer)), found, step, scalar(step), is_elsewhere=True)

    def _take_scalars(
        self, directory: str, found: Mapping[str, float], step: Any, shown: Any, *, is_elsewhere: bool = False
    ) -> None:
        """Take scalars that were written into a directory; show them in the trial's own run if that is another."""
        place = self._root if getattr(self._local, "of_trial", False) else directory
        named = {self._name(place, tag): value for tag, value in found.items()}
        mark = self._mark(place)
        if mark is not None:
            self._hub.has_place(named, mark)
        process = None if self._leads else os.getpid()
        self._hub.take(named, self._hub.step(step), TENSORBOARD, api="tensorboard", place=mark, process=process)
        if named and (is_elsewhere or not self._series.is_root(directory)):
            self._hub.event_file().scalars(self._hub.shown(named), self._hub.step(int(shown or 0)) or 0)

    def _mark(self, directory: str) -> str | None:
        """A directory as a line has it; None for the trial's own."""
        return None if self._series.is_root(directory) else self._series.place(directory)

    def _name(self, directory: str, tag: str) -> str:
        name, split = self._series.name(directory, tag)
        if split is not None:
            self._split(split)
        if name == self._metric != tag and (directory, tag) not in self._called:
            self._called.add((directory, tag))
            self._hub.note(api="tensorboard", op="called", tag=tag, name=name, place=self._mark(directory))
        return name

    def _split(self, split: Split) -> None:
        """Say that a name is several series: what had it so far is called otherwise, from its beginning."""
        marks: dict[str, Any] = {"tag": split.tag, "name": split.first, "names": split.names, "taken": split.taken}
        marks["place"] = split.place
        self._hub.note(api="tensorboard", op="split", **marks)

    def _purge(self, directory: str, step: int) -> None:
        """Say that a directory's steps from one on are void, as TensorBoard takes the start of a session."""
        names = self._names_in(directory)
        if not names:
            return
        self._hub.note(step, api="tensorboard", op="purge", names=names, place=self._mark(directory))
        if not self._series.is_root(directory):
            self._hub.event_file().take_back(self._hub.shown(dict.fromkeys(names, 0.0)), step)

    def _names_in(self, directory: str) -> list[str]:
        """The names of a directory's series; a further attempt learns from its files those that earlier ones wrote."""
        if self._attempt and directory not in self._known_places and self._series.is_inside(directory):
            self._known_places.add(directory)
            for tag in tags_in(Path(directory)):
                self._name(directory, tag)
        return self._series.names_in(directory)


def _directory(writer: Any) -> str:
    """Where a `SummaryWriter` writes; older ones of tensorboardX have no method for it."""
    return str(writer.get_logdir() if hasattr(writer, "get_logdir") else writer.logdir)


def _is_hparams(value: Any) -> bool:
    return value.HasField("metadata") and bool(value.metadata.plugin_data.plugin_name == "hparams")
