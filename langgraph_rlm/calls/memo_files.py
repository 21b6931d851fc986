"""Memos that outlive the process: a SQLite file, or a LangGraph ``BaseStore``.

Every record carries a checksum over itself and the place where it lies: a damaged, edited or moved one is refused. The
checksum has no key, so it does not stop somebody who may write the file and knows this format; a serializer that
authenticates what it encrypts (LangGraph's ``EncryptedSerializer``) does.
"""

from __future__ import annotations

import base64
import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.store.base import BaseStore, PutOp

from langgraph_rlm.calls.memo import CallRecord, Memo, MemoryMemo, Result, RunId, packed, thread_digest, unpacked
from langgraph_rlm.errors import IndexMismatch, InvalidInput, MemoDamaged, MemoError
from langgraph_rlm.shortening import shortened
from langgraph_rlm.sqlite import connect
from langgraph_rlm.text import ContextStore
from langgraph_rlm.text.context_format import sealed_type

FORMAT_VERSION = 1
"""Raised with every change of the tables; see :class:`~langgraph_rlm.errors.IndexMismatch`."""
FILE_NAME = "memo.sqlite3"
"""Beside the contexts."""

_SUM = 16
"""Bytes of a checksum: none will ever be met by chance."""
_AT_ONCE = 500
"""Keys in one statement: SQLite takes 999 parameters everywhere."""
_PAGE = 1_000
"""Entries of a BaseStore in one answer."""
_NAMESPACE = "rlm_memo"

Place = tuple[str, str, bytes]
"""What a record is, its run, and its key there."""

_SCHEMA = """
CREATE TABLE results (thread TEXT, run TEXT, key BLOB, value BLOB, at REAL, PRIMARY KEY (run, key));
CREATE TABLE calls (thread TEXT, run TEXT, id TEXT, value BLOB, at REAL, PRIMARY KEY (run, id));
CREATE INDEX results_of_thread ON results (thread);
CREATE INDEX calls_of_thread ON calls (thread);
"""


class SqliteMemo:
    """Results and ledger in one SQLite file (WAL). Safe for several threads and processes at once.

    What is recorded survives ``kill -9`` of the process. A power cut may take the last moment before it: then a call is
    paid twice, but nothing is damaged.

    Args:
        path: of the file, made for its owner only when it is missing.
        serializer: what the records go through, e.g. ``EncryptedSerializer.from_pycryptodome_aes()``; msgpack when None.

    Raises:
        InvalidInput: the path is a directory, or the serializer is not one.
        Everything else shows at the first use: MemoDamaged, MemoError, IndexMismatch for a file of another release.

    Example:
        >>> from langgraph_rlm.calls.memo import RunId, thread_digest
        >>> memo = SqliteMemo("memo.sqlite3")
        >>> memo.record(RunId(thread_digest("thread-1"), "run"), results={"key": {"text": "Paris"}})
        >>> memo.forget("thread-1")
        1
        >>> memo.close()
    """

    durable = True

    def __init__(self, path: str | Path, *, serializer: SerializerProtocol | None = None) -> None:
        self._path = Path(path)
        if self._path.is_dir():
            raise InvalidInput(f"memo: {self._path} is a directory; give the path of a file")
        self._seal = _Seal(serializer)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._owner = os.getpid()
        self._closing: weakref.finalize[..., Any] | None = None

    def results(self, run: RunId, keys: Sequence[str]) -> dict[str, Result]:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        names, found = {_digest(key): key for key in keys}, dict[str, Result]()
        with self._connected() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                some = list(names)[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, value FROM results WHERE run = ? AND key IN ({marks})",
                    (run.run, *some),
                )
                found.update((names[key], self._seal.opened(("result", run.run, key), value)) for key, value in rows)
        return found

    def calls(self, run: RunId) -> list[CallRecord]:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        with self._connected() as connection:
            rows = connection.execute("SELECT id, value FROM calls WHERE run = ?", (run.run,)).fetchall()
        return [self._seal.opened(("call", run.run, name.encode()), value) for name, value in rows]

    def record(
        self, run: RunId, *, results: Mapping[str, Result] | None = None, calls: Sequence[CallRecord] = ()
    ) -> None:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        now = time.time()
        answered = [
            (run.thread, run.run, key, self._seal.sealed(("result", run.run, key), value), now)
            for key, value in ((_digest(key), value) for key, value in (results or {}).items())
        ]
        paid = [
            (run.thread, run.run, c["id"], self._seal.sealed(("call", run.run, c["id"].encode()), c), now)
            for c in calls
        ]
        with self._connected() as connection, _transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", answered)
            connection.executemany("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?)", paid)

    def forget(self, thread_id: str) -> int:
        """See :class:`~langgraph_rlm.calls.memo.Memo`; what is removed is overwritten in the file."""
        return self._delete("thread = ?", thread_digest(thread_id))

    def prune(self, older_than: float) -> int:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        old = "run NOT IN (SELECT run FROM calls WHERE at >= ?1 UNION SELECT run FROM results WHERE at >= ?1)"
        return self._delete(old, time.time() - older_than)

    def close(self) -> None:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        with self._lock:
            if self._closing is not None:
                self._closing()
            self._connection = self._closing = None

    def _delete(self, condition: str, value: Any) -> int:
        with self._connected() as connection:
            with _transaction(connection):
                tables = ("results", "calls")
                wanted = {
                    t: [row for (row,) in connection.execute(f"SELECT rowid FROM {t} WHERE {condition}", (value,))]
                    for t in tables
                }
                for table, rows in wanted.items():
                    connection.executemany(f"DELETE FROM {table} WHERE rowid = ?", [(row,) for row in rows])
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            return sum(map(len, wanted.values()))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None or self._owner != os.getpid():  # a fork must not use its parent's
                    self._connection, self._owner = self._opened(), os.getpid()
                    self._closing = weakref.finalize(self, self._connection.close)
                yield self._connection
            except sqlite3.OperationalError as error:
                raise MemoError(
                    f"the memo {self._path} cannot be used: {error}. Check that there is space and that the file may be "
                    "written; then resume the run"
                ) from error
            except sqlite3.DatabaseError as error:
                raise MemoDamaged(
                    f"the memo {self._path} is damaged: {error}. Restore it, or delete it: what was answered is then paid again"
                ) from error

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        pragmas = ("auto_vacuum = INCREMENTAL", "secure_delete = ON")  # the first only while the file is empty
        connection = connect(self._path, synchronous="NORMAL", pragmas=pragmas, isolation_level=None)
        # What was edited into something else reaches the checksum, and is refused there.
        connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
        try:
            with _transaction(connection):  # another process may make it at the same time
                [(version,)] = connection.execute("PRAGMA user_version")
                if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                    for statement in _SCHEMA.strip().split(";\n"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
                elif version != FORMAT_VERSION:
                    raise IndexMismatch(
                        f"the memo {self._path} has format version {version}, this release reads version "
                        f"{FORMAT_VERSION}: use another file, or the release that wrote it"
                    )
        except BaseException:
            connection.close()
            raise
        return connection


class StoreMemo:
    """Results and ledger in a LangGraph ``BaseStore``, under the namespace ``("rlm_memo", thread, run, …)``.

    Args:
        store: the store; its sync methods are called from threads.
        serializer: as for :class:`SqliteMemo`.
    """

    def __init__(self, store: BaseStore, *, serializer: SerializerProtocol | None = None) -> None:
        self._store = store
        self._seal = _Seal(serializer)
        self.durable = "InMemory" not in type(store).__name__

    def results(self, run: RunId, keys: Sequence[str]) -> dict[str, Result]:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        found = {}
        for key in keys:
            name = _digest(key)
            if (item := self._store.get((_NAMESPACE, *run, "results"), name.hex())) is not None:
                found[key] = self._seal.opened(("result", run.run, name), _bytes_of(item.value))
        return found

    def calls(self, run: RunId) -> list[CallRecord]:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        items = self._all((_NAMESPACE, *run, "calls"))
        return [self._seal.opened(("call", run.run, item.key.encode()), _bytes_of(item.value)) for item in items]

    def record(
        self, run: RunId, *, results: Mapping[str, Result] | None = None, calls: Sequence[CallRecord] = ()
    ) -> None:
        """See :class:`~langgraph_rlm.calls.memo.Memo`; in one batch, as atomic as the store's batches are."""
        operations = [
            PutOp((_NAMESPACE, *run, "results"), name.hex(), self._value(("result", run.run, name), value), index=False)
            for name, value in ((_digest(key), value) for key, value in (results or {}).items())
        ]
        operations += [
            PutOp(
                (_NAMESPACE, *run, "calls"), c["id"], self._value(("call", run.run, c["id"].encode()), c), index=False
            )
            for c in calls
        ]
        self._store.batch(operations)

    def forget(self, thread_id: str) -> int:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        return self._delete(self._all((_NAMESPACE, thread_digest(thread_id))))

    def prune(self, older_than: float) -> int:
        """See :class:`~langgraph_rlm.calls.memo.Memo`."""
        before, items = time.time() - older_than, self._all((_NAMESPACE,))
        young = {item.namespace[2] for item in items if item.updated_at.timestamp() >= before}
        return self._delete([item for item in items if item.namespace[2] not in young])

    def close(self) -> None:
        """Nothing: the store is its owner's."""

    def _value(self, place: Place, value: Any) -> dict[str, Any]:
        return {"sealed": base64.b64encode(self._seal.sealed(place, value)).decode()}

    def _all(self, namespace: tuple[str, ...]) -> list[Any]:
        items: list[Any] = []
        while page := self._store.search(namespace, limit=_PAGE, offset=len(items)):
            items += page
        return items

    def _delete(self, items: Sequence[Any]) -> int:
        self._store.batch([PutOp(item.namespace, item.key, None) for item in items])
        return len(items)


def memo_for(memo: Memo | BaseStore | None, contexts: ContextStore | None) -> Memo:
    """The memo of a graph: the given one, else a file beside the contexts, else memory when these are in memory.

    A file beside the contexts goes through their serializer, so that one key protects both.

    Raises:
        InvalidInput: something that is neither a memo nor a store.
    """
    if memo is None:
        if contexts is None or contexts.path is None:
            return MemoryMemo()
        return SqliteMemo(contexts.path / FILE_NAME, serializer=contexts.serializer)
    if isinstance(memo, BaseStore):
        return StoreMemo(memo)
    if not all(callable(getattr(memo, name, None)) for name in ("results", "calls", "record")):
        raise InvalidInput(f"memo: expected a Memo or a BaseStore, got {type(memo).__name__}")
    return memo


class _Seal:
    """A value with its checksum, and sealed when there is a serializer: then with a second checksum inside the seal.

    The inner one ties what is sealed to its place, so that nobody without the key moves it to another.
    """

    def __init__(self, serializer: SerializerProtocol | None) -> None:
        self._serializer = serializer
        self._type = sealed_type(serializer)

    def sealed(self, place: Place, value: Any) -> bytes:
        payload = packed(value)
        if self._serializer is not None:
            payload = packed(self._serializer.dumps_typed(_summed(place, payload)))
        return _summed(place, payload)

    def opened(self, place: Place, sealed: Any) -> Any:
        payload = _checked(place, sealed)
        try:
            value = unpacked(payload)
        except Exception as error:
            raise self._unreadable(place, type(error).__name__) from error
        if self._serializer is None:
            if isinstance(value, list):  # records are mappings, what is sealed is a type and its bytes
                raise self._unreadable(place, f"it was written with a serializer of type {_shown(value)}")
            return value
        return self._unsealed(self._serializer, place, value)

    def _unsealed(self, serializer: SerializerProtocol, place: Place, value: Any) -> Any:
        if not (isinstance(value, list) and len(value) == 2 and value[0] == self._type):
            raise self._unreadable(
                place, f"it was written with type {_shown(value)}, the serializer of this memo writes {self._type!r}"
            )
        try:
            payload = serializer.loads_typed((value[0], value[1]))
        except Exception as error:
            raise self._unreadable(place, type(error).__name__) from error
        return unpacked(_checked(place, payload))

    def _unreadable(self, place: Place, why: str) -> MemoDamaged:
        given = "without a serializer" if self._serializer is None else "with this serializer"
        return MemoDamaged(
            f"a record of the memo ({place[0]} of run {place[1][:12]}…) cannot be read {given} ({why}). Give the memo "
            "the serializer= and the key that wrote it; when there was none, or somebody has changed the memo, restore or "
            "delete it: what was answered is then paid again"
        )


def _summed(place: Place, payload: bytes) -> bytes:
    return _sum(place, payload) + payload


def _checked(place: Place, summed: Any) -> bytes:
    if not isinstance(summed, bytes) or _sum(place, summed[_SUM:]) != summed[:_SUM]:
        raise MemoDamaged(
            f"a record of the memo ({place[0]} of run {place[1][:12]}…) is not what was written there: somebody has "
            "changed the memo, or it is damaged. Restore it, or delete it: what was answered is then paid again"
        )
    return summed[_SUM:]


def _shown(value: Any) -> str:
    return repr(shortened(str(value[0]))) if isinstance(value, list) and value else "none"


def _sum(place: Place, payload: bytes) -> bytes:
    digest = blake2b(digest_size=_SUM, person=b"rlm-memo-1")
    for part in (place[0].encode(), place[1].encode(), place[2]):
        digest.update(len(part).to_bytes(4, "little") + part)
    digest.update(payload)
    return digest.digest()


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "backslashreplace"), digest_size=_SUM).digest()


def _bytes_of(value: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(value["sealed"], validate=True)
    except (KeyError, TypeError, ValueError):
        return b""  # its checksum does not fit


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
