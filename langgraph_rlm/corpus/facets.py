"""Facets: which values the metadata of a corpus has, by the words with which a question would name them.

A table in the catalog's database, kept with every change of a document, so that a question costs one look-up per run of
its words, however many documents and values there are. Long values and long tails of fields are left out.
"""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from langgraph_rlm.corpus.filters import is_scalar
from langgraph_rlm.corpus.periods import period_of
from langgraph_rlm.text.characters import spaced

MOST_CHARS = 120
"""Of a value; nobody names a longer one in a question."""
MOST_WORDS = 8
"""Of a name."""
MOST_FIELDS = 64
"""Of a document; further ones cannot be named."""
MOST_ALIKE = 50
"""Values of one field that have one name (days of a year); of more, none is used."""

_TABLES = """
CREATE TABLE IF NOT EXISTS facets (
    name TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, documents INTEGER NOT NULL,
    PRIMARY KEY (name, field, value)
) WITHOUT ROWID
"""
_COMPLETE = 1  # PRAGMA user_version of a database whose documents are all in the table
_AT_ONCE = 500
"""Parameters of one statement: SQLite takes 999 everywhere."""
_MOST_FOUND = 200  # pairs of name and field, for as many names
_ALL = ""  # the name under which the documents that have a field are counted
_LEGAL_FORMS = """
ab ag bv co com company corp corporation gmbh group holding holdings inc incorporated kg limited llc ltd nv oy plc sa sarl se
spa srl
"""
_LEGAL = frozenset(_LEGAL_FORMS.split())

_Facet = tuple[str, str, str]  # name, field, value as JSON


class Facet(NamedTuple):
    """A value that some documents have, under one of its names."""

    name: str
    field: str
    value: Any
    documents: int


def name_of(text: str) -> str:
    """The words of a text, as names are compared.

    Example:
        >>> name_of("Amazon.com, Inc.")
        'amazon com inc'
    """
    return " ".join(spaced(unicodedata.normalize("NFKC", text).casefold()).split())


def names_of(value: Any) -> list[str]:
    """The names of a metadata value; none for what no question names.

    A company goes by its name without its legal form too, a path by its last part, a quarter or day by its year.

    Example:
        >>> names_of("Amazon.com, Inc."), names_of("docs/setup.md"), names_of("2022 Q3")
        (['amazon com inc', 'amazon'], ['docs setup md', 'setup md'], ['2022 q3', '2022'])
    """
    period = period_of(value)
    if period is not None:
        return list(dict.fromkeys([name_of(str(value)), *period.keys()]))
    if isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    if not isinstance(value, str) or not 0 < len(value) <= MOST_CHARS:
        return []
    names = [name_of(value)]
    words = names[0].split()
    while len(words) > 1 and words[-1] in _LEGAL:
        words.pop()
    names.append(" ".join(words))
    if "/" in value:
        names.append(name_of(value.rstrip("/").rpartition("/")[2]))
    return [name for name in dict.fromkeys(names) if name and name.count(" ") < MOST_WORDS]


def prepare(connection: sqlite3.Connection) -> None:
    """Make the table; that of a database without documents is complete."""
    connection.execute(_TABLES)
    if not _is_complete(connection) and not connection.execute("SELECT 1 FROM documents LIMIT 1").fetchone():
        connection.execute(f"PRAGMA user_version = {_COMPLETE}")


def complete(connection: sqlite3.Connection) -> None:
    """Fill the table of a database from before there was one, once."""
    if _is_complete(connection):
        return
    if not connection.in_transaction:
        connection.execute("BEGIN IMMEDIATE")
    if not _is_complete(connection):  # another process may have been faster
        connection.execute("DELETE FROM facets")
        rows = connection.execute("SELECT metadata FROM documents WHERE state != 'deleted'")
        _count(connection, (json.loads(metadata) for (metadata,) in rows), 1)
        connection.execute(f"PRAGMA user_version = {_COMPLETE}")


def add(connection: sqlite3.Connection, metadatas: Iterable[Mapping[str, Any]]) -> None:
    """Documents with this metadata came."""
    _count(connection, metadatas, 1)


def drop(connection: sqlite3.Connection, doc_ids: Sequence[str]) -> None:
    """These documents are about to be replaced, marked as deleted or removed."""
    for at in range(0, len(doc_ids), _AT_ONCE):
        some = doc_ids[at : at + _AT_ONCE]
        marks = ",".join("?" * len(some))
        rows = connection.execute(
            f"SELECT metadata FROM documents WHERE state != 'deleted' AND doc_id IN ({marks})", some
        ).fetchall()
        _count(connection, (json.loads(metadata) for (metadata,) in rows), -1)


def named(connection: sqlite3.Connection, names: Sequence[str]) -> list[Facet]:
    """The values that have one of these names. Where more than ``MOST_ALIKE`` of a field share a name, none of them."""
    found: dict[tuple[str, str], list[Facet]] = {}
    wanted = sorted(set(names) - {_ALL})
    query = f"SELECT DISTINCT name, field FROM facets WHERE name IN ({{marks}}) LIMIT {_MOST_FOUND}"
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        for name, field in connection.execute(query.format(marks=",".join("?" * len(some))), some).fetchall():
            rows = connection.execute(
                "SELECT value, documents FROM facets WHERE name = ? AND field = ? ORDER BY value LIMIT ?",
                (name, field, MOST_ALIKE + 1),
            ).fetchall()
            if len(rows) <= MOST_ALIKE:
                found[name, field] = [Facet(name, field, json.loads(value), count) for value, count in rows]
    return [facet for facets in found.values() for facet in facets]


def documents_with(connection: sqlite3.Connection, field: str) -> int:
    """Documents that have a field."""
    row = connection.execute("SELECT documents FROM facets WHERE name = ? AND field = ?", (_ALL, field)).fetchone()
    return 0 if row is None else int(row[0])


def _is_complete(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] >= _COMPLETE)


def _count(connection: sqlite3.Connection, metadatas: Iterable[Mapping[str, Any]], by: int) -> None:
    """Facets are counted together: documents of one batch share most of theirs."""
    counts: Counter[_Facet] = Counter()
    for metadata in metadatas:
        counts.update(_facets_of(metadata))
        if len(counts) > 10_000:
            _write(connection, counts, by)
            counts.clear()
    _write(connection, counts, by)


def _write(connection: sqlite3.Connection, counts: Mapping[_Facet, int], by: int) -> None:
    connection.executemany(
        "INSERT INTO facets VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET documents = documents + excluded.documents",
        ((*facet, by * count) for facet, count in counts.items()),
    )
    if by < 0:
        gone = "DELETE FROM facets WHERE name = ? AND field = ? AND value = ? AND documents <= 0"
        connection.executemany(gone, list(counts))


@lru_cache(maxsize=20_000, typed=True)  # documents share their values; True is not 1
def _written(value: str | float) -> tuple[str, tuple[str, ...]]:
    return json.dumps(value, ensure_ascii=False), tuple(names_of(value))


def _facets_of(metadata: Mapping[str, Any]) -> set[_Facet]:
    found: set[_Facet] = set()
    for field, value in list(metadata.items())[:MOST_FIELDS]:
        if len(field) > MOST_CHARS:
            continue
        found.add((_ALL, field, "null"))
        if is_scalar(value) and (not isinstance(value, str) or len(value) <= MOST_CHARS):
            written, names = _written(value)
            found.update((name, field, written) for name in names)
    return found
