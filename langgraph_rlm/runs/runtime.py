"""The runtime of a process: what all of its runs share, and the background loop on which sync runs are coordinated."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Coroutine, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from langgraph_rlm.errors import MissingDependency, SandboxUnavailable
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices, checked_prices
from langgraph_rlm.repl import ProcessFactory, ReplFactory, ReplPool
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.runs.faces import AsyncFace, Face, SyncFace
from langgraph_rlm.runs.stopping import Stop
from langgraph_rlm.shared_budget import SharedBudget
from langgraph_rlm.threads import DaemonThreads

T = TypeVar("T")
Engine = Literal["jail", "monty", "unsafe"]
Sandbox = Literal["auto", "jail", "monty", "unsafe"] | ReplFactory
"""Where cells run: ``jail`` is Linux's, ``monty`` an interpreter of its own, ``unsafe`` a process without a jail."""


_FAREWELL_SECONDS = 5.0
_TICK_SECONDS = 0.5
"""A Ctrl-C that comes just before a thread begins to wait is not seen before it wakes up."""


class Runtime:
    """What the runs of one process share: threads, the background loop, live REPLs and what starts them.

    One default per process is made at the first run; it ends with the process, or by ``close()``.

    Example:
        >>> Runtime.default().warm()  # start a REPL process ahead of the first question
    """

    def __init__(self) -> None:
        self.repls = ReplPool()
        self.warned: weakref.WeakSet[Any] = weakref.WeakSet()  # of what was warned about already
        self._cells = DaemonThreads(None, "rlm-cell")  # cells wait for the cells of their children
        self._factories: dict[Engine, ReplFactory] = {}
        self._safest: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, _end, self.repls, self._factories, self._cells)

    @staticmethod
    def default() -> Runtime:
        """This process's runtime; a forked child gets its own."""
        return _default(os.getpid())

    def warm(self, sandbox: Literal["auto"] | Engine = "auto") -> None:
        """Start what the first run would wait for: the background loop and what starts REPLs.

        Raises:
            SandboxUnavailable: this kind of REPL cannot run here.
        """
        self._background()
        factory = self.factory(self.safest() if sandbox == "auto" else sandbox)
        factory.warm()

    def safest(self) -> Engine:
        """The engine that ``auto`` means here: the jail where it can run, else Monty where it is installed.

        Raises:
            SandboxUnavailable: neither; ``unsafe`` is never chosen for the user.
        """
        if self._safest is None:
            why_not = available()
            if why_not is not None and find_spec("pydantic_monty") is None:
                raise SandboxUnavailable(
                    f"there is no safe place for cells: the jail cannot run here ({why_not}), and Monty is not "
                    'installed. Install it with  pip install "langgraph-rlm[monty]"  or accept the risk with '
                    "sandbox='unsafe'"
                )
            self._safest = "jail" if why_not is None else "monty"
        return self._safest

    def factory(self, engine: Engine) -> ReplFactory:
        """What starts REPLs of this kind; one for all graphs of the process."""
        with self._lock:
            if engine not in self._factories:
                self._factories[engine] = _make(engine)
            return self._factories[engine]

    @contextlib.contextmanager
    def budget(self, limits: Limits | Mapping[str, Any], *, prices: Prices | None = None) -> Iterator[SharedBudget]:
        """One budget over several runs, beside the limits that each has.

        Args:
            limits: of all runs together; a mapping changes the defaults.
            prices: USD per million tokens, for models that the public lists do not know.

        Raises:
            InvalidInput: limits or prices that cannot be used.

        Example:
            >>> with Runtime.default().budget({"max_cost_usd": 2.0}) as shared:
            ...     config = shared.config()  # graph.batch(questions, shared.config())
            >>> shared.usage()["calls"]
            0
        """
        shared = SharedBudget(limits, checked_prices(prices))
        try:
            yield shared
        finally:
            shared.close()

    def close(self) -> None:
        """End all live REPLs and threads. The runtime cannot be used afterwards."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._end()

    def face(self, *, is_async: bool) -> Face:
        """The async or the sync face, on this runtime's threads."""
        return (AsyncFace if is_async else SyncFace)(self._cells)

    def run(self, work: Coroutine[Any, Any, T], stop: Stop | None = None) -> T:
        """The result of a coroutine, run on the background loop with the caller's context variables; blocks."""
        begun, ended = threading.Event(), threading.Event()

        async def watched() -> T:
            begun.set()
            try:
                return await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(watched(), self._background())
        try:
            with (stop or Stop()).during(future):
                while not concurrent.futures.wait([future], timeout=_TICK_SECONDS).done:
                    pass
                return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C: the cell is stopped and the sub-calls are given up
            if begun.is_set():
                ended.wait(_FAREWELL_SECONDS)  # whoever comes back from a run finds nothing of it left
            else:
                with contextlib.suppress(ValueError, RuntimeError):  # it has begun after all
                    work.close()
            raise

    def _background(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="rlm-loop", daemon=True).start()
            return self._loop


def _make(engine: Engine) -> ReplFactory:
    if engine == "jail":
        return JailFactory()
    if engine == "unsafe":
        return ProcessFactory(spare=1)
    from langgraph_rlm.repl.interpreters.monty import MontyFactory

    try:
        return MontyFactory()
    except MissingDependency as missing:
        raise SandboxUnavailable(f"sandbox='monty' cannot run here: {missing}") from missing


@functools.lru_cache(maxsize=1)
def _default(pid: int) -> Runtime:
    return Runtime()


def _end(repls: ReplPool, factories: Mapping[Engine, ReplFactory], *threads: DaemonThreads) -> None:
    repls.close()
    for factory in factories.values():
        factory.close()
    for pool in threads:
        pool.shutdown(cancel_futures=True)
