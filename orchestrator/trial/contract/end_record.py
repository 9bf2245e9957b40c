"""The record of an attempt's end, a file in its trial's directory: the first one written decides.

The attempt itself writes it when its program came to an end; who gives the attempt up writes it when nothing is heard of it
any more. So an attempt that runs on unseen can never succeed beside its successor.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.layout import TrialDir
from orchestrator.trial.contract.bounds import LONGEST_TEXT, as_object, valid_text

STOPPED_EXIT = 143
"""Exit code of a Python program that was ended by SIGTERM."""


LARGEST_CODE = 2**31 - 1


LONGEST_RECORD = 1 << 20
"""Bytes of an end's record; one that is longer is none."""


def leave_record(trial_dir: TrialDir, attempt: int, record: Mapping[str, Any]) -> bool:
    """Write the record of an attempt's end, whole and once; return whether this one is it."""
    path = trial_dir.end_path(attempt)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(record), encoding="utf-8")
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a filesystem without hard links
        return _create(path, temporary.read_bytes())
    finally:
        temporary.unlink()
    return True


def _create(path: Path, content: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    os.write(descriptor, content)
    os.close(descriptor)
    return True


def left_behind(trial_dir: TrialDir, attempt: int) -> dict[str, Any] | None:
    """Return the record that an attempt left of its own end; None when it came to none."""
    try:
        with trial_dir.end_path(attempt).open("rb") as file:
            data = as_object(file.read(LONGEST_RECORD))
    except OSError:
        return None
    return None if data is None or type(data.get("exit_code")) is not int else _valid(data)


def _valid(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of an end without what is of a wrong kind: a program may write into its directory what it likes."""
    kinds = {"error": str | None, "ended_s": int | float, "core_lost": bool, "started": bool}
    valid: dict[str, Any] = {
        name: value for name, value in record.items() if isinstance(value, kinds.get(name, object))
    }
    if valid.get("error") is not None:
        valid["error"] = valid_text(valid["error"], LONGEST_TEXT)
    return {**valid, "exit_code": min(max(record["exit_code"], -LARGEST_CODE), LARGEST_CODE)}


def give_up(trial_dir: TrialDir, attempt: int) -> dict[str, Any] | None:
    """Return the record that an attempt left of its own end; without one, see to it that it never leaves one."""
    if not trial_dir.path.is_dir():
        return None  # the attempt was never begun
    leave_record(trial_dir, attempt, {"given_up": True})
    return left_behind(trial_dir, attempt)
