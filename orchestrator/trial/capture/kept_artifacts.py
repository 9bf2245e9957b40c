"""Artifacts of a trial stay with it: their files as they were when they were added, under ``artifacts/NAME:vN`` of its directory.

Offline, what needs the server's answer in W&B (`wait`, `use_artifact`, `link_model`...) works for artifacts that the trial
itself or, as far as its machine sees them, another one of the sweep has logged; what only a server has is refused as W&B
refuses it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.claims import Claims
from orchestrator.trial.capture.kept_files import copy
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.capture.staged_artifacts import Staged, find, note
from orchestrator.trial.capture.wandb_runs import is_offline
from orchestrator.trial.contract.launch import Launch


@dataclass(frozen=True)
class _Version:
    artifact: Any
    aliases: tuple[str, ...]
    path: Path


class KeptArtifacts:
    """The artifacts that this process has logged.

    Args:
        launch: The attempt.
        claims: Told what is added.
        quietly: Does something of ours; its failure is a warning.
    """

    def __init__(self, launch: Launch, claims: Claims, quietly: Callable[..., None]) -> None:
        self._trial = launch.dir
        self._dir = launch.dir.artifacts_path
        self._project = launch.wandb.project if launch.wandb is not None else None
        self._claims = claims
        self._quietly = quietly
        self._logged: dict[str, list[_Version]] = {}
        self._used: dict[Path, _Version] = {}

    def patches(self) -> dict[str, Patch]:
        """Return what to change in wandb."""
        return {"wandb.sdk.artifacts.artifact": self._patch_artifact, "wandb.sdk.wandb_run": self._patch_run}

    def _patch_artifact(self, module: ModuleType) -> None:
        artifact = module.Artifact
        add, wait, download = artifact._add_local_file, artifact.wait, artifact.download  # noqa: SLF001 - every file comes here

        @functools.wraps(add)
        def add_copy(given: Any, name: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
            with contextlib.suppress(OSError, ValueError):  # wandb itself says what is wrong with a path
                self._claims.saved(path)
            if kwargs.get("policy") == "immutable":
                kwargs["policy"] = "mutable"  # a promise that the next trial breaks
            return add(given, name, path, *args, **kwargs)

        @functools.wraps(wait)
        def wait_here(given: Any, *args: Any, **kwargs: Any) -> Any:
            return given if self._version(given) else wait(given, *args, **kwargs)

        @functools.wraps(download)
        def copy_here(given: Any, root: Any = None, *args: Any, **kwargs: Any) -> Any:
            version = self._version(given)
            if version is None:
                return download(given, root, *args, **kwargs)
            if root is None:
                return str(version.path)
            return shutil.copytree(version.path, root, dirs_exist_ok=True)

        artifact._add_local_file = add_copy  # noqa: SLF001 - as above
        artifact.wait = wait_here
        artifact.download = copy_here

    def _keep(self, artifact: Any, aliases: Any) -> None:
        versions = self._logged.setdefault(artifact.name.partition(":")[0], [])
        if any(version.artifact is artifact for version in versions):
            return
        path = self._new_directory(artifact.name.partition(":")[0])
        for entry in artifact.manifest.entries.values():
            if entry.local_path is not None:
                _link(Path(entry.local_path), path / entry.path)
        given = (aliases,) if isinstance(aliases, str) else tuple(aliases or ())
        versions.append(_Version(artifact=artifact, aliases=given, path=path))
        note(path, artifact, given)

    def _new_directory(self, name: str) -> Path:
        """The directory of the next version: earlier attempts, and other processes, have some."""
        number = 0
        while True:
            path = self._dir / f"{name}:v{number}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                return path

    def _patch_run(self, module: ModuleType) -> None:
        run = module.Run
        log = run._log_artifact  # noqa: SLF001 - every way to log one comes here
        offline_names = ("use_artifact", "use_model", "link_artifact", "link_model")
        originals = {name: getattr(run, name, None) for name in offline_names}

        @functools.wraps(log)
        def log_and_keep(given: Any, *args: Any, **kwargs: Any) -> Any:
            artifact = log(given, *args, **kwargs)
            if is_offline(given):
                aliases = args[3] if len(args) > 3 else kwargs.get("aliases")
                self._quietly(self._keep, artifact, aliases)
            return artifact

        def offline(name: str, action: Callable[..., Any]) -> Callable[..., Any]:
            original: Any = originals[name]

            @functools.wraps(original)
            def call(given: Any, *args: Any, **kwargs: Any) -> Any:
                if not is_offline(given) or getattr(given, "_is_finished", False):
                    return original(given, *args, **kwargs)
                return action(given, original, *args, **kwargs)

            return call

        run._log_artifact = log_and_keep  # noqa: SLF001 - as above
        actions: tuple[Callable[..., Any], ...] = (self._use, self._use_model, self._link, self._link_model)
        for name, action in zip(originals, actions):
            if originals[name] is not None:
                setattr(run, name, offline(name, action))

    def _use(
        self,
        run: Any,
        original: Callable[..., Any],
        artifact_or_name: Any,
        type: Any = None,  # noqa: A002 - W&B's name
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if not isinstance(artifact_or_name, str):
            if self._version(artifact_or_name) is not None:
                return artifact_or_name
            aliases = kwargs.get("aliases")
            given = [aliases] if isinstance(aliases, str) else aliases or []
            return run._log_artifact(  # noqa: SLF001 - as wandb does for one that is used before it was logged
                artifact_or_name, aliases=given, is_user_created=True, use_after_commit=True
            )
        found = self._found(artifact_or_name)
        if found is None:
            return original(run, artifact_or_name, type, *args, **kwargs)
        if type is not None and type != found.artifact.type:
            raise ValueError(
                f"Supplied type {type} does not match type {found.artifact.type} of artifact {found.artifact.name}"
            )
        return found.artifact

    def _use_model(self, run: Any, original: Callable[..., Any], name: str) -> Any:
        found = self._found(name)
        if found is None:
            return original(run, name)
        files = [path for path in found.path.rglob("*") if path.is_file()]
        return str(files[0] if len(files) == 1 else found.path)

    def _link(self, run: Any, _: Callable[..., Any], artifact: Any, target_path: str, aliases: Any = None) -> None:
        del aliases
        if self._version(artifact) is None and artifact.is_draft():
            run._log_artifact(artifact)  # noqa: SLF001 - as wandb does
        _say(
            f"artifact {artifact.name} is logged; W&B links it to {target_path!r} only online, so link it after the upload"
        )

    def _link_model(  # noqa: PLR0917 - W&B's signature
        self,
        run: Any,
        original: Callable[..., Any],
        path: Any,
        registered_model_name: str,
        name: str | None = None,
        aliases: Any = None,
    ) -> None:
        artifact = run._log_artifact(artifact_or_path=path, name=name, type="model")  # noqa: SLF001 - as wandb does
        self._link(run, original, artifact, registered_model_name, aliases)

    def _version(self, artifact: Any) -> _Version | None:
        every = (*(version for versions in self._logged.values() for version in versions), *self._used.values())
        return next((version for version in every if version.artifact is artifact), None)

    def _found(self, name: str) -> _Version | None:
        """What the trial itself has logged under a name, or another one of the sweep; it is said if nobody has."""
        found = self._named(name) or self._of_others(name)
        if found is None:
            self._explain(name)
        return found

    def _of_others(self, name: str) -> _Version | None:
        *prefix, last = name.split("/")
        base, _, alias = last.partition(":")
        if prefix and prefix[-1] != self._project:
            return None
        staged = find(self._trial.sweep, base, alias)
        if staged is None:
            return None
        if staged.path not in self._used:
            self._used[staged.path] = self._taken(staged, base)
        return self._used[staged.path]

    def _taken(self, staged: Staged, name: str) -> _Version:
        """A version with files of the trial's own, since a program may change what it has downloaded."""
        import wandb

        path = staged.path
        if not path.is_relative_to(self._dir):
            path = self._trial.used_artifacts_path / path.parent.parent.name / path.name
            _copy(staged.path, path)
        artifact = wandb.Artifact(name, staged.type, description=staged.description, metadata=staged.metadata)
        add = artifact._add_local_file.__wrapped__  # noqa: SLF001 - wandb's own, without another copy
        for file in sorted(path.rglob("*")):
            if file.is_file():
                add(artifact, file.relative_to(path).as_posix(), str(file), policy="immutable", skip_cache=True)
        artifact.finalize()
        return _Version(artifact=artifact, aliases=staged.aliases, path=path)

    def _named(self, name: str) -> _Version | None:
        """The version that a name such as ``entity/project/model:best`` means."""
        base, _, alias = name.rpartition("/")[2].partition(":")
        versions = self._logged.get(base, [])
        if alias in {"", "latest"}:
            return versions[-1] if versions else None
        if alias[:1] == "v" and alias[1:].isdecimal():
            return versions[int(alias[1:])] if int(alias[1:]) < len(versions) else None
        return next((version for version in reversed(versions) if alias in version.aliases), None)

    def _explain(self, name: str) -> None:
        _say(
            f"artifact {name!r} is on a server, if anywhere: no trial of this sweep that is seen from here has logged it,\n"
            "  and this one runs offline.\n"
            "  `orchestrator: {wandb: online}` in the spec gives scripts W&B's online mode, which downloads artifacts"
        )


def _copy(source: Path, target: Path) -> None:
    """Copy a directory, all of it or nothing; an earlier attempt may have done it."""
    if target.is_dir():
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copytree(source, temporary, copy_function=lambda one, other: copy(Path(one), Path(other)))
    with contextlib.suppress(OSError):  # another process of the trial was faster
        temporary.rename(target)
    shutil.rmtree(temporary, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Give a staged file, which wandb takes away when it has sent it, a second name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _say(text: str) -> None:
    print(f"sweep: {text}", file=sys.stderr)  # noqa: T201 - into the trial's log
