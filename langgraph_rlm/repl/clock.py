"""The time a cell has used: its own, not that of the host calls it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable


def process_seconds(pid: int) -> float | None:
    """CPU seconds of another process, all threads together; None where the system does not tell (or it is gone)."""
    clock = (~pid << 3) | 2  # Linux: the clock of a process, as clock_getcpuclockid makes it
    try:
        return time.clock_gettime(clock)
    except OSError:
        return None


class CellClock:
    """Wall time while no host call is outstanding, CPU time of the cell's process while one is.

    So a cell that waits (in whichever way: in the call, on a lock, on a pool of threads) pays nothing, and a cell that
    keeps a call open in one thread and computes in another pays for what it computes.

    Args:
        cpu: CPU seconds of the process so far, or None when unknown; then time with a call outstanding is free.
        now: seconds, monotonic.

    Example:
        >>> ticks = iter([0.0, 2.0, 7.0, 8.0])
        >>> clock = CellClock(cpu=lambda: None, now=lambda: next(ticks))
        >>> clock.pause(); clock.resume(); clock.used()
        3.0
    """

    def __init__(self, *, cpu: Callable[[], float | None], now: Callable[[], float] = time.monotonic) -> None:
        self._cpu = cpu
        self._now = now
        self._used = 0.0
        self._mark = now()
        self._cpu_mark: float | None = None
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether a host call is outstanding."""
        return self._paused

    def pause(self) -> None:
        """The first of the outstanding calls has begun."""
        self._used = self.used()
        self._cpu_mark = self._cpu()
        self._paused = True

    def resume(self) -> None:
        """The last of them has been answered."""
        self._used = self.used()
        self._mark = self._now()
        self._paused = False

    def skip(self, seconds: float) -> None:
        """Leave out a time that the host has worked while the cell waited."""
        if not self._paused:
            self._mark += seconds

    def used(self) -> float:
        """Seconds used so far."""
        if not self._paused:
            return self._used + self._now() - self._mark
        cpu = self._cpu()
        return self._used if cpu is None or self._cpu_mark is None else self._used + max(0.0, cpu - self._cpu_mark)
