"""Contexts that are held in memory, up to so many bytes."""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence

from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.stored import Stored


class HeldContexts:
    """Contexts by key. Beyond the bound the least recently used ones go, never the newest. Safe to share between threads.

    Args:
        max_bytes: of their UTF-8.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.name = uuid.uuid4().hex
        self._held: OrderedDict[str, Stored] = OrderedDict()  # the least recently used first
        self._used: dict[str, float] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def hold(self, key: str, stored: Stored, parts: Sequence[Data], dropped: Callable[[str], object]) -> None:
        """Keep a context, and tell which ones go for it."""
        with self._lock:
            if key not in self._held:
                stored.data = parts[0] if len(parts) == 1 else b"".join(parts)
                self._held[key] = stored
                self._bytes += len(stored.data)
            self._touch(key)
            while self._bytes > self.max_bytes and len(self._held) > 1:
                self._drop(next(iter(self._held)), dropped)

    def get(self, key: str) -> Stored | None:
        """The context, which is the most recently used one from now on."""
        with self._lock:
            stored = self._held.get(key)
            if stored is not None:
                self._touch(key)
            return stored

    def remove(self, key: str, dropped: Callable[[str], object]) -> bool:
        """Let a context go; False when it is not here."""
        with self._lock:
            if key not in self._held:
                return False
            self._drop(key, dropped)
            return True

    def prune(self, before: float, dropped: Callable[[str], object]) -> int:
        """Let those go that were last used before a time (seconds since 1970); returns how many."""
        with self._lock:
            old = [key for key in self._held if self._used[key] < before]
            for key in old:
                self._drop(key, dropped)
        return len(old)

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._held.clear()
            self._used.clear()
            self._bytes = 0

    def _touch(self, key: str) -> None:
        self._held.move_to_end(key)
        self._used[key] = time.time()

    def _drop(self, key: str, dropped: Callable[[str], object]) -> None:
        self._bytes -= len(self._held.pop(key).data)
        del self._used[key]
        dropped(key)
