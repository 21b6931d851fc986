"""Connections to one SQLite file: each thread has its own, and a forked child none of its parent's."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from langgraph_rlm.errors import CorpusError


class _Connection(sqlite3.Connection):
    """One that can be referred to weakly."""


class Connections:
    """A file that several threads and processes read and change.

    Args:
        path: the database file.
        what: what the file is, for messages.
        pragmas: further settings of each connection, such as ``"cache_size = -8000"``.
    """

    def __init__(self, path: Path, what: str, pragmas: Sequence[str] = ()) -> None:
        self._path = path
        self._what = what
        self._pragmas = ("journal_mode = WAL", "synchronous = FULL", *pragmas)
        self._local = threading.local()
        self._open: weakref.WeakSet[_Connection] = weakref.WeakSet()  # a thread's goes when the thread does
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._inherited: list[_Connection] = []
        self._closed = False

    def __len__(self) -> int:
        """Connections that are open."""
        return len(self._open)

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, rolled back by whatever is raised in it."""
        with self.mine() as connection:
            yield connection

    def mine(self) -> sqlite3.Connection:
        """The connection of this thread.

        Raises:
            CorpusError: the file is no database, or the connections were closed.
        """
        if self._pid != os.getpid():
            self._forget_inherited()
        connection: _Connection | None = getattr(self._local, "connection", None)
        if self._closed:
            raise CorpusError("the corpus is closed; open it again")
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=30, check_same_thread=False, factory=_Connection)
            try:
                for pragma in self._pragmas:
                    connection.execute(f"PRAGMA {pragma}")
            except sqlite3.DatabaseError as error:
                connection.close()
                raise CorpusError(f"{self._path} cannot be opened as {self._what}: {error}") from error
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

    def _close_all(self) -> None:
        for connection in list(self._open):
            connection.close()
        self._open.clear()

    def _forget_inherited(self) -> None:
        """In a forked child: SQLite's connections must neither be used nor closed there."""
        self._inherited = [*self._inherited, *self._open]
        self._pid, self._local, self._lock = os.getpid(), threading.local(), threading.Lock()
        self._open = weakref.WeakSet()
