"""The one row about the sweep itself."""

from dataclasses import dataclass

from orchestrator.errors import LedgerError
from orchestrator.ledger.database import Database
from orchestrator.ledger.records import SweepRecord, SweepState
from orchestrator.ledger.rows import sweep_record


@dataclass(frozen=True, slots=True)
class SweepRow:
    """What is recorded about the sweep: read anew each time, each change durable at once."""

    _database: Database

    def create(self, record: SweepRecord, *, study: str | None = None) -> None:
        """Write the row, and what the sweep's search remembers. Once."""
        fields = {name: getattr(record, name) for name in SweepRecord.__slots__} | {"only": 1, "study": study}
        with self._database.transaction("create"):
            self._database.insert("sweep", [fields])

    @property
    def record(self) -> SweepRecord:
        """The row as it stands."""
        records = self._database.records(sweep_record, "SELECT * FROM sweep")
        if not records:
            raise LedgerError(
                f"{self._database.path}: the ledger holds no sweep; its directory was not completely created"
            )
        return records[0]

    def set_state(
        self,
        state: SweepState,
        reason: str | None = None,
        *,
        exit_code: int | None = None,
        active_s: float | None = None,
    ) -> None:
        """Say where the sweep stands, what its controller ends with, and how long it has run if that is known."""
        with self._database.transaction("state"):
            self._database.execute("UPDATE sweep SET state = ?, reason = ?, exit_code = ?", state, reason, exit_code)
            if active_s is not None:
                self.note_active(active_s)

    def note_active(self, active_s: float) -> None:
        """Write how many seconds controllers have spent on the sweep."""
        with self._database.transaction("active"):
            self._database.execute("UPDATE sweep SET active_s = ?", active_s)

    def rename(self, name: str) -> None:
        """Give the sweep another name."""
        with self._database.transaction("rename"):
            self._database.execute("UPDATE sweep SET name = ?", name)

    def set_spec(self, spec_text: str, source_text: str | None) -> None:
        """Replace the spec: its author edited it."""
        with self._database.transaction("spec"):
            self._database.execute("UPDATE sweep SET spec_text = ?, source_text = ?", spec_text, source_text)

    def set_place(self, cwd: str, source_path: str | None) -> None:
        """Replace where trials are launched from, and the spec's file: the project was moved."""
        with self._database.transaction("place"):
            self._database.execute("UPDATE sweep SET cwd = ?, source_path = ?", cwd, source_path)

    def set_wandb_sweep(self, wandb_sweep_id: str) -> None:
        """Remember the sweep that was created on the W&B server: ``entity/project/id``."""
        with self._database.transaction("wandb"):
            self._database.execute("UPDATE sweep SET wandb_sweep_id = ?", wandb_sweep_id)
