"""Ask every node of a cluster what it is, all at once: a process on each that holds no resources and ends with the answer."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from orchestrator.execution import node_report
from orchestrator.execution.fitness import Examined, Link, Wanted, refusals

PATIENCE_S = 30.0
"""How long a node may take to answer: a process of Ray's starts there first."""

PINGS = 5
"""Calls of which the fastest tells the round trip and the clock."""

SAMPLE_BYTES = 8 << 20
"""What is fetched from a node, through Ray's object store, to measure its link."""

LINK_S = 10.0
"""How long that may take."""

LOOK_S = 0.5
"""How often it is looked whether the answers are still wanted."""

ANSWER_S = 1.0
"""How long a node that did not answer may take to say what it hangs at."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Asked:
    node: Examined
    actor: Any
    call: Any


class Preflight:
    """The other nodes of a cluster, looked at beside a sweep that starts, so that none of its trials waits for that.

    Args:
        wanted: Returns what the trials need; it may take a moment.
        environ: The environment that the sweep is started in.
        refuse: Called with a node's id and the reason why it should get no trial, from another thread.
    """

    def __init__(
        self, wanted: Callable[[], Wanted], environ: Mapping[str, str], refuse: Callable[[str, str], None]
    ) -> None:
        self._wanted, self._environ, self._refuse = wanted, environ, refuse
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._look, name="preflight", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join(LOOK_S + ANSWER_S)

    def _look(self) -> None:
        try:
            wanted = self._wanted()
            for node in examine(wanted.questions(self._environ), links=False, others=True, given_up=self._closing):
                for finding in refusals(node, wanted):
                    mended = f"{finding.mend}; then start Ray there again to have it back"
                    self._refuse(node.node_id, f"node {node.host} gets no trials: {finding.what}. To mend it, {mended}")
        except Exception:  # what it cannot find out, the trials will
            logger.debug("no preflight", exc_info=True)


def examine(
    questions: Mapping[str, Any],
    *,
    patience_s: float = PATIENCE_S,
    links: bool = True,
    others: bool = False,
    given_up: threading.Event | None = None,
) -> list[Examined]:
    """Return what each node says, in the order of their names. This process is connected to Ray.

    Args:
        questions: As `node_report.Examiner.report` takes them.
        patience_s: How long all of them together may take to answer; one that has not by then hangs.
        links: Whether to measure how each is reached, one after the other.
        others: Leave out the node that this process is on.
        given_up: Set when the answers are wanted no more; then there are none.
    """
    import ray

    own = ray.get_runtime_context().get_node_id() if others else None
    nodes = [node for node in sorted(ray.nodes(), key=_name) if node["Alive"] and node["NodeID"] != own]
    with _by_value():
        asked = [_ask(node, questions) for node in nodes]
    try:
        _wait([each.call for each in asked], patience_s, given_up or threading.Event())
        return [_answer(each, links=links) for each in asked if given_up is None or not given_up.is_set()]
    finally:
        for each in asked:
            with contextlib.suppress(Exception):  # it may have ended by itself
                ray.kill(each.actor, no_restart=True)


def _wait(calls: Sequence[Any], patience_s: float, given_up: threading.Event) -> None:
    import ray

    until_s = time.monotonic() + patience_s
    while calls and not given_up.is_set() and (left_s := until_s - time.monotonic()) > 0:
        _, calls = ray.wait(list(calls), num_returns=len(calls), timeout=min(left_s, LOOK_S))


@contextlib.contextmanager
def _by_value() -> Iterator[None]:
    """Send `node_report` itself with what is sent of it: a node need not have it."""
    import ray.cloudpickle

    ray.cloudpickle.register_pickle_by_value(node_report)
    try:
        yield
    finally:
        ray.cloudpickle.unregister_pickle_by_value(node_report)


def _name(node: Mapping[str, Any]) -> tuple[str, str]:
    return node["NodeManagerHostname"], node["NodeID"]


def _ask(node: Mapping[str, Any], questions: Mapping[str, Any]) -> _Asked:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    options = {"num_cpus": 0, "max_restarts": 0, "max_concurrency": 2, "scheduling_strategy": there}
    actor = ray.remote(node_report.Examiner).options(**options).remote()
    resources = node["Resources"]
    known = Examined(
        node_id=node["NodeID"],
        host=node["NodeManagerHostname"],
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
    )
    return _Asked(known, actor, actor.report.remote(dict(questions)))


def _answer(asked: _Asked, *, links: bool) -> Examined:
    import ray
    from ray.exceptions import RayError

    try:
        answer = ray.get(asked.call, timeout=0)
        return replace(asked.node, answer=answer, link=_link(asked.actor) if links else None)
    except TimeoutError:
        return replace(asked.node, hangs_at=_hangs_at(asked.actor))
    except RayError as error:
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        return replace(asked.node, hangs_at=f"the start of its process ({last[:300]})")


def _hangs_at(actor: Any) -> str:
    import ray
    from ray.exceptions import RayError

    try:
        return str(ray.get(actor.at.remote(), timeout=ANSWER_S))
    except (TimeoutError, RayError):
        return "the start of its process"


def _link(actor: Any) -> Link | None:
    """Measure a link; None where the node went silent meanwhile."""
    import ray
    from ray.exceptions import RayError

    try:
        round_trip_s, ahead_s = min(_pings(actor))
    except (TimeoutError, RayError):
        return None
    began_s = time.perf_counter()
    try:
        ray.get(actor.give.remote(SAMPLE_BYTES), timeout=LINK_S)
    except (TimeoutError, RayError):
        return Link(round_trip_s=round_trip_s, bytes_per_s=None, ahead_s=ahead_s)
    took_s = max(time.perf_counter() - began_s - round_trip_s, 1e-4)
    return Link(round_trip_s=round_trip_s, bytes_per_s=SAMPLE_BYTES / took_s, ahead_s=ahead_s)


def _pings(actor: Any) -> Sequence[tuple[float, float]]:
    """Seconds there and back, and by how much its clock is ahead: of the middle of the call."""
    import ray

    found = []
    for _ in range(PINGS):
        began_s, began = time.perf_counter(), time.time()
        theirs = ray.get(actor.now.remote(), timeout=LINK_S)
        took_s = time.perf_counter() - began_s
        found.append((took_s, theirs - began - took_s / 2))
    return found
