"""Live REPLs between two turns of their sessions: checked out exclusively, by session and by what they have run."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from langgraph_rlm.repl.base import Repl

_Key = tuple[str, str]


def chain(digest: str, code: str) -> str:
    """Digest of the cells that a REPL has run, one more cell added.

    Args:
        digest: of the cells before; ``""`` for none.
        code: of the cell.

    Example:
        >>> chain(chain("", "x = 1"), "x + 1")[:12]
        '1ebe601d1f2d'
    """
    return hashlib.sha256(f"{digest}\n{code}".encode("utf-8", "backslashreplace")).hexdigest()


class ReplPool:
    """Keeps REPLs alive while their run is between two turns. All methods may be called from any thread.

    A REPL is found only under the digest of exactly the cells it has run: after a fork or a step back in time there is
    none, and the session is rebuilt by replay. A forked copy of the host starts with an empty pool.

    Args:
        max_repls: how many to keep; the one that was used longest ago is closed first.
        idle_seconds: how long to keep one that nobody asks for. Checked whenever the pool is used.
        now: seconds, monotonic.

    Example:
        >>> pool = ReplPool()
        >>> pool.checkout("session", "") is None
        True
    """

    def __init__(
        self, *, max_repls: int = 256, idle_seconds: float = 300.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_repls = max_repls
        self._idle_seconds = idle_seconds
        self._now = now
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._held: OrderedDict[_Key, tuple[Repl, float]] = OrderedDict()

    def checkout(self, session: str, digest: str) -> Repl | None:
        """The live REPL of this session that has run exactly these cells; it is the caller's until checked in."""
        with self._locked():
            found = self._held.pop((session, digest), None)
            stale = self._stale()
        _close(stale)
        if found is None:
            return None
        if not found[0].alive:
            found[0].close()
            return None
        return found[0]

    def checkin(self, session: str, digest: str, repl: Repl) -> None:
        """Give a REPL back, under the digest of what it has run by now. A dead one is closed."""
        if not repl.alive:
            repl.close()
            return
        with self._locked():
            stale = self._stale()
            if self._closed or self._max_repls < 1:
                stale.append(repl)
            else:
                if (twin := self._held.pop((session, digest), None)) is not None:
                    stale.append(twin[0])
                self._held[session, digest] = (repl, self._now())
                while len(self._held) > self._max_repls:
                    stale.append(self._held.popitem(last=False)[1][0])
        _close(stale)

    def discard(self, session: str) -> None:
        """Close all REPLs of a session that are in the pool."""
        with self._locked():
            stale = [self._held.pop(key)[0] for key in list(self._held) if key[0] == session]
        _close(stale)

    def close(self) -> None:
        """Close all, and from now on whatever is checked in."""
        with self._locked():
            self._closed = True
            stale = [repl for repl, _ in self._held.values()]
            self._held.clear()
        _close(stale)

    def __len__(self) -> int:
        with self._locked():
            return len(self._held)

    def _locked(self) -> threading.Lock:
        if self._pid != os.getpid():
            # The REPLs are our parent's, who still uses them; its lock may have been held when we were forked off.
            self._pid, self._lock, self._held = os.getpid(), threading.Lock(), OrderedDict()
        return self._lock

    def _stale(self) -> list[Repl]:
        oldest = self._now() - self._idle_seconds
        keys = [key for key, (_, since) in self._held.items() if since < oldest]
        return [self._held.pop(key)[0] for key in keys]


def _close(repls: list[Repl]) -> None:
    for repl in repls:
        repl.close()
