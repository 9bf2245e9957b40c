"""One call of the Python API, asked from another Python (`driving`): a line of JSON comes in, lines of JSON go out.

Run as ``python -m orchestrator.api.served DESCRIPTOR``. What is said for people goes to the standard streams as ever.
"""

import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import IO, Any

from orchestrator.api import results, sweeps
from orchestrator.api.watching import notebook_watch, watching
from orchestrator.errors import SweepError

ATTRIBUTES = ("number", "attempt", "value", "started", "error", "run_id")
"""What is told of a trial as it is recorded."""


class Served:
    """What may be asked, a method each; `answers` takes what goes out."""

    def __init__(self, answers: IO[str], *, is_notebook: bool) -> None:
        self._answers = answers
        self._is_notebook = is_notebook

    def sweep(self, **arguments: Any) -> str:
        """Create a sweep."""
        return sweeps.sweep(**arguments)

    def agent(self, *, function: str | None, python: str, **arguments: Any) -> None:
        """Run trials; the function comes as what its file holds, in hexadecimal digits."""
        made = None if function is None else sweeps.MadeElsewhere(content=bytes.fromhex(function), python=python)
        watch = (lambda sweep_dir: notebook_watch(sweep_dir, self._show)) if self._is_notebook else watching
        sweeps.run_agent(made=made, watch=watch, python=python, **arguments)

    def load(self, **arguments: Any) -> dict[str, Any]:
        """Return all that `load` knows at once."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            kept = results.in_ledger(**arguments)
        return {
            **{name: getattr(kept, name) for name in ("id", "name", "label", "state", "metric", "config")},
            "path": str(kept.dir.path),
            "trials": [_trial(trial) for trial in kept.trials],
            "ranked": [trial.number for trial in kept.ranked],
            "front": [trial.number for trial in kept.front],
            "columns": {name: [_plain(value) for value in values] for name, values in kept.columns().items()},
            "warnings": [str(warning.message) for warning in said],
        }

    def rows(self, *, sweep: str, number: int) -> list[list[dict[str, Any]]]:
        """Return the rows of a trial that are in the ledger."""
        found = results.in_ledger(sweep).attempts(number)
        return [[asdict(report) for report in reports] for reports in found]

    def say(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()

    def _show(self, bundle: Mapping[str, str], display_id: str, *, update: bool) -> None:
        self.say({"display": dict(bundle), "id": display_id, "update": update})


def _trial(record: Any) -> dict[str, Any]:
    told = {name: getattr(record, name) for name in ATTRIBUTES}
    return {**told, "state": str(record.state), "config": dict(record.config), "metrics": dict(record.metrics)}


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def main() -> None:
    """Answer one call, and end early when whoever asked is gone."""
    question = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_asker, daemon=True).start()
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        served = Served(answers, is_notebook=question["notebook"])
        served.say(_answer(served, question))


def _answer(served: Served, question: Mapping[str, Any]) -> dict[str, Any]:
    call: Callable[..., Any] = getattr(served, question["call"])
    try:
        return {"value": call(**question["arguments"])}
    except (SweepError, KeyboardInterrupt) as error:
        return {"error": type(error).__name__, "text": str(error)}
    except Exception as error:  # noqa: BLE001 - whoever asked has to hear of it
        traceback.print_exc()
        return {"error": "SweepError", "text": f"sweep failed: {type(error).__name__}: {error}"}


def _end_with_asker() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
