"""The wall clock that cells read: the system's, written down, so that a replay can serve the same times again.

``time.time`` and its relatives, and ``now`` and ``today`` of ``datetime``, read it. Clocks without a date
(``monotonic``, ``perf_counter``) are for measuring; they are the system's, and always differ.
"""

from __future__ import annotations

import gc
import time
from typing import Any

MOST_TIMES = 200
"""Of one cell that are written down; a cell that reads the clock more often is served the system's from there on."""

_system_ns = time.time_ns


class WallClock:
    """Serves times to the cells of one session."""

    def __init__(self) -> None:
        self._served: list[int] = []
        self._read: list[int] = []

    def begin(self, times: list[int]) -> None:
        """A cell starts; it gets these times (nanoseconds since 1970) first."""
        self._served, self._read = list(reversed(times)), []

    def end(self) -> list[int]:
        """The times that the cell has read, the first of them."""
        return self._read

    def ns(self) -> int:
        """Nanoseconds since 1970."""
        try:
            now = self._served.pop()
        except IndexError:
            now = _system_ns()
        if len(self._read) < MOST_TIMES:
            self._read.append(now)
        return now

    def seconds(self) -> float:
        """Seconds since 1970."""
        return self.ns() / 1e9

    def install(self) -> None:
        """Let the modules ``time`` and ``datetime`` of this process read this clock."""
        import datetime

        plain: dict[str, Any] = {name: getattr(time, name) for name in _OF_NOW}

        def of_now(name: str) -> Any:
            call = plain[name]
            return lambda seconds=None: call(self.seconds() if seconds is None else seconds)

        def strftime(format: str, t: Any = None, /) -> str:
            shown: str = plain["strftime"](format, plain["localtime"](self.seconds()) if t is None else t)
            return shown

        def asctime(t: Any = None, /) -> str:
            shown: str = plain["asctime"](plain["localtime"](self.seconds()) if t is None else t)
            return shown

        def now(cls: Any, tz: Any = None) -> Any:
            return cls.fromtimestamp(self.seconds(), tz)

        def utcnow(cls: Any) -> Any:
            return cls.fromtimestamp(self.seconds(), datetime.UTC).replace(tzinfo=None)

        for name, call in {
            "time": self.seconds, "time_ns": self.ns, "strftime": strftime, "asctime": asctime,
            **{name: of_now(name) for name in ("localtime", "gmtime", "ctime")},
        }.items():  # fmt: skip
            setattr(time, name, call)
        # date.today and datetime.today ask time.time.
        _change(datetime.datetime, now=classmethod(now), utcnow=classmethod(utcnow))


_OF_NOW = ("localtime", "gmtime", "ctime", "strftime", "asctime")


def _change(kind: type, **attributes: Any) -> None:
    """Set attributes of a class that is written in C, which forbids it; a subclass would be another class to everybody."""
    import ctypes

    [names] = [one for one in gc.get_referents(kind.__dict__) if isinstance(one, dict)]
    names.update(attributes)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
