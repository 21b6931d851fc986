"""Recorded results of paid calls, and the ledger of what was paid: what was answered once in a run is never paid again.

A run is one question. Its records lie under its own id, which is drawn from the checkpoint that it starts from: nobody
can guess it, and whoever resumes the run has the same. Within a run a key names the place (session, path of the child,
cell), the function, the exact request and how often the same was asked there before. So a question of another user, or the
same question asked again on purpose, is another key.

The ledger has one record for each call: written before the call is sent, with the most that it can cost, and again with
what it cost. After a crash the calls that were never settled count with the most.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NotRequired, Protocol

import msgpack
from typing_extensions import TypedDict


class RunId(NamedTuple):
    """Whose records: ``run`` is the question's id, ``thread`` a digest of the thread's, so that it can be forgotten."""

    thread: str
    run: str


class CallRecord(TypedDict):
    """One call in the ledger: what it may cost while it is ``open``, afterwards what it cost."""

    id: str
    model: str
    open: bool
    calls: int
    """1, or 0 for one that was never sent."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float | None
    estimated: bool
    overspent_tokens: NotRequired[int]
    searches: NotRequired[int]
    """Of a record with 0 calls: what was spent beside calls; see ``calls/rooms.py``."""
    seconds: NotRequired[float]


Result = dict[str, Any]
"""JSON-like."""
_RESULT_BYTES = 300
_CALL_BYTES = 700
"""What one entry takes in memory beside its content."""


class Memo(Protocol):
    """Where results and the ledger are kept. Its methods may block; they are called from any thread."""

    durable: bool
    """Whether what is recorded outlives this process."""

    def results(self, run: RunId, keys: Sequence[str]) -> dict[str, Result]:
        """The recorded results among these keys.

        Raises:
            MemoDamaged: a record is not what was written.
            MemoError: they cannot be read.
        """
        ...

    def calls(self, run: RunId) -> list[CallRecord]:
        """The ledger of a run; errors as in :meth:`results`."""
        ...

    def record(
        self, run: RunId, *, results: Mapping[str, Result] | None = None, calls: Sequence[CallRecord] = ()
    ) -> None:
        """Record all of this or, when the process dies, nothing of it; a call of a known id takes the old one's place.

        Raises:
            MemoError: it cannot be written.
        """
        ...

    def forget(self, thread_id: str) -> int:
        """Remove everything of a thread; returns how many records there were."""
        ...

    def prune(self, older_than: float) -> int:
        """Remove the records of runs that were last written to so many seconds ago; returns how many there were."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the next use opens them again."""
        ...


class MemoryMemo:
    """Results and ledger in the memory of this process; the runs used longest ago go when there is too much.

    Args:
        max_bytes: of memory, about; the latest run is kept whatever it takes.

    Example:
        >>> memo, run = MemoryMemo(), RunId("thread", "run")
        >>> memo.record(run, results={"key": {"text": "Paris"}})
        >>> memo.results(run, ["key", "other"])
        {'key': {'text': 'Paris'}}
    """

    durable = False

    def __init__(self, max_bytes: int = 64_000_000) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._runs: OrderedDict[RunId, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def results(self, run: RunId, keys: Sequence[str]) -> dict[str, Result]:
        """See :class:`Memo`."""
        with self._lock:
            if (held := self._used(run)) is None:
                return {}
            found = {key: held.results[key] for key in keys if key in held.results}
        return {key: unpacked(value) for key, value in found.items()}  # nobody can change what is recorded

    def calls(self, run: RunId) -> list[CallRecord]:
        """See :class:`Memo`."""
        with self._lock:
            held = self._used(run)
            return [] if held is None else [CallRecord(**record) for record in held.calls.values()]

    def record(
        self, run: RunId, *, results: Mapping[str, Result] | None = None, calls: Sequence[CallRecord] = ()
    ) -> None:
        """See :class:`Memo`."""
        sealed = {key: packed(value) for key, value in (results or {}).items()}
        with self._lock:
            held = self._used(run) or self._runs.setdefault(run, _Held())
            held.written = time.time()
            before = held.size()
            for key, value in sealed.items():
                known = held.results.get(key)
                held.chars += len(value) + (len(key) if known is None else -len(known))
                held.results[key] = value
            held.calls.update((record["id"], CallRecord(**record)) for record in calls)
            self._bytes += held.size() - before
            while self._bytes > self._max_bytes and len(self._runs) > 1:
                self._drop(next(iter(self._runs)))

    def forget(self, thread_id: str) -> int:
        """See :class:`Memo`."""
        thread = thread_digest(thread_id)
        with self._lock:
            return sum(self._drop(run) for run in list(self._runs) if run.thread == thread)

    def prune(self, older_than: float) -> int:
        """See :class:`Memo`."""
        before = time.time() - older_than
        with self._lock:
            return sum(self._drop(run) for run, held in list(self._runs.items()) if held.written < before)

    def close(self) -> None:
        """See :class:`Memo`; forgets everything."""
        with self._lock:
            self._runs.clear()
            self._bytes = 0

    def _used(self, run: RunId) -> _Held | None:
        held = self._runs.get(run)
        if held is not None:
            self._runs.move_to_end(run)
        return held

    def _drop(self, run: RunId) -> int:
        held = self._runs.pop(run)
        self._bytes -= held.size()
        return len(held.results) + len(held.calls)


@dataclass(slots=True)
class _Held:
    results: dict[str, bytes] = field(default_factory=dict)
    calls: dict[str, CallRecord] = field(default_factory=dict)
    chars: int = 0
    written: float = 0.0

    def size(self) -> int:
        """Bytes, about: keys and values, and what Python takes for an entry."""
        return self.chars + _RESULT_BYTES * len(self.results) + _CALL_BYTES * len(self.calls)


def packed(value: Any) -> bytes:
    """JSON-like values as msgpack; a server may answer with half a surrogate pair."""
    data: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return data


def unpacked(data: bytes) -> Any:
    """The values."""
    return msgpack.unpackb(data, unicode_errors="surrogatepass")


def thread_digest(thread_id: Any) -> str:
    """Stands for a thread's id in a memo; ``"-"`` for None, a run without a checkpointer."""
    return (
        "-"
        if thread_id is None
        else hashlib.sha256(str(thread_id).encode("utf-8", "backslashreplace")).hexdigest()[:32]
    )


def digest_of(*parts: Any) -> str:
    """sha256 of JSON-like values in one canonical form."""
    canonical = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Occurrences:
    """Counts equal requests at one place, so that asking the same five times is five calls, and five again in a replay."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._lock = threading.Lock()

    def key(self, place: str, request: str) -> str:
        """The memo key of the next request of this digest at this place."""
        name = f"{place}/{request}"
        with self._lock:
            number = self._seen[name] = self._seen.get(name, -1) + 1
        return f"{name}/{number}"
