"""`sweep resume`: go on with a sweep, whatever ended it."""

import difflib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import (
    WAIT,
    AddressOption,
    ChangesOption,
    ConcurrencyOption,
    CpusPerTrialOption,
    DetachOption,
    EventsOption,
    GpusOption,
    GpusPerTrialOption,
    NumCpusOption,
    NumGpusOption,
    PinOption,
    PlainOption,
    PythonOption,
    QuietOption,
    RunsDirOption,
    StorageOption,
    VerboseOption,
    WaitOption,
    cluster_options,
)
from orchestrator.errors import ExitCode, SweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.control.rescoring import Rescored
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.records import SweepRecord
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import SweepSpec

FIXED = ("method", "program", "command")
"""What a sweep cannot change half way: its trials so far would not compare with the ones to come."""


def resume(
    sweep: Annotated[
        str,
        typer.Argument(
            metavar="SWEEP",
            help="Id, name, directory, how one of these begins, or last; or where its copy lies: s3://BUCKET/PATH/NAME-ID.",
            autocompletion=completion.sweeps,
        ),
    ] = "last",
    add: Annotated[int | None, typer.Option(min=1, metavar="N", help="Run N more trials than there are.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed and canceled trials again.")] = False,
    concurrency: ConcurrencyOption = None,
    gpus_per_trial: GpusPerTrialOption = None,
    cpus_per_trial: CpusPerTrialOption = None,
    changes: ChangesOption = None,
    python: PythonOption = None,
    pin: PinOption = None,
    address: AddressOption = None,
    num_cpus: NumCpusOption = None,
    num_gpus: NumGpusOption = None,
    gpus: GpusOption = None,
    wait: WaitOption = WAIT,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code of a sweep that was copied, or that another user made.")
    ] = False,
    detach: DetachOption = False,
    plain: PlainOption = False,
    runs_dir: RunsDirOption = None,
    storage: StorageOption = None,
    _at: AtOption = None,
    quiet: QuietOption = False,
    as_json: EventsOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Go on with a sweep, whatever ended it. Nothing that has finished runs again; an edited spec is taken where it can be."""
    from orchestrator import session
    from orchestrator.cli import foreground, own_view, specs, stores
    from orchestrator.ledger.curves import objectives_of
    from orchestrator.ledger.store import Ledger
    from orchestrator.spec import dump, load_recorded

    cluster = cluster_options(
        address=address, num_cpus=num_cpus, num_gpus=num_gpus, gpus=gpus, wait=wait, pin=pin, verbose=verbose
    )
    sweep_dir, own_storage = _sweep_meant(sweep, runs_dir, quiet=as_json or quiet)
    _settle_trust(sweep_dir, trust=trust)
    departure = own_view.leave(plain=plain, detach=detach, as_json=as_json, quiet=quiet, verbose=verbose)
    as_json = as_json and departure is None
    with Ledger.open(sweep_dir) as ledger:
        _find_project(sweep_dir, ledger)
        record = ledger.sweep.record
        resources = {
            "orchestrator.concurrency": concurrency,
            "orchestrator.resources.gpu": gpus_per_trial,
            "orchestrator.resources.cpu": cpus_per_trial,
            "orchestrator.storage": storage or own_storage,
        }
        spec, source = _edited(record, sweep_dir, specs.overrides(changes or [], resources))
        stores.refuse_elsewhere(sweep_dir, spec.options.storage)
        before = objectives_of(load_recorded(record.spec_text))
        ledger.load(before)
        if add is not None:
            spec = replace(spec, run_cap=len(ledger.trials()) + add)
        is_aimed_anew = objectives_of(spec) != before
        with ledger.transaction("edit"):
            if dump(spec) != record.spec_text or source != record.source_text:
                ledger.sweep.set_spec(dump(spec), source)
            if is_aimed_anew:
                _score_anew(ledger, sweep_dir, spec)
        if retry_failed:
            _retry(ledger)
        if not (as_json or quiet):
            typer.echo(f"sweep {sweep_dir.sweep_id}: {_standing(ledger)}", err=True)
        if session.is_complete(spec, ledger):
            if is_aimed_anew:
                session.settle_anew(sweep_dir, spec, ledger)
            _say_complete(ledger, sweep_dir, spec, as_json=as_json, quiet=quiet, is_news=is_aimed_anew)
            return
        pythons = session.pythons_again(spec, sweep_dir, record.cwd, python)
        session.check_what_runs(spec, sweep_dir, record.cwd, pythons)
        if not (as_json or quiet):
            specs.say_pythons(pythons, record.cwd)
        code = foreground.conduct(
            sweep_dir,
            ledger,
            spec,
            cluster,
            as_json=as_json,
            quiet=quiet,
            pythons=pythons,
            departure=departure,
        )
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


def _sweep_meant(word: str, runs_dir: Path | None, *, quiet: bool) -> "tuple[SweepDir, str | None]":
    """The sweep to go on with, and where its second copy is kept, where that is what named it: then it comes from there."""
    from orchestrator.cli import stores
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.spec.storage_urls import is_storage_url

    if is_storage_url(word):
        return stores.to_resume(word, runs_dir_of(runs_dir), quiet=quiet)
    return sweep_named(word, runs_dir), None


def _settle_trust(sweep_dir: "SweepDir", *, trust: bool) -> None:
    """Ask before code is run that came from elsewhere; what was agreed to once is not asked again.

    Raises:
        SweepError: Nobody is there to ask, or the answer was no.
    """
    from orchestrator.ledger import origin

    doubt = origin.doubt(sweep_dir)
    if doubt is None:
        return
    what = f"{sweep_dir.path}: {doubt}. Resuming it runs the code that it names"
    if not trust and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SweepError(f"{what}.\n  If you trust it, go on with --trust; it is asked once.")
    if not trust and not typer.confirm(f"{clean(what)}. Do you trust it?", err=True):
        raise SweepError("nothing was run")
    origin.record(sweep_dir)


def _find_project(sweep_dir: "SweepDir", ledger: "Ledger") -> None:
    """Take up a sweep whose project was moved or copied with it: from now on it runs where the project lies now.

    Where it lies nowhere, it is put beside the runs directory as trials ran it last.
    """
    from orchestrator.project.kept import place_again, put_back

    record = ledger.sweep.record
    place = place_again(sweep_dir, record.cwd)
    if not Path(place).is_dir():
        place = put_back(sweep_dir) or place
    if place == record.cwd:
        return
    source = record.source_path
    if source is not None and Path(source).is_relative_to(record.cwd):
        moved = Path(place, Path(source).relative_to(record.cwd))
        source = str(moved) if moved.is_file() else source
    ledger.sweep.set_place(place, source)
    typer.echo(f"the project now lies in {clean(place)} (before: {clean(record.cwd)})", err=True)


def _edited(record: "SweepRecord", sweep_dir: "SweepDir", changes: dict[str, str]) -> tuple["SweepSpec", str | None]:
    """The spec to go on with: the recorded one, with what its author changed in the file since, and from the command line."""
    from orchestrator.spec import load_recorded, load_text

    before = load_recorded(record.spec_text)
    source = _source_now(record)
    spec = before
    if source is not None and source != record.source_text:
        _say_what_changed(record, source)
        ours, theirs = record.source_text or "", source
        old = load_text(ours, path="spec as it was", needs_program=False).spec
        new = load_text(theirs, path=str(record.source_path), needs_program=False).require()
        spec = _take_over(before, old, new)
    if changes:
        from orchestrator.spec import dump

        spec = load_text(dump(spec), path="spec", overrides=changes, needs_program=False).require()
    _refuse_incompatible(before, spec, f"`{_anew(record, sweep_dir)}`")
    return spec, source if source is not None else record.source_text


def _take_over(recorded: "SweepSpec", old: "SweepSpec | None", new: "SweepSpec") -> "SweepSpec":
    """The recorded spec with every key that differs between the file as it was and as it is."""
    if old is None:
        return new
    changed = {n: getattr(new, n) for n in new.__slots__ if n != "options" and getattr(new, n) != getattr(old, n)}
    options = {n: v for n in new.options.__slots__ if (v := getattr(new.options, n)) != getattr(old.options, n)}
    return replace(recorded, **changed, options=replace(recorded.options, **options))


def _source_now(record: "SweepRecord") -> str | None:
    if record.source_path is None:
        return None
    try:
        return Path(record.source_path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def _say_what_changed(record: "SweepRecord", source: str) -> None:
    lines = difflib.unified_diff((record.source_text or "").splitlines(), source.splitlines(), lineterm="", n=0)
    typer.echo(f"{record.source_path} was edited since the sweep began; taking over:", err=True)
    for line in list(lines)[2:]:
        if not line.startswith("@@"):
            typer.echo(f"  {clean(line)}", err=True)


def _refuse_incompatible(before: "SweepSpec", after: "SweepSpec", anew: str) -> None:
    from orchestrator.ledger.curves import objectives_of
    from orchestrator.search.strategies import keeps_a_study

    broken = [key for key in FIXED if getattr(before, key) != getattr(after, key)]
    if before.options.seed != after.options.seed:
        broken.append("orchestrator.seed")
    if set(before.parameters) != set(after.parameters):
        broken.append("the names of the parameters")
    if broken:
        raise SweepError(
            f"{', '.join(broken)} cannot change in a sweep that has begun: its trials would not compare.\n"
            f"  Undo the edit, or start a new sweep that learns from the trials of this one: {anew}"
        )
    if keeps_a_study(before) and objectives_of(before) != objectives_of(after):
        raise SweepError(
            "the metric cannot change in a sweep whose search keeps a study of its own: it was told the old values.\n"
            f"  Undo the edit, or start a new sweep: {anew}"
        )


def _anew(record: "SweepRecord", sweep_dir: "SweepDir") -> str:
    """The command that starts a new sweep of the edited spec, with what this one has found."""
    from orchestrator.reporting.wording import command_line
    from orchestrator.watch.ending import is_usual_place

    path = Path(record.source_path) if record.source_path is not None else sweep_dir.spec_path
    spec = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    prior = sweep_dir.sweep_id if is_usual_place(sweep_dir) else str(sweep_dir.path)
    return clean(command_line(["sweep", "run", str(spec), "--prior", prior]))


def _score_anew(ledger: "Ledger", sweep_dir: "SweepDir", spec: "SweepSpec") -> None:
    """Let what trials reported count by the metric as it is now, and say what came of it."""
    from orchestrator.control.rescoring import rescore
    from orchestrator.ledger.curves import objectives_of

    came = rescore(ledger, sweep_dir, objectives_of(spec))
    for line in rescored_lines(came, spec, len(ledger.trials())):
        typer.echo(line, err=True)


def rescored_lines(came: "Rescored", spec: "SweepSpec", n_trials: int) -> list[str]:
    """Return what is said of trials that were scored anew."""
    from orchestrator.reporting.wording import counted, trials_named

    metric = ", ".join(f"{clean(m.name)} ({m.goal}, {spec.options.objective} value)" for m in spec.objectives) or "none"
    lines = [
        f"the metric is now {metric}: {len(came.scored)} of {counted(n_trials, 'trial')} have it, nothing runs again"
    ]
    if came.mended:
        lines.append(f"  {trials_named(came.mended)} had failed without the metric: finished now")
    if came.without:
        lines.append(f"  {trials_named(came.without)} never reported it: failed now")
    if came.thinned:
        lines.append(
            f"  {trials_named(came.thinned)} reported on another machine: scored by the rows that the ledger kept"
        )
    return lines


def _retry(ledger: "Ledger") -> None:
    from orchestrator.ledger.records import TrialState

    with ledger.transaction("retry"):
        for trial in ledger.trials():
            if trial.state in {TrialState.FAILED, TrialState.CANCELED}:
                ledger.retry(trial.number, "asked to try again")


def _say_complete(
    ledger: "Ledger", sweep_dir: "SweepDir", spec: "SweepSpec", *, as_json: bool, quiet: bool, is_news: bool
) -> None:
    """Say that nothing is left to run, before a cluster is started for nothing; and the end anew where it is another."""
    from orchestrator.ledger.records import TrialState
    from orchestrator.reporting.results import Results
    from orchestrator.watch.ending import resume_command, say_end
    from orchestrator.watch.live import make_view
    from orchestrator.watch.progress import SweepEnded, all_done

    end = SweepEnded(exit_code=ExitCode.DONE, reason=all_done(len(ledger.trials())))
    if as_json:
        view = make_view(as_json=True, verbose=False)
        view.event(end)
        view.close()
        return
    if quiet:
        typer.echo(clean(str(sweep_dir.path)))
        return
    if is_news:
        say_end(end, Results.of(sweep_dir, spec, ledger))
        return
    command = resume_command(sweep_dir)
    typer.echo(f"{end.reason}\nmore trials         {command} --add N", err=True)
    if any(trial.state is TrialState.FAILED for trial in ledger.trials()):
        typer.echo(f"failed ones again   {command} --retry-failed", err=True)


def _standing(ledger: "Ledger") -> str:
    from orchestrator.reporting.wording import counted

    trials = ledger.trials()
    counts = {str(state): sum(t.state is state for t in trials) for state in dict.fromkeys(t.state for t in trials)}
    return f"{counted(len(trials), 'trial')} so far" + "".join(f", {n} {state}" for state, n in sorted(counts.items()))
