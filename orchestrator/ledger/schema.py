"""The ledger's tables, as numbered migrations: each is applied once, in order, together with its own record."""

import sqlite3
from pathlib import Path

from orchestrator.errors import LedgerError
from orchestrator.ledger.damage import damaged

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE sweep (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            sweep_id TEXT NOT NULL,
            name TEXT NOT NULL,
            spec_text TEXT NOT NULL,
            seed INTEGER NOT NULL,
            state TEXT NOT NULL,
            reason TEXT,
            created REAL NOT NULL,
            cwd TEXT NOT NULL,
            source_path TEXT,
            source_text TEXT,
            wandb_sweep_id TEXT
        ) STRICT""",
        """CREATE TABLE trials (
            number INTEGER PRIMARY KEY,
            config TEXT NOT NULL,
            state TEXT NOT NULL,
            attempt INTEGER NOT NULL DEFAULT -1,
            value REAL,
            score REAL,
            scores TEXT NOT NULL DEFAULT '[]',
            step INTEGER,
            n_reports INTEGER NOT NULL DEFAULT 0,
            n_values INTEGER NOT NULL DEFAULT 0,
            cause TEXT,
            error TEXT,
            reason TEXT,
            created REAL NOT NULL,
            started REAL,
            ended REAL,
            ended_order INTEGER UNIQUE,
            host TEXT,
            gpu_ids TEXT NOT NULL DEFAULT '[]',
            run_id TEXT,
            n_observed INTEGER,
            metrics TEXT NOT NULL DEFAULT '{}'
        ) STRICT""",
        """CREATE TABLE attempts (
            trial INTEGER NOT NULL REFERENCES trials (number),
            attempt INTEGER NOT NULL,
            begun REAL NOT NULL,
            started REAL,
            ended REAL,
            pid INTEGER,
            host TEXT,
            gpu_ids TEXT NOT NULL DEFAULT '[]',
            cold_reason TEXT,
            cause TEXT,
            exit_code INTEGER,
            signal INTEGER,
            error TEXT,
            log_tail TEXT NOT NULL DEFAULT '[]',
            first_report INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (trial, attempt)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE scores (
            trial INTEGER NOT NULL,
            position INTEGER NOT NULL,
            objective INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            step INTEGER,
            value REAL,
            PRIMARY KEY (trial, objective, position)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE metrics (
            trial INTEGER NOT NULL,
            name TEXT NOT NULL,
            report INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            step INTEGER,
            time REAL NOT NULL,
            value REAL,
            PRIMARY KEY (trial, name, attempt, report)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE decisions (
            id INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            trial INTEGER,
            attempt INTEGER,
            what TEXT NOT NULL,
            reason TEXT
        ) STRICT""",
        """CREATE TABLE requests (
            id INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            action TEXT NOT NULL,
            taken REAL
        ) STRICT""",
    ),
    ("ALTER TABLE sweep ADD COLUMN active_s REAL NOT NULL DEFAULT 0",),
    (
        "ALTER TABLE trials ADD COLUMN n_told INTEGER NOT NULL DEFAULT 0",
        "UPDATE trials SET n_told = n_reports",
        "ALTER TABLE trials ADD COLUMN summary TEXT NOT NULL DEFAULT '{}'",
    ),
    ("ALTER TABLE trials ADD COLUMN study TEXT", "ALTER TABLE sweep ADD COLUMN study TEXT"),
    ("ALTER TABLE trials ADD COLUMN own_step INTEGER",),
    (  # from here on attempts may have the cause stopped_by_user
        "ALTER TABLE requests ADD COLUMN trial INTEGER",
        "ALTER TABLE requests ADD COLUMN changes TEXT NOT NULL DEFAULT '{}'",
    ),
    (
        "ALTER TABLE sweep ADD COLUMN exit_code INTEGER",
        """CREATE TABLE outlook (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            began REAL NOT NULL,
            slots INTEGER NOT NULL,
            total INTEGER,
            problem TEXT
        ) STRICT""",
        """CREATE TABLE notes (
            id INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            text TEXT NOT NULL
        ) STRICT""",
    ),
)
"""Append only: a ledger written by any earlier release is brought up to date when it is opened."""


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply what the ledger lacks, each migration in one transaction with its record.

    Raises:
        LedgerError: A newer release has written it.
    """
    done = version(connection, path)
    for number, statements in enumerate(MIGRATIONS[done:], done + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def version(connection: sqlite3.Connection, path: Path) -> int:
    """Return how many migrations a ledger has seen. One that lacks the latest can be read all the same.

    Raises:
        LedgerError: A newer release has written it.
    """
    done = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if done < 0:
        raise damaged(path, f"its version is {done}")
    if done > len(MIGRATIONS):
        raise LedgerError(
            f"{path}: the ledger has version {done}, this release of sweep knows versions up to {len(MIGRATIONS)}.\n"
            "  Update: pip install --upgrade sweep-orchestrator"
        )
    return done
