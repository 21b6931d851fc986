"""Coroutines of several event loops that wait for one thing, woken in the order in which they came."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque


class Waiters:
    """A queue of coroutines. Whoever uses it holds a lock of its own around every method but :meth:`wait`."""

    def __init__(self) -> None:
        self._queue: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def join(self) -> asyncio.Future[None]:
        """A place at the end of the queue, for the running loop; hand it to :meth:`wait`."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        self._queue.append((loop, woken))
        return woken

    async def wait(self, woken: asyncio.Future[None], seconds: float | None) -> bool:
        """Whether the place was woken within so many seconds; None waits for ever. Call it without the lock."""
        try:
            async with asyncio.timeout(seconds):
                await woken
        except TimeoutError:
            return False
        return True

    def leave(self, woken: asyncio.Future[None]) -> None:
        """Give up a place; harmless when it was woken."""
        with contextlib.suppress(ValueError):
            self._queue.remove((woken.get_loop(), woken))

    def wake(self, most: int | None = None) -> None:
        """Wake the first so many, all when None."""
        while self._queue and (most is None or most > 0):
            loop, woken = self._queue.popleft()
            with contextlib.suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(_wake, woken)
                most = None if most is None else most - 1


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
