"""The claims of the sweeps that share a Ray cluster, in its own key-value store: those of killed sweeps go silent."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from orchestrator.execution.shares import Claim

T = TypeVar("T")

NAMESPACE = b"sweep-claims"

BEAT_S = 4.0
"""Within which every living sweep has written one more: each looks at the cluster once a second, unless its machine is busy."""

LOOK_S = 0.2
"""How often somebody who waits for that looks."""

SILENT_S = 5.0
"""How long a claim counts that stays as it is; a living sweep writes one at each look at the cluster, numbered."""

FORGOTTEN_S = 60.0
"""After how long it is removed."""

ANSWER_S = 2.0
"""How long Ray's head may take for an answer; without one, what was known before still counts."""


class Claims:
    """What a sweep, and each of the others, has and wants of the cluster that this process is connected to.

    Args:
        name: Of the sweep; empty for somebody who only looks.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._heard: dict[str, tuple[bytes, float]] = {}
        self._n_written = 0

    def others(self, now_s: float) -> Mapping[str, Claim]:
        """Return the claims of the other sweeps that live, by their names.

        Args:
            now_s: Monotonic seconds.
        """
        with _unanswered_is_no_news():
            self._read(now_s)
        living = {name: _claim(said) for name, (said, heard_s) in self._heard.items() if now_s - heard_s <= SILENT_S}
        return {name: claim for name, claim in living.items() if claim is not None}

    def heard_s(self, name: str) -> float:
        """Return when, in monotonic seconds, a claim was first seen as it is."""
        return self._heard[name][1]

    def write(self, claim: Claim) -> None:
        """Let the others know what this sweep has and wants."""
        self._n_written += 1
        said = json.dumps({**asdict(claim), "n": self._n_written}).encode()
        with _unanswered_is_no_news():
            _store().internal_kv_put(self._name.encode(), said, True, NAMESPACE, ANSWER_S)

    def leave(self) -> None:
        """Have and want nothing any more."""
        self._remove(self._name)

    def _read(self, now_s: float) -> None:
        store = _store()
        keys = [key for key in store.internal_kv_keys(b"", NAMESPACE, ANSWER_S) if key != self._name.encode()]
        found = store.internal_kv_multi_get(keys, NAMESPACE, ANSWER_S) if keys else {}
        said = {key.decode(): value for key, value in found.items()}
        kept = {name: heard for name, heard in self._heard.items() if said.get(name) == heard[0]}
        self._heard = {name: kept.get(name, (value, now_s)) for name, value in said.items()}
        for name, (_, heard_s) in self._heard.items():
            if now_s - heard_s > FORGOTTEN_S:
                self._remove(name)

    def _remove(self, name: str) -> None:
        with _unanswered_is_no_news():
            _store().internal_kv_del(name.encode(), False, NAMESPACE, ANSWER_S)


def living(work: Callable[[], T]) -> tuple[T, Mapping[str, Claim]]:
    """Do something; return what comes of it, and the claims that were written anew meanwhile or a moment later."""
    claims, began_s = Claims(), time.monotonic()
    known = claims.others(began_s)
    done = work()
    while True:
        now_s = time.monotonic()
        changed = {name: claim for name, claim in claims.others(now_s).items() if claims.heard_s(name) > began_s}
        if known.keys() <= changed.keys() or now_s >= began_s + BEAT_S:
            return done, changed
        time.sleep(LOOK_S)


def _claim(said: bytes) -> Claim | None:
    """Return what somebody said; None where that is another release's."""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        known = json.loads(said)
        return Claim(**{name: known[name] for name in Claim.__dataclass_fields__ if name in known})
    return None


@contextlib.contextmanager
def _unanswered_is_no_news() -> Iterator[None]:
    """Go on where Ray's head does not answer: that it is gone others notice."""
    from ray.exceptions import RayError

    with contextlib.suppress(RayError):
        yield


def _store() -> Any:
    from ray.experimental import internal_kv

    return internal_kv.internal_kv_get_gcs_client()
