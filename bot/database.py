"""SQLite: engines made the way runs need them, one process per folder of run databases; and what errors of either
database mean.

SQLite is set to WAL with `synchronous=NORMAL`: a killed process loses nothing that was committed; a power cut may lose
the last commits, never the file (SQLite documentation, "Write-Ahead Logging").
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy import event

from bot.errors import StoreFailed, StoreUnusable
from bot.postgres_errors import is_postgres, meaning

LOCK_SECONDS = 2.0
"""How long one of our own statements waits for a lock. Chat platforms want to hear of a command within 3 s."""


def sqlite_engine(path: Path, *, lock_seconds: float = LOCK_SECONDS) -> sa.Engine:
    """An engine for our own tables in one SQLite file: transactions begin as writers, so that none fails half-way."""
    engine = sa.create_engine(_url(path), pool_size=1, max_overflow=2, hide_parameters=True)
    _on_connect(engine, isolation_level=None, lock_seconds=lock_seconds)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def sqlite_reader(path: Path) -> sa.Engine:
    """An engine that only reads, also while another process writes."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=30.0)

    return sa.create_engine(_url(path), creator=connect, poolclass=sa.NullPool, hide_parameters=True)


def dbos_engine(path: Path) -> sa.Engine:
    """An engine for DBOS' tables. Its own has no WAL; at 100 runs at once that is half as fast."""
    engine = sa.create_engine(_url(path), pool_size=5, max_overflow=0, pool_timeout=60, hide_parameters=True)
    _on_connect(engine, isolation_level="IMMEDIATE", lock_seconds=30.0)
    return engine


def probe(path: Path) -> None:
    """See that a SQLite file can be written, within `LOCK_SECONDS`. Raises `StoreUnusable`."""
    engine = sqlite_engine(path)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA user_version = 0")
    except sa.exc.DBAPIError as error:
        raise StoreUnusable(str(failure(error, f"the run database {path} cannot be used"))) from error
    finally:
        engine.dispose()


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what a database refuses as `StoreFailed`."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise failure(error, what) from error


def _url(path: Path) -> sa.URL:
    return sa.URL.create("sqlite", database=str(path))


def _on_connect(engine: sa.Engine, *, isolation_level: str | None, lock_seconds: float) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = isolation_level
        for pragma in (
            f"busy_timeout={int(lock_seconds * 1000)}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")


def failure(error: sa.exc.DBAPIError, what: str) -> StoreFailed:
    """What a database's error means, as one sentence. It quotes neither statement nor values."""
    if error.orig is not None and is_postgres(error.orig):
        return StoreFailed(f"{what}: {meaning(error.orig)}")
    said = str(error.orig).lower()
    for sign, why in _REASONS.items():
        if sign in said:
            return StoreFailed(f"{what}: {why}")
    return StoreFailed(f"{what}: the database refused ({type(error.orig).__name__}); the log says more")


_REASONS = {
    "locked": "another program holds the database; end it, or wait until it is done",
    "full": "no space is left on the disk; make room",
    "disk i/o error": "the disk refused to write; look at the disk and at the room on it",
    "readonly": "the database is read-only; let the user that runs this write to its file and folder",
    "malformed": "the file is damaged; put it aside and restore a backup, or begin with a new one",
    "not a database": "the file is damaged; put it aside and restore a backup, or begin with a new one",
    "unable to open": "the file cannot be opened; let the user that runs this read and write it",
}


def in_use(folder: Path) -> bool:
    """Whether a process holds the lock of a folder of run databases."""
    if not (folder / "lock").exists():
        return False
    lock = FileLock(folder / "lock", is_singleton=False)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # not ours to lock: nobody's
        return False


def make_folder(folder: Path) -> None:
    """Make a folder for the eyes of its owner, unless it is there. Raises `StoreUnusable`."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _not_ours(folder, error) from error


def _not_ours(folder: Path, error: OSError) -> StoreUnusable:
    why = (error.strerror or str(error)).lower()
    return StoreUnusable(f"{folder}: {why}; set PANELIST_HOME to a folder you may write to")


@contextmanager
def sole_process(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of run databases as long as the block; it ends with the process, however that ends.

    Raises `StoreUnusable` when another process holds it, or when the folder cannot be written.
    """
    holder, lock = folder / "pid", FileLock(folder / "lock", is_singleton=False)
    try:
        make_folder(folder)
        # Whoever looks whether it is in use holds it for a moment.
        lock.acquire(timeout=1.0, poll_interval=0.05)
        holder.write_text(str(os.getpid()))
    except Timeout as error:
        pid = holder.read_text() if holder.exists() else "?"
        raise StoreUnusable(
            f"{folder} is in use by process {pid}; stop that one first, or set another PANELIST_HOME"
        ) from error
    except OSError as error:
        raise _not_ours(folder, error) from error
    try:
        yield
    finally:
        lock.release()
