"""What this process has learnt of the model servers that it asks: their pace, and how much fits a request to a model."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from langgraph_rlm.calls.pacing import Pace

T = TypeVar("T")

_MOST_KEPT = 1_000
"""Of each kind; those used longest ago go, and are learnt again."""


@dataclass(slots=True)
class Bounds:
    """What a server has said of a model; None where it has not.

    Args:
        window: tokens that fit a request.
        most_output: tokens of an answer.
    """

    window: int | None = None
    most_output: int | None = None

    def learn(self, window: int | None, most_output: int | None) -> None:
        """Take what a refusal states."""
        self.window = window if window is not None else self.window
        self.most_output = most_output if most_output is not None else self.most_output


class Servers:
    """Of one process; safe to share between threads."""

    def __init__(self) -> None:
        self._paces: OrderedDict[str, Pace] = OrderedDict()
        self._bounds: OrderedDict[str, Bounds] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def of_this_process() -> Servers:
        """The one of this process; a forked child gets its own."""
        return _servers(os.getpid())

    def pace(self, who: str) -> Pace:
        """The pace of an address, a model and a key, by what stands for all three."""
        return self._kept(self._paces, who, Pace)

    def bounds(self, place: str) -> Bounds:
        """What is known of a model at an address, by what stands for both."""
        return self._kept(self._bounds, place, Bounds)

    def _kept(self, known: OrderedDict[str, T], key: str, make: Callable[[], T]) -> T:
        with self._lock:
            if (found := known.get(key)) is None:
                found = known[key] = make()
                if len(known) > _MOST_KEPT:
                    known.popitem(last=False)
            known.move_to_end(key)
            return found


@lru_cache(maxsize=1)
def _servers(pid: int) -> Servers:
    return Servers()
