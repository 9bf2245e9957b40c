"""`sweep init`: write a first spec from a script's own arguments, or from a search space in Python."""

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import PythonOption, SilentOption
from orchestrator.errors import SweepError
from orchestrator.layout import SPEC
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.arguments.model import Arguments
    from orchestrator.arguments.suggesting import Suggestion
    from orchestrator.cli.first_spec import FoundMetric
    from orchestrator.spec import SweepSpec

DEFAULT = Path(SPEC)


def init(
    script: Annotated[
        Path, typer.Argument(metavar="SCRIPT", help="The Python script that trials run.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="Where the spec is written; - prints it.")
    ] = DEFAULT,
    space: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="MODULE:OBJECT", help="Parameters from Python: W&B's dict, Optuna's or Ray Tune's space."
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="The metric, with + or - before it for maximize or minimize.")
    ] = None,
    limit_s: Annotated[
        float,
        typer.Option("--try", min=0, metavar="SECONDS", help="How long the script runs to find the metric; 0: not."),
    ] = 60.0,
    python: PythonOption = None,
    quiet: SilentOption = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a first spec from a script's own arguments: ranges by their names and defaults, the metric by running it once."""
    from orchestrator.cli.first_spec import spec_text

    to_stdout = str(output) == "-"
    if not script.is_file():
        raise SweepError(
            f"{clean(str(script))}: there is no such file.\n  sweep init takes the script that trials run."
        )
    if output.exists() and not to_stdout and not force:
        raise SweepError(
            f"{clean(str(output))} is there already.\n  Write elsewhere with -o FILE, or over it with --force."
        )
    program = os.path.relpath(script)
    arguments, suggestions = _suggested(script)
    parameters = None if space is None else _from_python(space)
    if parameters is None and not any(each.is_tuned and each.varies for each in suggestions):
        raise SweepError(_nothing_to_tune(script, arguments))
    known: dict[str, Any] = {"suggestions": suggestions, "parameters": parameters, "arguments": arguments}
    if metric is not None:
        text = spec_text(program, asked=_named(metric), **known)
    else:
        found, n_rows = _tried(spec_text(program, **known), suggestions, arguments, python, limit_s)
        text = spec_text(program, metric=found, n_rows=n_rows, **known)
    _check(text, str(output))
    if to_stdout:
        typer.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    if not quiet:
        _say_next(output, text)


def _suggested(script: Path) -> "tuple[Arguments | None, list[Suggestion]]":
    from orchestrator.arguments.reader import visible_arguments
    from orchestrator.arguments.suggesting import suggest

    arguments = visible_arguments(script, roots=(Path.cwd(),))
    return arguments, [] if arguments is None else suggest(arguments.known)


def _nothing_to_tune(script: Path, arguments: "Arguments | None") -> str:
    name = clean(str(script))
    how = "  Name a search space in Python with --from MODULE:OBJECT, or write `parameters:` by hand."
    if arguments is None:
        libraries = "argparse, click, typer, absl, fire, hydra, wandb.config"
        return f"{name}: no arguments can be read from its source ({libraries}).\n{how}"
    names = ", ".join(argument.name for argument in arguments.known[:12])
    return f"{name}: none of its arguments looks like one to tune: {clean(names)}.\n{how}"


def _named(metric: str) -> tuple[str, str]:
    """The name and the goal that ``+val_acc``, ``-loss`` or a name alone says."""
    from orchestrator.cli.first_spec import likely_metric

    if metric[:1] in {"+", "-"}:
        return metric[1:], "maximize" if metric[0] == "+" else "minimize"
    found = likely_metric([metric])
    return metric, found.goal if found else "minimize"


def _from_python(space: str) -> dict[str, Any]:
    """Import the object, as trials in this directory would, and return it as parameters."""
    from orchestrator.space.foreign import parameters_of

    module, colon, name = space.partition(":")
    if not (colon and module and name):
        raise SweepError(f"--from {clean(space)}: write MODULE:OBJECT, such as space:SEARCH_SPACE")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module.removesuffix(".py").replace("/", "."))
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # the module is the user's own
        what = f"{type(error).__name__}: {error}"
        raise SweepError(f"--from {clean(space)}: it cannot be imported here: {clean(what)}") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    try:
        return parameters_of(found)
    except RecursionError:
        raise SweepError(f"--from {clean(space)}: it is nested without end: it holds itself somewhere") from None


def _tried(
    text: str, suggestions: "list[Suggestion]", arguments: "Arguments | None", python: str | None, limit_s: float
) -> "tuple[FoundMetric | None, int]":
    """What a trial at the script's own defaults reports, and how often; nothing where it cannot run."""
    from orchestrator.arguments.suggesting import CHANGE_ME
    from orchestrator.cli.first_spec import likely_metric

    if limit_s == 0:
        return None, 0
    if CHANGE_ME in text:
        typer.echo(
            f"not run: the script needs arguments whose values only you know ({CHANGE_ME} in the spec)", err=True
        )
        return None, 0
    defaults = {} if arguments is None else {a.options[0]: a.default for a in arguments.known if a.options}
    names = [each.name for each in suggestions if each.is_tuned and each.varies]
    typer.echo(f"running the script once, for at most {limit_s:g} s, to find its metric (--try 0 does not)", err=True)
    reported = _reported(text, {n: defaults[n] for n in names if defaults.get(n) is not None}, python, limit_s)
    found = likely_metric(list(reported))
    if found is None:
        typer.echo("no metric was reported; name it with --metric NAME, or in the file", err=True)
        return None, 0
    return found, reported[found.name]


def _reported(text: str, config: Mapping[str, Any], python: str | None, limit_s: float) -> dict[str, int]:
    """Run one trial, and return how often it reported each metric."""
    import tempfile
    import time

    from orchestrator.cli.commands.try_ import counting, launcher_in
    from orchestrator.cli.preview import preview
    from orchestrator.cli.trying import try_trial, with_values
    from orchestrator.control.pythons import pythons_of
    from orchestrator.session import check_program
    from orchestrator.trial.contract.events import Cause
    from orchestrator.trial.runner.runner import Runner

    spec = _check(text, "the spec")
    cwd = str(Path.cwd())
    pythons = pythons_of(spec, cwd=cwd, environ=os.environ, option=python)
    check_program(spec, cwd, pythons)
    first = preview(spec, n_trials=1, cwd=Path.cwd(), environ=os.environ).trials[0]
    with tempfile.TemporaryDirectory(prefix="sweep-init-") as folder, counting() as asked:
        launcher = launcher_in(Path(folder), spec, "init", pythons)
        launch = launcher.launch(0, 0, with_values(first.config, {(name,): value for name, value in config.items()}))
        runner, began_s = Runner(), time.monotonic()
        try:
            tried = try_trial(runner, launch, lambda: asked() + (time.monotonic() - began_s > limit_s), quiet=True)
        finally:
            runner.close()
    if tried.ended.cause not in {Cause.FINISHED, Cause.STOPPED, Cause.NO_METRIC}:
        typer.echo(clean(f"the script failed: {tried.ended.error or tried.ended.cause.words}"), err=True)
        for line in tried.ended.log_tail[-6:]:
            typer.echo(f"  {clean(line)}", err=True)
    return tried.names


def _check(text: str, path: str) -> "SweepSpec":
    from orchestrator.cli import specs
    from orchestrator.spec import load_text

    return specs.held_against_script(load_text(text, path=path)).require()


def _say_next(output: Path, text: str) -> None:
    from orchestrator.arguments.suggesting import CHANGE_ME
    from orchestrator.reporting.wording import command_line

    typer.echo(f"wrote {clean(str(output))}")
    if CHANGE_ME in text:
        typer.echo(f"  write what stands for {CHANGE_ME} there first")
    for verb, why in (("check", "is it what you mean?"), ("try", "one trial, here"), ("run", "all of it")):
        typer.echo(f"  {command_line(['sweep', verb, str(output)])}  # {why}")
