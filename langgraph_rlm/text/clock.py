"""The time that a search may take."""

from __future__ import annotations

import time


class Clock:
    """Called, it says whether the time is over. Threads may share one.

    Args:
        seconds: from now on; None: without an end.

    Example:
        >>> Clock(None)(), Clock(0.0)()
        (False, True)
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._stop = float("inf") if seconds is None else time.monotonic() + seconds
        self._gave_up = False

    def __call__(self) -> bool:
        return self._gave_up or self.late

    @property
    def late(self) -> bool:
        """Whether so many seconds have gone by."""
        return time.monotonic() >= self._stop

    @property
    def left(self) -> float:
        """Seconds, from 0 on; infinite without an end."""
        return max(0.0, self._stop - time.monotonic())

    def give_up(self) -> None:
        """Let it be over: what comes next would take longer than there is time. What was found can still be used."""
        self._gave_up = True
