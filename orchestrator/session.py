"""From a spec to a sweep's directory, and from there to its end: what the command line and the Python API share."""

import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import layout
from orchestrator.errors import ClusterError, ProgramError, SweepError

if TYPE_CHECKING:
    from orchestrator.control.controller import Strategy
    from orchestrator.control.pythons import Pythons
    from orchestrator.execution.ray.pool import RayPool
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.store import Ledger
    from orchestrator.search.prior import PriorTrial
    from orchestrator.search.protocol import Sweep
    from orchestrator.spec import SweepSpec
    from orchestrator.spec.model import Resources
    from orchestrator.storage.beside import StorageBeside
    from orchestrator.watch.notifier import Notifier
    from orchestrator.watch.progress import SweepEnded, View

WAIT_S = 600.0
"""How long a sweep waits by default for a node that could run its trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """The Ray cluster that a sweep runs on.

    Attributes:
        address: Of a Ray cluster; None for RAY_ADDRESS, else a Ray of the sweep's own.
        num_cpus: CPUs of a Ray of the sweep's own; None for all.
        num_gpus: Its GPUs; None for those there are.
        gpus: Which of them, in place of `num_gpus` and without a cluster; None for those that no other program holds.
        verbose: Whether Ray may say what it says.
        pin: Whether trials run from a copy of the project; None to go on as before, and on a cluster from a copy.
        wait_s: How long to wait for a node that can ever run a trial, in seconds.
    """

    address: str | None = None
    num_cpus: int | None = None
    num_gpus: int | None = None
    gpus: tuple[str, ...] | None = None
    verbose: bool = False
    pin: bool | None = None
    wait_s: float = WAIT_S

    @property
    def is_cluster(self) -> bool:
        """Whether it is another than a Ray of the sweep's own."""
        return (self.address or os.environ.get("RAY_ADDRESS") or "local") != "local"


def create(
    spec: "SweepSpec",
    *,
    name: str,
    runs: Path,
    source_path: Path | None = None,
    source_text: str | None = None,
    prior: "Sequence[PriorTrial]" = (),
    sweep_id: str | None = None,
    seed: int | None = None,
) -> "SweepDir":
    """Make a sweep: its directory, the spec in it, and a ledger without trials.

    Args:
        spec: What it will run.
        name: What it is called.
        runs: The runs directory; made when it does not exist.
        source_path: The file that the spec was read from, if any.
        source_text: What that file said.
        prior: Trials of earlier sweeps, kept in the directory for the search to learn from.
        sweep_id: Its id; None for a new one.
        seed: Its seed; None for the spec's, or one that is drawn.

    Raises:
        MissingExtraError: The spec wants a second copy, and what speaks to stores is not installed.
    """
    from orchestrator import confined
    from orchestrator.control import prior_sources as priors
    from orchestrator.ledger import folders, origin
    from orchestrator.ledger.paths import create_sweep_dir, new_sweep_id
    from orchestrator.ledger.records import SweepRecord, SweepState
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import dump
    from orchestrator.storage.store import check_extra

    if spec.options.storage is not None:
        check_extra(spec.options.storage)
    sweep_dir = create_sweep_dir(runs, name, sweep_id or new_sweep_id())
    confined.replace(sweep_dir.spec_path, source_text or dump(spec))
    if prior:
        priors.keep(prior, sweep_dir.prior_path)
    with closing(Ledger(sweep_dir.ledger_path)) as ledger:
        ledger.sweep.create(
            SweepRecord(
                sweep_id=sweep_dir.sweep_id,
                name=name,
                spec_text=dump(spec),
                seed=seed_of(spec) if seed is None else seed,
                state=SweepState.RUNNING,
                created=time.time(),
                cwd=str(Path.cwd()),
                source_path=None if source_path is None else str(source_path.resolve()),
                source_text=source_text,
            )
        )
    origin.record(sweep_dir)
    folders.remember(runs)
    return sweep_dir


def seed_of(spec: "SweepSpec") -> int:
    """Return the seed that a new sweep of a spec has: the spec's own, else a number that is drawn."""
    import secrets

    return spec.options.seed if spec.options.seed is not None else secrets.randbits(31)


def conduct(
    sweep_dir: "SweepDir",
    ledger: "Ledger",
    spec: "SweepSpec",
    options: ClusterOptions,
    *,
    view: "View",
    interrupts: AbstractContextManager[Callable[[], int]],
    pythons: "Pythons",
    strategy: "Strategy | None" = None,
    terminal: str | None = None,
) -> "SweepEnded":
    """Run a sweep from what its ledger holds to its end; the caller holds the lock and closes the ledger.

    Args:
        sweep_dir: Where it lies.
        ledger: Opened and loaded.
        spec: What it runs from now on.
        options: The cluster it runs on.
        view: Who watches; closed by the caller.
        interrupts: While entered, counts how often the user asked to stop.
        pythons: What its trials run in.
        strategy: What decides, where that has been made; None to make it.
        terminal: Where a bell rings; None for the terminal of this process.

    Raises:
        SweepError: It cannot go on. Nothing is lost: `sweep resume` continues.
    """
    from orchestrator.control import prior_sources as priors
    from orchestrator.control.code import baggage_of, settle_code
    from orchestrator.control.controller import Controller
    from orchestrator.control.launching import Launcher
    from orchestrator.execution.ray.cluster import connect
    from orchestrator.execution.ray.pool import RayPool, forget_dead_pools
    from orchestrator.ledger.paths import leave_way_in
    from orchestrator.project.kept import KeptCode
    from orchestrator.project.watching import CodeWatch
    from orchestrator.reporting import environment
    from orchestrator.reporting.experiment import Experiment
    from orchestrator.reporting.page.render import write_report
    from orchestrator.search.factory import warm_up
    from orchestrator.upload.beside import UploadsBeside
    from orchestrator.watch.collation import Collation
    from orchestrator.watch.notifier import Notifier
    from orchestrator.watch.progress import CompositeView, Note
    from orchestrator.watch.recorder import Recorder

    recorder = Recorder(ledger.bulletin)
    view = CompositeView(view, recorder)

    def say(text: str) -> None:
        view.event(Note(text=text))

    record = ledger.sweep.record
    threading.Thread(target=warm_up, args=(spec,), name="search-imports").start()
    if strategy is None:
        strategy = make_strategy(spec, record.seed, priors.kept(sweep_dir.prior_path), _known(ledger, spec))
    code = KeptCode(sweep_dir, record.cwd)
    pinned = settle_code(code, sweep_dir, pin=options.pin, say=say, on_cluster=options.is_cluster)
    experiment = Experiment(sweep_dir, spec)
    experiment.keep_current(ledger.trials())
    environment.record(sweep_dir, record.cwd, pythons.data())
    resources = _resources(spec, sweep_dir, record.cwd, pythons)
    collation = Collation(sweep_dir, spec, experiment=experiment, say=say, finish=write_report)
    notifier = Notifier(
        spec.options.notify,
        name=f"{record.name} ({record.sweep_id})",
        say=say,
        environ=dict(os.environ),
        terminal=terminal,
    )
    with (
        _taken_up(ledger) as begins,
        interrupts as count,
        closing(recorder),
        _told_of_failure(notifier),
        _copied(sweep_dir, spec.options.storage, say, count) as storage,
        closing(UploadsBeside(sweep_dir, spec, ledger, say=say)) as uploads,
        closing(CodeWatch(code, is_live=pinned is None, say=say)) as watch,
        connect(
            options.address,
            num_cpus=options.num_cpus,
            num_gpus=options.num_gpus,
            gpus=_gpus_here(resources, options, say),
            verbose=options.verbose,
        ) as cluster,
    ):
        record = uploads.begin()
        forget_dead_pools(sweep_dir.path)
        pool = RayPool(
            cluster,
            resources=resources,
            runs_dir=sweep_dir.path,
            limit=spec.options.concurrency,
            cwd=record.cwd if pinned is None else pinned.cwd,
            pythons=[found.python for found in pythons.found.values()],
            baggage=baggage_of(sweep_dir, code, pinned) if options.is_cluster else None,
            code=(lambda: watch.expected) if options.is_cluster else None,
        )
        begins()
        try:
            with _other_nodes(pool, spec, pythons, record.cwd, options, is_pinned=pinned is not None):
                end = Controller(
                    spec=spec,
                    launcher=Launcher(
                        spec=spec, sweep=record, sweep_dir=sweep_dir, environ=os.environ, pythons=pythons, pinned=pinned
                    ),
                    ledger=ledger,
                    pool=pool,
                    strategy=strategy,
                    view=CompositeView(view, collation, notifier, uploads, storage, watch),
                    interrupts=count,
                    wait_s=options.wait_s,
                ).run()
            pool.close()
            uploads.settle(end, interrupts=count)
            leave_way_in(sweep_dir)
            return end
        finally:
            pool.close()
            collation.close()


GPUS_S = 5.0
"""How long the driver may take to say who holds this machine's GPUs; without its word they count as free."""


def _gpus_here(resources: "Resources", options: ClusterOptions, say: Callable[[str], None]) -> "Sequence[str] | None":
    """Return the GPUs that a Ray of the sweep's own has, and say which it has not; None for those that Ray finds.

    Raises:
        ClusterError: Some are named and are not there, or all are held by other programs.
    """
    from orchestrator.execution.gpu_turns import holders, lock_dir
    from orchestrator.execution.node_report import gpus_within
    from orchestrator.execution.own_gpus import choose

    if options.is_cluster or options.num_gpus == 0 or (options.gpus is None and resources.gpu == 0):
        return None
    directory = lock_dir()
    gpus, said = choose(
        gpus_within(GPUS_S),
        named=options.gpus,
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
        taken=[] if directory is None else [gpu for gpu, _, _ in holders(directory)],
        most=options.num_gpus,
    )
    for line in said:
        say(line)
    return gpus


def _other_nodes(
    pool: "RayPool", spec: "SweepSpec", pythons: "Pythons", cwd: str, options: ClusterOptions, *, is_pinned: bool
) -> AbstractContextManager[object]:
    """Look at a cluster's other nodes while entered, and give those no trials where all would fail."""
    from orchestrator.control.needs import of_spec
    from orchestrator.execution.ray.preflight import Preflight

    if not options.is_cluster:
        return nullcontext()
    wanted = partial(of_spec, spec, pythons, cwd=cwd, environ=os.environ, pinned=is_pinned)
    return Preflight(wanted, os.environ, pool.leave_out)


def _resources(spec: "SweepSpec", sweep_dir: "SweepDir", cwd: str, pythons: "Pythons") -> "Resources":
    """What a trial takes: as the spec says; where it says nothing, as a Ray Tune program says itself."""
    from orchestrator.control.launching import function_of
    from orchestrator.spec.model import Resources
    from orchestrator.trial.program.tune_resources import asked_for, function_asks_for

    if spec.options.resources != Resources():
        return spec.options.resources
    function = function_of(spec, sweep_dir)
    python = next(iter(pythons.found.values())).python.path
    asked = asked_for(spec.program, cwd, python) if function is None else function_asks_for(function, cwd)
    if not asked:
        return spec.options.resources
    custom = {name: amount for name, amount in asked.items() if name not in {"CPU", "GPU", "memory"} and amount}
    memory = int(asked.get("memory", 0)) or None
    return Resources(cpu=asked.get("CPU", 0.0), gpu=asked.get("GPU", 0.0), memory_bytes=memory, custom=custom)


@contextmanager
def _taken_up(ledger: "Ledger") -> Iterator[Callable[[], object]]:
    """Let the ledger say that the sweep runs, though a cluster may be long in coming; and what it said before if none comes.

    A cluster that goes away later is why the sweep ended.

    Yields:
        What to call when the controller takes over.
    """
    from orchestrator.ledger.records import SweepState

    before = ledger.sweep.record
    ledger.sweep.set_state(SweepState.RUNNING)
    with ExitStack() as unless_begun:
        unless_begun.callback(ledger.sweep.set_state, before.state, before.reason, exit_code=before.exit_code)
        try:
            yield unless_begun.pop_all
        except ClusterError as error:
            ledger.sweep.set_state(SweepState.INTERRUPTED, str(error), exit_code=error.exit_code)
            raise


@contextmanager
def _copied(
    sweep_dir: "SweepDir", url: str | None, say: Callable[[str], None], interrupts: Callable[[], int]
) -> Iterator["StorageBeside"]:
    """Let a sweep have its second copy; at the end, wait until that is complete or nothing arrives there. Ctrl-C ends that."""
    from orchestrator.storage.beside import StorageBeside
    from orchestrator.storage.store import check_extra
    from orchestrator.watch.ending import on_sweep

    if url is not None:
        check_extra(url)
    storage = StorageBeside(sweep_dir, url, say=say, later=f"{on_sweep('sync', sweep_dir)} --storage")
    with closing(storage):
        try:
            yield storage
        finally:
            before = interrupts()
            storage.settle(lambda: interrupts() > before)


@contextmanager
def _told_of_failure(notifier: "Notifier") -> Iterator[None]:
    """Tell people of an error that ends the sweep, and close the notifier at the end in any case."""
    try:
        yield
    except SweepError as error:
        notifier.failed(error)
        raise
    finally:
        notifier.close()


def is_complete(spec: "SweepSpec", ledger: "Ledger") -> bool:
    """Return whether a sweep has nothing left to run, so that no cluster need be started to find that out."""
    from orchestrator.ledger.ranking import ENDED

    trials = ledger.trials()
    return spec.run_cap is not None and len(trials) >= spec.run_cap and all(trial.state in ENDED for trial in trials)


def settle_anew(sweep_dir: "SweepDir", spec: "SweepSpec", ledger: "Ledger") -> None:
    """Let the ledger, and what the user takes home, say that a complete sweep is over, whose trials were scored anew."""
    from orchestrator.ledger.records import SweepState
    from orchestrator.reporting.experiment import Experiment
    from orchestrator.reporting.files import write_files
    from orchestrator.reporting.page.render import write_report
    from orchestrator.reporting.results import Results
    from orchestrator.watch.progress import all_done

    trials = tuple(ledger.trials())
    ledger.sweep.set_state(SweepState.FINISHED, all_done(len(trials)))
    write_files(Results.of(sweep_dir, spec, ledger))
    Experiment(sweep_dir, spec).keep_current(trials)
    write_report(sweep_dir)


def check_what_runs(spec: "SweepSpec", sweep_dir: "SweepDir", cwd: str, pythons: "Pythons") -> None:
    """Find out before anything starts what a recorded sweep's trials run, and whether it is there.

    Args:
        spec: What it runs from now on.
        sweep_dir: Where it lies.
        cwd: The directory that trials will run in.
        pythons: What they run in.

    Raises:
        ProgramError: Nothing is there, or two things that contradict each other.
    """
    from orchestrator.control.launching import function_of

    if function_of(spec, sweep_dir) is not None:
        _check_pickled(sweep_dir, pythons)
        return
    if os.path.lexists(sweep_dir.function_path):
        named = f"program: {spec.program}" if spec.program is not None else "a command of its own"
        problem = named if spec.program is not None or spec.command is not None else "no program"
        raise ProgramError(
            f"{sweep_dir.function_path} lies in the sweep, whose spec has {problem}: which of them is it?\n"
            "  Remove the file to run what the spec names, or run a function with agent(sweep_id, function=...)."
        )
    check_program(spec, cwd, pythons)


MAKER = "it made the function"
"""Why a function's trials run in a Python."""


def _check_pickled(sweep_dir: "SweepDir", pythons: "Pythons") -> None:
    """A function is kept as bytecode, which only the Python that made it understands, up to its second number."""
    from orchestrator.reporting import environment

    recorded = environment.recorded(sweep_dir)
    made = str(environment.python_of(recorded, {}).get("version", recorded.get("python", "")))
    here = pythons.of({}).python
    if made and made.split(".")[:2] != here.version_text.split(".")[:2]:
        raise ProgramError(
            f"{sweep_dir.function_path} was made by Python {made} ({environment.interpreter_of(recorded, {})}), "
            f"{here.path} is {here.version_text}.\n"
            "  Go on where that Python is, or call agent(sweep_id, function=...) again from here."
        )


def check_program(spec: "SweepSpec", cwd: str, pythons: "Pythons", source_path: Path | None = None) -> None:
    """Find out before anything starts whether the program is there.

    Args:
        spec: The spec that names it.
        cwd: The directory that trials will run in.
        pythons: What they run in.
        source_path: The spec's file, if it has one: people expect a program beside it.

    Raises:
        ProgramError: It is not, and the message says what was looked for; or it starts a sweep itself.
    """
    from orchestrator.arguments.command import expand, program_of
    from orchestrator.arguments.starting_call import starting_call_of
    from orchestrator.trial.contract.launch import ProgramKind
    from orchestrator.trial.contract.nested_sweep import how_to

    argv = expand(spec.command, program=spec.program, config={}, env=os.environ, json_file=layout.CONFIG_JSON)
    try:
        program = program_of(argv, program=spec.program, cwd=cwd, found=next(iter(pythons.found.values())))
    except ProgramError as error:
        raise ProgramError(f"{error}{_found_beside(source_path, spec.program, cwd)}") from error
    found = starting_call_of(Path(cwd, program.target)) if program.kind is ProgramKind.SCRIPT else None
    if found is not None:
        call, line = found
        raise ProgramError(
            f"{program.target}, line {line}: {how_to(call, program.target).replace('was called', 'would be called', 1)}"
        )


def _found_beside(source_path: Path | None, program: str | None, cwd: str) -> str:
    """What to do when the program lies beside its spec, not where the sweep is run; empty when it does not."""
    from orchestrator import confined

    if source_path is None or program is None or not confined.is_file(source_path.parent / program):
        return ""
    path = os.path.relpath(source_path.parent / program, cwd)
    where = shlex.quote(str(source_path.parent))
    return (
        f"; it is beside the spec (W&B, too, looks where a sweep is run): `cd {where}` first, or write program: {path}"
    )


def pythons_again(spec: "SweepSpec", sweep_dir: "SweepDir", cwd: str, option: str | None) -> "Pythons":
    """Return what the trials of a sweep that goes on run in: what they ran in so far, where nothing else is named.

    Args:
        spec: What it runs from now on.
        sweep_dir: Where it lies.
        cwd: Where trials run.
        option: What ``--python`` names.

    Raises:
        ProgramError: It cannot be used.
    """
    from orchestrator.control.launching import function_of
    from orchestrator.control.pythons import one_python, pythons_of

    before = _python_so_far(sweep_dir)
    if function_of(spec, sweep_dir) is None:
        return pythons_of(spec, cwd=cwd, environ=os.environ, option=option, before=before)
    if option is not None:
        raise ProgramError(f"--python {option}: this sweep runs a function, in the Python that made it")
    return one_python(before, MAKER, cwd=cwd, environ=os.environ)


def pythons_here(
    spec: "SweepSpec", sweep_dir: "SweepDir", cwd: str, *, asking: str | None = None, maker: str | None = None
) -> "Pythons":
    """Return what trials run in that are started from Python: that one, unless the spec or SWEEP_PYTHON names another.

    Args:
        spec: What it runs.
        sweep_dir: Where it lies.
        cwd: Where trials run.
        asking: The Python that started them, where it is not this one.
        maker: The Python that their function was just made by; None for the recorded one.

    Raises:
        ProgramError: That cannot be used.
    """
    from orchestrator.control.launching import function_of
    from orchestrator.control.pythons import named_pythons, one_python

    if function_of(spec, sweep_dir) is not None:
        return one_python(maker or _python_so_far(sweep_dir), MAKER, cwd=cwd, environ=os.environ)
    default = one_python(asking, "the one that started this", cwd=cwd, environ=os.environ)
    return named_pythons(spec, cwd=cwd, environ=os.environ, default=default)


def _python_so_far(sweep_dir: "SweepDir") -> str | None:
    """The interpreter that a sweep's trials ran in so far; None for several, and for a `sweep` command's that is gone."""
    from orchestrator.reporting import environment

    recorded = environment.recorded(sweep_dir)
    is_by_parameter = "pythons" in recorded and not environment.python_of(recorded, {})
    path = None if is_by_parameter else environment.interpreter_of(recorded, {})
    is_gone = path is not None and path == recorded.get("interpreter") and not os.access(path, os.X_OK)
    return None if is_gone else path


def check_search(spec: "SweepSpec", cwd: str) -> None:
    """Find out before anything starts whether the spec's search can be made; nothing stays of it.

    Raises:
        SearchSpaceError: It cannot; the message says why and how to mend it.
    """
    from orchestrator.search import strategies

    if strategies.is_known_to_work(spec):
        strategies.check(spec)
        return
    from orchestrator.search import factory

    factory.check_search(spec, searched(spec, sweep_id="check", name=spec.name or "", cwd=cwd))


def searched(spec: "SweepSpec", *, sweep_id: str, name: str, cwd: str, memory: str | None = None) -> "Sweep":
    """Return what a search may know of its sweep."""
    from orchestrator.search.protocol import Sweep

    return Sweep(
        id=sweep_id,
        name=name,
        entity=spec.wandb_entity(os.environ) or "",
        project=spec.wandb_project(os.environ),
        cwd=cwd,
        memory=memory,
    )


def _known(ledger: "Ledger", spec: "SweepSpec") -> "Sweep":
    record = ledger.sweep.record
    return searched(spec, sweep_id=record.sweep_id, name=record.name, cwd=record.cwd, memory=ledger.memory.of_search())


def early_strategy(spec: "SweepSpec", seed: int, prior: "Sequence[PriorTrial]", sweep: "Sweep") -> "Strategy | None":
    """Return what decides in a new sweep, made before there is one; None where making it takes long and cannot fail.

    Raises:
        SearchSpaceError: It cannot be made.
    """
    from orchestrator.search import strategies

    if strategies.is_known_to_work(spec):
        strategies.check(spec)
        return None
    return make_strategy(spec, seed, prior, sweep)


def make_strategy(spec: "SweepSpec", seed: int, prior: "Sequence[PriorTrial]", sweep: "Sweep") -> "Strategy":
    """Return what decides in a sweep.

    Raises:
        SearchSpaceError: The search cannot be made.
    """
    from orchestrator.control.controller import Strategy
    from orchestrator.search.factory import make_search
    from orchestrator.search.prior import as_observations
    from orchestrator.search.protocol import Keeper
    from orchestrator.search.strategies import is_adaptive
    from orchestrator.space import SearchSpace
    from orchestrator.spec.model import Method
    from orchestrator.stopping.factory import make_rule

    space = SearchSpace.of(spec.parameters)
    size = space.cardinality
    if spec.method is Method.GRID:
        from orchestrator.space import Grid

        size = Grid.of(space).size
    if spec.options.allow_repeats and spec.method is not Method.GRID:
        size = None
    search = make_search(spec, space, seed, sweep)
    if isinstance(search, Keeper):
        size = None  # the study may repeat a config, and may know others than the spec's parameters make
    return Strategy(
        search=search,
        adaptive=is_adaptive(spec),
        rule=make_rule(spec),
        prior=as_observations(prior, spec),
        size=size,
    )
