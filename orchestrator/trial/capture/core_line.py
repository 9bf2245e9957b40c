"""Rows of ours on their way to W&B's core, by a connection of our own.

W&B's client gives each row to a thread and waits until that has sent it, which costs ten times as much as the row.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.trial.contract.scalars import as_json
from orchestrator.trial.wandb_core import connected

PATIENCE_S = 10.0
"""How long the core may take to answer, or to read on."""

_HEAD = struct.Struct("<cI")
"""What stands before a message: a sign, and the message's length."""


class CoreLine:
    """Appends rows to a run that this process began. What was sent is the core's, whatever becomes of the process.

    Args:
        run: The run. Nothing else logs to it while the line is open: rows of two connections have no order.

    Raises:
        Exception: The core cannot be reached, or this wandb is not as we know it.
    """

    def __init__(self, run: Any) -> None:
        from wandb.proto import wandb_server_pb2

        self._messages = wandb_server_pb2
        self._run = run
        self._about = {"_info": {"stream_id": run._interface._stream_id}}  # noqa: SLF001 - by this the core knows the run
        self._step = run._local_step  # noqa: SLF001 - there is no other way to tell the run which step is next
        self._pid = os.getpid()
        self._begun: tuple[tuple[str, ...], Any] = ((), self._row_of(()))  # as one: interrupts come between two steps
        self._socket = connected(os.environ["WANDB_SERVICE"])
        try:
            self._socket.settimeout(PATIENCE_S)
            self._ask("attach", inform_attach=self._about)
        except BaseException:
            self._socket.close()
            raise

    @property
    def is_ours(self) -> bool:
        """Whether this process opened it, and none that it was forked from."""
        return self._pid == os.getpid()

    def log(self, metrics: Mapping[str, float], step: int | None = None, *, commit: bool | None = None) -> None:
        """Do what `run.log` does.

        Raises:
            OSError: The core is gone, or does not read.
        """
        names = tuple(metrics)
        if names != self._begun[0]:
            self._begun = (names, self._row_of(names))
        row = self._begun[1]
        history = row.record_publish.request.partial_history
        for item, value in zip(history.item, (*metrics.values(), time.time())):
            item.value_json = as_json(value)
        if step is None:
            history.ClearField("step")
        else:
            history.step.num = step
        if commit is None:
            history.ClearField("action")
        else:
            history.action.flush = commit
        self._send(row)
        self._step = max(self._step, step or 0) + (commit if commit is not None else step is None)
        self._run._local_step = self._step  # noqa: SLF001 - as above

    def close(self) -> None:
        """Wait until the core has all rows in their place, and give the run back to its client."""
        try:
            slot = {"mailbox_slot": "status"}
            self._ask("status", record_communicate={**self._about, "control": slot, "request": {"status": {}}})
        finally:
            self._socket.close()

    def _row_of(self, names: tuple[str, ...]) -> Any:
        """Return the message of rows with these names: most rows have those of the row before."""
        history = {"item": [{"key": name} for name in (*names, "_timestamp")]}
        return self._messages.ServerRequest(record_publish={**self._about, "request": {"partial_history": history}})

    def _ask(self, name: str, **request: Any) -> None:
        """Send a request and wait for its answer."""
        self._send(self._messages.ServerRequest(request_id=name, **request))
        answer = self._messages.ServerResponse()
        while answer.request_id != name:
            _, n_bytes = _HEAD.unpack(self._read(_HEAD.size))
            answer.ParseFromString(self._read(n_bytes))

    def _send(self, request: Any) -> None:
        data = request.SerializeToString()
        try:
            self._socket.sendall(_HEAD.pack(b"W", len(data)) + data)
        except BaseException:  # also the program's own interrupt
            self._socket.close()  # the core would take what follows for the rest of this
            raise

    def _read(self, n_bytes: int) -> bytes:
        found = b""
        while len(found) < n_bytes:
            part = self._socket.recv(n_bytes - len(found))
            if not part:
                raise ConnectionResetError("W&B's core has closed the connection")
            found += part
        return found


def line_to(run: Any) -> CoreLine | None:
    """Return a line to a run's core; None where there can be none: the run's client does the same."""
    try:
        return CoreLine(run)
    except Exception:  # noqa: BLE001 - a run that is switched off; a wandb of another time
        return None
