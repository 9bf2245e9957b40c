"""What the pool asks of Ray: start actors, wait for answers, tell how one died, end them."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.execution.ray import carried
from orchestrator.execution.ray.package import packed
from orchestrator.execution.ray.worker import Worker

THREADS = 12
"""Calls that an actor works on at once: long polls for events and files, and launches and stops beside them."""

CLOSE_S = 5.0
"""How long workers may take to end their trials before they are killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """An actor that will never answer again.

    Attributes:
        reason: One line.
        preempted: Whether Ray knows that its node was being taken away.
        unreachable: Whether it may still be alive where nobody hears it.
        node_died: Whether its node's raylet is surely gone, and it with it.
    """

    reason: str
    preempted: bool = False
    unreachable: bool = False
    node_died: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A call that got lost; the actor may answer the next one."""

    reason: str


Answer: TypeAlias = "dict[str, Any] | list[Any] | bytes | str | Death | Silence | None"


def ship() -> Any:
    """Put this package where every node gets it from, into Ray's object store; return what stands for it there."""
    import ray

    ray.cloudpickle.register_pickle_by_value(carried)  # nodes could not import it
    return ray.put(packed())


def start(holds: Mapping[str, float], *, node_id: str | None, package: Any) -> Any:
    """Ask for a worker. Returns its handle at once.

    Args:
        holds: The resources that it holds.
        node_id: Where it starts; None for where Ray finds room.
        package: What `ship` returned; None where every node is this machine, which has this package.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    custom = {name: amount for name, amount in holds.items() if name not in {"CPU", "GPU", "memory"}}
    options = {
        "num_cpus": holds.get("CPU", 0),
        "num_gpus": holds.get("GPU", 0),
        "memory": int(holds["memory"]) if "memory" in holds else None,
        "resources": custom or None,
        "max_restarts": 0,
        "max_task_retries": 0,
        "max_concurrency": THREADS,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node_id, soft=False) if node_id else "DEFAULT",
    }
    if package is None:
        return ray.remote(Worker).options(**options).remote()
    return ray.remote(carried.CarriedWorker).options(**options).remote(package)


def answered(calls: Sequence[Any], *, timeout_s: float) -> Sequence[Any]:
    """Wait until one of the calls is answered; return all that are."""
    import time

    import ray

    if not calls:
        time.sleep(timeout_s)
        return ()
    ready, _ = ray.wait(list(calls), num_returns=1, timeout=timeout_s)
    if not ready or len(calls) == 1:
        return list(ready)
    everything, _ = ray.wait(list(calls), num_returns=len(calls), timeout=0)
    return list(everything)


def answer(call: Any) -> Answer:
    """Return what an answered call says."""
    import ray
    from ray.exceptions import ActorUnavailableError, RayActorError, RayError

    try:
        value: dict[str, Any] | list[Any] | bytes | str | None = ray.get(call)
        return value
    except ActorUnavailableError as error:
        return Silence(reason=_line(error))
    except RayActorError as error:
        return Death(reason=_line(error), preempted=bool(error.preempted))
    except RayError as error:
        return Death(reason=_line(error))


def _line(error: Exception) -> str:
    """The one line of Ray's message that says most: the last of a traceback, the one after the actor's address."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [
        line
        for line in lines
        if not line.startswith(("class_name:", "actor_id:", "pid:", "namespace:", "ip:", "name:"))
    ]
    return (told[-1] if told else type(error).__name__)[:300]


def is_alive(node_id: str) -> bool:
    """Whether a node is alive as far as Ray knows."""
    import ray

    return any(node["NodeID"] == node_id and node["Alive"] for node in ray.nodes())


ENDED_IN_ORDER = frozenset({1, 3, 4})
"""Ray's reasons for the death of a node that was not its own fault: SIGTERM to its Ray, taken away, idle."""


def was_taken_away(node_id: str) -> bool:
    """Whether a node is gone because somebody ended its Ray in order, as a scheduler or a cloud does."""
    import ray

    gone = [node for node in ray.nodes() if node["NodeID"] == node_id and not node["Alive"]]
    return any(node.get("DeathReason") in ENDED_IN_ORDER for node in gone)


def shared(value: object) -> Any:
    """Return a reference to a value that each node fetches once."""
    import ray

    return ray.put(value)


def begin_to_end(actors: Sequence[Any], *, method: str = "close") -> None:
    """Ask actors to do a last thing, and wait a moment for it."""
    import ray
    from ray.exceptions import RayError

    with contextlib.suppress(RayError, ValueError):
        if actors:
            calls = [getattr(actor, method).remote() for actor in actors]
            ray.wait(calls, num_returns=len(calls), timeout=CLOSE_S)


def end(actors: Sequence[Any], *, wait_s: float = CLOSE_S) -> None:
    """End actors: ask them first to end their trials, if there is time, then kill them. Dead ones do not matter."""
    import ray
    from ray.exceptions import RayError

    with contextlib.suppress(RayError, ValueError):
        if wait_s > 0 and actors:
            ray.wait([actor.close.remote() for actor in actors], num_returns=len(actors), timeout=wait_s)
    for actor in actors:
        with contextlib.suppress(RayError, ValueError):
            ray.kill(actor, no_restart=True)
