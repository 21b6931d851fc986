"""The soft time limit of a cell: SIGALRM from the host becomes ``TimeoutError`` in the cell, and its variables stay."""

from __future__ import annotations

import sys
from _signal import SIGALRM, signal  # type: ignore[import-not-found]  # signal itself imports enum, 3 ms
from types import FrameType
from typing import Any


class Alarm:
    """Raises ``TimeoutError`` in the main thread while a cell runs there, and only then.

    The host repeats the signal until the cell has ended. The first one is a plain exception, which a cell may catch to
    keep what it has; from the second on another exception follows at the next line, so that an
    ``except BaseException: pass`` in a loop is left as well.

    Args:
        message: text of the error.
    """

    def __init__(self, message: str) -> None:
        self._message = message
        self._running = False
        self._held = 0
        self._pending = False
        self._struck = 0
        signal(SIGALRM, self._strike)  # one that comes before the first cell must not end the process

    def arm(self) -> None:
        """A cell starts."""
        self._held = self._struck = 0
        self._pending = False
        signal(SIGALRM, self._strike)  # again for each cell, since cells can set handlers too
        self._running = True

    def disarm(self) -> None:
        """The cell has ended: later signals do nothing."""
        self._running = False
        if self._struck > 1:
            sys.settrace(None)

    def hold(self) -> None:
        """Put off the exception while the main thread is where it must not be interrupted."""
        self._held += 1

    def let_go(self) -> None:
        """End of :meth:`hold`; raises the exception that was put off."""
        self._held -= 1
        if self._pending and not self._held and self._running:
            self._pending = False
            self._raise(sys._getframe())

    def _strike(self, _number: int, frame: FrameType | None) -> None:
        if not self._running:
            return
        self._struck += 1
        if self._held:
            self._pending = True
        else:
            self._raise(frame)

    def _raise(self, frame: FrameType | None) -> None:
        if self._struck > 1:
            self._raise_at_next_line(frame)
        raise TimeoutError(self._message)

    def _raise_at_next_line(self, frame: FrameType | None) -> None:
        def trace(_frame: FrameType, event: str, _arg: Any) -> Any:
            if event == "line" and self._running and not self._held:
                raise TimeoutError(self._message)  # Python removes a trace function that raises
            return trace

        while frame is not None:
            if frame.f_code.co_filename.startswith("<cell "):
                frame.f_trace = trace
            frame = frame.f_back
        sys.settrace(lambda _frame, _event, _arg: None)
