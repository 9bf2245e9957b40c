"""What the page's sections say, in plain text; the templates say how it is marked up."""

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.interpreters.finding import versions
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.printable import clean
from orchestrator.reporting.advice import Advice, certainty, failures_by_cause
from orchestrator.reporting.environment import pythons_in
from orchestrator.reporting.facts import Facts
from orchestrator.reporting.importance import Importance
from orchestrator.reporting.recipe import command, paths
from orchestrator.reporting.usage import Usage
from orchestrator.reporting.wording import counted, duration, number

ABOUT_TRUST = frozenset({"noise", "few", "no_metric", "failures", "last_report"})
"""Kinds of advice that say how far the result can be believed; the others say what to do next."""

MOST_FAILURES = 40
MOST_NUMBERS = 20
LOG_LINES = 12

Prose = tuple[str, ...]
"""A sentence: text and code in turn, text first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a page is made of."""

    facts: Facts
    importances: Sequence[Importance]
    usage: Usage
    advice: Sequence[Advice]


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a section."""

    section: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the sweep is, and where it stands."""

    name: str
    sweep_id: str
    state: str
    sentence: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """The best trial, and the command that runs it again; that is empty where there is none."""

    metric: str
    value: str
    standing: str
    config: tuple[Fact, ...]
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A piece of advice, and what to do about it where there is something."""

    text: Prose
    todo: Prose


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What won, how sure that is, what next."""

    winner: Winner | None
    certainty: str
    trust: tuple[Remark, ...]
    following: tuple[Remark, ...]
    commands: tuple[Fact, ...]
    numbers: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plots:
    """What the plots are about."""

    metric: str
    has_tradeoff: bool
    importances: tuple[Importance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """How busy the slots were, in percent; empty while that is not known."""

    busy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Trials that ended with the same error, with the end of the first one's log."""

    open: bool
    counted: str
    said: str
    trials: tuple[int, ...]
    n_more: int
    log: str
    tail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """The most frequent errors, and how many others there are."""

    shown: tuple[Failure, ...]
    n_more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The spec as it was given, and as it was run where the command line changed it."""

    given: str
    as_run: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where and with what the sweep ran; the files that differ from the commit, one a line."""

    facts: tuple[Fact, ...]
    changed: str
    written: str


def sections(content: Content) -> dict[str, Any]:
    """Return what the templates show, by the names they know it by; a section that does not apply is None."""
    return {
        "title": f"{content.facts.results.label}: sweep report",
        "header": header(content),
        "verdict": verdict(content),
        "plots": plots(content),
        "timeline": timeline(content),
        "failures": failures(content.facts),
        "spec": spec(content.facts),
        "environment": environment(content.facts),
    }


def header(content: Content) -> Header:
    """Return what the sweep is, and where it stands."""
    facts, record = content.facts, content.facts.results.record
    metric = ", ".join(f"{m.name} ({m.goal})" for m in facts.results.spec.objectives)
    what = f"{facts.results.spec.method.value} search" + (f" for {metric}" if metric else "")
    why = f": {record.reason}" if record.reason else ""
    return Header(
        name=record.name,
        sweep_id=record.sweep_id,
        state=facts.state,
        sentence=f"{what}, started {_minute(record.created)}{why}{_said(facts)}",
        links=_links(content),
    )


def _said(facts: Facts) -> str:
    """What its user says of the sweep."""
    tags = " ".join(f"#{tag}" for tag in facts.results.labels.sweep.tags)
    said = ": ".join(part for part in (tags, facts.results.about or "") if part)
    return f". {said}" if said else ""


def _links(content: Content) -> tuple[Link, ...]:
    names = ("Result", "History", "Parameters", "Trials", "Timeline", "Failures", "Spec", "Environment")
    present = {"Timeline": bool(content.usage.lanes), "Failures": TrialState.FAILED in content.facts.counts}
    anchors = {"Result": "verdict"}
    return tuple(Link(anchors.get(name, name.lower()), name) for name in names if present.get(name, True))


def verdict(content: Content) -> Verdict:
    """Return what won, how sure that is, what next."""
    names = {clean(axis.name) for axis in content.facts.space.axes}
    remarks = [(advice.kind, _remark(advice, names)) for advice in content.advice]
    return Verdict(
        winner=winner(content.facts),
        certainty=certainty(content.facts),
        trust=tuple(remark for kind, remark in remarks if kind in ABOUT_TRUST),
        following=tuple(remark for kind, remark in remarks if kind not in ABOUT_TRUST),
        commands=commands(content.facts),
        numbers=numbers(content),
    )


def winner(facts: Facts) -> Winner | None:
    """Return the best trial; None while no trial has a score."""
    leaders, results = facts.results.leaders(1), facts.results
    if not leaders:
        return None
    assert results.metric is not None
    best = leaders[0]
    points = facts.curves.get(best.number, ())
    of = f" of {points[-1][0]}" if points and best.step is not None else ""
    front = f", one of {len(leaders)} that no other beats" if len(leaders) > 1 else ""
    return Winner(
        metric=results.metric.name,
        value=number(best.value),
        standing=f"trial {best.number}, {best.reached_at()}{of}, {best.state}{front}",
        config=tuple(Fact(name, _value(value)) for name, value in results.tuned(best).items()),
        command=command(results, best) or "",
    )


def commands(facts: Facts) -> tuple[Fact, ...]:
    """Return the commands that go on from here; none while no trial has a score."""
    if not facts.results.ranked:
        return ()
    sweep_id = facts.results.record.sweep_id
    return (
        Fact(f"sweep resume {sweep_id} --add 20", "more trials of this sweep"),
        Fact(f"sweep export {sweep_id} --to wandb-yaml -o next.yaml", "a spec around the winners"),
    )


def numbers(content: Content) -> tuple[Fact, ...]:
    """Return how many trials there are of each state, and what they cost."""
    facts, usage = content.facts, content.usage
    names = {"stopped": "stopped early"}
    shown = [Fact("trials", str(len(facts.results.trials)))]
    shown += [Fact(names.get(str(state), str(state)), str(n)) for state, n in facts.counts.items()]
    if usage.busy is None:
        return tuple(shown)
    shown += [Fact("wall time", duration(usage.wall_s)), Fact("trial time", duration(usage.trial_s))]
    shown += [Fact("GPU hours", f"{usage.gpu_s / 3600:.2f}")] if usage.gpu_s is not None else []
    return (*shown, Fact("slots busy", f"{100 * usage.busy:.0f} %"))


def plots(content: Content) -> Plots | None:
    """Return what the plots are about; None where nothing is optimised."""
    results = content.facts.results
    if results.metric is None:
        return None
    return Plots(
        metric=results.metric.name,
        has_tradeoff=bool(results.spec.metrics),
        importances=tuple(content.importances),
    )


def timeline(content: Content) -> Timeline | None:
    """Return how busy the slots were; None before the first trial."""
    if not content.usage.lanes:
        return None
    busy = content.usage.busy
    return Timeline(busy="" if busy is None else f"{100 * busy:.0f}")


def failures(facts: Facts) -> Failures | None:
    """Return the errors, the most frequent first; None where no trial failed."""
    causes = failures_by_cause(facts.results.trials)
    if not causes:
        return None
    tails = {attempt.trial: attempt.log_tail for attempt in facts.attempts if attempt.log_tail}
    return Failures(
        shown=tuple(_failure(facts, said, failed, tails) for said, failed in causes[:MOST_FAILURES]),
        n_more=max(0, len(causes) - MOST_FAILURES),
    )


def _failure(facts: Facts, said: str, failed: Sequence[TrialRecord], tails: Mapping[int, Sequence[str]]) -> Failure:
    first = failed[0]
    return Failure(
        open=len(failed) > 2,
        counted=counted(len(failed), "trial"),
        said=said,
        trials=tuple(trial.number for trial in failed[:MOST_NUMBERS]),
        n_more=max(0, len(failed) - MOST_NUMBERS),
        log=str(paths(facts.results.sweep_dir, first)["log"]),
        tail="\n".join(clean(line) for line in list(tails.get(first.number, ()))[-LOG_LINES:]),
    )


def spec(facts: Facts) -> Spec:
    """Return the sweep's spec."""
    record = facts.results.record
    if record.source_text is None:
        return Spec(given=record.spec_text, as_run=None)
    return Spec(given=record.source_text, as_run=record.spec_text)


def environment(facts: Facts) -> Environment:
    """Return where and with what the sweep ran."""
    found, record = facts.environment, facts.results.record
    git = found.get("git") or {}
    rows: list[tuple[str, Any]] = [
        ("Directory", facts.results.sweep_dir.path),
        ("Launched from", record.cwd),
        ("Seed", record.seed),
    ]
    rows += [("Commit", _commit(git))] if git else []
    keys = (("Host", "host"), ("System", "system"), ("CPUs", "cpus"))
    rows += [(name, found[key]) for name, key in keys if key in found]
    rows += [_python(entry) for entry in pythons_in(found)] or [
        ("Python", found[key]) for key in ("python",) if key in found
    ]
    rows += [("sweep's Python", f"{found['interpreter']}  {found['python']}")] if _is_apart(found) else []
    rows += dict(found.get("packages") or {}).items()
    return Environment(
        facts=tuple(Fact(str(name), str(value)) for name, value in rows),
        changed="\n".join(git.get("changed") or ()),
        written=time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts.now)),
    )


def _python(entry: Mapping[str, Any]) -> tuple[str, str]:
    decides = entry.get("for") or {}
    name = ", ".join(["Python", *(f"{parameter}={value}" for parameter, value in decides.items())])
    found = versions(str(entry.get("version", "")), entry.get("packages") or {})
    return name, f"{entry.get('path')}  {found} ({entry.get('why')})"


def _is_apart(found: Mapping[str, Any]) -> bool:
    """Whether trials ran in another Python than the `sweep` command, whose packages are listed."""
    return "interpreter" in found and any(entry.get("path") != found["interpreter"] for entry in pythons_in(found))


def _commit(git: Mapping[str, Any]) -> str:
    dirty = f", {counted(len(git.get('changed', ())), 'changed file')}" if git.get("dirty") else ", clean"
    return f"{git.get('sha')} ({git.get('branch')}{dirty})"


def _remark(advice: Advice, names: Collection[str]) -> Remark:
    return Remark(text=prose(advice.text, names), todo=prose(advice.todo, names) if advice.todo else ())


def prose(text: str, names: Collection[str] = ()) -> Prose:
    """Return a sentence that begins with a capital, unless it is a name; what stands between backticks is code."""
    if not any(re.match(rf"{re.escape(name)}[ =,]", text) for name in names):
        text = text[:1].upper() + text[1:]
    return tuple(re.split(r"`([^`]+)`", text))


def _minute(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
