"""What a sweep's owner should know before believing its winner, and what to do next. Pure: facts in, sentences out."""

import itertools
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.diagnosis.model import Issue
from orchestrator.diagnosis.signs import IDLE_LOOKS, IDLE_S
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.printable import clean
from orchestrator.reporting.blame import rule_for
from orchestrator.reporting.facts import Facts
from orchestrator.reporting.importance import Importance
from orchestrator.reporting.usage import Usage
from orchestrator.reporting.wording import counted, gib, listed, number, short, trials_named
from orchestrator.space.axis import Axis
from orchestrator.space.discrete import Choice
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.trial.contract.events import Cause, likeness

BOUND_DIGITS = 12
"""Of a bound: what was written, without what its logarithm and back again add."""

EDGE = (0.05, 0.15)
"""Least and largest share of a range, on the scale it is searched on, that counts as its edge: with fewer trials more."""

BY_THEMSELVES = frozenset({TrialState.FINISHED, TrialState.STOPPED, TrialState.FAILED})
"""States of trials whose end says something about their config."""

HOW = {
    Cause.FAILED: "with an error",
    Cause.OUT_OF_MEMORY: "out of GPU memory",
    Cause.KILLED: "killed by a signal",
    Cause.NO_METRIC: "without the metric",
    Cause.TIMED_OUT: "timed out",
    Cause.NOT_STARTED: "not started",
    Cause.WORKER_LOST: "with their worker",
    Cause.NODE_LOST: "with their node",
}
"""How trials failed, behind their number."""

N_TOP = 5
EQUAL = 1e-12
"""Scores that differ by no more than this share of them differ by rounding."""

LEAST_SHARE = 0.01
"""Share from which on it is said what a parameter's values cost."""

MOST_EFFECTS = 3
LEAST_IDLE = 0.25
"""Share of the GPU hours that were looked at from which on trials with idle GPUs are worth advice; below they have their flag."""

FULL = 0.8
"""Share of a GPU's memory that trials may fill together, as far as was seen: looks every ten seconds miss a peak."""

FEW_USES = 3
"""Trials whose use must be known before it is said how many would fit."""

MOST_ON_A_GPU = 8

FEW_VALUES = 4
"""Values that a curve's tail must have before its noise is estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing to know.

    Attributes:
        kind: Its kind in one word, for programs.
        text: A sentence about what was seen.
        todo: What to do about it; empty when nothing follows.
    """

    kind: str
    text: str
    todo: str = ""


def advice_for(facts: Facts, importances: Sequence[Importance], usage: Usage) -> list[Advice]:
    """Return what there is to know, the most urgent first."""
    return [
        *_no_metric(facts),
        *_failures(facts),
        *_overwritten(facts),
        *_edges(facts, importances),
        *_noise(facts),
        *_last_report(facts),
        *_trend(facts),
        *_effects(facts, importances),
        *_no_effect(facts, importances),
        *_idle(usage),
        *_idle_gpus(facts),
        *_gpu_room(facts),
    ]


def _no_metric(facts: Facts) -> list[Advice]:
    metric = facts.results.metric
    ended = [t for t in facts.results.trials if t.state in BY_THEMSELVES]
    if metric is None:
        text = "the spec has no metric, so no trial is better than another"
        return [Advice(kind="no_metric", text=text, todo="add `metric: {name: ..., goal: minimize}`")]
    silent = [t for t in ended if t.value is None and t.cause in {Cause.NO_METRIC, Cause.FINISHED}]
    if not silent:
        return []
    names = sorted({clean(name) for trial in silent for name in trial.metrics})
    instead = f"they logged {listed(names)}" if names else "they logged nothing"
    text = f"{len(silent)} of {counted(len(ended), 'trial')} never logged {clean(metric.name)}; {instead}"
    todo = (
        "log the metric in every trial, or name the right one in `metric`: `sweep resume` then scores what was logged"
    )
    return [Advice(kind="no_metric", text=text, todo=todo)]


def _failures(facts: Facts) -> list[Advice]:
    trials = [trial for trial in facts.results.trials if trial.state in BY_THEMSELVES]
    failed = [trial for trial in trials if trial.state is TrialState.FAILED]
    by_own_fault = sum(trial.cause is not Cause.NO_METRIC for trial in failed)
    if not by_own_fault or by_own_fault < 0.05 * len(trials):
        return []
    causes = Counter(HOW.get(trial.cause or Cause.FAILED, "with an error") for trial in failed).most_common()
    how = f"{'all ' if len(failed) > 1 else ''}{causes[0][0]}" if len(causes) == 1 else ""
    how = how or ", ".join(f"{n} {cause}" for cause, n in causes)
    where = _where(facts, failed, [trial for trial in trials if trial.state is not TrialState.FAILED])
    text = f"{len(failed)} of {counted(len(trials), 'trial')} failed, {how}"
    todo = f"`sweep logs {facts.results.record.sweep_id} {failed[0].number}` shows the first one"
    return [Advice(kind="failures", text=text + (f"; {where}" if where else ""), todo=todo)]


def _where(facts: Facts, failed: Sequence[TrialRecord], others: Sequence[TrialRecord]) -> str:
    """What goes with failure best: with every one, or with those of one cause."""
    found = [(rule, f"all {len(failed)}", len(others))] if (rule := rule_for(facts.space, failed, others)) else []
    for cause in dict.fromkeys(trial.cause for trial in failed):
        alike = [trial for trial in failed if trial.cause is cause]
        rest = [*others, *(trial for trial in failed if trial.cause is not cause)]
        if len(alike) < len(failed) and (rule := rule_for(facts.space, alike, rest)):
            found.append((rule, f"all {len(alike)} {HOW.get(cause or Cause.FAILED, 'with an error')}", len(rest)))
    if not found:
        return ""
    rule, who, n_rest = min(found, key=lambda each: each[0].chance)
    return f"{who} have {rule.text}, as {f'have {rule.others}' if rule.others else 'has none'} of the {n_rest} others"


def _overwritten(facts: Facts) -> list[Advice]:
    if not facts.conflicts:
        return []
    path, trials = facts.conflicts[0]
    more = f" (and {counted(len(facts.conflicts) - 1, 'other path')})" if len(facts.conflicts) > 1 else ""
    who = listed([str(number) for number in trials])
    return [
        Advice(
            kind="overwritten",
            text=f"trials {who} wrote {clean(path)} while the others did{more}: it holds what the last one wrote",
            todo="write into $SWEEP_CHECKPOINT_DIR, or orchestrator.checkpoint_dir(), which each trial has for itself",
        )
    ]


def _edges(facts: Facts, importances: Sequence[Importance]) -> list[Advice]:
    """A range whose best values crowd at one end probably goes on beyond it, unless the parameter makes no difference."""
    idle = {importance.name for importance in importances if importance.visible is False}
    top = facts.results.ranked[:N_TOP]
    found = []
    width = min(EDGE[1], max(EDGE[0], N_TOP / max(1, len(facts.results.ranked))))
    for axis in facts.space.axes if len(facts.results.ranked) >= 2 * N_TOP else ():
        sides = [_side(axis, trial, width) for trial in top]
        if axis.name in idle or not sides[0] or sides.count(sides[0]) <= len(top) // 2:
            continue
        end = "low" if sides[0] < 0 else "high"
        limit = _limit(axis, end)
        best = value_at(top[0].config, axis.path)
        text = f"the best {clean(axis.name)}, {short(best)}, is at the {end} edge of its range ({limit})"
        found.append(Advice(kind="edge", text=text, todo=f"widen {clean(axis.name)} beyond {limit} and search on"))
    return found


def _side(axis: Axis, trial: TrialRecord, width: float) -> int:
    """-1 or 1 at the low or high edge, 0 between and where the parameter has no edges."""
    value = value_at(trial.config, axis.path)
    if value is MISSING or not axis.is_numeric or not axis.contains(value):
        return 0
    if isinstance(axis, Choice):
        values = sorted(set(axis.values))
        if len(values) < 3:
            return 0
        return -1 if value == values[0] else int(value == values[-1])
    if axis.low is None or axis.high is None or not (math.isfinite(axis.low) and math.isfinite(axis.high)):
        return 0
    u = axis.cdf(value)
    return -1 if u < width else int(u > 1 - width)


def _limit(axis: Axis, end: str) -> str:
    """The end of a range as its author knows it: in all its digits."""
    ends = (min(axis.values), max(axis.values)) if isinstance(axis, Choice) else (axis.low, axis.high)
    limit = ends[end == "high"]
    return number(limit, BOUND_DIGITS) if isinstance(limit, float) else short(limit)


def _noise(facts: Facts) -> list[Advice]:
    """Whether the winner's lead is larger than what its metric jumps from row to row."""
    top = facts.results.ranked[:3]
    metric = clean(facts.results.metric.name) if facts.results.metric else "the metric"
    jumps = [jump for trial in top if (jump := _jump(facts, trial)) is not None]
    if len(top) < 2 or not jumps or top[-1].score is None or top[0].score is None:
        return _ties(facts, metric)
    noise = statistics.median(jumps)
    lead = top[1].score - top[0].score if top[1].score is not None else 0.0
    spread = top[-1].score - top[0].score
    if not min(spread, noise) > EQUAL * max(abs(trial.score or 0.0) for trial in top):
        return _ties(facts, metric)
    if spread <= noise:
        who = f"the top {('two', 'three')[len(top) - 2]} trials are within noise: {spread:.2g} apart"
    elif EQUAL * abs(top[0].score) < lead <= noise:
        who = f"the two best trials are within noise: {lead:.2g} apart"
    else:
        return _ties(facts, metric)
    text = f"{who}, while {metric} moves by {noise:.2g} from row to row"
    return [Advice(kind="noise", text=text, todo="run the best ones again with other seeds before choosing")]


def _ties(facts: Facts, metric: str) -> list[Advice]:
    """Trials that share the first place: nothing that was measured makes one of them better."""
    first = _first(facts)
    if len(first) < 2 or facts.results.spec.metrics:
        return []
    text = f"{trials_named([trial.number for trial in first])} are equally good, {metric} {number(first[0].value)}"
    return [Advice(kind="noise", text=text, todo="choose among them by something else, or by a finer metric")]


def _first(facts: Facts) -> list[TrialRecord]:
    """The best trial and those that are as good, but for rounding."""
    ranked = facts.results.ranked
    best = ranked[0].score if ranked and ranked[0].score is not None else 0.0
    return [t for t in ranked if t.score is not None and t.score - best <= EQUAL * abs(best)]


def _jump(facts: Facts, trial: TrialRecord) -> float | None:
    """Standard deviation of the values in the last third of a curve around their trend; None for short curves."""
    values = [value for _, _, value in facts.curves.get(trial.number, ()) if math.isfinite(value)]
    tail = values[-max(FEW_VALUES, len(values) // 3) :]
    if len(tail) < FEW_VALUES:
        return None
    steps = [b - a for a, b in itertools.pairwise(tail)]
    return statistics.pstdev(steps) / math.sqrt(2)


def _last_report(facts: Facts) -> list[Advice]:
    """Top trials that were best at their very end would have gone on improving."""
    top = [t for t in facts.results.ranked[:3] if t.state is TrialState.FINISHED]
    lengths = {n: points[-1][0] for n, points in facts.curves.items() if points}
    if len(top) < 2 or not all(t.step and t.step >= 3 and lengths.get(t.number) == t.step for t in top):
        return []
    text = f"the best {len(top)} trials were best at their last row ({top[0].step})"
    return [Advice(kind="last_report", text=text, todo="train longer: they were still improving")]


def _trend(facts: Facts) -> list[Advice]:
    """Whether searching on is worth it, by when the best was found."""
    ranked = facts.results.ranked
    scored = sorted(t.number for t in ranked)
    if len(scored) < 20:
        few = f"only {counted(len(scored), 'trial')} with a score for {counted(facts.space.n_axes, 'parameter')}"
        todo = f"`sweep resume {facts.results.record.sweep_id} --add {max(10, 5 * facts.space.n_axes)}` tries more"
        return [Advice(kind="few", text=few, todo=todo)] if 0 < len(scored) < 4 * facts.space.n_axes else []
    after = sum(n > ranked[0].number for n in scored)
    if after < 0.1 * len(scored):
        text = f"the best trial, {ranked[0].number}, is among the last tenth: the search was still finding better ones"
        todo = f"`sweep resume {facts.results.record.sweep_id} --add {max(10, len(scored) // 2)}` goes on"
        return [Advice(kind="improving", text=text, todo=todo)]
    if after >= 0.6 * len(scored):
        text = f"nothing better was found in the last {counted(after, 'trial')}"
        return [Advice(kind="stalled", text=text, todo="narrow the ranges around the winners, or change what is tuned")]
    return []


def _effects(facts: Facts, importances: Sequence[Importance]) -> list[Advice]:
    """Which values of what matters most are best, and what others cost."""
    sure = [i for i in importances if i.visible and i.share >= LEAST_SHARE and i.effect.is_sure]
    return [_effect(facts, importance) for importance in sure[:MOST_EFFECTS]]


def _effect(facts: Facts, importance: Importance) -> Advice:
    name, effect = clean(importance.name), importance.effect
    metric = clean(facts.results.metric.name) if facts.results.metric else "the metric"
    best, worst, cost = (_about(end) for end in (effect.best[0], effect.worst, effect.cost))
    if not effect.is_range and len(effect.best) == 1 and effect.next_cost < 0.9 * effect.cost:
        worst, cost = "the others", f"{_about(effect.next_cost)} to {cost}"
    where = (
        f"{name}={best} is best" if len(effect.best) == 1 else f"{name} is best from {best} to {_about(effect.best[1])}"
    )
    text = f"{where}: with {worst} {metric} is worse by about {cost}"
    if effect.is_range:
        return Advice(kind="effect", text=text, todo=f"narrow {name} to this range" if effect.is_inside else "")
    return Advice(kind="effect", text=text, todo=f"fix {name} to {best}, and search the others")


def _no_effect(facts: Facts, importances: Sequence[Importance]) -> list[Advice]:
    idle = [i.name for i in importances if i.visible is False]
    if not idle:
        return []
    if len(idle) == len(importances):
        return [Advice(kind="no_effect", text="no parameter has a visible effect: the trials differ by chance")]
    best = facts.results.tuned(facts.results.ranked[0])
    values = listed([f"{clean(name)}={short(best[name])}" for name in idle if name in best])
    text = f"no visible effect of {listed([clean(name) for name in idle])}"
    todo = f"fix {'it' if len(idle) == 1 else 'them'} to what the best trial has, {values}, and search the others"
    return [Advice(kind="no_effect", text=text, todo=todo)]


def _idle(usage: Usage) -> list[Advice]:
    n_bars = sum(len(lane.bars) for lane in usage.lanes)
    if usage.busy is None or usage.busy > 0.8 or usage.wall_s < 60 or n_bars < 4 * len(usage.lanes):
        return []
    text = f"slots stood idle {100 * (1 - usage.busy):.0f} % of the time that the sweep ran"
    return [Advice(kind="idle", text=text, todo="the timeline in report.html shows where")]


def _idle_gpus(facts: Facts) -> list[Advice]:
    """GPUs that did nothing while trials had them: they waited for data or for the CPU."""
    flagged = [n for n, flags in sorted(facts.flags.items()) if any(flag.issue is Issue.IDLE_GPU for flag in flags)]
    numbers = [number for number in flagged if number in facts.gpu_uses]
    known = [
        (use.seconds, 1 - busy) for n in numbers if (use := facts.gpu_uses.get(n)) and (busy := use.busy) is not None
    ]
    gpu_s = sum(use.seconds * len(use.gpus) for use in facts.gpu_uses.values())
    if not known or sum(facts.gpu_uses[n].seconds * len(facts.gpu_uses[n].gpus) for n in numbers) < LEAST_IDLE * gpu_s:
        return []
    idle = sum(seconds * share for seconds, share in known) / sum(seconds for seconds, _ in known)
    text = f"GPUs stood idle {100 * idle:.0f} % of the time in {trials_named(numbers)}: they waited for the program"
    todo = "feed them faster (`num_workers` of the data loader, larger batches)"
    if all(facts.gpu_uses[n].gpu_share == 1 for n in numbers):
        todo += ", or let trials share them: `--gpus-per-trial 0.5`"
    return [Advice(kind="idle_gpus", text=text, todo=todo)]


def _gpu_room(facts: Facts) -> list[Advice]:
    """Whether more trials would fit on a GPU, by its memory and its time: the largest and the busiest of them decide."""
    uses = [
        use
        for use in facts.gpu_uses.values()
        if len(use.gpus) == 1 and use.seconds >= IDLE_S and use.n_looks >= IDLE_LOOKS
    ]
    gpus = [use.gpus[0] for use in uses]
    shares = {use.gpu_share for use in uses}
    if len(uses) < FEW_USES or len(shares) != 1 or any(gpu.own_busy is None for gpu in gpus):
        return []  # what others do there tells nothing of these
    busy, memory = max(gpu.own_busy or 0.0 for gpu in gpus), max(gpu.memory_bytes for gpu in gpus)
    total, n_now = min(gpu.total_bytes for gpu in gpus), round(1 / shares.pop())
    n = min(int(FULL * total / max(memory, 1.0)), int(1 / max(busy, 1e-3)), MOST_ON_A_GPU)
    if n < 2 * n_now:
        return []
    text = (
        f"no trial used more than {gib(memory)} of a GPU's {gib(total)} GiB, nor more than {100 * busy:.0f} % of its time: "
        f"{n} would fit on one"
    )
    share = math.floor(100 / n) / 100
    return [Advice(kind="gpu_room", text=text, todo=f"`--gpus-per-trial {share:g}` runs {n} at once on each")]


def failures_by_cause(trials: Sequence[TrialRecord]) -> list[tuple[str, list[TrialRecord]]]:
    """Return failed trials by cause and error, the most frequent first; values that an error names may differ."""
    found: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        if trial.state is TrialState.FAILED:
            found[likeness(trial.cause or Cause.FAILED, trial.error or trial.reason)].append(trial)
    return [(_said(trials[0]), trials) for trials in sorted(found.values(), key=lambda trials: -len(trials))]


def _said(trial: TrialRecord) -> str:
    """Why a trial failed, in one line."""
    cause = (trial.cause or Cause.FAILED).words
    said = trial.error or trial.reason
    return f"{cause}: {said}" if said else cause


def _about(value: object) -> str:
    """A number in the two digits that matter of an estimate; whole numbers as they are."""
    return f"{value:.2g}" if isinstance(value, float) else short(value)


def certainty(facts: Facts) -> str:
    """Return one sentence on how far the winner is ahead, measured by the noise of the curves where that is known."""
    ranked = facts.results.ranked
    if not ranked:
        return "No trial has a score yet."
    if len(ranked) == 1:
        return "It is the only trial with a score."
    first = _first(facts)
    if len(first) > 1 and not facts.results.spec.metrics:
        others = trials_named([trial.number for trial in first[1:]], most=3)
        return f"As good as {others}, of {len(ranked)} trials with a score: nothing measured makes it better."
    lead = (ranked[1].score or 0.0) - (ranked[0].score or 0.0)
    text = f"{lead:.2g} ahead of trial {ranked[1].number}, of {len(ranked)} trials with a score"
    jumps = [jump for trial in ranked[:3] if (jump := _jump(facts, trial)) is not None]
    if not jumps or statistics.median(jumps) <= 0:
        return f"{text}. How much of that is chance cannot be told: run the best ones again with other seeds."
    times = lead / statistics.median(jumps)
    how = f"{times:.1f} times" if times < 10 else f"{times:.0f} times"
    return f"{text}: {how} what the metric moves from row to row."
