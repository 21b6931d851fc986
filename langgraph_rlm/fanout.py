"""Calls that wait for a store or a server, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from langchain_core.runnables.config import ContextThreadPoolExecutor

T = TypeVar("T")

MOST_AT_ONCE = 8
"""Requests of one retrieval in flight."""


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """The results in the order of the calls; the first error in that order is raised.

    Example:
        >>> together([lambda: 1, lambda: 2])
        [1, 2]
    """
    if len(calls) < 2:
        return [call() for call in calls]
    with ContextThreadPoolExecutor(max_workers=min(len(calls), MOST_AT_ONCE)) as threads:
        return [made.result() for made in [threads.submit(call) for call in calls]]


@contextmanager
def beside(call: Callable[[], object]) -> Iterator[None]:
    """Make a call in another thread while the body runs in this one, and wait for it, however the body ends.

    What the body raises comes before what the call raises. What may take long belongs into the body: there it can be
    interrupted.

    Example:
        >>> with beside(lambda: print("other")):
        ...     pass
        other
    """
    with ContextThreadPoolExecutor(max_workers=1) as thread:
        made = thread.submit(call)
        yield
        made.result()
