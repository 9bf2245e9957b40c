"""Rebuilds a sweep's ledger from the rows that can be read of it and from what the trials left in their directories.

What a trial reported, how its program ended and with which config it ran are in its own directory, whatever becomes of the
ledger. Rows that are what was written are taken over as they are; a trial without one is told again from its directory.
Nothing is overwritten: the damaged file stays beside the new one.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.control.consequences import BY_USER
from orchestrator.control.recovery import end_of, untold_reports
from orchestrator.errors import LedgerError, SweepError
from orchestrator.layout import LEDGER_BESIDE, SPEC, SweepDir, TrialDir, run_id
from orchestrator.ledger.curves import objectives_of
from orchestrator.ledger.records import SweepRecord, SweepState, TrialRecord, TrialState
from orchestrator.ledger.rows import text
from orchestrator.ledger.salvage import Salvage, salvage
from orchestrator.ledger.store import Ledger
from orchestrator.reporting.environment import recorded
from orchestrator.spec import SweepSpec, dump, load_recorded
from orchestrator.spec.findings import Findings
from orchestrator.spec.tree import parse
from orchestrator.trial.contract.end_record import STOPPED_EXIT, left_behind
from orchestrator.trial.contract.events import Cause, Ended, Started
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.formats.eventfile import ended_well

LONGEST_FILE = 10_000_000
"""Bytes of a config or a spec; a longer one is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a trial's directory tells.

    Attributes:
        directory: Where it lies.
        config: What it ran with.
        attempts: How often it was begun.
        is_command: Whether its program leaves no record of its end.
    """

    directory: TrialDir
    config: Mapping[str, Any]
    attempts: int
    is_command: bool


MOST_ATTEMPTS = 10_000
"""A number of an attempt beyond that is damaged."""

MOST_LOST = 1000
"""The most trials that may be missing before another one beyond as many as there are: else its number is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a repair will do.

    Attributes:
        record: The row about the sweep.
        kept: Trials that are taken over from the ledger.
        retold: Trials that are told again, from their directories.
        lost: Trials of which nothing is left between others.
        notes: What cannot be known any more, one sentence each.
    """

    sweep_dir: SweepDir
    found: Salvage
    record: SweepRecord
    spec: SweepSpec
    kept: Sequence[int]
    retold: Mapping[int, Told]
    lost: Sequence[int]
    notes: Sequence[str]

    @property
    def is_needed(self) -> bool:
        """Whether anything is damaged."""
        return bool(self.found.damage or self.retold or self.lost or self.notes)


def plan(sweep_dir: SweepDir) -> Plan:
    """Return what there is to do for a sweep; nothing is changed.

    Raises:
        LedgerError: It is not damaged but of another release, or nothing is left from which it could be rebuilt.
    """
    found = salvage(sweep_dir.ledger_path)
    record, spec, notes = _record(sweep_dir, found)
    told = _told(sweep_dir)
    known = sorted({*found.trials, *told})
    stray = [n for i, n in enumerate(known) if n - i > i + MOST_LOST]
    notes += [
        f"trial {n} is left out: as many before it as that are missing, so that its number is damaged" for n in stray
    ]
    numbers = range(1 + max(set(known).difference(stray), default=-1))
    whole = {n for n in numbers if _is_whole(n, found, told.get(n))}
    retold = {n: told[n] for n in numbers if n in told and n not in whole}
    kept = whole | {n for n in numbers if n in found.trials and n not in told}
    lost = [n for n in numbers if n not in kept and n not in retold]
    if known and len(lost) == len(numbers):
        raise LedgerError(f"{sweep_dir.path}: nothing is left of its trials")
    return Plan(
        sweep_dir=sweep_dir,
        found=found,
        record=record,
        spec=spec,
        kept=sorted(kept),
        retold=retold,
        lost=lost,
        notes=notes,
    )


def carry_out(plan: Plan) -> Path:
    """Write the new ledger, and put it in the place of the damaged one; return where that is kept.

    The caller holds the sweep's lock.

    Raises:
        LedgerError: It cannot be written.
    """
    path = plan.sweep_dir.ledger_path
    new = path.with_name(f".{path.name}.repair")
    for end in ("", *LEDGER_BESIDE):
        new.with_name(f"{new.name}{end}").unlink(missing_ok=True)
    _write(plan, new)
    kept = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")
    for end in (*LEDGER_BESIDE, ""):  # the file itself last: whoever stops in between can begin again
        beside = path.with_name(f"{path.name}{end}")
        if beside.exists():
            beside.rename(kept.with_name(f"{kept.name}{end}"))
    new.replace(path)
    return kept


def _record(sweep_dir: SweepDir, found: Salvage) -> tuple[SweepRecord, SweepSpec, list[str]]:
    """The row about the sweep, its spec, and what of them is not known any more."""
    spec = _spec(found.sweep.spec_text) if found.sweep is not None else None
    if found.sweep is not None and spec is not None:
        return replace(found.sweep, state=SweepState.INTERRUPTED), spec, []
    source = _read(sweep_dir.spec_path)
    spec = None if source is None else _spec(source)
    if source is None or spec is None:
        raise LedgerError(
            f"{sweep_dir.path}: neither its ledger nor its {SPEC} has a spec that can be read.\n"
            f"  Put the spec there as {SPEC}, then try again."
        )
    environment = recorded(sweep_dir)
    cwd = environment.get("cwd")
    notes = [f"the spec is {SPEC} as it was given: what --set and other options changed is not known"]
    if spec.options.seed is None:
        notes.append("the seed is not known: the search goes on with another one")
    if not isinstance(cwd, str):
        notes.append(f"the working directory is not known: trials will run in {Path.cwd()}")
    record = SweepRecord(
        sweep_id=sweep_dir.sweep_id,
        name=spec.name or sweep_dir.path.name.rpartition("-")[0],
        spec_text=dump(spec),
        seed=spec.options.seed if spec.options.seed is not None else secrets.randbits(31),
        state=SweepState.INTERRUPTED,
        created=sweep_dir.spec_path.stat().st_mtime,
        cwd=cwd if isinstance(cwd, str) else str(Path.cwd()),
    )
    return record, spec, notes


def _spec(source: str) -> SweepSpec | None:
    try:
        return load_recorded(source)
    except SweepError:
        return None


def _told(sweep_dir: SweepDir) -> dict[int, Told]:
    """The trials whose directories tell with which config they ran."""
    found = {}
    for directory in sweep_dir.trials():
        config = _config(directory.config_path)
        if config is None or directory.path.is_symlink():
            continue
        command = _launch_file(directory).get("program", {})
        found[directory.number] = Told(
            directory=directory,
            config=config,
            attempts=1 + max((n for n in directory.attempts() if n < MOST_ATTEMPTS), default=-1),
            is_command=isinstance(command, dict) and command.get("kind") == ProgramKind.COMMAND,
        )
    return found


def _config(path: Path) -> dict[str, Any] | None:
    """The config of W&B's param file; None where there is none."""
    source = _read(path)
    findings = Findings(path=str(path))
    tree = parse(source, findings) if source is not None else None
    data = None if tree is None or findings.sorted() else tree.plain()
    if not isinstance(data, dict) or data.pop("wandb_version", None) is None:
        return None
    if not all(isinstance(entry, dict) and "value" in entry for entry in data.values()):
        return None
    return {str(name): entry["value"] for name, entry in data.items()}


def _launch_file(directory: TrialDir) -> dict[str, Any]:
    try:
        found = json.loads(_read(directory.launch_path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> str | None:
    if not path.is_file() or path.is_symlink():
        return None
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_FILE).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def _is_whole(number: int, found: Salvage, told: Told | None) -> bool:
    """Whether the rows of a trial can be taken over: where pages are lost, its values are better told again."""
    if number not in found.trials:
        return False
    attempts = len(found.rows.get("attempts", {}).get(number, ()))
    if attempts != found.trials[number].attempt + 1 and told is not None:
        return False
    return not found.has_lost_pages or told is None or not told.directory.reports_path.exists()


def _write(plan: Plan, path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        ledger.sweep.create(plan.record, study=plan.found.study)
        with ledger.transaction("repair"):
            for number in plan.kept:
                for table, rows in plan.found.rows.items():
                    ledger.insert(table, rows.get(number, ()))
            for number in (*plan.retold, *plan.lost):
                ledger.insert("trials", [_beginning(plan, number)])
                ledger.insert("decisions", plan.found.rows.get("decisions", {}).get(number, ()))
        ledger.load(objectives_of(plan.spec))
        with ledger.transaction("repair"):
            for number in sorted(plan.retold, key=lambda n: _last_sign_s(plan.retold[n])):
                _tell(ledger, plan, number)


def _beginning(plan: Plan, number: int) -> dict[str, Any]:
    """The row of a trial before its first attempt; of one that is lost, with a config that stands for it."""
    told = plan.retold.get(number)
    row = {"number": number, "created": plan.record.created, "run_id": run_id(plan.record.sweep_id, number)}
    if told is not None:
        return {**row, "config": text(told.config), "state": TrialState.PENDING}
    known = [*(plan.found.trials[n].config for n in plan.kept), *(t.config for t in plan.retold.values())]
    return {
        **row,
        "config": text(known[0]),
        "state": TrialState.CANCELED,
        "reason": "nothing is left of it, nor its config",
    }


def _tell(ledger: Ledger, plan: Plan, number: int) -> None:
    """Tell a trial again, attempt by attempt, with what its rows and its directory say of each."""
    told, before = plan.retold[number], plan.found.trials.get(number)
    rows = {row["attempt"]: row for row in plan.found.rows.get("attempts", {}).get(number, ())}
    last = max(n for n in (told.attempts - 1, before.attempt if before is not None else -1) if n < MOST_ATTEMPTS)
    for attempt in range(last + 1):
        ledger.begin_attempt(number)
        launch, row = _launch(plan, told, ledger.trial(number)), rows.get(attempt, {})
        reported = untold_reports(launch, 0)
        ended = _ended(launch, told, row, reported, is_last=attempt == last)
        verdict = _after(plan, ended, reported, before) if attempt == last else (TrialState.PENDING, "it ran again")
        ledger.record([_started(launch, told, row, reported), *reported, ended], {number: verdict})
    if before is not None and before.state is TrialState.CANCELED and ledger.trial(number).state is TrialState.PENDING:
        ledger.cancel(number, before.reason or "canceled")


def _launch(plan: Plan, told: Told, trial: TrialRecord) -> Launch:
    metric = plan.spec.objectives[0].name if plan.spec.objectives else None
    return Launch(
        sweep_id=plan.record.sweep_id,
        sweep_name=plan.record.name,
        trial=trial.number,
        attempt=trial.attempt,
        trial_dir=str(told.directory.path),
        cwd=plan.record.cwd,
        program=Program(kind=ProgramKind.COMMAND, target=""),
        argv=(),
        config=told.config,
        metric=metric,
        has_metric=metric in trial.metrics,
    )


def _started(launch: Launch, told: Told, row: Mapping[str, Any], reported: Sequence[Any]) -> Started:
    marker = told.directory.attempt_path(launch.attempt)
    first = next((report.time for event in reported for report in event.reports), None)
    begun = marker.stat().st_mtime if marker.exists() else first or _last_sign_s(told)
    return Started(
        trial=launch.trial,
        attempt=launch.attempt,
        time=row.get("started") or begun,
        pid=row.get("pid") or 0,
        host=row.get("host") or "?",
    )


def _ended(launch: Launch, told: Told, row: Mapping[str, Any], reported: Sequence[Any], *, is_last: bool) -> Ended:
    """How an attempt ended: as its row says, else its own record, else the end of its TensorBoard session."""
    if row.get("cause"):
        return Ended(
            trial=launch.trial,
            attempt=launch.attempt,
            time=row["ended"] or _end_s(launch, told, reported),
            cause=Cause(row["cause"]),
            exit_code=row["exit_code"],
            signal=row["signal"],
            error=row["error"],
            log_tail=tuple(json.loads(row["log_tail"])),
        )
    left = left_behind(told.directory, launch.attempt)
    event = replace(end_of(launch), time=_end_s(launch, told, reported))
    if left is not None and left["exit_code"] == STOPPED_EXIT:
        return replace(event, cause=Cause.STOPPED, error=None)
    if left is not None:
        return event
    well = ended_well(told.directory.path) if is_last else None
    if well is None:
        return replace(event, cause=Cause.CONTROLLER_LOST, error=None)
    if not well:
        return replace(event, cause=Cause.KILLED, error="it left no record of its end")
    names = {name for told_ in reported for r in told_.reports for name in r.metrics}.union(
        *(e.summary for e in reported)
    )
    has_metric = launch.metric is None or launch.has_metric or launch.metric in names
    return replace(event, cause=Cause.FINISHED if told.is_command and has_metric else Cause.STOPPED, error=None)


def _after(
    plan: Plan, ended: Ended, reported: Sequence[Any], before: TrialRecord | None
) -> tuple[TrialState, str | None]:
    """Where a trial goes after its last attempt: as its row says, else as its end does.

    Who had asked one to end that was stopped is then not known. Where a rule may have, its end counts; else it runs again.
    """
    if before is not None and before.state is not TrialState.RUNNING:
        return before.state, before.reason
    if ended.cause is Cause.FINISHED:
        return TrialState.FINISHED, None
    if ended.cause is Cause.STOPPED_BY_USER:
        return TrialState.STOPPED, BY_USER.reason
    if ended.cause is Cause.STOPPED:
        by_rule = plan.spec.early_terminate is not None or _is_nan(plan, reported)
        return (TrialState.STOPPED, "stopped, most likely by a rule") if by_rule else (TrialState.PENDING, "stopped")
    if ended.cause in {Cause.CONTROLLER_LOST, Cause.WORKER_LOST, Cause.NODE_LOST, Cause.PREEMPTED}:
        return TrialState.PENDING, "its end was not seen"
    return TrialState.FAILED, None


def _is_nan(plan: Plan, reported: Sequence[Any]) -> bool:
    """Whether the objective was not finite at the end, for which trials are stopped."""
    name = plan.spec.objectives[0].name if plan.spec.objectives else None
    values = [r.metrics[name] for event in reported for r in event.reports if name in r.metrics]
    return bool(values) and not abs(values[-1]) < float("inf")


def _end_s(launch: Launch, told: Told, reported: Sequence[Any]) -> float:
    """When an attempt ended, or gave its last sign of life."""
    record = told.directory.end_path(launch.attempt)
    if record.exists():
        return record.stat().st_mtime
    times = [event.reports[-1].time for event in reported if event.reports]
    return times[-1] if times else _last_sign_s(told)


def _last_sign_s(told: Told) -> float:
    """When a trial gave its last sign of life."""
    signs = (*told.directory.end_paths(), told.directory.reports_path, told.directory.log_path)
    times = [path.stat().st_mtime for path in (*signs, told.directory.path) if path.exists()]
    return min(max(times[:-1] or times), time.time())
