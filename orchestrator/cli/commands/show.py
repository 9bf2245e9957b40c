"""`sweep show`: how a sweep went, what it is worth and what to do next; or everything about one of its trials."""

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.commands.best import recipe_lines
from orchestrator.cli.damage import say_damage
from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.facts_data import sweep_data, trial_data
from orchestrator.cli.naming import no_trial, trial_named
from orchestrator.cli.options import JsonOption, RunsDirOption, SweepArgument, TrialArgument, WhereOption
from orchestrator.cli.terminal import fitted
from orchestrator.errors import SweepError
from orchestrator.printable import clean
from orchestrator.reporting.wording import duration, number
from orchestrator.watch.text import brief, briefs, cut, folded, row_of, sparkline, sparklines, table, terminal_width

if TYPE_CHECKING:
    from orchestrator.diagnosis.model import Flag
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.ledger.records import TrialRecord
    from orchestrator.reporting.advice import Advice
    from orchestrator.reporting.facts import Facts
    from orchestrator.reporting.importance import Importance
    from orchestrator.reporting.results import Results
    from orchestrator.reporting.usage import Usage

N_TRIALS = 10
"""Trials that are listed unless all are asked for."""

N_FAILURES = 5
TRIAL_HEADER = ("  trial", "state", "value", "row", "config · why it ended")
WIDE_HEADER = ("time", "curve")

WIDE = 80
"""Columns of a terminal that has room for `WIDE_HEADER`, too."""

NARROWEST = 24
"""Columns that a config and a reason have, however narrow the terminal is."""

JOINT = " · "

BAR = 20
"""Characters of a bar that stands for everything."""


def show(
    sweep: SweepArgument = "last",
    trial: TrialArgument = None,
    all_trials: Annotated[bool, typer.Option("--all", help="List every trial, not only the best.")] = False,
    where: WhereOption = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="Say what matters for this one of several objectives.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print the directory alone; with --where of each trial.")
    ] = False,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a sweep: what won, how sure that is, what it cost and what to do next. Or one of its trials.

    With --where it lists the trials that pass.
    """
    from orchestrator.reporting.facts import read_facts

    sweep_dir, number_ = trial_named(sweep, trial, runs_dir)
    if number_ is not None and where:
        raise SweepError(f"--where chooses among trials, and trial {number_} is one already. Leave either out.")
    facts = read_facts(sweep_dir)
    say_damage(facts.results)
    if number_ is not None:
        _show_trial(facts, number_, as_json=as_json, quiet=quiet)
        return
    if quiet:
        _print_directories(facts, where)
        return
    from orchestrator.reporting.advice import advice_for
    from orchestrator.reporting.filter import kept
    from orchestrator.reporting.importance import importances
    from orchestrator.reporting.usage import usage_of

    objective = _objective(facts, metric)
    found, usage = importances(facts), usage_of(facts)
    advice = advice_for(facts, found, usage)
    listed, found = kept(facts, where), importances(facts, objective) if objective else found
    if as_json:
        typer.echo(json.dumps(_sweep_json(facts, listed, found, usage, advice), indent=2, default=str))
    elif where:
        passing = (
            f"  listed     {len(listed.results.trials)} of {len(facts.results.trials)} pass {clean(' '.join(where))}"
        )
        typer.echo(
            "\n".join([*_headline(facts, usage), passing, *_trials(listed, found, n=len(listed.results.trials))])
        )
    else:
        lines = sweep_lines(facts, found, usage, advice, all_trials=all_trials, objective=objective)
        typer.echo("\n".join(lines))


def _objective(facts: "Facts", metric: str | None) -> int:
    """The place of an objective among the spec's; the first where none was named.

    Raises:
        SweepError: The sweep has no such objective.
    """
    names = [each.name for each in facts.results.spec.objectives]
    if metric is None:
        return 0
    if metric not in names:
        allowed = ", ".join(map(repr, names)) or "none"
        raise SweepError(f"--metric {metric!r} is no objective of this sweep; it has {allowed}")
    return names.index(metric)


def _print_directories(facts: "Facts", where: list[str] | None) -> None:
    from orchestrator.reporting.filter import kept

    sweep_dir = facts.results.sweep_dir
    paths = (
        [sweep_dir.trial(t.number).path for t in _best_first(kept(facts, where).results)] if where else [sweep_dir.path]
    )
    typer.echo("".join(f"{clean(str(path))}\n" for path in paths), nl=False)


def sweep_lines(
    facts: "Facts",
    importances: "Sequence[Importance]",
    usage: "Usage",
    advice: "Sequence[Advice]",
    *,
    all_trials: bool = False,
    objective: int = 0,
) -> list[str]:
    """Return what `sweep show SWEEP` prints; `importances` are for an objective, by its place."""
    return [
        *_headline(facts, usage),
        *_best(facts, importances),
        *_importance(facts, importances, objective),
        *_advice(advice),
        *_failures(facts),
        *_flags(facts),
        *_trials(facts, importances, all_trials=all_trials),
    ]


def _headline(facts: "Facts", usage: "Usage") -> list[str]:
    results, record = facts.results, facts.results.record
    who = f", controlled by {facts.holder}" if facts.holder else ""
    why = f" ({clean(record.reason)})" if record.reason else ""
    metric = ", ".join(f"{clean(m.name)} ({m.goal})" for m in results.spec.objectives) or "none"
    counts = ", ".join(f"{n} {state}" for state, n in facts.counts.items())
    about = ": ".join(p for p in (" ".join(f"#{t}" for t in results.labels.sweep.tags), results.about or "") if p)
    told = [
        *([("about", clean(about))] if about else []),
        ("method", f"{results.spec.method}, metric {metric}, seed {record.seed}"),
        ("trials", f"{len(results.trials)}" + (f": {counts}" if counts else "")),
        ("time", _cost(usage)),
    ]
    return [
        *folded(f"{results.label}: {facts.state}{who}{why}", indent=0, hanging=2),
        *(line for name, text in told for line in folded(f"{name:10} {text}", hanging=13)),
        f"  directory  {clean(str(results.sweep_dir.path))}",
    ]


def _cost(usage: "Usage") -> str:
    if usage.busy is None:
        return "nothing has run yet"
    gpus = f", {usage.gpu_s / 3600:.2f} GPU hours" if usage.gpu_s is not None else ""
    return (
        f"{duration(usage.wall_s)} for {duration(usage.trial_s)} of trials{gpus}, slots {100 * usage.busy:.0f} % busy"
    )


def _best(facts: "Facts", importances: "Sequence[Importance]") -> list[str]:
    from orchestrator.reporting.advice import certainty

    leaders = facts.results.leaders(1)
    if not leaders:
        return []
    best = leaders[0]
    tuned = brief(_what_matters_first(facts.results.tuned(best), importances), width=terminal_width() - 2)
    others = f" (one of {len(leaders)} that no other beats)" if len(leaders) > 1 else ""
    return [
        "",
        *folded(
            f"best {facts.results.shown(best)} in trial {best.number}, {best.reached_at()}{others}", indent=0, hanging=2
        ),
        f"  {tuned}",
        *folded(certainty(facts)),
    ]


def _importance(facts: "Facts", importances: "Sequence[Importance]", objective: int) -> list[str]:
    if not importances:
        return []
    names = [clean(each.name) for each in facts.results.spec.objectives]
    rows = [
        [
            f"  {clean(i.name)}",
            f"{100 * i.share:.0f} %",
            f"{100 * i.low:.0f} to {100 * i.high:.0f}",
            "  ".join(part for part in ("█" * round(BAR * i.share), i.note) if part),
        ]
        for i in importances
    ]
    what = f"importance for {names[objective]} (share of its variance over the space, 90 % intervals)"
    others = ", ".join(f"--metric {shlex.quote(name)}" for i, name in enumerate(names) if i != objective)
    more = [f"  for others: sweep show {facts.results.record.sweep_id} {others}"] if others else []
    told = fitted(table(["  parameter", "share", "interval", ""], rows))
    return ["", *folded(what, indent=0, hanging=2), told, *more]


def _advice(advice: "Sequence[Advice]") -> list[str]:
    lines = [line for a in advice for line in (*folded(f"- {a.text}"), *folded(f"  {a.todo}" if a.todo else ""))]
    return ["", "worth knowing", *lines] if lines else []


def _failures(facts: "Facts") -> list[str]:
    from orchestrator.reporting.advice import failures_by_cause

    causes = failures_by_cause(facts.results.trials)
    lines = []
    for said, failed in causes[:N_FAILURES]:
        numbers = ", ".join(str(trial.number) for trial in failed[:8]) + (", ..." if len(failed) > 8 else "")
        log = facts.results.sweep_dir.trial(failed[0].number).log_path
        lines += [
            *folded(f"{len(failed)} x {clean(said)}"),
            *folded(f"trial {numbers}; {clean(str(log))}", indent=6, hanging=6),
        ]
    if len(causes) > N_FAILURES:
        lines.append(f"  and {len(causes) - N_FAILURES} other errors: report.html has all")
    return ["", "failures by cause", *lines] if lines else []


def _flags(facts: "Facts") -> list[str]:
    flagged = [
        (number_, flag)
        for number_, flags in sorted(facts.flags.items())
        for flag in flags
        if not (_is_told(flag) or _is_advised(flag))
    ]
    rows = [[f"  {number_}", clean(flag.issue), clean(flag.evidence)] for number_, flag in flagged[: 2 * N_TRIALS]]
    more = [f"  and {len(flagged) - len(rows)} more: report.html has all"] if len(flagged) > len(rows) else []
    return ["", fitted(table(["  trial", "flag", "evidence"], rows)), *more] if rows else []


def _is_told(flag: "Flag") -> bool:
    """Whether the failures tell it already."""
    return flag.issue == "crashed"


def _is_advised(flag: "Flag") -> bool:
    """Whether the advice tells it of all trials together."""
    return flag.issue == "idle GPU"


def _what_matters_first(config: Mapping[str, object], importances: "Sequence[Importance]") -> Mapping[str, object]:
    """A config in the order of the importances: what there is no room for at the end matters least."""
    first = {i.name: config[i.name] for i in importances if i.name in config}
    return {**first, **config}


def _trials(
    facts: "Facts", importances: "Sequence[Importance]", *, all_trials: bool = False, n: int = N_TRIALS
) -> list[str]:
    results = facts.results
    ordered = list(results.trials) if all_trials else _best_first(results)[:n]
    if not ordered:
        return []
    left = len(results.trials) - len(ordered)
    more = folded(f"and {left} more: `sweep show {results.record.sweep_id} --all`, or `sweep export`") if left else []
    header = [*TRIAL_HEADER[:-1], *([] if terminal_width() < WIDE else WIDE_HEADER), TRIAL_HEADER[-1]]
    return ["", table(header, _trial_rows(facts, ordered, header, importances)), *more]


def _best_first(results: "Results") -> "list[TrialRecord]":
    """The trials, those that cannot be the best at the end."""
    ranked = {trial.number for trial in results.ranked}
    return [*results.ranked, *(trial for trial in results.trials if trial.number not in ranked)]


def _trial_rows(
    facts: "Facts", trials: "Sequence[TrialRecord]", header: "Sequence[str]", importances: "Sequence[Importance]"
) -> list[list[str]]:
    """What fits beside each other: the config, and the reason for which a trial ended."""
    curves = sparklines([[value for _, _, value in facts.curves.get(trial.number, ())] for trial in trials])
    rows = [
        [f"  {t.number}", str(t.state), number(t.value), row_of(t), duration(facts.took_s(t)), curve][: len(header) - 1]
        for t, curve in zip(trials, curves, strict=True)
    ]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header) - 1)]
    width = max(NARROWEST, terminal_width() - sum(widths) - 2 * len(widths))
    tuned = [_what_matters_first(facts.results.tuned(trial), importances) for trial in trials]
    configs = briefs(tuned, width=10_000)
    said = [config_and_reason(config, facts.results.why(t), width) for config, t in zip(configs, trials, strict=True)]
    return [[*row, text] for row, text in zip(rows, said, strict=True)]


def config_and_reason(config: str, reason: str | None, width: int) -> str:
    """Return both in one line of a width; where both are long, each gets half of it."""
    if not reason:
        return cut(config, width)
    said, room, half = clean(reason), width - len(JOINT), (width - len(JOINT)) // 2
    said = cut(said, max(half, room - len(config)))
    return f"{cut(config, room - len(said))}{JOINT}{said}"


def _sweep_json(
    facts: "Facts",
    listed: "Facts",
    importances: "Sequence[Importance]",
    usage: "Usage",
    advice: "Sequence[Advice]",
) -> dict[str, object]:
    from orchestrator.reporting.advice import failures_by_cause

    causes = failures_by_cause(facts.results.trials)
    return {
        "sweep": sweep_data(facts),
        "trials": [trial_data(facts, trial) for trial in listed.results.trials],
        "importance": [asdict(importance) for importance in importances],
        "advice": [asdict(a) for a in advice],
        "failures": [{"cause": said, "trials": [trial.number for trial in failed]} for said, failed in causes],
        "usage": {
            "wall_seconds": usage.wall_s,
            "trial_seconds": usage.trial_s,
            "gpu_seconds": usage.gpu_s,
            "busy": usage.busy,
        },
    }


def _show_trial(facts: "Facts", wanted: int, *, as_json: bool, quiet: bool) -> None:
    from orchestrator.ledger.reader import LedgerReader

    results = facts.results
    trial = results.by_number.get(wanted)
    if trial is None:
        raise no_trial(results.record.sweep_id, wanted, list(results.by_number))
    if quiet:
        typer.echo(clean(str(results.sweep_dir.trial(wanted).path)))
        return
    with LedgerReader(results.sweep_dir.ledger_path) as reader:
        if as_json:
            data = trial_data(facts, trial) | {"attempts": [asdict(a) for a in reader.attempts(wanted)]}
            typer.echo(json.dumps(data, indent=2, default=str))
            return
        for line in trial_lines(facts, reader, trial):
            typer.echo(line)


def trial_lines(facts: "Facts", reader: "LedgerReader", trial: "TrialRecord") -> list[str]:
    """Return what `sweep show SWEEP TRIAL` prints."""
    from orchestrator.reporting.use_text import used

    attempts = reader.attempts(trial.number)
    lines = [f"trial {trial.number} of {facts.results.label}: {trial.state}"]
    lines += folded(clean(facts.results.labels.of(trial.number).words))
    for attempt in attempts:
        took = (attempt.ended or facts.now) - attempt.started if attempt.started else None
        gpus = f" GPU {','.join(attempt.gpu_ids)}" if attempt.gpu_ids else ""
        cold = f", started cold: {clean(attempt.cold_reason)}" if attempt.cold_reason else ""
        how = (attempt.cause.words if attempt.cause else "running") + (
            f": {clean(attempt.error)}" if attempt.error else ""
        )
        lines += folded(
            f"attempt {attempt.attempt} on {clean(attempt.host or '?')}{clean(gpus)}: {how}, {duration(took)}{cold}"
        )
    for each in reader.decisions(trial.number):
        when = time.strftime("%H:%M:%S", time.localtime(each.time))
        lines += folded(f"{when} {clean(each.what)}: {clean(each.reason or '')}")
    flags = facts.flags.get(trial.number, ())
    told = [f"{clean(flag.issue)}: {clean(flag.evidence)}" for flag in flags if not _is_told(flag)]
    lines += [line for text in told for line in folded(text)]
    use = facts.use_of(trial.number)
    lines += folded(f"used {used(use)}") if use is not None else []
    values = reader.values(trial.number)
    if values:
        curve = sparkline(values, width=48)
        of = f" of {len(values)}" if trial.step is not None else ""
        reached_at = trial.reached_at("report")  # the curve has the rows that have the metric
        best = f"best {number(trial.value)} at {reached_at}{of}"
        fits = len(curve) + len(best) + 10 <= terminal_width()
        lines += [f"  curve {curve}  {best}"] if fits else [f"  curve {curve}", f"        {best}"]
    rows = [[f"  {clean(name)}", number(value)] for name, value in sorted(trial.metrics.items())]
    lines += [table(["  metric", "last value"], rows)] if rows else []
    lines += recipe_lines(facts, trial)
    if attempts and trial.error:
        lines += [f"  | {clean(line)}" for line in attempts[-1].log_tail[-8:]]
    return lines
