"""report.html: the whole sweep on one page that needs no network, trusts no text, and can be sent to a colleague."""

import base64
import hashlib
import html
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.ledger.paths import SweepDir
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.reporting.advice import Advice, advice_for, certainty, failures_by_cause
from orchestrator.reporting.atomic import replace
from orchestrator.reporting.facts import Facts, read_facts
from orchestrator.reporting.importance import Importance, importances
from orchestrator.reporting.page import FILE
from orchestrator.reporting.page.bundle import script
from orchestrator.reporting.page.payload import payload
from orchestrator.reporting.recipe import command, paths
from orchestrator.reporting.usage import Usage, usage_of
from orchestrator.reporting.wording import clean, counted, duration, number

HERE = Path(__file__).parent

ABOUT_TRUST = frozenset({"noise", "few", "no_metric", "failures", "last_report"})
"""Kinds of advice that say how far the result can be believed; the others say what to do next."""

MOST_FAILURES = 40
LOG_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a page is made of."""

    facts: Facts
    importances: Sequence[Importance]
    usage: Usage
    advice: Sequence[Advice]


def write_report(sweep_dir: SweepDir, path: Path | None = None) -> Path:
    """Write a sweep's report and return its path; at any time, also while the sweep runs.

    Raises:
        LedgerError: The ledger cannot be read.
        OSError: The file cannot be written.
    """
    facts = read_facts(sweep_dir)
    found, usage = importances(facts), usage_of(facts)
    content = Content(facts=facts, importances=found, usage=usage, advice=advice_for(facts, found, usage))
    target = path or sweep_dir.path / FILE
    replace(target, page(content))
    return target


def page(content: Content) -> str:
    """Return the page's HTML."""
    css = (HERE / "page.css").read_text(encoding="utf-8")
    code = script()
    data = _json(payload(content.facts, content.importances, content.usage))
    policy = (
        f"default-src 'none'; script-src {_hash(code)}; style-src {_hash(css)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = f"{content.facts.results.label}: sweep report"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{_e(title)}</title>\n<style>{css}</style>\n</head>\n<body>\n"
        f"{_header(content)}\n<main>\n{_verdict(content)}\n{_plots(content)}\n{_trials()}\n"
        f"{_timeline(content)}\n{_failures(content)}\n{_spec(content)}\n{_environment(content)}\n</main>\n"
        f'<div id="tip" role="status" hidden></div>\n<script type="application/json" id="data">{data}</script>\n'
        f"<script>{code}</script>\n</body>\n</html>\n"
    )


# ---- what is said first ----------------------------------------------------------------------------------------------


def _header(content: Content) -> str:
    facts, usage = content.facts, content.usage
    record = facts.results.record
    metric = ", ".join(f"{m.name} ({m.goal})" for m in facts.results.spec.objectives)
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created))
    why = f": {record.reason}" if record.reason else ""
    state = f'<span class="state {facts.state}">{_e(facts.state)}</span>'
    links = [("verdict", "Result"), ("history", "History"), ("parameters", "Parameters"), ("trials", "Trials")]
    links += [("timeline", "Timeline"), ("failures", "Failures"), ("spec", "Spec"), ("environment", "Environment")]
    present = {"timeline": bool(usage.lanes), "failures": TrialState.FAILED in facts.counts}
    nav = "".join(f'<a href="#{to}">{name}</a>' for to, name in links if present.get(to, True))
    return (
        f'<header><div class="title"><h1>{_e(record.name)}</h1><code>{_e(record.sweep_id)}</code>{state}'
        '<button id="theme" type="button" aria-label="Switch between light and dark">◐</button></div>'
        f'<p class="muted">{_e(facts.results.spec.method.value)} search{_e(f" for {metric}" if metric else "")}'
        f", started {began}{_e(why)}</p><nav>{nav}</nav></header>"
    )


def _verdict(content: Content) -> str:
    facts = content.facts
    trust = [advice for advice in content.advice if advice.kind in ABOUT_TRUST]
    following = [advice for advice in content.advice if advice.kind not in ABOUT_TRUST]
    return (
        f'<section id="verdict"><div class="cards">{_winner(facts)}'
        f'<div class="card"><h2>How sure</h2><p>{_e(certainty(facts))}</p>{_advice(trust)}</div>'
        f'<div class="card"><h2>What next</h2>{_advice(following)}{_commands(facts)}</div></div>'
        f"{_numbers(content)}</section>"
    )


def _winner(facts: Facts) -> str:
    leaders = facts.results.leaders(1)
    if not leaders:
        return '<div class="card winner"><h2>Result</h2><p class="value">none yet</p></div>'
    best, results = leaders[0], facts.results
    assert results.metric is not None
    points = facts.curves.get(best.number, ())
    of = f" of {points[-1][0]}" if points else ""
    front = f", one of {len(leaders)} that no other beats" if len(leaders) > 1 else ""
    tuned = "".join(
        f"<div><dt>{_e(name)}</dt><dd>{_e(_value(value))}</dd></div>" for name, value in results.tuned(best).items()
    )
    line = command(results, best)
    run = (
        f'<div class="copy"><pre id="command">{_e(line)}</pre><button type="button" data-copy="command">Copy</button></div>'
        if line
        else ""
    )
    return (
        f'<div class="card winner"><h2>Best {_e(results.metric.name)}</h2><p class="value">{_e(number(best.value))}</p>'
        f'<p class="muted">trial {best.number}, report {best.step}{of}, {_e(str(best.state))}{front}</p>'
        f'<dl class="config">{tuned}</dl>{run}</div>'
    )


def _advice(advice: Sequence[Advice]) -> str:
    items = "".join(
        f"<li>{_prose(a.text)}" + (f'<span class="todo">{_prose(a.todo)}</span>' if a.todo else "") + "</li>"
        for a in advice
    )
    return f'<ul class="advice">{items}</ul>' if items else ""


def _commands(facts: Facts) -> str:
    if not facts.results.ranked:
        return ""
    sweep_id = facts.results.record.sweep_id
    lines = [
        (f"sweep resume {sweep_id} --add 20", "more trials of this sweep"),
        (f"sweep export {sweep_id} --to wandb-yaml -o next.yaml", "a spec around the winners"),
    ]
    items = "".join(f"<div><dt><code>{_e(line)}</code></dt><dd>{_e(what)}</dd></div>" for line, what in lines)
    return f'<dl class="commands">{items}</dl>'


def _numbers(content: Content) -> str:
    facts, usage = content.facts, content.usage
    shown = [("trials", str(len(facts.results.trials)))]
    names = {"stopped": "stopped early"}
    shown += [(names.get(str(state), str(state)), str(n)) for state, n in facts.counts.items()]
    if usage.busy is not None:
        shown += [("wall time", duration(usage.wall_s)), ("trial time", duration(usage.trial_s))]
        shown += [("GPU hours", f"{usage.gpu_s / 3600:.2f}")] if usage.gpu_s is not None else []
        shown += [("slots busy", f"{100 * usage.busy:.0f} %")]
    cells = "".join(f"<div><dt>{_e(name)}</dt><dd>{_e(value)}</dd></div>" for name, value in shown)
    return f'<dl class="numbers">{cells}</dl>'


# ---- plots and the table: drawn by the script ------------------------------------------------------------------------


def _plots(content: Content) -> str:
    results = content.facts.results
    if results.metric is None:
        return ""
    name = _e(results.metric.name)
    axes = (
        '<div class="choice" role="group" aria-label="Horizontal axis" data-choice="history">'
        '<button type="button" value="trial" aria-pressed="true">trials</button>'
        '<button type="button" value="time" aria-pressed="false">time</button>'
        '<button type="button" value="compute" aria-pressed="false">compute</button></div>'
    )
    front = _plot("front", "Trade-off", "Trials that no other beats are filled.") if results.spec.metrics else ""
    return (
        f'<section id="history"><h2>How the best was found</h2><div class="pair">'
        f"{_plot('best', f'{name} so far', 'Each point is a trial; the line is the best until then.', axes)}"
        f"{_plot('curves', 'Learning curves', '')}</div>{front}</section>"
        f'<section id="parameters"><h2>What mattered</h2>'
        f"{_plot('parallel', 'All parameters', 'Drag along an axis to keep the trials that pass there; click it to let go.')}"
        f"{_importance(content)}"
        '<div id="slices" class="slices"></div></section>'
    )


def _plot(name: str, title: str, note: str, extra: str = "") -> str:
    return (
        f'<figure class="plot"><figcaption><h3>{title}</h3>{extra}</figcaption>'
        f'<div class="canvas" data-plot="{name}"></div><p class="note" data-note="{name}">{note}</p></figure>'
    )


def _importance(content: Content) -> str:
    if not content.importances:
        return '<p class="note">Too few trials with a score to tell which parameter mattered.</p>'
    rows = "".join(
        f'<tr><th scope="row">{_e(i.name)}</th>'
        f'<td class="bar" data-share="{i.share:.4f}" data-low="{i.low:.4f}" data-high="{i.high:.4f}"></td>'
        f'<td class="num">{100 * i.share:.0f} %</td><td class="num muted">{100 * i.low:.0f} to {100 * i.high:.0f}</td>'
        f'<td class="muted">{"no visible effect" if i.visible is False else ""}</td></tr>'
        for i in content.importances
    )
    surface = _plot("contour", "The two most important", "Smoothed from the trials; pale where nothing was tried.")
    return (
        '<div class="pair"><figure class="plot"><figcaption><h3>Importance</h3></figcaption>'
        f'<table class="importance"><tbody>{rows}</tbody></table>'
        '<p class="note">Share of each parameter in what sets the best trials apart (PED-ANOVA); the thin line is where it '
        "lies in nine of ten bootstrap samples.</p></figure>"
        f"{surface if len(content.importances) > 1 else ''}</div>"
    )


def _trials() -> str:
    return (
        '<section id="trials"><h2>Trials</h2><div class="tools"><input id="filter" type="search" spellcheck="false" '
        'autocomplete="off" aria-label="Filter trials" placeholder="Filter: text, or lr&lt;0.01 width=32 state=failed">'
        '<span id="count" class="muted" aria-live="polite"></span><button id="clear" type="button">Show all</button></div>'
        '<div class="scroll"><table id="table"><thead></thead><tbody></tbody></table></div>'
        '<div class="pager"><button id="previous" type="button">Previous</button><span id="page" class="muted"></span>'
        '<button id="next" type="button">Next</button></div><div id="detail" class="card" hidden></div></section>'
    )


def _timeline(content: Content) -> str:
    if not content.usage.lanes:
        return ""
    busy = "" if content.usage.busy is None else f"Busy {100 * content.usage.busy:.0f} % of the time; gaps are idle."
    return f'<section id="timeline"><h2>Timeline</h2>{_plot("timeline", "Trials by GPU or slot", busy)}</section>'


# ---- what is written out ---------------------------------------------------------------------------------------------


def _failures(content: Content) -> str:
    facts = content.facts
    causes = failures_by_cause(facts.results.trials)
    tails = {attempt.trial: attempt.log_tail for attempt in facts.attempts if attempt.log_tail}
    items = "".join(_failure(facts, said, failed, tails) for said, failed in causes[:MOST_FAILURES])
    more = f'<p class="muted">and {len(causes) - MOST_FAILURES} other errors</p>' if len(causes) > MOST_FAILURES else ""
    return f'<section id="failures"><h2>Failures</h2>{items}{more}</section>' if items else ""


def _failure(facts: Facts, said: str, failed: Sequence[TrialRecord], tails: Mapping[int, Sequence[str]]) -> str:
    first = failed[0]
    numbers = ", ".join(str(trial.number) for trial in failed[:20]) + (" ..." if len(failed) > 20 else "")
    lines = "\n".join(clean(line) for line in list(tails.get(first.number, ()))[-LOG_LINES:])
    log = f"<pre>{_e(lines, lines=True)}</pre>" if lines else ""
    return (
        f"<details{' open' if len(failed) > 2 else ''}><summary><b>{counted(len(failed), 'trial')}</b> {_e(said)}</summary>"
        f'<p class="muted">Trial {_e(numbers)}. The log of the first: '
        f"<code>{_e(str(paths(facts.results.sweep_dir, first)['log']))}</code></p>{log}</details>"
    )


def _spec(content: Content) -> str:
    record = content.facts.results.record
    given = record.source_text
    text = record.spec_text if given is None else given
    what = "" if given is None else _details("As it was run, with what the command line changed", record.spec_text)
    return f'<section id="spec"><h2>Spec</h2><pre>{_e(text, lines=True)}</pre>{what}</section>'


def _environment(content: Content) -> str:
    found, results = content.facts.environment, content.facts.results
    git = found.get("git") or {}
    rows: list[tuple[str, Any]] = [("Directory", results.sweep_dir.path), ("Launched from", results.record.cwd)]
    rows += [("Seed", results.record.seed)]
    if git:
        dirty = f", {counted(len(git.get('changed', ())), 'changed file')}" if git.get("dirty") else ", clean"
        rows.append(("Commit", f"{git.get('sha')} ({git.get('branch')}{dirty})"))
    keys = (("Host", "host"), ("System", "system"), ("CPUs", "cpus"), ("Python", "python"))
    rows += [(name, found[key]) for name, key in keys if key in found]
    rows += [(name, version) for name, version in dict(found.get("packages") or {}).items()]
    cells = "".join(f"<div><dt>{_e(str(name))}</dt><dd>{_e(str(value))}</dd></div>" for name, value in rows)
    changed = _details("Changed files", "\n".join(git["changed"])) if git.get("changed") else ""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(content.facts.now))
    return (
        f'<section id="environment"><h2>Environment</h2><dl class="facts">{cells}</dl>{changed}'
        f'<p class="muted">Written {when} from the sweep\'s ledger.</p></section>'
    )


def _details(title: str, text: str) -> str:
    return f"<details><summary>{_e(title)}</summary><pre>{_e(text, lines=True)}</pre></details>"


# ---- text ------------------------------------------------------------------------------------------------------------


def _e(text: str, *, lines: bool = False) -> str:
    """Text as HTML shows it, and nothing else: no markup, no control characters; line breaks where `lines`."""
    parts: Iterable[str] = text.splitlines() if lines else [text]
    return "\n".join(html.escape(clean(part)) for part in parts)


def _json(data: object) -> str:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _prose(text: str) -> str:
    """A sentence as HTML: it begins with a capital, and what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _e(text[:1].upper() + text[1:]))


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
