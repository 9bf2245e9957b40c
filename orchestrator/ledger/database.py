"""The database of a sweep, open for writing: transactions, and what keeps them honest."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.errors import SweepGoneError
from orchestrator.ledger.connection import connect, explained
from orchestrator.ledger.damage import damaged, found_in
from orchestrator.ledger.rows import bindable
from orchestrator.ledger.schema import migrate
from orchestrator.trial.contract.bounds import one_line

T = TypeVar("T")


class Database:
    """One writer's connection, used by one thread.

    Args:
        path: The database; created when it does not exist.
        on_commit: Called with the name of each transaction just before and just after it is committed (``before:NAME``,
            ``after:NAME``): where tests kill the process.

    Attributes:
        path: Where it lies.
        connection: For reading; what is written goes through `execute`, inside of a transaction.
    """

    def __init__(self, path: Path, *, on_commit: Callable[[str], None] | None = None) -> None:
        self.path = path
        self._on_commit = on_commit or (lambda _: None)
        if path.is_file() and path.stat().st_size == 0:
            raise damaged(path, "it is empty")
        self.connection = connect(path)
        self._depth = 0
        try:
            with explained(path):
                _refuse_unsound(self.connection, path)
                migrate(self.connection, path)
                place = path.stat()
        except BaseException:
            self.connection.close()
            raise
        self._identity = (place.st_dev, place.st_ino)

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """Everything written inside is written together or not at all; transactions inside join the outermost.

        Raises:
            LedgerError: It could not be written; the memory's state is then ahead of the file, and the ledger must be
                closed and opened anew.
        """
        if self._depth:
            yield
            return
        self._depth = 1
        try:
            with explained(self.path):
                self.connection.execute("BEGIN IMMEDIATE")
                unchanged = self.connection.total_changes
                try:
                    yield
                    if self.connection.total_changes == unchanged:
                        self.connection.execute("ROLLBACK")
                        return
                    self._on_commit(f"before:{name}")
                    self.connection.execute("COMMIT")
                except BaseException:
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                    raise
            self._on_commit(f"after:{name}")
        finally:
            self._depth = 0

    def execute(self, statement: str, *values: Any) -> None:
        """Execute a statement that writes."""
        self.connection.execute(statement, [bindable(value) for value in values])

    def query(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """Return the rows of a query.

        Raises:
            LedgerError: They cannot be read.
        """
        with explained(self.path):
            return self.connection.execute(statement, values).fetchall()

    def records(self, convert: Callable[[sqlite3.Row], T], statement: str, *values: Any) -> list[T]:
        """Return what the rows of a query describe.

        Args:
            convert: Makes it of a row; raises `RowError` where the row describes nothing.
            statement: The query.
            values: What stands for its marks.

        Raises:
            DamagedLedgerError: A row describes nothing.
            LedgerError: They cannot be read.
        """
        with explained(self.path):
            return [convert(row) for row in self.connection.execute(statement, values).fetchall()]

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows as they are, by column; columns that the table lacks are left out."""
        columns = {row["name"] for row in self.connection.execute(f"PRAGMA table_info({table})")}
        for row in rows:
            kept = {name: value for name, value in row.items() if name in columns}
            marks = ", ".join("?" * len(kept))
            self.execute(f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})", *kept.values())  # noqa: S608 - own names

    def check_place(self) -> None:
        """Make sure that the database still lies where it was opened: what is written into a deleted file is lost.

        Raises:
            SweepGoneError: Its directory is gone, or another file is in its place.
        """
        try:
            there = self.path.stat()
        except OSError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != self._identity:
            raise SweepGoneError(
                f"the sweep's directory {self.path.parent} is gone: it was deleted or moved while the sweep ran.\n"
                "  Its trials were ended. If a program clears directories, keep sweeps elsewhere with --runs-dir; "
                "a sweep that was moved goes on with `sweep resume` and its new path."
            )

    def close(self) -> None:
        """Close the database."""
        self.connection.close()


def _refuse_unsound(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a file is what SQLite wrote: what follows is only as true as what it continues.

    Raises:
        DamagedLedgerError: It is not.
    """
    found = found_in(connection)
    if found:
        raise damaged(path, one_line(found[0], 200))
