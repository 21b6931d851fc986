"""Threads that never keep a process alive: a model call that hangs must not hold up Ctrl-C.

``ThreadPoolExecutor`` joins its threads when the interpreter ends, so an interrupted run would still wait for the
slowest server to answer. The default executor of asyncio is left to the app: it has six threads on two cores.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import lru_cache, partial
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MOST_CALLS = 1024
"""Calls of models, stores and files in flight in one process: more than any limit on concurrency that a run has."""


def call_threads() -> DaemonThreads:
    """This process's threads for calls that wait for a model, a store or a file; a forked child gets its own."""
    return _call_threads(os.getpid())


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a blocking function, run in one of :func:`call_threads` with the caller's context variables.

    Example:
        >>> import asyncio
        >>> asyncio.run(in_thread(sum, [1, 2]))
        3
    """
    return await in_threads_of(call_threads(), function, *args, **kwargs)


async def in_threads_of(executor: Executor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As :func:`in_thread`, in a thread of this executor."""
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, lambda: context.run(function, *args, **kwargs))


@lru_cache(maxsize=1)
def _call_threads(pid: int) -> DaemonThreads:
    return DaemonThreads(_MOST_CALLS, "rlm-call")


class DaemonThreads(Executor):
    """A pool of daemon threads, started when they are needed and ended when nobody has needed them for a while.

    Args:
        most: threads at once, further jobs wait; None for as many as there are jobs, which jobs that wait for other
            jobs of the same pool need: with a bound, enough of them would wait for ever.
        name: of the threads.
        idle_seconds: how long a thread waits for its next job.
    """

    def __init__(self, most: int | None, name: str, *, idle_seconds: float = 30.0) -> None:
        self._most, self._name, self._idle_seconds = most, name, idle_seconds
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._started = self._idle = self._queued = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` in a thread; RuntimeError after ``shutdown``."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("these threads were shut down")
            if self._queued >= self._idle and (self._most is None or self._started < self._most):
                self._start()
            self._jobs.put((future, partial(fn, *args, **kwargs)))
            self._queued += 1
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; threads end when theirs is done. Never waits for them, whatever ``wait`` says."""
        with self._lock:
            self._closed = True
            while cancel_futures:
                try:
                    job = self._jobs.get_nowait()
                except Empty:
                    break
                if job is not None:
                    job[0].cancel()
            for _ in range(self._started):
                self._jobs.put(None)

    def _start(self) -> None:
        name = f"{self._name}-{next(self._numbers)}"
        threading.Thread(target=self._work, name=name, daemon=True).start()
        self._started += 1
        self._idle += 1

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._idle_seconds)
            except Empty:
                if self._ended():
                    return
                continue
            if job is None:
                return
            with self._lock:
                self._idle -= 1
                self._queued -= 1
            _run(*job)
            del job  # an idle thread holds on to nothing
            with self._lock:
                self._idle += 1

    def _ended(self) -> bool:
        """Whether this thread may end: each job in the queue counts on one that is idle."""
        with self._lock:
            if self._queued >= self._idle:
                return False
            self._started -= 1
            self._idle -= 1
            return True


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
