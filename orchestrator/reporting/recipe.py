"""How to run a trial again, and where everything of it is: config, command line, script, paths."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestrator.arguments.command import expand, program_of
from orchestrator.errors import ProgramError
from orchestrator.interpreters.finding import Found, versions
from orchestrator.interpreters.probe import Interpreter
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import TrialRecord
from orchestrator.printable import clean
from orchestrator.reporting.environment import interpreter_of, python_of, recorded
from orchestrator.reporting.results import Results
from orchestrator.reporting.wording import command_line
from orchestrator.trial.contract.launch import ProgramKind

_REFERENCE = re.compile("\x00([A-Z0-9_]*)\x00")


class _Names(Mapping[str, str]):
    """An environment that stands for itself: values may be secrets, and what is written here is kept."""

    def __getitem__(self, name: str) -> str:
        return f"\x00{name}\x00"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - every name has a value
        return self[name]


class _Dumper(yaml.SafeDumper):
    """Writes every value out: no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def config_text(config: Mapping[str, Any]) -> str:
    """Return a config as YAML to paste, in one piece per parameter."""
    return (
        yaml.dump(dict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000) if config else "{}\n"
    )


def command(results: Results, trial: TrialRecord) -> str | None:
    """Return the trial's command line for a shell, in the directory that the sweep was launched from.

    It is the one that ran, but for variables of the environment: they stay references. A function has no command line
    of its own: `sweep try` runs it. None for a sweep without a program.
    """
    spec, sweep_dir = results.spec, results.sweep_dir
    if spec.program is None and spec.command is None:
        return None
    json_file = str(sweep_dir.trial(trial.number).config_json_path)
    try:
        argv = expand(spec.command, program=spec.program, config=trial.config, env=_Names(), json_file=json_file)
        found = _python(results, trial)
        kind = program_of(argv, program=spec.program, cwd=results.record.cwd, found=found).kind
    except ProgramError:
        kind = ProgramKind.COMMAND  # the script is gone; the line still says how it was called
    if kind is ProgramKind.OBJECT:
        config = sweep_dir.trial(trial.number).config_path
        argv = ["sweep", "try", str(sweep_dir.spec_path), "--config", str(config), *_python_option(results, trial)]
    return " ".join(_word(word) for word in argv)


def _python_option(results: Results, trial: TrialRecord) -> list[str]:
    """What names the trial's interpreter to the `sweep` command, where that is another than the command's own was."""
    environment = recorded(results.sweep_dir)
    path = interpreter_of(environment, trial.config)
    return [] if path is None or path == environment.get("interpreter") else ["--python", path]


def script(results: Results, trial: TrialRecord) -> str | None:
    """Return a bash script that runs the trial's program once more, from the directory the sweep was launched from."""
    line = command(results, trial)
    if line is None:
        return None
    return (
        f"#!/usr/bin/env bash\n# {headline(results, trial)}\n# What follows the script's name is passed on.\n"
        'set -euo pipefail\nhere=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)\n'
        f"cd {command_line([results.record.cwd])}\n{_path_line(results, trial)}{_wandb_lines(results, trial)}"
        f'exec {line} "$@"\n'
    )


def _wandb_lines(results: Results, trial: TrialRecord) -> str:
    """W&B's client as in the sweep: `wandb.config` has the trial's values, and nothing waits for a server."""
    if results.spec.options.wandb == "off":
        return ""
    offline = "" if results.spec.options.wandb == "online" else ' WANDB_MODE="${WANDB_MODE:-offline}"'
    path = f"$here/{param_file(results, trial)}"
    return f'export WANDB_SWEEP_PARAM_PATH="{path}"{offline}  # wandb.config as it was\n'


def param_file(results: Results, trial: TrialRecord) -> Path:
    """Return where a trial's config is as W&B's param file, seen from the sweep's directory."""
    sweep_dir = results.sweep_dir
    return sweep_dir.trial(trial.number).config_path.relative_to(sweep_dir.path)


def _path_line(results: Results, trial: TrialRecord) -> str:
    """The trial's own `python` comes first, as it did when it ran."""
    found = _python(results, trial)
    if found is None:
        return ""
    text = versions(found.python.version_text, found.python.packages)
    what = f"  # python {clean(text)}" if found.python.version else ""
    return f"export PATH={command_line([str(Path(found.python.path).parent)])}:$PATH{what}\n"


def _python(results: Results, trial: TrialRecord) -> Found | None:
    """The interpreter that a trial ran in, as it was recorded; None where it was not."""
    environment = recorded(results.sweep_dir)
    path, data = interpreter_of(environment, trial.config), python_of(environment, trial.config)
    if path is None:
        return None
    text = str(data.get("version", environment.get("python", "")))
    version = tuple(int(part) for part in text.rstrip("t").split(".") if part.isdecimal())
    packages = data.get("packages")
    known = {str(k): str(v) for k, v in packages.items()} if isinstance(packages, dict) else {}
    return Found(python=Interpreter(path=path, version=version, prefix="", packages=known), why="")


def headline(results: Results, trial: TrialRecord) -> str:
    """Return one line that says which trial this is and how good it was."""
    metric = results.metric
    said = f"trial {trial.number} of {results.label}"
    if metric is None or trial.value is None:
        return said
    how = "several objectives" if results.spec.metrics else f"{clean(metric.name)}, {metric.goal}"
    return f"{said}: {results.shown(trial)} ({how}) at {trial.reached_at()}, {trial.state}"


def paths(sweep_dir: SweepDir, trial: TrialRecord) -> dict[str, str | None]:
    """Return where the trial's directory, log, TensorBoard run, W&B run and checkpoints are; None for what is not there."""
    place = sweep_dir.trial(trial.number)
    logs = place.wandb_log_paths()
    return {
        "directory": str(place.path),
        "log": str(place.log_path),
        "tensorboard": str(place.path),
        "wandb": str(logs[-1].parent) if logs else None,
        "checkpoints": str(place.checkpoints_path) if place.checkpoints_path.is_dir() else None,
    }


def _word(word: str) -> str:
    """Quote a word; what stands for a variable becomes a reference to it."""
    parts = _REFERENCE.split(word)
    if len(parts) == 1:
        return command_line([word])
    quoted = [command_line([text]) if text else "" for text in parts[::2]]
    # A name that no shell variable can have is what W&B puts in the place of a variable that is not set.
    references = [f'"${{{name}}}"' if name.isidentifier() else name for name in parts[1::2]]
    return quoted[0] + "".join(reference + text for reference, text in zip(references, quoted[1:], strict=True))
