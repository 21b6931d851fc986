"""NameIndex: the names that the documents of a corpus define, in an SQLite file beside its catalog.

Only definitions are kept. What a text mentions is looked up when it is asked for: a new name is then linked from all
texts that were there before it, and a document that goes takes no more with it than its own rows. A row belongs to one
digest of its document; rows of another digest are ignored, as in the other indexes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from langgraph_rlm.corpus.names.naming import Name, NameKind
from langgraph_rlm.errors import CorpusError, IndexMismatch
from langgraph_rlm.sqlite import Database

FORMAT_VERSION = 1
"""Raised with each change of what a name is: the file is derived, and made again."""
_WAY_OUT = "it is made again from the documents"
_AT_ONCE = 500
"""Parameters of one statement: SQLite takes 999 everywhere."""
_TABLES = """
CREATE TABLE IF NOT EXISTS documents (number INTEGER PRIMARY KEY, doc_id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS names (
    key TEXT NOT NULL, document INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, kind TEXT NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY (key, document, start)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names_of ON names (document, start);
CREATE TABLE IF NOT EXISTS whole (yes INTEGER NOT NULL);
"""


class NamesDamaged(CorpusError):
    """The file cannot be read; it is made again from the documents."""


class Defined(NamedTuple):
    """A name and the document that defines it."""

    key: str
    text: str
    kind: NameKind
    doc_id: str
    digest: str
    start: int
    end: int


class NewNames(NamedTuple):
    """What one document defines."""

    doc_id: str
    digest: str
    names: Sequence[Name]


class NameIndex:
    """Names by key and by document. Each thread has its own connection; one process writes at a time.

    Args:
        path: the database file.

    Raises:
        IndexMismatch: a newer release has written it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = Database(path, "index of names", _WAY_OUT, pragmas=("cache_size = -14000",))

    def is_whole(self) -> bool:
        """Whether the names of all documents are there; not so in a new file, an older one or a damaged one.

        Raises:
            IndexMismatch: a newer release has written it.
        """
        try:
            [(version,)] = self._database.read("PRAGMA user_version")
            if version > FORMAT_VERSION:
                raise IndexMismatch(
                    f"{self._path} has format version {version}, this release reads {FORMAT_VERSION}: use the release that "
                    "made it, or remove the file: it is made again from the documents"
                )
            return version == FORMAT_VERSION and any(True for _ in self._database.read("SELECT 1 FROM whole"))
        except CorpusError as error:
            if not self._is_damage(error):
                raise
            return False

    def rebuild(self, documents: Iterable[NewNames]) -> None:
        """Put the names of these documents in the place of all that is there; readers see the old ones until the end.

        Args:
            documents: all documents of the corpus.
        """
        if not self._is_sound():
            self._database.reopen()
            try:
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            except OSError as error:
                raise CorpusError(
                    f"{self._path} is damaged and cannot be made again ({error.strerror or error}): remove it"
                ) from error
        with self._database.transaction() as connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in ("documents", "names", "whole"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in filter(str.strip, _TABLES.split(";")):
                connection.execute(statement)
            rest = iter(documents)
            while some := list(islice(rest, _AT_ONCE)):
                self._insert(connection, some)
            connection.execute("INSERT INTO whole VALUES (1)")
            connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")

    def write(self, documents: Sequence[NewNames]) -> None:
        """Put the names of these documents in the place of those that they had."""
        if not documents:
            return
        with self._guarded(), self._database.transaction() as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._delete(connection, [one.doc_id for one in documents])
            self._insert(connection, documents)

    def delete(self, doc_ids: Collection[str]) -> None:
        """Forget the names of these documents; unknown ids do no harm."""
        with self._guarded(), self._database.transaction() as connection:
            self._delete(connection, doc_ids)

    def known(self, keys: Iterable[str]) -> set[str]:
        """Those of these keys that are names."""
        query = "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM names WHERE names.key = value)"
        return {key for (key,) in self._read(query, json.dumps(list(keys), ensure_ascii=False))}

    def following(self, keys: Iterable[str]) -> dict[str, str]:
        """The first name in order that is not before each key; nothing for keys behind the last name."""
        query = "SELECT value, (SELECT names.key FROM names WHERE names.key >= value ORDER BY names.key LIMIT 1) FROM json_each(?)"
        found = self._read(query, json.dumps(list(keys), ensure_ascii=False))
        return {key: after for key, after in found if after is not None}

    def defining(self, keys: Iterable[str], most: int) -> dict[str, list[Defined]]:
        """What names stand for; names that are defined more than so many times are left out."""
        query = (
            "SELECT names.key, text, kind, doc_id, digest, start, end FROM json_each(?) JOIN names ON names.key = value "
            "JOIN documents ON document = number "
            "WHERE NOT EXISTS (SELECT 1 FROM names WHERE names.key = value LIMIT 1 OFFSET ?)"
        )
        found: dict[str, list[Defined]] = {}
        for row in self._read(query, json.dumps(list(keys), ensure_ascii=False), most):
            found.setdefault(row[0], []).append(Defined(*row))
        for those in found.values():  # in whatever order they were added
            those.sort(key=lambda one: (one.doc_id, one.start))
        return found

    def defined_at(self, doc_id: str, start: int, end: int, limit: int) -> list[Defined]:
        """Names for a part of a document, or for something around it: the innermost first."""
        query = (
            "SELECT key, text, kind, doc_id, digest, start, end FROM documents JOIN names ON document = number "
            "WHERE doc_id = ? AND start {} ORDER BY start DESC LIMIT ?"
        )
        near = [Defined(*row) for row in self._read(query.format("BETWEEN 1 AND ?"), doc_id, end - 1, limit)]
        whole = [Defined(*row) for row in self._read(query.format("= 0"), doc_id, limit)]
        return [one for one in [*near, *whole] if one.end > start][:limit]

    def names(self, prefix: str = "") -> Iterator[Defined]:
        """All names whose key begins so, by key, read one after the other."""
        query = (
            "SELECT key, text, kind, doc_id, digest, start, end FROM names JOIN documents ON document = number "
            "WHERE key >= ? ORDER BY key, doc_id, start"
        )
        with self._guarded():
            for row in self._database.read(query, prefix):
                if not row[0].startswith(prefix):
                    return
                yield Defined(*row)

    def count(self) -> int:
        """Names, each as often as it is defined."""
        return int(next(iter(self._read("SELECT count(*) FROM names")))[0])

    def has_any(self) -> bool:
        """Whether there is a name at all."""
        return any(True for _ in self._read("SELECT 1 FROM names LIMIT 1"))

    def close(self) -> None:
        """Close the connections of all threads."""
        self._database.close()

    def _insert(self, connection: sqlite3.Connection, documents: Sequence[NewNames]) -> None:
        first = 1 + (connection.execute("SELECT max(number) FROM documents").fetchone()[0] or 0)
        numbered = list(enumerate(documents, first))
        connection.executemany(
            "INSERT INTO documents VALUES (?, ?, ?)", [(number, one.doc_id, one.digest) for number, one in numbered]
        )
        rows = [(n.key, number, n.start, n.end, n.kind, n.text) for number, one in numbered for n in one.names]
        connection.executemany("INSERT OR IGNORE INTO names VALUES (?, ?, ?, ?, ?, ?)", sorted(rows))

    def _delete(self, connection: sqlite3.Connection, doc_ids: Collection[str]) -> None:
        mine = [(doc_id,) for doc_id in doc_ids]
        connection.executemany(
            "DELETE FROM names WHERE document = (SELECT number FROM documents WHERE doc_id = ?)", mine
        )
        connection.executemany("DELETE FROM documents WHERE doc_id = ?", mine)

    def _read(self, query: str, *values: object) -> list[tuple]:
        with self._guarded():
            return list(self._database.read(query, *values))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except CorpusError as error:
            if not self._is_damage(error):
                raise
            raise NamesDamaged(f"{self._path} is damaged ({error}): it is made again from the documents") from error

    def _is_sound(self) -> bool:
        try:
            return list(self._database.read("PRAGMA quick_check(1)")) == [("ok",)]
        except CorpusError:
            return False

    @staticmethod
    def _is_damage(error: CorpusError) -> bool:
        cause = error.__cause__
        return isinstance(cause, sqlite3.DatabaseError) and not isinstance(
            cause, sqlite3.OperationalError | sqlite3.IntegrityError | sqlite3.ProgrammingError
        )
