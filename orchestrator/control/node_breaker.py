"""Which node is to blame for trials that fail: one where none has shown anything, while other nodes run theirs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.trial.contract.events import Cause, Ended, likeness

NODE_MAY_BE_TO_BLAME = frozenset({Cause.NOT_STARTED, Cause.FAILED, Cause.KILLED, Cause.OUT_OF_MEMORY})
"""Ends that a node may bring about: its files, its packages, its GPUs."""

ALIKE = 2
"""Trials that fail alike on one node, from which on it is the node, if one of them works elsewhere."""

MAX_NODES = 3
"""Nodes on which a trial is tried that shows nothing on any of them; then it is the trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """A node that costs trials.

    Attributes:
        node: Its id.
        reason: Why, one sentence for the user, with its host.
    """

    node: str
    reason: str


@dataclass(slots=True, kw_only=True)
class _Record:
    """What failed on a node that has shown nothing yet: by likeness the errors of the trials, by number."""

    host: str
    failures: dict[str, dict[int, str]] = field(default_factory=dict)

    def add(self, alike: str, trial: int, error: str) -> None:
        self.failures.setdefault(alike, {})[trial] = error

    def acquit(self, trial: int) -> None:
        """Forget a trial that fails elsewhere, too."""
        for trials in self.failures.values():
            trials.pop(trial, None)


class NodeBreaker:
    """Tells a bad node from a bad program and from a bad config.

    A node has proved itself once a trial logged a row on it, or finished. Before that, a trial that fails on it without
    a row may be the node's fault as well as its own: it runs again on another node. When `ALIKE` trials have failed so,
    and one of them works elsewhere, it is the node. What fails alike on every node that there is, is the program.
    """

    def __init__(self) -> None:
        self._proved: set[str] = set()
        self._records: dict[str, _Record] = {}
        self._tried: dict[int, set[str]] = {}
        self._working: set[int] = set()
        self._blamed: set[str] = set()
        self._news: list[Blame] = []

    def worked(self, trial: int, node: str) -> None:
        """A trial logged a row on a node, or finished there."""
        self._proved.add(node)
        if trial in self._tried:
            self._working.add(trial)
        self._judge()

    def tried(self, trial: int) -> frozenset[str]:
        """Return the nodes that a trial should keep away from."""
        return frozenset(self._tried.get(trial, ()))

    def is_suspect(
        self, ended: Ended, node: str, host: str, others: Sequence[str], *, unheard: bool, showed: bool
    ) -> bool:
        """Take in an end; return whether it may be the node's fault, so that the trial should run again elsewhere.

        Args:
            ended: How the attempt ended.
            node: Where it ran.
            host: What its machine is called.
            others: The other nodes that take trials.
            unheard: Whether yet another node is about to take trials.
            showed: Whether the attempt logged a row.
        """
        if showed or ended.cause is Cause.FINISHED:
            self.worked(ended.trial, node)
        if ended.cause not in NODE_MAY_BE_TO_BLAME or showed:
            return False
        others = [other for other in others if other not in self._blamed]
        alike = likeness(ended.cause, ended.error)
        proved = [other for other in others if other in self._proved]
        if node in self._proved or not (others or unheard) or len(self._tried.get(ended.trial, ())) >= MAX_NODES - 1:
            self._is_the_trial(ended.trial)
            return False
        self._records.setdefault(node, _Record(host=host)).add(alike, ended.trial, ended.error or ended.cause.words)
        self._judge()
        if not proved and not unheard and all(self._fails_alike(other, alike) for other in others):
            return False
        self._tried.setdefault(ended.trial, set()).add(node)
        return True

    def blame(self) -> list[Blame]:
        """Return the nodes that are to blame, each once."""
        news, self._news = self._news, []
        return news

    def _judge(self) -> None:
        found = [
            Blame(node=node, reason=_sentence(record.host, trials))
            for node, record in self._records.items()
            if node not in self._blamed and node not in self._proved
            for trials in [max(record.failures.values(), key=len)]
            if len(trials) >= ALIKE and self._working & trials.keys()
        ]
        self._blamed.update(blame.node for blame in found)
        self._news += found

    def _is_the_trial(self, trial: int) -> None:
        for node in self._tried.get(trial, ()):
            self._records[node].acquit(trial)

    def _fails_alike(self, node: str, alike: str) -> bool:
        return node in self._records and bool(self._records[node].failures.get(alike))


def _sentence(host: str, errors: Mapping[int, str]) -> str:
    numbers = ", ".join(str(number) for number in sorted(errors)[:5]) + (", ..." if len(errors) > 5 else "")
    return (
        f"node {host} gets no more trials: there alone they fail before they log anything (trials {numbers}: "
        f"{next(iter(errors.values()))}). Mend it, then start Ray there again to have it back"
    )
