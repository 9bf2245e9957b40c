"""What keeps nodes from running trials: workers that do not work there, what a node lacks, who is to blame for failures."""

from collections.abc import Collection, Iterable


class NodeFaults:
    """The nodes that are left alone, for a while or for good, and what is said of them; by the nodes' ids."""

    def __init__(self) -> None:
        self._avoided: dict[str, float] = {}
        self._faults: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._remarks: set[str] = set()

    def see(self, nodes: Collection[str], now_s: float) -> None:
        """Take in which nodes there are: those that are gone have no fault, and who was avoided for long enough may try."""
        self._avoided = {node: until_s for node, until_s in self._avoided.items() if until_s > now_s}
        self._faults = {node: reason for node, reason in self._faults.items() if node in nodes}

    def avoid(self, node: str, reason: str, *, until_s: float) -> None:
        """Start no worker on a node until then (monotonic seconds): those that were started there do not work."""
        self._avoided[node] = until_s
        self._faults[node] = reason

    def acquit(self, node: str) -> None:
        """Forget what was wrong with a node: a worker works there."""
        self._faults.pop(node, None)

    def leave_out(self, node: str, reason: str) -> None:
        """Give a node no more trials."""
        self._left_out[node] = reason

    def remark(self, text: str) -> None:
        """Note what is said of a node that is used all the same."""
        self._remarks.add(text)

    @property
    def avoided(self) -> Collection[str]:
        """Nodes on which no worker is started for now."""
        return self._avoided.keys()

    @property
    def left_out(self) -> Collection[str]:
        """Nodes that get no more trials."""
        return self._left_out.keys()

    @property
    def unfit(self) -> Collection[str]:
        """Nodes that something is wrong with."""
        return self._faults.keys() | self._left_out.keys()

    @property
    def warnings(self) -> Iterable[str]:
        """What keeps nodes from running trials, one sentence each."""
        return {*self._faults.values(), *self._left_out.values()}

    @property
    def remarks(self) -> Collection[str]:
        """What there is to say of nodes that are used all the same, one sentence each."""
        return self._remarks
