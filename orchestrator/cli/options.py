"""Arguments and options that several commands have: the same name, meaning and help everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import completion
from orchestrator.session import WAIT_S, ClusterOptions

SpecArgument = Annotated[
    Path,
    typer.Argument(
        metavar="SPEC",
        help="The sweep's YAML file; - is standard input.",
        show_default=False,
        autocompletion=completion.specs,
    ),
]
SweepArgument = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP",
        help="Id, name, directory, how one of these begins, or last.",
        autocompletion=completion.sweeps,
    ),
]
TrialArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TRIAL",
        help="A trial's number; alone it is of the last sweep.",
        show_default=False,
        autocompletion=completion.trials,
    ),
]
RunsDirOption = Annotated[Path | None, typer.Option(help="Where sweeps are kept; SWEEP_RUNS_DIR, else ./sweep-runs.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="FILTER", help="Only those that pass, such as 'lr<0.01 state=finished'; repeatable."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EventsOption = Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="Print the sweep's directory alone, at the end.")]
DetachOption = Annotated[
    bool, typer.Option("-d", "--detach", help="Leave it to itself: `sweep attach` comes back to it.")
]
PlainOption = Annotated[
    bool,
    typer.Option("--plain", help="Show a table above the prompt and lines, not the whole screen of `sweep watch`."),
]
SilentOption = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing; the exit code says it.")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Say more, Ray included.")]
ChangesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Fix a parameter, or change a key of the spec; repeatable."),
]
PriorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--prior", metavar="SOURCE", help="Learn from a sweep, W&B run directories or a CSV file; repeatable."
    ),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Keep a second copy of the sweep there while it runs: s3://BUCKET/PATH, gs://BUCKET/PATH or file:///PATH.",
    ),
]
CountOption = Annotated[int | None, typer.Option(min=1, help="Trials in all (the spec's run_cap).")]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Seed of the search and of every trial.")]
NameOption = Annotated[str | None, typer.Option(help="The sweep's name. Default: the spec's, else the program's.")]
RunsDirThereOption = Annotated[
    str | None, typer.Option(help="Where sweeps are kept there; SWEEP_RUNS_DIR there, else ~/sweep-runs.")
]
ConcurrencyOption = Annotated[int | None, typer.Option(min=1, help="Trials at once. Default: what fits.")]
GpusPerTrialOption = Annotated[float | None, typer.Option(min=0, help="GPUs per trial; shares below 1 are allowed.")]
CpusPerTrialOption = Annotated[float | None, typer.Option(min=0, help="CPUs per trial.")]
PythonOption = Annotated[
    str | None,
    typer.Option(
        "--python", metavar="PATH", help="Trials' Python or its environment's folder. Default: as found; SWEEP_PYTHON."
    ),
]
PinOption = Annotated[
    bool | None,
    typer.Option(
        "--pin/--no-pin",
        help="Run trials from a copy of the project that is kept with the sweep, as on a cluster; --no-pin: from itself.",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str | None, typer.Option(help="Ray cluster, host:port or auto. Default: RAY_ADDRESS, else none.")
]
WaitOption = Annotated[
    str,
    typer.Option(
        "--wait", metavar="TIME", help="How long to wait, on a cluster, for a node that can run a trial: 30s, 10m, 2h."
    ),
]
WAIT = f"{WAIT_S / 60:g}m"
NumCpusOption = Annotated[int | None, typer.Option(min=1, help="CPUs to use on this machine, without a cluster.")]
GpusOption = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Which GPUs of this machine to use (2,3), without a cluster. Default: those that no other program holds.",
    ),
]
NumGpusOption = Annotated[int | None, typer.Option(min=0, help="GPUs to use on this machine, without a cluster.")]


def cluster_options(
    *,
    address: str | None,
    num_cpus: int | None,
    num_gpus: int | None,
    gpus: str | None,
    wait: str,
    pin: bool | None,
    verbose: bool,
) -> ClusterOptions:
    """Return where a sweep runs, as the options of its command say.

    Raises:
        typer.BadParameter: One of them means nothing, or does not go with another.
    """
    return ClusterOptions(
        address=address,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        gpus=_gpus_named(gpus, num_gpus=num_gpus, address=address),
        verbose=verbose,
        pin=pin,
        wait_s=seconds(wait, "--wait"),
    )


def _gpus_named(text: str | None, *, num_gpus: int | None, address: str | None) -> tuple[str, ...] | None:
    """Return the GPUs that ``--gpus`` names; None where it is not given.

    Raises:
        typer.BadParameter: It names none, or stands beside ``--num-gpus`` or a cluster.
    """
    from orchestrator.execution.own_gpus import names_in

    if text is None:
        return None
    if num_gpus is not None:
        raise typer.BadParameter(
            f"{text} says which GPUs to use, --num-gpus {num_gpus} how many: give one of them", param_hint="--gpus"
        )
    if ClusterOptions(address=address).is_cluster:
        where = f"--address {address}" if address else "the variable RAY_ADDRESS"
        raise typer.BadParameter(
            f"{text} is of this machine alone, and {where} names a cluster, which gives out the GPUs that its nodes "
            "were started with: give one of them",
            param_hint="--gpus",
        )
    try:
        return names_in(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--gpus") from None


def seconds(text: str, option: str) -> float:
    """Return the seconds that an option's duration means.

    Raises:
        typer.BadParameter: It is none.
    """
    from orchestrator.spec.durations import parse_duration

    found = parse_duration(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration; write one such as 30s, 10m or 2h", param_hint=option)
    return found
