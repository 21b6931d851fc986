"""The catalog of a corpus: one row per document with its full text, in SQLite.

A row is the truth about its document. Vector store and word index may lag behind it after a crash: a row is ``pending``
until both hold its chunks, and ``deleted`` until both have lost them; what they find under another digest is ignored.
"""

from __future__ import annotations

import json
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from langgraph_rlm.corpus import facets
from langgraph_rlm.corpus.facets import Facet
from langgraph_rlm.corpus.filters import is_text
from langgraph_rlm.sqlite import Database

State = Literal["pending", "done", "deleted"]

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    doc_id TEXT PRIMARY KEY, digest TEXT NOT NULL, chars INTEGER NOT NULL, chunks INTEGER NOT NULL,
    indexed INTEGER NOT NULL, state TEXT NOT NULL, metadata TEXT NOT NULL, spans BLOB NOT NULL, text BLOB NOT NULL,
    headings TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS unfinished ON documents (state) WHERE state != 'done';
CREATE INDEX IF NOT EXISTS sizes ON documents (doc_id, chunks, chars) WHERE state != 'deleted';
CREATE TABLE IF NOT EXISTS changes (number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS expiries (doc_id TEXT PRIMARY KEY, at REAL NOT NULL);
INSERT INTO changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM changes);
"""
_WAY_OUT = "put the directory back from a copy, or index the documents again in another one"
_ROW = "doc_id, digest, chars, chunks, indexed, state, metadata"
_AT_ONCE = 500
"""Parameters of one statement: SQLite takes 999 everywhere."""
_MOST_CONDITIONS = 16
"""Of a filter in one statement: SQLite nests expressions 1,000 deep."""
_SHORT_CHARS = 8_000
"""Of an id in a message."""
_LIVE = "state != 'deleted' AND doc_id NOT IN (SELECT doc_id FROM expiries WHERE at <= {now!r})"


class Row(NamedTuple):
    """A document without its text."""

    doc_id: str
    digest: str
    chars: int
    chunks: int
    """Of the present text."""
    indexed: int
    """Chunk numbers below this may be in the vector store; more than ``chunks`` while an old text is replaced."""
    state: State
    metadata: dict[str, Any]


class Passage(NamedTuple):
    """A part of a document."""

    start: int
    end: int
    text: str
    line: int
    headings: tuple[str, ...] = ()
    """It stands under, the outermost first."""


class NewRow(NamedTuple):
    """A document to be written."""

    doc_id: str
    digest: str
    text: str
    metadata: dict[str, Any]
    spans: Sequence[tuple[int, int]]
    paths: Sequence[tuple[str, ...]] = ()
    """Of the headings above each span; none where no span has one."""


class Catalog:
    """The table of documents. Each thread has its own connection.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, "catalog of documents", _WAY_OUT)
        with self._database.transaction() as connection:
            connection.executescript(_TABLES)
            columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(documents)")}
            if "headings" not in columns:  # of release 0.1
                connection.execute("ALTER TABLE documents ADD COLUMN headings TEXT NOT NULL DEFAULT ''")
            facets.prepare(connection)

    def row(self, doc_id: str) -> Row | None:
        """The row of a document that was not deleted."""
        if not _can_be_id(doc_id):
            return None
        found = self._read(f"SELECT {_ROW} FROM documents WHERE doc_id = ? AND {_live()}", doc_id)
        return next((_as_row(values) for values in found), None)

    def rows(self, having: Collection[tuple[str, str]] = ()) -> Iterator[Row]:
        """All documents, by id, read one after the other; of those that lack one of these fields and texts perhaps none.

        Metadata is looked into as it is written, so that what cannot pass is not decoded.
        """
        written = [f"{_as_json(field)}: {_as_json(text)}" for field, text in sorted(having)[:_MOST_CONDITIONS]]
        conditions = " AND instr(metadata, ?)" * len(written)
        query = f"SELECT {_ROW} FROM documents WHERE {_live()}{conditions} ORDER BY doc_id"
        yield from map(_as_row, self._read(query, *written))

    def rows_of(self, doc_ids: Iterable[str]) -> dict[str, Row]:
        """Those of these documents that are there, by id."""
        wanted = list(dict.fromkeys(filter(_can_be_id, doc_ids)))
        found: dict[str, Row] = {}
        for at in range(0, len(wanted), _AT_ONCE):
            some = wanted[at : at + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT {_ROW} FROM documents WHERE {_live()} AND doc_id IN ({marks})"
            found.update((values[0], _as_row(values)) for values in self._read(query, *some))
        return found

    def rows_of_any(self, doc_ids: Iterable[str]) -> Iterator[Row]:
        """The rows of these documents, in whatever state."""
        for doc_id in doc_ids:
            yield from map(_as_row, self._read(f"SELECT {_ROW} FROM documents WHERE doc_id = ?", doc_id))

    def text_of_any(self, doc_id: str) -> bytes | None:
        """UTF-8 of a document in whatever state."""
        return next((text for (text,) in self._read("SELECT text FROM documents WHERE doc_id = ?", doc_id)), None)

    def unfinished(self) -> list[Row]:
        """Rows of an ``add`` or ``delete`` that did not come to its end."""
        return [_as_row(values) for values in self._read(f"SELECT {_ROW} FROM documents WHERE state != 'done'")]

    def ids(self) -> list[str]:
        """Ids of all documents, sorted."""
        found = self._read(f"SELECT doc_id FROM documents WHERE {_live()} ORDER BY doc_id")
        return [doc_id for (doc_id,) in found]

    def text(self, doc_id: str) -> bytes | None:
        """UTF-8 of a document; None when there is none."""
        if not _can_be_id(doc_id):
            return None
        found = self._read(f"SELECT text FROM documents WHERE doc_id = ? AND {_live()}", doc_id)
        return next((text for (text,) in found), None)

    def texts(self, doc_ids: Collection[str] | None = None) -> Iterator[tuple[str, bytes]]:
        """Pairs of id and UTF-8, by id, read one after the other."""
        if doc_ids is None:
            yield from self._read(f"SELECT doc_id, text FROM documents WHERE {_live()} ORDER BY doc_id")
            return
        for doc_id in sorted(doc_ids):
            if (text := self.text(doc_id)) is not None:
                yield doc_id, text

    def passages(
        self, doc_id: str, spans: Iterable[tuple[int, int]], neighbours: int = 0
    ) -> dict[tuple[int, int], Passage]:
        """Chunks with so many before and after them, read without the rest of the document; unknown spans are left out."""
        query = f"SELECT rowid, spans, headings FROM documents WHERE doc_id = ? AND {_live()}"
        passages: dict[tuple[int, int], Passage] = {}
        with self._database.transaction() as connection:
            connection.execute("BEGIN")  # spans and text of one moment, whatever another thread writes
            for rowid, packed, headings in connection.execute(query, (doc_id,)).fetchall():
                blob = connection.blobopen("documents", "text", rowid, readonly=True)
                with blob:
                    passages.update(_cut(packed, headings, blob, spans, neighbours))
        return passages

    def passages_of(
        self, spans: Mapping[str, Sequence[tuple[int, int]]], neighbours: int = 0
    ) -> dict[tuple[str, int, int], Passage]:
        """:meth:`passages` of several documents, by document and span; short documents are read at once."""
        found: dict[tuple[str, int, int], Passage] = {}
        ids = list(spans)
        short: set[str] = set()
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            marks = ",".join("?" * len(some))
            columns = "doc_id, spans, headings, text"
            query = f"SELECT {columns} FROM documents WHERE {_live()} AND chars <= ? AND doc_id IN ({marks})"
            for doc_id, packed, headings, text in self._read(query, _SHORT_CHARS, *some):
                short.add(doc_id)
                cut = _cut(packed, headings, text, spans[doc_id], neighbours)
                found.update(((doc_id, *span), one) for span, one in cut)
        for doc_id in ids:
            if doc_id not in short:
                passages = self.passages(doc_id, spans[doc_id], neighbours)
                found.update(((doc_id, *span), one) for span, one in passages.items())
        return found

    def chunk_at(self, doc_id: str, offset: int) -> tuple[int, int] | None:
        """The chunk that holds a character of a document, the first behind it where none does; None for no chunk."""
        query = f"SELECT spans FROM documents WHERE doc_id = ? AND {_live()}"
        packed = next((packed for (packed,) in self._read(query, doc_id)), b"")
        places = np.frombuffer(packed, np.int64).reshape(-1, 5)
        if not len(places):
            return None
        at = min(int(np.searchsorted(places[:, 1], offset, side="right")), len(places) - 1)
        return int(places[at, 0]), int(places[at, 1])

    def spans(self, doc_id: str) -> list[tuple[int, int]]:
        """Where the chunks of a document stand, in whatever state it is."""
        found = self._read("SELECT spans FROM documents WHERE doc_id = ?", doc_id)
        packed = next((packed for (packed,) in found), b"")
        return [(start, end) for start, end, *_ in np.frombuffer(packed, np.int64).reshape(-1, 5).tolist()]

    def is_empty(self) -> bool:
        """Whether there is no document; however many there are, one is looked at."""
        return not any(True for _ in self._read(f"SELECT 1 FROM documents WHERE {_live()} LIMIT 1"))

    def totals(self) -> tuple[int, int, int]:
        """Documents, chunks and characters."""
        query = f"SELECT count(*), ifnull(sum(chunks), 0), ifnull(sum(chars), 0) FROM documents WHERE {_live()}"
        return next(iter(self._read(query)))

    def sizes(self) -> Iterator[tuple[str, int]]:
        """All documents with how many chunks they have, in no order."""
        yield from self._read(f"SELECT doc_id, chunks FROM documents WHERE {_live()}")

    def named(self, names: Sequence[str]) -> list[Facet]:
        """Values of metadata that go by one of these names, see :mod:`langgraph_rlm.corpus.facets`."""
        with self._database.transaction() as connection:
            facets.complete(connection)
            return facets.named(connection, names)

    def documents_with(self, field: str) -> int:
        """About how many documents have a field."""
        with self._database.transaction() as connection:
            return facets.documents_with(connection, field)

    def changes(self) -> int:
        """A number that grows with every change."""
        return int(next(iter(self._read("SELECT number FROM changes")))[0])

    def write_pending(self, rows: Iterable[NewRow]) -> None:
        """Write rows whose chunks are about to be indexed."""
        insert = (
            f"INSERT INTO documents ({_ROW}, spans, text, headings) VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?) ON CONFLICT (doc_id) "
            "DO UPDATE SET digest = excluded.digest, chars = excluded.chars, chunks = excluded.chunks, "
            "indexed = max(indexed, excluded.indexed), state = 'pending', metadata = excluded.metadata, "
            "spans = excluded.spans, text = excluded.text, headings = excluded.headings"
        )
        given = list(rows)
        with self._database.transaction() as connection:
            facets.complete(connection)
            facets.drop(connection, [row.doc_id for row in given])
            facets.add(connection, (row.metadata for row in given))
            for row in given:
                metadata, number = _as_json(row.metadata), len(row.spans)
                spans, text = _places(row.text, row.spans), row.text.encode()
                headings = _packed(row.paths)
                connection.execute(
                    insert, (row.doc_id, row.digest, len(row.text), number, number, metadata, spans, text, headings)
                )
            connection.execute("UPDATE changes SET number = number + 1")

    def expired(self) -> list[str]:
        """Ids of documents whose time is over."""
        query = "SELECT doc_id FROM documents WHERE doc_id IN (SELECT doc_id FROM expiries WHERE at <= ?)"
        return [doc_id for (doc_id,) in self._read(query, time.time())]

    def write_expiry(self, doc_ids: Collection[str], at: float | None) -> None:
        """Documents end at this time, in seconds since 1970; None for never."""
        with self._database.transaction() as connection:
            if at is not None:
                rows = [(doc_id, at) for doc_id in doc_ids]
                connection.executemany("INSERT OR REPLACE INTO expiries VALUES (?, ?)", rows)
            elif next(iter(connection.execute("SELECT 1 FROM expiries LIMIT 1")), None):
                connection.executemany("DELETE FROM expiries WHERE doc_id = ?", [(doc_id,) for doc_id in doc_ids])

    def write_lost(self, doc_ids: Iterable[str]) -> None:
        """The vector store no longer holds all chunks of these rows."""
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE documents SET state = 'pending' WHERE state = 'done' AND doc_id = ?",
                [(doc_id,) for doc_id in doc_ids],
            )

    def some_done(self, limit: int) -> list[Row]:
        """Up to so many rows with chunks that the stores should hold, from some place on."""
        query = f"SELECT {_ROW} FROM documents WHERE state = 'done' AND chunks > 0"
        start = "rowid > (SELECT abs(random()) % max(1, max(rowid) - ?) FROM documents)"
        return [_as_row(values) for values in self._read(f"{query} AND {start} LIMIT ?", limit, limit)]

    def all_done(self) -> Iterator[Row]:
        """All rows with chunks that the stores should hold."""
        query = f"SELECT {_ROW} FROM documents WHERE state = 'done' AND chunks > 0"
        yield from map(_as_row, self._read(query))

    def write_done(self, doc_ids: Iterable[str]) -> None:
        """Both indexes now hold exactly the chunks of these rows."""
        with self._database.transaction() as connection:
            done = "UPDATE documents SET state = 'done', indexed = chunks WHERE doc_id = ?"
            connection.executemany(done, [(doc_id,) for doc_id in doc_ids])
            connection.execute("UPDATE changes SET number = number + 1")

    def write_deleted(self, doc_ids: Iterable[str]) -> None:
        """These documents are gone for readers; their chunks are still to be removed."""
        gone = list(doc_ids)
        with self._database.transaction() as connection:
            facets.complete(connection)
            facets.drop(connection, gone)
            connection.executemany(
                "UPDATE documents SET state = 'deleted' WHERE doc_id = ?", [(doc_id,) for doc_id in gone]
            )
            connection.execute("UPDATE changes SET number = number + 1")

    def remove(self, doc_ids: Iterable[str]) -> None:
        """Forget deleted documents."""
        with self._database.transaction() as connection:
            rows = [(doc_id,) for doc_id in doc_ids]
            facets.complete(connection)
            facets.drop(connection, [doc_id for (doc_id,) in rows])  # those that have expired
            connection.executemany("DELETE FROM documents WHERE doc_id = ?", rows)
            connection.executemany("DELETE FROM expiries WHERE doc_id = ?", rows)

    def close(self) -> None:
        """Close the connections of all threads."""
        self._database.close()

    def _read(self, query: str, *values: Any) -> Iterable[tuple[Any, ...]]:
        return self._database.read(query, *values)


_as_json = json.JSONEncoder(ensure_ascii=False).encode


def _can_be_id(value: Any) -> bool:
    """Whether a document may have this id: what SQLite cannot be asked for is not there."""
    return isinstance(value, str) and is_text(value)


def _live() -> str:
    return _LIVE.format(now=int(time.time()))  # whole seconds, so that SQLite knows the statement already


def _as_row(values: tuple[Any, ...]) -> Row:
    doc_id, digest, chars, chunks, indexed, state, metadata = values
    return Row(doc_id, digest, chars, chunks, indexed, state, json.loads(metadata))


def _cut(
    packed: bytes, headings: str, text: bytes | sqlite3.Blob, spans: Iterable[tuple[int, int]], neighbours: int
) -> Iterator[tuple[tuple[int, int], Passage]]:
    """Chunks of a text by the places that :func:`_places` has packed; ``headings``: JSON of their paths, or nothing."""
    places = np.frombuffer(packed, np.int64).reshape(-1, 5)
    paths: list[tuple[int, list[str]]] = json.loads(headings) if headings else []
    for start, end in spans:
        at = int(np.searchsorted(places[:, 0], start))
        if at < len(places) and (places[at, 0], places[at, 1]) == (start, end):
            near, far = max(0, at - neighbours), min(len(places) - 1, at + neighbours)
            begin, _, first, _, line = map(int, places[near])
            _, finish, _, last, _ = map(int, places[far])
            path = tuple(paths[bisect_right(paths, at, key=lambda one: one[0]) - 1][1]) if paths else ()
            yield (start, end), Passage(begin, finish, bytes(text[first:last]).decode(), line, path)


def _packed(paths: Sequence[tuple[str, ...]]) -> str:
    """The paths of chunks as JSON: the number of the first chunk with each, and the path. Nothing where none has one."""
    if not any(paths):
        return ""
    return _as_json([(at, path) for at, path in enumerate(paths) if at == 0 or path != paths[at - 1]])


def _places(text: str, spans: Sequence[tuple[int, int]]) -> bytes:
    """Per chunk: start, end, first and last byte, line; as int64, for lookups without decoding."""
    places: list[tuple[int, int, int, int, int]] = []
    at = at_byte = 0
    line = 1
    for start, end in spans:
        between = text[at:start]
        at_byte += len(between) if between.isascii() else len(between.encode())
        line += between.count("\n")
        chunk = text[start:end]
        size = len(chunk) if chunk.isascii() else len(chunk.encode())
        places.append((start, end, at_byte, at_byte + size, line))
        at = start
    return np.array(places, np.int64).tobytes()
