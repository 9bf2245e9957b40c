"""Which GPUs of this machine a sweep uses: those that are named or visible, but none that another program holds."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orchestrator.errors import ClusterError
from orchestrator.execution.fitness import HELD, named_holder, size

A_GPU = re.compile(r"\d{1,4}|(GPU|MIG)-[0-9A-Za-z/_-]+")
"""How CUDA_VISIBLE_DEVICES names one."""


def names_in(text: str) -> tuple[str, ...]:
    """Return the GPUs that a list with commas names.

    Raises:
        ValueError: It names none, one twice, or something else.
    """
    names = tuple(word.strip() for word in text.split(","))
    wrong = next((name for name in names if not A_GPU.fullmatch(name)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is no GPU: numbers or UUIDs with commas, as in CUDA_VISIBLE_DEVICES (2,3)")
    names = tuple(str(int(name)) if name.isdecimal() else name for name in names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"GPU {twice} is named twice")
    return names


def choose(
    gpus: Sequence[Mapping[str, Any]],
    *,
    named: Sequence[str] | None,
    visible: str | None,
    taken: Collection[str] = (),
    most: int | None = None,
) -> tuple[tuple[str, ...] | None, list[str]]:
    """Return the GPUs to use, None where Ray finds them itself, and what to say of them.

    Args:
        gpus: What `node_report` says of each; empty where it cannot tell.
        named: Those that the user named.
        visible: CUDA_VISIBLE_DEVICES, where it is set.
        taken: Those that sweeps have: they give them back.
        most: How many to use; None for all.

    Raises:
        ClusterError: A named one is not there or not visible, or too few are free of other programs.
    """
    seen = None if visible is None else tuple(word.strip() for word in visible.split(",") if word.strip())
    if named is not None:
        _check_named(named, gpus, seen)
        said = [f"GPU {name} is used, since --gpus names it, though {why}" for name, why in _held(named, gpus, taken)]
        return tuple(named), said
    if not gpus:
        return None, []
    there = tuple(str(gpu["index"]) for gpu in gpus) if seen is None else seen
    held = dict(_held(there, gpus, taken))
    if not held:
        return None, []
    free = tuple(name for name in there if name not in held)
    if not free or (most is not None and most > len(free)):
        wanted = "every GPU that may be used here is" if not free else f"{most} GPUs are asked for, {len(free)} are not"
        raise ClusterError(
            f"{wanted} held by other programs: {'; '.join(f'GPU {name}: {why}' for name, why in held.items())}.\n"
            f"  --gpus {','.join(there)} uses them all the same; with --gpus-per-trial 0 trials need none."
        )
    return free[:most], [f"GPU {name} is left out: {why}. --gpus names those to use" for name, why in held.items()]


def _check_named(named: Sequence[str], gpus: Sequence[Mapping[str, Any]], seen: Sequence[str] | None) -> None:
    for name in named:
        if seen is not None and name not in seen:
            raise ClusterError(
                f"--gpus {name}: only {','.join(seen) or 'none'} may be used here (CUDA_VISIBLE_DEVICES)"
            )
        if gpus and not name.startswith("MIG-") and _of(name, gpus) is None:
            last = max(gpu["index"] for gpu in gpus)
            raise ClusterError(f"--gpus {name}: this machine has no such GPU; it has {f'0 to {last}' if last else '0'}")


def _held(names: Sequence[str], gpus: Sequence[Mapping[str, Any]], taken: Collection[str]) -> list[tuple[str, str]]:
    """Those of the named GPUs that other programs than sweeps hold, and which."""
    found = []
    for name in names:
        gpu = _of(name, gpus)
        if gpu is None or {name, str(gpu["index"]), gpu["uuid"]} & set(taken):
            continue
        foreign = [holder for holder in gpu["holders"] if not holder["sweep"]]
        held_bytes = sum(holder["bytes"] or 0 for holder in foreign)
        if foreign and held_bytes >= HELD * gpu["total"]:
            who = "; ".join(named_holder(holder) for holder in foreign)
            found.append((name, f"{size(held_bytes)} of its {size(gpu['total'])} are held {who}"))
    return found


def _of(name: str, gpus: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    if name.isdecimal():
        return next((gpu for gpu in gpus if gpu["index"] == int(name)), None)
    return next((gpu for gpu in gpus if gpu["uuid"].startswith(name)), None)
