"""Progress for those who watch no terminal: a line now and then, with the time that is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

FIRST_SECONDS = 2.0
"""Whatever is done by then is not told."""
EVERY_SECONDS = 5.0
"""Between two lines in a log: often enough to see that it goes on."""


class Lines:
    """Says every few seconds how far something is, also while nothing new is heard of it.

    Args:
        say: prints one line.
        clock: seconds, monotonic.

    Example:
        >>> with Lines(print) as lines:
        ...     lines.show("reading, 3 files", share=0.5)
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._started = clock()
        self._text, self._share = "", 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rlm-progress", daemon=True)

    def show(self, text: str, share: float = 0.0) -> None:
        """What goes on, and which share of it is done, 0 when that is not known; printed when it is time."""
        self._text, self._share = text, share

    def line(self) -> str:
        """The line as it is now."""
        seconds = self._clock() - self._started
        left = f", about {duration(seconds * (1 - self._share) / self._share)} left" if 0 < self._share < 1 else ""
        return f"{self._text} ({duration(seconds)}{left})"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        wait = FIRST_SECONDS
        while not self._end.wait(wait):
            if self._text:
                self._say(self.line())
            wait = EVERY_SECONDS


def duration(seconds: float) -> str:
    """``8 s``, ``2:05`` or ``1:02:05``.

    Example:
        >>> duration(125.4)
        '2:05'
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
