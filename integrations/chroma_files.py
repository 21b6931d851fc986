"""Whether Chroma's directory can be opened: over damaged files its engine panics or ends the process."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

from langgraph_rlm.stores import Place, StoreUnavailable

from .chroma_vectors import Damaged, check_vectors

_DATABASE = "chroma.sqlite3"
_CHECKED_WHOLE = 64_000_000
"""Bytes: SQLite checks some 300 MB a second. Of a larger file the beginning is looked at, and the engine tells the rest."""
_BUSY_SECONDS = 5.0
"""How long another process that writes is waited for; then the engine waits in its own way."""
_STEADY_SECONDS = 0.1
"""Files that are written to change within it."""
_TABLES = {"segments", "collections", "max_seq_id"}
_SEGMENTS = """
SELECT segments.id, collections.dimension, max_seq_id.seq_id FROM segments
JOIN collections ON collections.id = segments.collection
LEFT JOIN max_seq_id ON max_seq_id.segment_id = segments.id
WHERE segments.scope = 'VECTOR' AND collections.name = ?
"""
"""The vectors of a collection; those with a number in ``max_seq_id`` have been written to files."""


def check_files(directory: Path, place: Place) -> None:
    """Refuse a directory whose files are damaged, before Chroma opens it.

    The database is not looked at while this process has the directory open already: to close a file of SQLite gives up
    the locks that the engine holds on it. Then the vectors of all its collections are, since it is not known which are meant.

    Args:
        directory: of the client.
        place: the collection, and for the message.

    Raises:
        StoreUnavailable: a file is damaged, missing or no file; the message names it.
    """
    path = directory / _DATABASE
    if not path.exists():
        return
    try:
        if any(Path(known).resolve() == directory.resolve() for known in _systems()):
            folders = [folder for folder in directory.iterdir() if folder.is_dir() and any(folder.iterdir())]
            persisted: list[tuple[Path, int | None]] = [(folder, None) for folder in folders]
        else:
            persisted = list(_checked(path, place.collection))
        for folder, dimension in persisted:
            _check_steady(folder, dimension)
    except sqlite3.Error as error:
        if not _is_busy(error):
            raise _refused(f"{path} is damaged: {error}", place) from error
    except Damaged as error:
        raise _refused(f"its vectors are damaged: {error}", place) from error


def _refused(reason: str, place: Place) -> StoreUnavailable:
    out = "Put it back from a copy, or index the documents again in another directory"
    return place.error(StoreUnavailable, "opening", reason, out)


def forget(directory: Path) -> None:
    """Take a client that could not be opened out of Chroma's memory, so that a file put back can be opened."""
    _systems().pop(str(directory), None)


def is_open(directory: Path) -> bool:
    """Whether this process has a client of the directory."""
    return str(directory) in _systems()


def _checked(path: Path, collection: str) -> Iterator[tuple[Path, int | None]]:
    """Check the database; the folders to which the collection's vectors were written, and their dimension."""
    if not path.is_file():
        raise sqlite3.DatabaseError("it is no file")
    address = f"{path.absolute().as_uri()}?mode=rw"  # for writing too, or it could not undo what a crash has left
    with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if path.stat().st_size <= _CHECKED_WHOLE:
            [(found,)] = database.execute("PRAGMA quick_check(1)").fetchall()
            if found != "ok":
                raise sqlite3.DatabaseError(str(found))
        for segment, dimension, written in database.execute(_SEGMENTS, [collection]) if tables >= _TABLES else ():
            folder = path.parent / str(segment)
            if written or (folder.is_dir() and any(folder.iterdir())):
                yield folder, dimension if isinstance(dimension, int) else None


def _check_steady(folder: Path, dimension: int | None) -> None:
    """Check the vectors; what another process is writing meanwhile is looked at again.

    Raises:
        Damaged: they are not as the engine writes them.
    """
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        before = _state(folder)
        try:
            return check_vectors(folder, dimension)
        except (Damaged, OSError, ValueError) as error:
            time.sleep(_STEADY_SECONDS)
            if _state(folder) == before or time.monotonic() > until:
                raise error if isinstance(error, Damaged) else Damaged(str(error)) from error


def _state(folder: Path) -> set[tuple[str, int, int]]:
    with contextlib.suppress(OSError):
        return {(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}
    return set()


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _systems() -> MutableMapping[str, Any]:
    """Chroma's open clients by directory; empty where a release keeps them elsewhere."""
    with contextlib.suppress(ImportError, AttributeError):
        from chromadb.api.shared_system_client import SharedSystemClient

        found: MutableMapping[str, Any] = SharedSystemClient._identifier_to_system
        return found
    return {}
