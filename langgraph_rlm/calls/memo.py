"""Recorded results of paid calls: what was answered once in a run is never paid again in that run.

A key names the run, the place in it and the exact request (DESIGN: session, path of the child, function, digest of
the canonical request, occurrence). It is never global: a question of another user, or the same question asked again on
purpose, is another key.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from typing import Any, Protocol


class Memo(Protocol):
    """Where results are kept."""

    def get(self, key: str) -> dict[str, Any] | None:
        """The recorded result, or None."""
        ...

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Record a result of JSON-like values."""
        ...


class MemoryMemo:
    """Results in the memory of this process; the least recently used go when there are too many.

    Args:
        max_chars: characters of results that are kept.
    """

    def __init__(self, max_chars: int = 64_000_000) -> None:
        self._max_chars = max_chars
        self._chars = 0
        self._results: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> dict[str, Any] | None:
        """The recorded result, or None."""
        with self._lock:
            if (value := self._results.get(key)) is None:
                return None
            self._results.move_to_end(key)
        result: dict[str, Any] = json.loads(value)
        return result

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Record a result; kept as text, so that nobody can change it afterwards."""
        text = json.dumps(value)
        with self._lock:
            self._chars += len(text) - len(self._results.pop(key, ""))
            self._results[key] = text
            while self._chars > self._max_chars and len(self._results) > 1:
                _, dropped = self._results.popitem(last=False)
                self._chars -= len(dropped)


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
