"""The pace at which a process asks one model: when its server says "too many requests", all calls of the process wait.

One pause is shared by all calls of the same address, model and key, whichever graph and thread they come from. After it a
single call tries first; then half as many as were in flight may be, and one more for each round that is answered.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from langgraph_rlm.waiters import Waiters

MOST_PAUSE = 60.0
"""Seconds; after so long the server is asked again, whatever it has said."""
_FIRST_PAUSE = 1.0
_MOST_GROWN = 30.0
"""Of the pauses of a server that does not say how long."""
_LEAST_SHARED = 0.05
"""Seconds: a limit that says 0 must not become a loop."""
_FREE = 256
"""Calls in flight from which on the pace is no bound any more."""


class Pace:
    """Of one model at one address.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiters = Waiters()
        self._opens = 0.0
        self._most: float | None = None
        """Calls in flight; None: no bound."""
        self._trying = False
        """A pause is over, and one call finds out whether the server is."""
        self._refusals = 0
        """In a row."""
        self._epoch = 0
        """Counts the pauses: what a call says that was sent before the latest one is old news."""
        self._flying = 0
        """Calls in flight that were sent after the latest pause."""

    def pause_left(self) -> float:
        """Seconds until calls may be sent; 0 when they may be now."""
        with self._lock:
            return max(0.0, self._opens - self._clock())

    async def enter(self, seconds: float | None) -> int | None:
        """Wait until a call may be sent, at most so many seconds. What to give :meth:`leave`; None when it is too late."""
        ends = None if seconds is None else self._clock() + seconds
        while True:
            with self._lock:
                now = self._clock()
                wait = self._opens - now
                if wait <= 0 and (self._most is None or self._flying + 1 <= (1 if self._trying else self._most)):
                    self._flying += 1
                    return self._epoch
                if ends is not None and now >= ends:
                    return None
                woken = self._waiters.join()
            limits = [at - now for at in (ends, self._opens if wait > 0 else None) if at is not None]
            try:
                await self._waiters.wait(woken, max(0.0, min(limits)) if limits else None)
            except BaseException:  # it may have been woken in vain: the next one's turn
                with self._lock:
                    self._waiters.leave(woken)
                    self._wake()
                raise
            with self._lock:
                self._waiters.leave(woken)

    def leave(self, entered: int, *, answered: bool) -> None:
        """A call is over; ``answered``: by its server, so that there is room for more."""
        with self._lock:
            if entered != self._epoch:
                return
            self._flying -= 1
            if answered:
                self._refusals, self._trying = 0, False
                if self._most is not None:
                    self._most += 1 / self._most
                    self._most = None if self._most >= _FREE else self._most
            self._wake()

    def refused(self, entered: int, pause: float | None) -> float:
        """The server refused a call: it asks for so many seconds, or does not say. Seconds until the next try."""
        with self._lock:
            now = self._clock()
            if entered == self._epoch:  # not of a burst that was refused already
                if not self._trying:
                    self._most = max(1.0, self._flying / 2)
                self._epoch += 1
                self._refusals += 1
                self._trying, self._flying = True, 0
                grown = min(_MOST_GROWN, _FIRST_PAUSE * 2 ** (self._refusals - 1)) * random.uniform(1, 1.25)
                self._opens = now + (grown if pause is None else self._asked(pause))
            elif pause is not None:
                self._opens = max(self._opens, now + self._asked(pause))
            return max(0.0, self._opens - now)

    @staticmethod
    def _asked(pause: float) -> float:
        return min(MOST_PAUSE, max(_LEAST_SHARED, pause))

    def _wake(self) -> None:
        if self._opens <= self._clock():
            room = None if self._most is None else int((1 if self._trying else self._most) - self._flying)
            self._waiters.wake(room)
