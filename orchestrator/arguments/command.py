"""The command line and the param file of a trial, exactly as W&B's agent makes them, and what kind of program they run.

Source of the expansion: wandb 0.31, ``sdk/launch/sweeps/utils.py`` and ``wandb_agent.py``.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import ProgramError
from orchestrator.interpreters.finding import PYTHON, Found
from orchestrator.interpreters.probe import own
from orchestrator.trial.contract.launch import Program, ProgramKind

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
"""The command of a spec without one."""


def _flags_without_booleans(config: Mapping[str, Any]) -> list[str]:
    shown = {name: value for name, value in config.items() if value is not False}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in shown.items()]


_ARGUMENT_FORMS: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "args": lambda config: [f"--{name}={value}" for name, value in config.items()],
    "args_no_equals": lambda config: [word for name, value in config.items() for word in (f"--{name}", str(value))],
    "args_no_hyphens": lambda config: [f"{name}={value}" for name, value in config.items()],
    "args_no_boolean_flags": _flags_without_booleans,
    "args_append_hydra": lambda config: [f"+{name}={value}" for name, value in config.items()],
    "args_override_hydra": lambda config: [f"++{name}={value}" for name, value in config.items()],
    "args_json": lambda config: [json.dumps(dict(config))],
    "args_dict": list,  # what W&B makes of it: the names alone
}

LONGEST_NAME = 255
"""Characters of a program's name that an error shows."""

_ENVVAR = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9_./-]{1,60}")
_OBJECT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_HARMLESS_FLAGS = frozenset("uBObq")
_LAUNCHER_MODULES = ("torch.distributed", "accelerate", "deepspeed", "horovod", "mpi4py")


def expand(
    command: Sequence[Any] | None,
    *,
    program: str | None,
    config: Mapping[str, Any],
    env: Mapping[str, str],
    json_file: str | os.PathLike[str],
    interpreter: str = "python",
) -> list[str]:
    """Return the argv of a trial; it is executed without a shell.

    A chunk that is one macro as a whole becomes that macro's items, an unknown macro becomes nothing (reading the spec
    warns of it), and ``${envvar:NAME}`` is replaced anywhere in a chunk, by its name where the variable is not set.

    Args:
        command: The spec's `command`; None or empty for W&B's default.
        program: The spec's `program`.
        config: The trial's config, nested; a nested value is one argument, written as Python writes it.
        env: Environment of ``${envvar:NAME}``.
        json_file: What ``${args_json_file}`` becomes; the caller writes it if `needs_json_file`.
        interpreter: What ``${interpreter}`` becomes.

    Raises:
        ProgramError: ``${program}`` is used and there is none, or nothing is left to execute.
    """
    chunks = _with_environment(command, env)
    if program is None and "${program}" in chunks:
        raise ProgramError("the command uses ${program}, and the spec has no program; add `program: train.py`")
    fixed = {
        "env": ["/usr/bin/env"],
        "interpreter": [interpreter],
        "program": [program or ""],
        "args_json_file": [os.fspath(json_file)],
    }
    argv = [word for chunk in chunks for word in _expansion(chunk, fixed, config)]
    if not argv:
        raise ProgramError(
            f"command {list(command or [])} expands to nothing; a command is a list such as [python, train.py]"
        )
    return argv


def needs_json_file(command: Sequence[Any] | None) -> bool:
    """Return whether the command reads the config from ``${args_json_file}``, so that the file must be written."""
    return "${args_json_file}" in (command or ())


def param_file(config: Mapping[str, Any]) -> str:
    """Return the text of W&B's param file, which `wandb.init` reads from ``WANDB_SWEEP_PARAM_PATH``."""
    head = "wandb_version: 1"
    if not config:
        return head
    wrapped = {name: {"value": value} for name, value in config.items()}
    return f"{head}\n\n" + yaml.dump(
        wrapped,
        Dumper=_FastDumper if _is_plain(wrapped) else _ParamDumper,
        default_flow_style=False,
        allow_unicode=True,
        sort_keys=False,
    )


def program_of(
    argv: Sequence[str], *, program: str | None, cwd: str | os.PathLike[str], found: Found | None = None
) -> Program:
    """Return what kind of program a command line runs.

    ``python script.py``, ``python -m module`` and ``package.module:object`` can start warm; all else is a command that
    is started cold, with the reason in `Program.reason`. ``python`` without a path is the interpreter of the sweep.

    Args:
        argv: The expanded command line.
        program: The spec's `program`.
        cwd: The trial's working directory, from which a script's path starts.
        found: The interpreter of the sweep; None for this process's own.

    Raises:
        ProgramError: The script does not exist, or a function is looked for in a file.
    """
    found = found or Found(python=own(), why="")
    words = _unwrapped(argv, found)
    if words and words[0] == program and _is_object(program, cwd):
        return Program(kind=ProgramKind.OBJECT, target=program, args=tuple(words[1:]))
    if not words or not _is_this_python(words[0], found, cwd):
        return _command(argv, f"{words[0] if words else argv[0]} is not the Python interpreter of the sweep")
    flags, rest = _split_flags(words[1:])
    if len(rest) >= 2 and rest[0] == "-m":
        return _module(argv, flags, rest)
    if not rest or rest[0].startswith("-"):
        return _command(argv, f"python {rest[0]} cannot start warm" if rest else "python without a script")
    return _script(argv, flags, rest, program, cwd)


def _script(
    argv: Sequence[str], flags: tuple[str, ...], rest: list[str], program: str | None, cwd: str | os.PathLike[str]
) -> Program:
    target, args = rest[0], tuple(rest[1:])
    if target == program and _is_object(program, cwd):
        return Program(kind=ProgramKind.OBJECT, target=target, interpreter_args=flags, args=args)
    path = Path(cwd, target)
    if os.path.isdir(path) or path.suffix in {".zip", ".pyz"}:
        return _command(argv, f"{target} is not a Python file")
    if not os.path.isfile(path):
        raise ProgramError(f"program {_shortened(target)} does not exist in {cwd}{_did_you_mean(path)}")
    return Program(kind=ProgramKind.SCRIPT, target=target, interpreter_args=flags, args=args)


def _module(argv: Sequence[str], flags: tuple[str, ...], rest: list[str]) -> Program:
    module = rest[1]
    if any(f"{module}.".startswith(f"{launcher}.") for launcher in _LAUNCHER_MODULES):
        return _command(argv, f"{module} starts processes of its own")
    return Program(kind=ProgramKind.MODULE, target=module, interpreter_args=flags, args=tuple(rest[2:]))


def _command(argv: Sequence[str], reason: str) -> Program:
    return Program(kind=ProgramKind.COMMAND, target=argv[0], args=tuple(argv[1:]), reason=reason)


def _is_object(program: str | None, cwd: str | os.PathLike[str]) -> bool:
    if program is None or _OBJECT.fullmatch(program) is None or os.path.exists(Path(cwd, program)):
        return False
    if ".py:" in program:
        raise ProgramError(f"program {program} names a file; write {program.replace('.py:', ':')}, as for an import")
    return True


def _unwrapped(argv: Sequence[str], found: Found) -> list[str]:
    """The words of a command line from `python` on: without `env`, and without what wraps it."""
    words = words_of(argv)
    n = len(found.wrapper)
    if not n or tuple(words[:n]) != found.wrapper:
        return words
    return words[n:] if PYTHON.fullmatch(words[n]) else ["python", *words[n:]]


def words_of(argv: Sequence[str]) -> list[str]:
    """Return the words of a command line without a leading `env`, which only looks the next one up."""
    return list(argv[1:] if Path(argv[0]).name == "env" else argv)


def _is_this_python(word: str, found: Found, cwd: str | os.PathLike[str]) -> bool:
    """Return whether a word means the sweep's interpreter: by name and version, or by a path beside it."""
    match = PYTHON.fullmatch(Path(word).name)
    if match is None:
        return False
    version = tuple(int(part) for part in match.groups() if part is not None)
    if version != found.python.version[: len(version)]:
        return False
    beside = {os.path.dirname(path) for path in (found.python.path, found.at) if path}
    return os.sep not in word or os.path.dirname(os.path.join(cwd, word)) in beside


def _split_flags(words: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the interpreter's flags that a warm server can be started with, and the rest."""
    n = 0
    while n < len(words) and (takes := _flag_words(words[n])):
        n += takes
    return tuple(words[:n]), words[n:]


def _flag_words(word: str) -> int:
    """Return how many words a harmless flag takes: 0 if it is none, 2 for ``-X dev``."""
    if word in {"-W", "-X"}:
        return 2
    if word.startswith(("-W", "-X")):
        return 1
    return int(len(word) > 1 and word[0] == "-" and set(word[1:]) <= _HARMLESS_FLAGS)


def _shortened(text: str) -> str:
    """A name as an error shows it: of one that is too long for any file only the ends."""
    return text if len(text) <= LONGEST_NAME else f"{text[:100]}...{text[-100:]} ({len(text):,} characters)"


def _did_you_mean(path: Path) -> str:
    """The file that was probably meant; no name is too long or too odd to ask."""
    try:
        names = os.listdir(path.parent)
    except (OSError, ValueError):
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _with_environment(command: Sequence[Any] | None, env: Mapping[str, str]) -> list[str]:
    chunks = (str(chunk) for chunk in command or DEFAULT_COMMAND)
    return [_ENVVAR.sub(lambda m: env.get(m[1], m[1]), chunk) for chunk in chunks]


def _is_macro(chunk: str) -> bool:
    return chunk.startswith("${") and chunk.endswith("}")


def _expansion(chunk: str, fixed: Mapping[str, list[str]], config: Mapping[str, Any]) -> list[str]:
    if not _is_macro(chunk):
        return [chunk]
    name = chunk[2:-1]
    return _ARGUMENT_FORMS[name](config) if name in _ARGUMENT_FORMS else fixed.get(name, [])


class _SharesNothing:
    """W&B's dumper has no anchors for an object that stands twice: its values come from JSON and share nothing."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature PyYAML calls
        """Return True."""
        return True


class _ParamDumper(_SharesNothing, yaml.SafeDumper):
    """The dumper that W&B uses."""


class _FastDumper(_SharesNothing, getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """libyaml's, six times as fast, where PyYAML has it. It writes other text than W&B's only where text is not plain."""


def _is_plain(value: Any) -> bool:
    """Return whether both dumpers write a value alike."""
    if isinstance(value, dict):
        return all(_is_plain(name) and _is_plain(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, str) or _PLAIN.fullmatch(value) is not None
