"""The database of a sweep, open for reading while its controller writes: what can be read of it, sound or damaged."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from orchestrator.ledger.connection import connect, explained
from orchestrator.ledger.damage import RowError, found_in, is_damage, is_text, note
from orchestrator.ledger.schema import version

T = TypeVar("T")


class ReadOnlyDatabase:
    """A reader's connection. Use it as a context manager.

    Of a damaged file its queries return what can be read.

    Args:
        path: The database.
        whole: Whether all of the file is checked first, not only the trials: that takes a second per 200 MiB.

    Attributes:
        path: Where it lies.
        damage: What could not be read so far, one sentence each; of a sound ledger nothing.

    Raises:
        LedgerError: It cannot be opened at all.
    """

    def __init__(self, path: Path, *, whole: bool = True) -> None:
        self.path = path
        self.damage: list[str] = []
        self._file = _file(path)
        self._connection = connect(path, read_only=True)
        try:
            with explained(path):
                version(self._connection, path)
                self.damage += found_in(self._connection, None if whole else "trials")
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that is read inside be of one moment."""
        with explained(self.path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    def was_replaced(self) -> bool:
        """Return whether the path is another file by now, or none: this reads the old one for ever."""
        return _file(self.path) != self._file

    def version(self) -> int:
        """Return a number that differs from the last one where somebody has written meanwhile."""
        return int(self._rows("PRAGMA data_version")[0][0])

    def _has(self, table: str) -> bool:
        """Whether the release that wrote the ledger knew a table."""
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))

    def _records(self, convert: Callable[[sqlite3.Row], T], query: str, *values: object) -> list[T]:
        """What the rows of a query describe, but for those that describe nothing."""
        records = []
        for row in self._rows(query, *values):
            try:
                records.append(convert(row))
            except RowError as error:
                note(self.damage, str(error))
        return records

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows of a query, as far as they can be read."""
        rows: list[sqlite3.Row] = []
        with explained(self.path):
            try:
                rows.extend(self._connection.execute(query, values))
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if not is_damage(error):
                    raise
                note(self.damage, str(error))
                if is_text(error) and self._connection.text_factory is str:
                    self._connection.text_factory = _readable
                    return self._rows(query, *values)
        return rows


def _readable(text: bytes) -> str:
    """What can be read of text that is no UTF-8."""
    return text.decode("utf-8", "replace")


def _file(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from others that had or get its path; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
