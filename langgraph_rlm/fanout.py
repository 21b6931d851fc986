"""Fanouts: the seam through which pieces of work are spread out, over the threads of this process for now."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, wait
from typing import Generic, Protocol, TypeVar

from langgraph_rlm.threads import call_threads

A = TypeVar("A")
T = TypeVar("T")

MOST_AT_ONCE = 8
"""Requests of one retrieval in flight: a store on two cores answers no faster to more, and other runs ask it too."""


class Fanout(Protocol):
    """Does one piece of work for each of some items, several at once."""

    def map(
        self,
        work: Callable[[A], T],
        items: Sequence[A],
        *,
        key: Callable[[A], Hashable] | None = None,
        at_once: int = MOST_AT_ONCE,
    ) -> list[T]:
        """The results in the order of the items.

        Args:
            work: called with an item; what it raises ends the whole: no further item is begun, those that were begun
                come to their end, and of several errors the first in the order of the items is raised.
            items: the items. The first one is worked on in the caller's thread, where it can be interrupted.
            key: names an item. Items of one name are worked on once, and share the result; None for all different.
            at_once: most items at one time.
        """
        ...


class LocalFanout:
    """The threads of this process, with the caller's context variables.

    The caller works too and never waits for an item that nobody has begun: calls may be nested in each other, and in jobs
    of :func:`~langgraph_rlm.threads.in_thread`, however many threads are busy.

    Example:
        >>> LocalFanout().map(str.upper, ["a", "b"])
        ['A', 'B']
    """

    def map(
        self,
        work: Callable[[A], T],
        items: Sequence[A],
        *,
        key: Callable[[A], Hashable] | None = None,
        at_once: int = MOST_AT_ONCE,
    ) -> list[T]:
        """See :meth:`Fanout.map`."""
        names: Sequence[Hashable] = range(len(items)) if key is None else [key(item) for item in items]
        by_name: dict[Hashable, A] = {}
        for name, item in zip(names, items, strict=True):
            by_name.setdefault(name, item)
        results = dict(zip(by_name, _Job(work, list(by_name.values())).done(at_once), strict=True))
        return [results[name] for name in names]


LOCAL: Fanout = LocalFanout()


class _Job(Generic[A, T]):
    """The items of one call, begun in their order by whoever has time."""

    def __init__(self, work: Callable[[A], T], items: Sequence[A]) -> None:
        self._work, self._items = work, items
        self._futures: list[Future[T]] = [Future() for _ in items]
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._begun = 0
        self._ended = False

    def done(self, at_once: int) -> list[T]:
        """All results; see :meth:`Fanout.map`."""
        own = self._next()
        further = min(at_once, len(self._items)) - 1
        helpers = [call_threads().submit(self._help) for _ in range(further)]
        try:
            while own is not None:
                self._do(own)
                own = self._next()
        finally:
            with self._lock:
                self._ended = True
            wait([helper for helper in helpers if not helper.cancel()])
        return [future.result() for future in self._futures[: self._begun]]

    def _help(self) -> None:
        while (at := self._next()) is not None:
            self._do(at)

    def _next(self) -> int | None:
        with self._lock:
            if self._ended or self._begun == len(self._items):
                return None
            self._begun += 1
            return self._begun - 1

    def _do(self, at: int) -> None:
        future = self._futures[at]
        try:
            future.set_result(self._context.copy().run(self._work, self._items[at]))
        except BaseException as error:  # noqa: BLE001 - it is raised again by the caller
            self._ended = True
            future.set_exception(error)
