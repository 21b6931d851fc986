"""SQLite files: one way to open them, and one to share a file among threads and processes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from langgraph_rlm.errors import CorpusError

BUSY_SECONDS = 30.0
"""How long a connection waits for another process that writes: the longest commit of a batch of 1,000 chunks takes one."""

Synchronous = Literal["FULL", "NORMAL"]
"""``FULL``: what was committed survives a power cut. ``NORMAL``: it survives the end of the process, a power cut takes the last."""


class Connection(sqlite3.Connection):
    """One that can be referred to weakly."""


def connect(
    path: Path,
    *,
    synchronous: Synchronous,
    pragmas: Sequence[str] = (),
    isolation_level: Literal["DEFERRED"] | None = "DEFERRED",
) -> Connection:
    """Open a file, or make one that its owner alone may read. It has a write-ahead log; every thread may use the connection.

    Args:
        path: the file.
        synchronous: what a power cut may take.
        pragmas: settings that come first, such as ``"cache_size = -8000"``.
        isolation_level: as in :func:`sqlite3.connect`; None where the caller begins transactions itself.

    Raises:
        sqlite3.Error: it cannot be opened, is no database, or no regular file.
    """
    with contextlib.suppress(OSError):  # it is there, or SQLite says what is wrong
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(path.stat().st_mode):  # to read from a named pipe would take for ever
            raise sqlite3.DatabaseError("it is no regular file")
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=isolation_level, check_same_thread=False, factory=Connection
    )
    try:
        for pragma in (*pragmas, "journal_mode = WAL", f"synchronous = {synchronous}"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


class Database:
    """A file of a corpus that several threads and processes read and change.

    Each thread has a connection of its own, and a forked child none of its parent's.

    Args:
        path: the database file.
        what: what the file is, for messages.
        way_out: what to do where it is damaged, for messages.
        synchronous: see :func:`connect`.
        pragmas: see :func:`connect`.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        way_out: str,
        *,
        synchronous: Synchronous = "FULL",
        pragmas: Sequence[str] = (),
    ) -> None:
        self._path = path
        self._what, self._way_out = what, way_out
        self._synchronous = synchronous
        self._pragmas = pragmas
        self._local = threading.local()
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()  # a thread's goes when the thread does
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._inherited: list[Connection] = []
        self._closed = False

    def __len__(self) -> int:
        """Connections that are open."""
        return len(self._open)

    def read(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, read one after the other.

        Raises:
            CorpusError: the file is damaged or cannot be read, or the database was closed.
        """
        with self._named_errors():
            yield from self.connection().execute(query, values)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction, rolled back by whatever is raised in it; errors as in :meth:`read`."""
        with self._named_errors(), self.connection() as connection:
            yield connection

    def connection(self) -> Connection:
        """The connection of this thread; errors as in :meth:`read`."""
        if self._pid != os.getpid():
            self._forget_inherited()
        connection: Connection | None = getattr(self._local, "connection", None)
        if self._closed:
            raise CorpusError("the corpus is closed; open it again")
        if connection is None:
            with self._named_errors():
                connection = connect(self._path, synchronous=self._synchronous, pragmas=self._pragmas)
            self._local.connection = connection
            with self._lock:
                self._open.add(connection)
        return connection

    def close(self) -> None:
        """Close the connections of all threads."""
        if self._pid != os.getpid():
            self._forget_inherited()
        with self._lock:
            self._closed = True
            self._close_all()

    def reopen(self) -> None:
        """Close the connections of all threads; the next use opens the file anew."""
        with self._lock:
            self._close_all()
            self._local = threading.local()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as error:
            if not self._closed:
                raise
            raise CorpusError("the corpus is closed; open it again") from error
        except sqlite3.OperationalError as error:
            raise CorpusError(
                f"{self._path}, {self._what}, cannot be used ({error}): see that it may be written, that there is space, and "
                "that no other process holds it"
            ) from error
        except sqlite3.DatabaseError as error:
            raise CorpusError(f"{self._path} is no sound {self._what} ({error}): {self._way_out}") from error

    def _close_all(self) -> None:
        for connection in list(self._open):
            connection.close()
        self._open.clear()

    def _forget_inherited(self) -> None:
        """In a forked child: SQLite's connections must neither be used nor closed there."""
        self._inherited = [*self._inherited, *self._open]
        self._pid, self._local, self._lock = os.getpid(), threading.local(), threading.Lock()
        self._open = weakref.WeakSet()
