"""Whether Chroma's directory can be opened: its engine panics over a damaged database, and remembers the half-made client."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

from langgraph_rlm.stores import Place, StoreUnavailable

_DATABASE = "chroma.sqlite3"
_CHECKED_WHOLE = 64_000_000
"""Bytes: SQLite checks some 300 MB a second. Of a larger file the beginning is looked at, and the engine tells the rest."""
_BUSY_SECONDS = 5.0
"""How long another process that writes is waited for; then the engine waits in its own way."""


def check_files(directory: Path, place: Place) -> None:
    """Refuse a directory whose database is damaged, before Chroma opens it.

    Nothing is looked at while this process has the directory open already: to close a file of SQLite gives up the locks
    that the engine holds on it.

    Args:
        directory: of the client.
        place: for the message.

    Raises:
        StoreUnavailable: the database is damaged, or no file; the message names it.
    """
    path = directory / _DATABASE
    if not path.exists() or any(Path(known).resolve() == directory.resolve() for known in _systems()):
        return
    try:
        if problem := _problem(path):
            raise sqlite3.DatabaseError(problem)
    except sqlite3.Error as error:
        if _is_busy(error):
            return
        out = "Put it back from a copy, or index the documents again in another directory"
        raise place.error(StoreUnavailable, "opening", f"{path} is damaged: {error}", out) from error


def forget(directory: Path) -> None:
    """Take a client that could not be opened out of Chroma's memory, so that a file put back can be opened."""
    _systems().pop(str(directory), None)


def is_open(directory: Path) -> bool:
    """Whether this process has a client of the directory."""
    return str(directory) in _systems()


def _problem(path: Path) -> str | None:
    if not path.is_file():
        return "it is no file"
    address = f"{path.absolute().as_uri()}?mode=rw"  # for writing too, or it could not undo what a crash has left
    with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as database:
        database.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if path.stat().st_size > _CHECKED_WHOLE:
            return None
        [(found,)] = database.execute("PRAGMA quick_check(1)").fetchall()
    return None if found == "ok" else str(found)


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _systems() -> MutableMapping[str, Any]:
    """Chroma's open clients by directory; empty where a release keeps them elsewhere."""
    with contextlib.suppress(ImportError, AttributeError):
        from chromadb.api.shared_system_client import SharedSystemClient

        found: MutableMapping[str, Any] = SharedSystemClient._identifier_to_system
        return found
    return {}
