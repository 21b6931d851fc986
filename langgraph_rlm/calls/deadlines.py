"""Deadlines of calls that run in threads: one timer of a loop for all of them, and no work for a call that is done in time."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable


class Deadlines:
    """Calls what was given when its time is over. Made on a loop; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, tuple[float, Callable[[], None]]] = {}
        self._rings_at: float | None = None

    def after(self, seconds: float, late: Callable[[], None]) -> int:
        """Call ``late`` on the loop after so many seconds, unless it is taken back; the number to do so."""
        at = time.monotonic() + seconds
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = (at, late)
            sooner = self._rings_at is None or at < self._rings_at
            if sooner:
                self._rings_at = at
        if sooner:  # a timer that rings for nothing costs less than one for each call
            self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._ring)
        return number

    def take_back(self, number: int) -> None:
        """It was done in time."""
        with self._lock:
            self._waiting.pop(number, None)

    def _ring(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = [number for number, (at, _) in self._waiting.items() if at <= now]
            over = [self._waiting.pop(number)[1] for number in due]
            following = min((at for at, _ in self._waiting.values()), default=None)
            self._rings_at = following
        if following is not None:
            self._loop.call_later(max(0.0, following - now), self._ring)
        for late in over:
            late()
