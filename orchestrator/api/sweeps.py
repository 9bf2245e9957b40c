"""`sweep()` and `agent()`: W&B's two calls, run here."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from orchestrator.errors import ExitCode, SweepError, SweepFailedError
from orchestrator.printable import clean, clean_lines
from orchestrator.trial.contract.nested_sweep import refuse_inside_a_trial

if TYPE_CHECKING:
    from orchestrator.api.watching import Watch
    from orchestrator.control.pythons import Pythons
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import SweepSpec
    from orchestrator.watch.progress import SweepEnded

Config: TypeAlias = "Mapping[str, Any] | Callable[[], Mapping[str, Any]] | str | Path"
"""A spec as a dict, a function that returns one, or the path of a YAML file."""


def sweep(
    sweep: Config,
    entity: str | None = None,
    project: str | None = None,
    prior_runs: Sequence[str] | None = None,
    *,
    name: str | None = None,
    runs_dir: str | os.PathLike[str] | None = None,
) -> str:
    """Create a sweep. Nothing runs yet: `agent` runs it, and so does `sweep resume` in a terminal.

        sweep_id = orchestrator.sweep(
            {
                "method": "random",
                "metric": {"name": "accuracy", "goal": "maximize"},
                "parameters": {"lr": {"min": 0.0001, "max": 0.1}, "batch_size": {"values": [16, 32, 64]}},
            },
            project="digits",
        )

    Args:
        sweep: The spec: a dict with the keys of W&B's sweep configuration, and optionally ``orchestrator``; a function without
            arguments that returns one; or the path of a YAML file.
        entity: Whose W&B runs the trials' are; instead of the spec's.
        project: The W&B project of the trials' runs; instead of the spec's.
        prior_runs: What the search may learn from: earlier sweeps (ids or directories), W&B run directories, CSV files.
        name: What the sweep is called; instead of the spec's.
        runs_dir: Where sweeps are kept; None for ``SWEEP_RUNS_DIR``, else ``./sweep-runs``.

    Returns:
        The sweep's id, 8 characters.

    Raises:
        SpecError: The spec cannot be run; the message shows every problem, its reason and its fix.
        SearchSpaceError: Something in `prior_runs` cannot be found or read.
        SweepError: It was called inside of a trial, which would start sweeps without end.
    """
    from orchestrator import session
    from orchestrator.control import prior_sources as priors
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.spec import load_dict, load_file

    refuse_inside_a_trial("sweep")
    given = sweep() if callable(sweep) else sweep
    if isinstance(given, str | os.PathLike):
        source: Path | None = Path(given)
        reading = load_file(Path(given), needs_program=False)
    elif isinstance(given, Mapping):
        source = None
        reading = load_dict(given, path="sweep config", needs_program=False)
    else:
        raise SweepError(
            f"a sweep is a dict, a function that returns one, or the path of a YAML file, not {given!r:.80}"
        )
    spec = reading.require()
    spec = replace(spec, entity=entity or spec.entity, project=project or spec.project, name=name or spec.name)
    runs = runs_dir_of(None if runs_dir is None else Path(runs_dir))
    prior, account = priors.gather(list(prior_runs or ()), spec, runs)
    for line in [*([reading.text()] if reading.warnings else []), *account]:
        print(clean_lines(line))  # noqa: T201 - as W&B says it: to who reads the script's output
    session.check_search(spec, str(Path.cwd()))
    sweep_dir = session.create(
        spec,
        name=spec.name or spec.project or "sweep",
        runs=runs,
        source_path=source,
        source_text=None if source is None else source.read_text(encoding="utf-8-sig"),
        prior=prior,
    )
    print(f"Create sweep with ID: {sweep_dir.sweep_id}\nSweep directory: {clean(str(sweep_dir.path))}")  # noqa: T201 - as W&B does
    return sweep_dir.sweep_id


def agent(  # noqa: PLR0917 - W&B's signature
    sweep_id: str,
    function: Callable[..., Any] | None = None,
    entity: str | None = None,
    project: str | None = None,
    count: int | None = None,
    forward_signals: bool = False,  # noqa: ARG001, FBT001, FBT002 - as above
    term_timeout: float | None = None,
    max_consecutive_failed_runs: int | None = None,
    *,
    runs_dir: str | os.PathLike[str] | None = None,
    address: str | None = None,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
) -> None:
    """Run trials of a sweep, as many at once as there is room for, and return when they are done.

    Each trial is a process of its own, with a GPU of its own where there are GPUs. The function may be defined in the script
    or notebook that calls this: it, and what it needs of that script, is sent to the trials; the script is not run again. A
    function without arguments finds its hyperparameters in `wandb.config` after `wandb.init()`; one with an argument is given
    the config as a dict; a `ray.tune.Trainable` class works too.

    Calling it again goes on with the sweep: it knows what it has tried. Ctrl-C (in a notebook: interrupt) stops it with
    everything kept; a second one does not wait for the trials. The function is kept with the sweep, so `sweep resume` works as
    well.

        orchestrator.agent(sweep_id, function=train, count=10)

    Args:
        sweep_id: What `sweep` returned; ``entity/project/id`` is understood too, and so is ``last``.
        function: What a trial runs. None for the function of an earlier call, else the spec's ``program``.
        entity: Whose W&B runs the trials' are; instead of the sweep's.
        project: The W&B project of the trials' runs; instead of the sweep's.
        count: How many trials to run now; None to go on until the spec's ``run_cap`` or the end of a grid.
        forward_signals: Taken for W&B's sake, without effect: a trial always gets the signals it should get.
        term_timeout: Seconds a trial has to end when it is asked to, before it is killed; None for the spec's ``grace``.
        max_consecutive_failed_runs: Stop when so many trials in a row have failed; None for no such limit. A sweep whose first
            trials all fail with one error stops in any case.
        runs_dir: Where sweeps are kept; None for ``SWEEP_RUNS_DIR``, else ``./sweep-runs``.
        address: A Ray cluster, ``host:port`` or ``auto``; None for ``RAY_ADDRESS``, else this machine.
        num_cpus: CPUs to use on this machine; None for all.
        num_gpus: GPUs to use on this machine; None for all.

    Raises:
        UnknownSweepError: There is no such sweep.
        ProgramError: There is nothing to run, or the function cannot be sent to the trials.
        SweepFailedError: No trial succeeded, or too many failed in a row; the message has the error and the path of a log.
        SweepLockedError: Another process runs this sweep now.
        ClusterError: Ray cannot be reached, or a trial fits no node.
        KeyboardInterrupt: The user stopped it. Everything is kept.
    """
    from orchestrator.api.watching import watching

    run_agent(
        sweep_id,
        made=None if function is None else MadeHere(function=function),
        watch=watching,
        entity=entity,
        project=project,
        count=count,
        term_timeout=term_timeout,
        max_consecutive_failed_runs=max_consecutive_failed_runs,
        runs_dir=runs_dir,
        address=address,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeHere:
    """A function of this process; trials run it in this Python."""

    function: Callable[..., Any]
    python: str = sys.executable

    def write(self, path: Path) -> None:
        """Write it as a file.

        Raises:
            ProgramError: It cannot leave this process.
        """
        from orchestrator.trial.contract import function_file
        from orchestrator.trial.program.tune_resources import known_resources_of

        function_file.write(path, self.function, known_resources_of(self.function))


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeElsewhere:
    """A function of another Python.

    Attributes:
        content: What its file holds.
        python: The interpreter that it runs in.
    """

    content: bytes
    python: str

    def write(self, path: Path) -> None:
        """Write it as a file."""
        from orchestrator import confined

        confined.replace(path, self.content)


def run_agent(
    sweep_id: str,
    *,
    made: MadeHere | MadeElsewhere | None,
    watch: "Callable[[SweepDir], Watch]",
    python: str | None = None,
    entity: str | None,
    project: str | None,
    count: int | None,
    term_timeout: float | None,
    max_consecutive_failed_runs: int | None,
    runs_dir: str | os.PathLike[str] | None,
    address: str | None,
    num_cpus: int | None,
    num_gpus: int | None,
) -> None:
    """Do what `agent` says, for whom it may concern.

    A trial runs what was `made`; where that is None, what an earlier call made, else the spec's ``program``. `watch` makes what
    watches a sweep. `python` is the Python that asks, where it is another than this one: a ``program`` runs in it, unless
    another is named. The rest is as there.
    """
    from orchestrator import session
    from orchestrator.ledger import origin
    from orchestrator.ledger.curves import objectives_of
    from orchestrator.ledger.paths import find_sweep, is_sweep
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import load_recorded
    from orchestrator.watch.progress import all_done

    refuse_inside_a_trial("agent")
    _check_counts(count, max_consecutive_failed_runs)
    name = sweep_id if is_sweep(Path(sweep_id)) else sweep_id.rpartition("/")[2]
    sweep_dir = find_sweep(runs_dir_of(None if runs_dir is None else Path(runs_dir)), name)
    doubt = origin.doubt(sweep_dir)
    if doubt is not None:
        raise SweepError(
            f"{sweep_dir.path}: {doubt}. Running it runs the code that it names.\n"
            f"  If you trust it, say so once: sweep resume {sweep_dir.sweep_id} --trust"
        )
    cluster = session.ClusterOptions(address=address, num_cpus=num_cpus, num_gpus=num_gpus)
    with Ledger.open(sweep_dir) as ledger:
        spec = load_recorded(ledger.sweep.record.spec_text)
        spec = replace(spec, entity=entity or spec.entity, project=project or spec.project)
        if term_timeout is not None:
            spec = replace(spec, options=replace(spec.options, grace_s=term_timeout))
        spec = _settle_program(sweep_dir, spec, made, ledger)
        cwd = ledger.sweep.record.cwd
        pythons = session.pythons_here(spec, sweep_dir, cwd, asking=python, maker=made.python if made else None)
        if made is None:
            session.check_what_runs(spec, sweep_dir, cwd, pythons)
        ledger.load(objectives_of(spec))
        if session.is_complete(spec, ledger):
            print(f"sweep {sweep_dir.sweep_id} is complete: {all_done(len(ledger.trials()))}")  # noqa: T201
            return
        spec = _capped(spec, ledger, count)
        watched, most = watch(sweep_dir), max_consecutive_failed_runs
        _conduct(sweep_dir, ledger, spec, cluster=cluster, most_failures=most, watch=watched, pythons=pythons)


def _check_counts(count: int | None, most_failures: int | None) -> None:
    for name, value in (("count", count), ("max_consecutive_failed_runs", most_failures)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise SweepError(f"{name} is a whole number of trials from 1 on, not {value!r}")


def _settle_program(
    sweep_dir: "SweepDir", spec: "SweepSpec", made: MadeHere | MadeElsewhere | None, ledger: "Ledger"
) -> "SweepSpec":
    """Make sure there is something to run: the function of this call, that of an earlier one, or the spec's program.

    Returns:
        The spec; without a program if a function takes its place, which the ledger records.
    """
    from orchestrator.errors import ProgramError
    from orchestrator.spec import dump, load_recorded

    if made is None:
        if not os.path.lexists(sweep_dir.function_path) and spec.program is None and spec.command is None:
            raise ProgramError(
                f"sweep {sweep_dir.sweep_id} has nothing to run: its spec names no program.\n"
                "  Call agent(sweep_id, function=train), or give the spec a `program`."
            )
        return spec
    made.write(sweep_dir.function_path)
    if spec.program is not None or spec.command is not None:
        recorded = load_recorded(ledger.sweep.record.spec_text)
        ledger.sweep.set_spec(dump(replace(recorded, program=None, command=None)), ledger.sweep.record.source_text)
    return replace(spec, program=None, command=None)


def _capped(spec: "SweepSpec", ledger: "Ledger", count: int | None) -> "SweepSpec":
    """The spec with a cap that lets `count` more trials run, those that wait to run again among them."""
    from orchestrator.ledger.records import TrialState

    if count is None:
        return spec
    open_states = {TrialState.PENDING, TrialState.RUNNING}
    n_over = sum(trial.state not in open_states for trial in ledger.trials())
    return replace(spec, run_cap=n_over + count if spec.run_cap is None else min(spec.run_cap, n_over + count))


def _conduct(
    sweep_dir: "SweepDir",
    ledger: "Ledger",
    spec: "SweepSpec",
    *,
    cluster: Any,
    most_failures: int | None,
    watch: "Watch",
    pythons: "Pythons",
) -> None:
    from orchestrator import session
    from orchestrator.api.watching import Failures

    failures = Failures(watch.view, most_failures)
    interrupts = failures.or_after(watch.interrupts)
    with watch.quiet, closing(failures):
        end = session.conduct(sweep_dir, ledger, spec, cluster, view=failures, interrupts=interrupts, pythons=pythons)
    watch.say_end(end, spec, ledger)
    _raise_for(end, sweep_dir, ledger, failures)


def _raise_for(end: "SweepEnded", sweep_dir: "SweepDir", ledger: "Ledger", failures: Any) -> None:
    from orchestrator.watch.ending import failures as lines_of

    shown = "\n".join(lines_of(ledger.trials(), sweep_dir))
    if failures.too_many:
        raise SweepFailedError(
            f"sweep {sweep_dir.sweep_id} stopped: {failures.in_a_row} trials in a row failed\n{shown}"
        )
    if end.exit_code is ExitCode.NO_TRIAL_SUCCEEDED:
        raise SweepFailedError(f"sweep {sweep_dir.sweep_id}: {end.reason}\n{shown}")
    if end.exit_code is ExitCode.INTERRUPTED and end.reason == "interrupted":
        raise KeyboardInterrupt(
            f"sweep {sweep_dir.sweep_id} was stopped; everything is kept, and agent() goes on with it"
        )
