"""`sweep`, `agent` and `load` in a Python that has nothing of ours: the `sweep` that is installed elsewhere does what they ask.

Each call is a process of that command's Python (`served`), asked by one line of JSON and answering in lines of it. Trials
run in this Python. It depends on the standard library alone.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, Union, cast

import orchestrator
from orchestrator import errors
from orchestrator.api.results import SweepResults
from orchestrator.layout import SweepDir
from orchestrator.trial.contract import function_file
from orchestrator.trial.contract.events import Report
from orchestrator.trial.contract.nested_sweep import refuse_inside_a_trial
from orchestrator.trial.program.tune_resources import known_resources_of

if TYPE_CHECKING:
    from orchestrator.ledger.records import TrialRecord
    from orchestrator.spec import SweepSpec

PathLike = Union[str, "os.PathLike[str]"]

STREAMS = {"stdout": 1, "stderr": 2}


def sweep(
    sweep: Any,
    entity: str | None = None,
    project: str | None = None,
    prior_runs: Sequence[str] | None = None,
    *,
    name: str | None = None,
    runs_dir: PathLike | None = None,
) -> str:
    """Create a sweep, as `api.sweeps.sweep` does where `sweep` is installed; arguments, result and errors are the same."""
    refuse_inside_a_trial("sweep")
    given = sweep() if callable(sweep) else sweep
    spec = _plain(given, "sweep config") if isinstance(given, Mapping) else _path_of(given)
    asked = {"entity": entity, "project": project, "prior_runs": list(prior_runs or ()), "name": name}
    return str(_ask("sweep", sweep=spec, runs_dir=_path_of(runs_dir), **asked))


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
    runs_dir: PathLike | None = None,
    address: str | None = None,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
) -> None:
    """Run trials of a sweep, as `api.sweeps.agent` does where `sweep` is installed; they run in this Python.

    Arguments, output and errors are the same. A function travels by value, with what its script or notebook defines.
    """
    refuse_inside_a_trial("agent")
    made = None if function is None else function_file.dumped(function, known_resources_of(function)).hex()
    settings = {"entity": entity, "project": project, "count": count, "term_timeout": term_timeout}
    machines = {"address": address, "num_cpus": num_cpus, "num_gpus": num_gpus}
    failures = {"max_consecutive_failed_runs": max_consecutive_failed_runs}
    where = {"runs_dir": _path_of(runs_dir), "python": sys.executable, "function": made}
    _ask("agent", sweep_id=sweep_id, **where, **settings, **failures, **machines)


def load(sweep: PathLike = "last", *, runs_dir: PathLike | None = None) -> SweepResults:
    """Return the results of a sweep as they are now, as `api.results.load` does where `sweep` is installed."""
    told = _ask("load", sweep=_path_of(sweep), runs_dir=_path_of(runs_dir))
    for text in told["warnings"]:
        warnings.warn(text, stacklevel=2)
    return SweepResults(Told(told))


class Told:
    """What `sweep` told of a sweep."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.id, self.name, self.label, self.state = told["id"], told["name"], told["label"], told["state"]
        self.metric: str | None = told["metric"]
        self.dir = SweepDir(Path(told["path"]))
        self.config: dict[str, Any] = told["config"]
        self.trials: Sequence[TrialRecord] = [cast("TrialRecord", SimpleNamespace(**trial)) for trial in told["trials"]]
        by_number = {trial.number: trial for trial in self.trials}
        self.ranked: Sequence[TrialRecord] = [by_number[number] for number in told["ranked"]]
        self.front: Sequence[TrialRecord] = [by_number[number] for number in told["front"]]
        self._columns: dict[str, list[Any]] = told["columns"]

    @property
    def spec(self) -> SweepSpec:
        """What only the Python of `sweep` can read.

        Raises:
            SweepError: Always.
        """
        raise errors.SweepError(f"a spec as it was read is known in {_tool()} alone; `config` is the spec as a dict")

    def columns(self) -> dict[str, list[Any]]:
        """Return the table of all trials; moments are texts of ISO 8601."""
        return {name: list(values) for name, values in self._columns.items()}

    def attempts(self, number: int) -> list[list[Report]]:
        """Return the rows of a trial that are in the ledger, by attempt."""
        found = _ask("rows", sweep=str(self.dir.path), number=number)
        return [[Report(**row) for row in rows] for rows in found]


def _tool() -> str:
    """The Python of the `sweep` command, as the client found it."""
    return str(vars(orchestrator)["_tool"])


def _ask(call: str, **arguments: Any) -> Any:
    """Let `sweep` do something: its output is this process's, its error is raised here.

    Raises:
        SweepError: As the call does, or `sweep` ended without an answer.
        KeyboardInterrupt: As the call does.
    """
    is_notebook = in_notebook()
    question = json.dumps({"call": call, "arguments": arguments, "notebook": is_notebook}) + "\n"
    answers, theirs = os.pipe()
    own = {name: _is_own(name) and not is_notebook for name in STREAMS}
    with open(answers, "rb", buffering=0) as pipe:  # noqa: PTH123 - a descriptor
        try:
            process = subprocess.Popen(
                [_tool(), "-P", "-m", "orchestrator.api.served", str(theirs)],
                stdin=subprocess.PIPE,
                stdout=None if own["stdout"] else subprocess.PIPE,
                stderr=None if own["stderr"] else subprocess.PIPE,
                pass_fds=[theirs],
                env=_environment(),
                start_new_session=True,  # the terminal's Ctrl-C comes here, and is passed on once
            )
        except OSError as error:
            raise errors.SweepError(f"sweep cannot be started by {_tool()}: {error.strerror}") from error
        finally:
            os.close(theirs)
        with process, _passing_on(process, is_notebook=is_notebook):
            answer = _converse(process, pipe, question.encode())
            code = process.wait()
    return _said(answer, code)


def _converse(process: subprocess.Popen[bytes], answers: IO[bytes], question: bytes) -> dict[str, Any] | None:
    """Ask, and return the answer; when this ends, however it does, `sweep` ends itself."""
    assert process.stdin is not None
    try:
        process.stdin.write(question)
        process.stdin.flush()
        return _listen(process, answers)
    except BrokenPipeError:
        return None
    finally:
        try:
            process.stdin.close()
        except OSError:
            pass


def _said(answer: Mapping[str, Any] | None, code: int) -> Any:
    """What an answer comes to: a value or an error."""
    if answer is None and code == errors.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if answer is None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise errors.SweepError(
            f"sweep ({_tool()}) {how} before it answered. What is finished is kept; agent() goes on with it."
        )
    if "error" not in answer:
        return answer["value"]
    if answer["error"] == "KeyboardInterrupt":
        raise KeyboardInterrupt(answer["text"])
    kind = getattr(errors, answer["error"], errors.SweepError)
    raise kind(answer["text"])


def _listen(process: subprocess.Popen[bytes], answers: IO[bytes]) -> dict[str, Any] | None:
    """Show what `sweep` says until it has answered; return its answer."""
    found: dict[str, Any] | None = None
    lines = _Lines()
    with selectors.DefaultSelector() as selector:
        selector.register(answers, selectors.EVENT_READ, "answers")
        for name in STREAMS:
            stream = getattr(process, name)
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, name)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 65_536)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == "answers":
                    for message in lines.more(data):
                        found = _heard(message) or found
                else:
                    _write(key.data, data)
    return found


class _Lines:
    """Messages, from the pieces of a stream."""

    def __init__(self) -> None:
        self._rest = b""

    def more(self, data: bytes) -> Iterator[dict[str, Any]]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        yield from map(json.loads, lines)


def _heard(message: dict[str, Any]) -> dict[str, Any] | None:
    """Show what is to be shown; return what is an answer."""
    if "display" not in message:
        return message
    from IPython.display import display

    display(message["display"], raw=True, display_id=message["id"], update=message["update"])  # type: ignore[no-untyped-call]
    return None


def _write(name: str, data: bytes) -> None:
    stream = getattr(sys, name)
    stream.write(data.decode("utf-8", "replace"))
    stream.flush()


def _is_own(name: str) -> bool:
    """Whether a stream is this process's own, so that another may write to it: not one that was put in its place."""
    stream = getattr(sys, name)
    try:
        return stream is getattr(sys, f"__{name}__") and stream.fileno() == STREAMS[name]
    except (AttributeError, OSError, ValueError):
        return False


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


@contextmanager
def _passing_on(process: subprocess.Popen[bytes], *, is_notebook: bool) -> Iterator[None]:
    """Pass signals on that ask to stop, instead of stopping here; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT] if is_notebook else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda number, _: process.send_signal(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment() -> dict[str, str]:
    """This process's, without what would send the command's Python to this one's libraries."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}


def _path_of(given: Any) -> Any:
    return os.fspath(given) if isinstance(given, os.PathLike) else given


def _plain(value: Any, where: str) -> Any:
    """A value as JSON can carry it: mappings with texts for names, lists, and numbers of NumPy as Python's.

    Raises:
        SweepError: It can not; says what and where.
    """
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise errors.SweepError(f"{where}: {name!r} is no name; names are texts")
        return {name: _plain(inner, f"{where}.{name}") for name, inner in value.items()}
    if isinstance(value, (list, tuple, range, set, frozenset)):
        return [_plain(inner, f"{where}[{n}]") for n, inner in enumerate(value)]
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), where)
    raise errors.SweepError(
        f"{where}: {value!r:.80} is no value of a spec; those are texts, numbers, booleans and lists"
    )
