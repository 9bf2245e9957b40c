"""A spec held against what its script takes: what would be refused, is missing, or arrives as something else."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.arguments.command import DEFAULT_COMMAND
from orchestrator.arguments.model import Argument, Arguments, Kind, Style
from orchestrator.arguments.reader import arguments_of
from orchestrator.spec.findings import Finding, Severity, near_miss
from orchestrator.spec.model import Beta, Categorical, Constant, Gaussian, Interval, Nested, Parameter, SweepSpec

FORMS = {
    "${args}": Style.OPTIONS,
    "${args_no_equals}": Style.OPTIONS,
    "${args_no_boolean_flags}": Style.OPTIONS,
    "${args_no_hyphens}": Style.ASSIGNMENTS,
    "${args_append_hydra}": Style.ASSIGNMENTS,
    "${args_override_hydra}": Style.ASSIGNMENTS,
}
"""Macros that pass each parameter as a word of its own."""

FREE = "${args_append_hydra}", "${args_override_hydra}"
"""Macros whose words Hydra takes for keys that the config does not have."""

WITHOUT_BOOLEANS = "${args_no_boolean_flags}"
MOST_LISTED = 12


@dataclass(frozen=True, slots=True)
class Call:
    """How a command line gives a script its arguments.

    Attributes:
        script: Its file.
        macro: What passes the parameters; None where nothing does, or as something else than words.
        given: Names of options that stand in the command itself.
        words: Other words there, and macros that may be anything.
    """

    script: Path
    macro: str | None
    given: tuple[str, ...]
    words: tuple[str, ...]


def findings(spec: SweepSpec, cwd: str | os.PathLike[str]) -> list[Finding]:
    """Return what is wrong between a spec and its script; nothing where the script's source does not tell for sure."""
    call = call_of(spec, Path(cwd))
    arguments = None if call is None else arguments_of(call.script, roots=(Path(cwd),))
    if call is None or arguments is None:
        return []
    return list(_Comparison(spec, call, arguments).all())


def call_of(spec: SweepSpec, cwd: Path) -> Call | None:
    """Return how a spec's command calls a Python script that is there; None for any other."""
    command = list(spec.command or DEFAULT_COMMAND)
    names = [spec.program or "" if item == "${program}" else item for item in command]
    at = next((i for i, name in enumerate(names) if name.endswith(".py")), None)
    if at is not None:
        script = cwd / names[at]
    else:
        module = next((i + 1 for i, name in enumerate(names[:-1]) if name == "-m"), None)
        if module is None or not re.fullmatch(r"[\w.]+", names[module]):
            return None
        at, script = module, cwd / (names[module].replace(".", "/") + ".py")
    if not script.is_file():
        return None
    after = command[at + 1 :]
    macros = [item for item in after if item in FORMS]
    if len(macros) > 1 or any(item.startswith("-c") for item in command[:at]):
        return None
    given = tuple(item[2:].partition("=")[0] for item in after if item.startswith("--"))
    words = tuple(item for item in after if not item.startswith("--") and item not in FORMS)
    return Call(script, macros[0] if macros else None, given, words)


class _Comparison:
    def __init__(self, spec: SweepSpec, call: Call, arguments: Arguments) -> None:
        self._spec = spec
        self._call = call
        self._arguments = arguments
        self._script = call.script.name

    def all(self) -> Iterator[Finding]:
        """Yield every finding, the sweeping ones first."""
        if self._call.macro is not None and FORMS[self._call.macro] is not self._arguments.style:
            yield self._other_style()
            return
        if self._arguments.needs_word and not set(self._call.words) & set(self._arguments.needs_word):
            yield self._no_word()
        yield from self._missing()
        if self._call.macro is not None:
            for name, parameter in self._spec.parameters.items():
                yield from self._of(name, parameter)

    def _finding(
        self, where: str, message: str, hint: str | None, *, fix: str | None = None, fails: bool = False
    ) -> Finding:
        severity = Severity.ERROR if fails and self._arguments.sure else Severity.WARNING
        return Finding(severity=severity, where=where, message=message, hint=hint, fix=fix)

    def _at_command(self) -> str:
        return "command" if self._spec.command is not None else "program"

    def _other_style(self) -> Finding:
        assignments = self._arguments.style is Style.ASSIGNMENTS
        macro = "${args_no_hyphens}" if assignments else "${args}"
        passes = FORMS[self._call.macro or ""]
        return self._finding(
            self._at_command(),
            f"{self._script} takes {self._arguments.style} ({self._arguments.library}), and is given {passes}",
            f"{macro} passes the parameters in that way",
            fix=f'command: ["${{env}}", "${{interpreter}}", "${{program}}", "{macro}"]',
            fails=True,
        )

    def _no_word(self) -> Finding:
        words = ", ".join(self._arguments.needs_word)
        return self._finding(
            self._at_command(),
            f"{self._script} needs a subcommand ({self._arguments.library}), and is given none",
            f"one of {words}",
            fix=f'command: ["${{env}}", "${{interpreter}}", "${{program}}", "{self._arguments.needs_word[0]}", "${{args}}"]',
            fails=True,
        )

    def _missing(self) -> Iterator[Finding]:
        names = [*self._call.given, *(self._spec.parameters if self._call.macro else ())]
        given = {id(found) for name in names if (found := self._arguments.find(name)) is not None}
        for argument in self._arguments.known:
            if not argument.required or id(argument) in given:
                continue
            if not argument.options and self._call.words:
                continue
            if self._call.macro is None and self._call.words:
                continue  # a file or a text with the parameters may hold it
            shown = f"--{argument.options[0]}" if argument.options else f"{argument.name} (a positional argument)"
            hint = (
                f"add it as a parameter, `{argument.options[0]}: {{value: ...}}`, or to the command"
                if argument.options and self._call.macro
                else "add it to the command"
            )
            yield self._finding("parameters", f"{self._script} needs {shown}, which it is not given", hint, fails=True)

    def _of(self, name: str, parameter: Parameter) -> Iterator[Finding]:
        where = f"parameters.{name}"
        argument = self._arguments.find(name)
        if argument is None:
            if not self._arguments.may_take(name) and self._call.macro not in FREE:
                yield self._unknown(where, name)
            return
        if self._arguments.style is Style.ASSIGNMENTS:
            return
        if isinstance(parameter, Nested):
            if argument.kind in _FITS or argument.choices is not None:
                yield self._one_text(where, argument, "nested parameters are", fails=True)
            return
        yield from self._values(where, argument, parameter)

    def _one_text(self, where: str, argument: Argument, what: str, *, fails: bool) -> Finding:
        wanted = "several words" if argument.several else argument.kind
        message = f"{what} passed as one text, and --{argument.options[0]} of {self._script} takes {wanted}"
        return self._finding(
            where, message, "read it from wandb.config in the script, or pass ${args_json}", fails=fails
        )

    def _unknown(self, where: str, name: str) -> Finding:
        names = self._arguments.names
        near = near_miss(name, names)
        dashed = name.replace("_", "-")
        near = dashed if dashed in names else name.replace("-", "_") if name.replace("-", "_") in names else near
        spelled = "" if self._arguments.style is Style.ASSIGNMENTS else "--"
        listed = ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")
        hint = f"did you mean `{near}`?" if near else f"it takes {listed or 'none'}"
        return self._finding(
            where, f"{self._script} takes no {spelled}{name} ({self._arguments.library})", hint, fails=True
        )

    def _values(self, where: str, argument: Argument, parameter: Parameter) -> Iterator[Finding]:
        option = f"--{argument.options[0]}"
        values = _listed(parameter)
        no_booleans = self._call.macro == WITHOUT_BOOLEANS
        passed = [v for v in values if not (no_booleans and isinstance(v, bool))]
        booleans = [v for v in values if isinstance(v, bool)]
        if argument.several:
            lists = [v for v in passed if isinstance(v, list)]
            if lists:
                fails = argument.kind in _FITS and len(lists) == len(values)
                yield self._one_text(where, argument, f"{lists[0]} is", fails=fails)
            yield from self._misfits(where, option, argument, parameter, [v for v in passed if not isinstance(v, list)])
            return
        if argument.kind is Kind.FLAG:
            if passed or not values:
                yield self._flag(where, option, passed, only_booleans=len(passed) == len(booleans) > 0)
            return
        if no_booleans and True in booleans and argument.takes_value:
            message = f"{option} of {self._script} takes a value, and true is passed as {option} alone"
            yield self._finding(where, message, "${args} passes it as a value", fails=len(booleans) == len(values) == 1)
        if argument.kind is Kind.ANY_TEXT_IS_TRUE and any(not v for v in passed):
            shown = next(str(v) for v in passed if not v)
            message = (
                f"{option} of {self._script} is read with type=bool, for which every text is true, {shown} as well"
            )
            hint = 'give the script action="store_true" and pass ${args_no_boolean_flags}, or another type'
            yield self._finding(where, message, hint)
        yield from self._misfits(where, option, argument, parameter, passed)

    def _flag(self, where: str, option: str, passed: Sequence[Any], *, only_booleans: bool) -> Finding:
        value = passed[0] if passed else "..."
        hint = (
            "${args_no_boolean_flags} passes it alone where it is true, and not at all where it is false"
            if only_booleans
            else "make it a boolean, and pass it with ${args_no_boolean_flags}"
        )
        return self._finding(
            where,
            f"{option} of {self._script} is a flag without a value, and is passed as {option}={value}",
            hint,
            fails=True,
        )

    def _misfits(
        self, where: str, option: str, argument: Argument, parameter: Parameter, passed: Sequence[Any]
    ) -> Iterator[Finding]:
        if argument.choices is not None and passed:
            wrong = [v for v in passed if not _is_among(v, argument.choices)]
            allowed = f"allowed: {', '.join(argument.choices[:MOST_LISTED])}"
        elif argument.kind in _FITS:
            wrong = [v for v in passed if not _FITS[argument.kind](str(v))]
            allowed = f"{option} is {argument.kind}"
            if not passed and argument.kind is Kind.INTEGER and _draws_floats(parameter):
                hint = "give whole bounds, or a whole `q` with a q_ distribution"
                message = f"{self._script} takes {argument.kind} for {option}, and this draws others"
                yield self._finding(where, message, hint, fails=True)
                return
        else:
            return
        if wrong:
            shown = ", ".join(map(str, wrong[:3])) + (", ..." if len(wrong) > 3 else "")
            message = f"{self._script} does not take {shown} for {option}"
            yield self._finding(where, message, allowed, fails=len(wrong) == len(passed))


def _listed(parameter: Parameter) -> list[Any]:
    """Return the values that a parameter lists; empty for a distribution."""
    if isinstance(parameter, Constant):
        return [parameter.value]
    return list(parameter.values) if isinstance(parameter, Categorical) else []


def _draws_floats(parameter: Parameter) -> bool:
    if isinstance(parameter, Interval):
        return parameter.kind != "int_uniform" and not isinstance(parameter.q, int)
    return isinstance(parameter, Gaussian | Beta) and not isinstance(parameter.q, int)


def _is_among(value: Any, choices: Sequence[str]) -> bool:
    if str(value) in choices:
        return True
    try:
        return any(float(str(value)) == float(choice) for choice in choices)
    except ValueError:
        return False


def _is_integer(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return text.endswith(".0")  # W&B's server makes whole floats ints on their way
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_boolean(text: str) -> bool:
    return text.lower() in {"true", "false", "1", "0", "yes", "no", "y", "n", "t", "f", "on", "off"}


_FITS: Mapping[Kind, Any] = {Kind.INTEGER: _is_integer, Kind.NUMBER: _is_number, Kind.BOOLEAN: _is_boolean}
