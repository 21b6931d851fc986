"""PgvectorIndex: a vector store of one's own, here PostgreSQL with the extension pgvector, as the recipe has it.

CONTRIBUTING.md ("Add a store") tells the steps. Needs ``pip install "psycopg[binary]"`` and a server with pgvector; user,
password and database come from ``PGUSER``, ``PGPASSWORD`` and ``PGDATABASE``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from langgraph_rlm.stores import (
    PAGE,
    STAMP,
    Capability,
    CorpusError,
    Dialect,
    Found,
    InvalidInput,
    Record,
    StoreAuthenticationFailed,
    StoreIndex,
    StoreUnavailable,
    floats,
    split_address,
    whole,
)

Condition = tuple[str, list[Any]]
"""A piece of SQL and its parameters."""


class PgvectorDialect(Dialect[Condition]):
    """SQL over a column of jsonb, whose numbers are exact and compare by value."""

    nothing = ("FALSE", [])
    _SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}  # noqa: RUF012

    def compared(self, key: str, operator: str, bound: Any) -> Condition:
        """What lacks the field is NULL there, and passes ``$ne`` and ``$nin`` alone."""
        if operator in self._SIGNS:
            number = "CASE WHEN jsonb_typeof(metadata -> %s) = 'number' THEN (metadata ->> %s)::numeric END"
            return f"coalesce({number} {self._SIGNS[operator]} %s::numeric, FALSE)", [key, key, str(whole(bound))]
        values = [json.dumps(whole(one)) for one in (bound if isinstance(bound, list) else [bound])]
        differs = "NOT " if operator in ("$ne", "$nin") else ""
        return f"{differs}coalesce(metadata -> %s = ANY(%s::jsonb[]), FALSE)", [key, values]

    def joined(self, operator: str, parts: Sequence[Condition]) -> Condition:
        """In brackets."""
        texts = f" {operator[1:].upper()} ".join(text for text, _ in parts)
        return f"({texts})", [one for _, parameters in parts for one in parameters]


class PgvectorIndex(StoreIndex[Condition]):
    """One table of a PostgreSQL database, with exact search by cosine distance.

    Args:
        conninfo: of the server, as libpq has it: ``host=db.example port=5432``, or a URL.
        table: its name, which is that of the collection.

    Raises:
        StoreUnavailable: the server does not answer.
        StoreAuthenticationFailed: it refuses the password.
    """

    store = "pgvector"
    dialect = PgvectorDialect(store)
    capabilities: frozenset[Capability] = frozenset({"candidates"})

    def __init__(self, conninfo: str, table: str) -> None:
        self._conninfo, told = conninfo, psycopg.conninfo.conninfo_to_dict(conninfo)
        super().__init__(f"{told.get('host', 'localhost')}:{told.get('port', 5432)}", table)
        self._lock = threading.RLock()  # one connection
        self._table = sql.Identifier(table)
        with self._request("opening"):
            self._connection = psycopg.connect(conninfo, autocommit=True)
            self._run("CREATE EXTENSION IF NOT EXISTS vector")

    @classmethod
    def open(cls, location: str, directory: Path) -> PgvectorIndex:
        """The table of ``"pgvector://host:port/table"``."""
        if (address := split_address(location)) is None:
            raise InvalidInput(f'corpus: expected "pgvector://host:port/table", got "pgvector:{location}"')
        return cls(f"host={address.host} port={address.port or 5432}", address.collection)

    def check(self, metadata: Mapping[str, Any]) -> None:
        """PostgreSQL's texts hold no NUL."""
        for key, value in metadata.items():
            if "\0" in key or (isinstance(value, str) and "\0" in value):
                raise InvalidInput(f"metadata {key!r} holds a NUL character, which PostgreSQL cannot keep: take it out")

    def _make(self, dimension: int) -> None:
        if not self._is_there():
            columns = "(id uuid PRIMARY KEY, vector vector({}), text text NOT NULL, metadata jsonb NOT NULL)"
            self._run(f"CREATE TABLE IF NOT EXISTS {{}} {columns}", self._table, sql.Literal(dimension))

    def _is_there(self) -> bool:
        return bool(self._run("SELECT 1 WHERE to_regclass({}) IS NOT NULL", self._quoted()))

    def _stamp(self) -> Mapping[str, Any]:
        stamp = self._run("SELECT obj_description({}::regclass)", self._quoted())[0][0]
        length = "SELECT atttypmod FROM pg_attribute WHERE attrelid = {}::regclass AND attname = 'vector'"
        return {STAMP[1]: self._run(length, self._quoted())[0][0], **json.loads(stamp or "{}")}

    def _set_stamp(self, stamp: Mapping[str, Any]) -> None:
        self._run("COMMENT ON TABLE {} IS {}", self._table, sql.Literal(json.dumps(stamp)))

    def _write(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        kept = [json.dumps({key: whole(value) for key, value in one.items()}) for one in metadatas]
        columns = [list(ids), [str(floats(one)) for one in vectors], list(texts), kept]
        self._run(
            "INSERT INTO {} SELECT * FROM unnest(%s::uuid[], %s::vector[], %s::text[], %s::jsonb[]) ON CONFLICT (id) "
            "DO UPDATE SET (vector, text, metadata) = (excluded.vector, excluded.text, excluded.metadata)",
            self._table,
            parameters=columns,
        )

    def _near(self, vector: Sequence[float], k: int, where: Condition | None) -> list[Found]:
        condition, parameters = where or ("TRUE", [])
        query = f"SELECT id::text, 1 - (vector <=> %s::vector) AS score, metadata FROM {{}} WHERE {condition} "
        rows = self._run(
            query + "ORDER BY score DESC LIMIT %s", self._table, parameters=[str(floats(vector)), *parameters, k]
        )
        return [Found(*row) for row in rows]

    def _fetch(self, ids: Sequence[str]) -> Iterator[Record]:
        query = "SELECT id::text, text, metadata FROM {} WHERE id = ANY(%s::uuid[])"
        return (Record(*row) for row in self._run(query, self._table, parameters=[list(ids)]))

    def _pages(self, where: Condition | None) -> Iterator[Sequence[Record]]:
        condition, parameters = where or ("TRUE", [])
        after = "00000000-0000-0000-0000-000000000000"
        query = f"SELECT id::text, text, metadata FROM {{}} WHERE {condition} AND id > %s ORDER BY id LIMIT %s"
        while page := [Record(*row) for row in self._run(query, self._table, parameters=[*parameters, after, PAGE])]:
            yield page
            after = page[-1].id

    def _holding(
        self, literals: Sequence[str], where: Condition | None, ignore_case: bool
    ) -> Iterator[Sequence[Record]]:
        if ignore_case:
            return self._pages(where)  # which letters are alike depends on the locale of the server
        holds = self.dialect.joined("$or", [("strpos(text, %s) > 0", [one]) for one in literals])
        return self._pages(holds if where is None else self.dialect.joined("$and", [holds, where]))

    def _remove(self, ids: Sequence[str]) -> None:
        self._run("DELETE FROM {} WHERE id = ANY(%s::uuid[])", self._table, parameters=[list(ids)])

    def _held(self, ids: Sequence[str]) -> Iterator[str]:
        return (record.id for record in self._fetch(ids))

    def _count(self) -> int:
        return int(self._run("SELECT count(*) FROM {}", self._table)[0][0])

    def _close(self) -> None:
        self._connection.close()

    def _error(self, doing: str, error: Exception) -> CorpusError | None:
        match error:
            case psycopg.errors.UndefinedTable():
                return self.place.missing(doing)
            case psycopg.OperationalError() if "password" in str(error) or "authentication" in str(error):
                return self.place.error(StoreAuthenticationFailed, doing, error, "Set PGUSER and PGPASSWORD")
            case psycopg.OperationalError():
                return self.place.error(StoreUnavailable, doing, error, "Start the server, or check host and port")
            case psycopg.Error():
                return self.place.error(CorpusError, doing, error, "The request was refused as it stands")
        return None

    def _quoted(self) -> sql.Literal:
        return sql.Literal(self._table.as_string(self._connection))

    def _run(self, query: str, *parts: sql.Composable, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if self._connection.closed:  # the server was started again
            self._connection = psycopg.connect(self._conninfo, autocommit=True)
        asked = self._connection.execute(sql.SQL(query).format(*parts), parameters or None)
        return asked.fetchall() if asked.description else []
