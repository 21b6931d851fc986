"""The sync face of the async core: the runtime of a process, and graph nodes that can be invoked and awaited.

A node is written once, as a coroutine. ``ainvoke`` awaits it on the caller's loop; ``invoke`` runs it on one background
loop per process, so that sync callers get the same concurrency without an event loop of their own.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal, TypeVar, get_args

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.config import get_stream_writer
from langgraph.types import Command

from langgraph_rlm.errors import InvalidInput, MissingDependency, SandboxUnavailable, UnsafeSandboxWarning
from langgraph_rlm.repl import ProcessFactory, Repl, ReplContext, ReplFactory, ReplLimits, ReplPool
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.runs.faces import AsyncFace, Face, SyncFace
from langgraph_rlm.runs.request import options_of
from langgraph_rlm.runs.stopping import Stop
from langgraph_rlm.threads import DaemonThreads
from langgraph_rlm.types import RequestOptions

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


class SharedFactory(ReplFactory):
    """Starts REPLs by the factory of whichever process it is used in: a graph may be made before a fork.

    Args:
        engine: which of the runtime's factories.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(
        self,
        context: ReplContext | None,
        functions: Collection[str],
        limits: ReplLimits,
        variables: Mapping[str, Any] | None = None,
    ) -> Repl:
        """A fresh REPL; see :class:`langgraph_rlm.repl.ReplFactory`."""
        return Runtime.default().factory(self._engine).start(context, functions, limits, variables)

    def notes_for(self, context: ReplContext | None) -> tuple[str, ...]:
        """What the model has to know of this kind of REPL, and of a session on this context."""
        return notes_of(Runtime.default().factory(self._engine), context)


def notes_of(factory: ReplFactory, context: ReplContext | None) -> tuple[str, ...]:
    """What the model has to know of a factory's REPLs: its ``notes``, and its ``notes_for`` this context."""
    return (*factory.notes, *factory.notes_for(context))


def factory_for(sandbox: Sandbox) -> ReplFactory:
    """What starts REPLs for ``sandbox=``.

    Raises:
        InvalidInput: not one of the known names and no ``ReplFactory``.
        SandboxUnavailable: it cannot run on this system; the message says what can be done.
    """
    if not isinstance(sandbox, str):
        if not isinstance(sandbox, ReplFactory):
            raise InvalidInput(f"sandbox: expected {_KNOWN} or a ReplFactory (subclass it), got {sandbox!r}")
        return sandbox
    if sandbox == "auto":
        return SharedFactory(Runtime.default().safest())
    if sandbox not in get_args(Engine):
        raise InvalidInput(f"sandbox: {sandbox!r} is not known; there are {_KNOWN}")
    if sandbox == "jail" and (why_not := available()) is not None:
        raise SandboxUnavailable(f"sandbox='jail' cannot run here: {why_not}")
    if sandbox == "unsafe":
        warnings.warn(
            "sandbox='unsafe': cells run in a process of their own, but without a kernel-enforced jail. A hostile cell "
            "can read this user's files and open connections; sandbox='auto' keeps it from both.",
            UnsafeSandboxWarning,
            stacklevel=3,
        )
    shared = SharedFactory(sandbox)
    if sandbox == "monty":
        Runtime.default().factory(sandbox)  # says now when it is not installed
    return shared


_KNOWN = ", ".join(repr(name) for name in ("auto", *get_args(Engine)))


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


@dataclass(frozen=True, slots=True)
class Run:
    """What a node knows of the request it serves.

    Args:
        config: the node's.
        face: sync or async.
        runtime: the process's.
        options: of the request, validated.
        emit: sends a custom event to whoever streams.
        rooms: how many calls, and how many children of each depth, may be in flight; see ``room``.
    """

    config: RunnableConfig
    face: Face
    runtime: Runtime
    options: RequestOptions
    emit: Callable[[dict[str, Any]], None]
    rooms: dict[int, asyncio.Semaphore] = field(default_factory=dict)

    def room(self, depth: int, most: int) -> asyncio.Semaphore:
        """Room for children of this depth (0: for sub-calls) in the whole tree; one for each, since children wait for theirs."""
        return self.rooms.setdefault(depth, asyncio.Semaphore(most))


Core = Callable[[Any, Run], Awaitable[Any]]
"""A node's logic: ``(state, run)`` → an update of the state or a ``Command``."""


class Node(Runnable[Any, Any]):
    """A graph node with both faces.

    Args:
        core: its logic.
        name: its name in traces.
    """

    def __init__(self, core: Core, name: str) -> None:
        self._core = core
        self.name = name

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node; blocks."""
        runtime, config = Runtime.default(), ensure_config(config)
        return runtime.run(self._serve(input, config, runtime, is_async=False), Stop.of(config))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node on this loop."""
        return await self._serve(input, config, Runtime.default(), is_async=True)

    async def _serve(self, state: Any, config: RunnableConfig | None, runtime: Runtime, *, is_async: bool) -> Any:
        config = ensure_config(config)
        face = runtime.face(is_async=is_async)
        return await self._core(state, Run(config, face, runtime, options_of(config), _emitter()))


def routing_node(core: Core, name: str, destinations: Sequence[str]) -> Node:
    """A node that returns a ``Command`` to one of ``destinations``.

    LangGraph draws and checks the destinations of a node by the return annotation of its ``__call__``; a plain
    callable would be drawn as a dead end, and a mistyped destination would end the run in silence. So each node gets a
    class of its own that is annotated with its destinations.
    """

    def __call__(self: Node, state: Any, config: RunnableConfig | None = None) -> Any:
        return self.invoke(state, config)

    __call__.__annotations__["return"] = Command[Literal[tuple(destinations)]]  # type: ignore[misc]
    made: Node = type("RoutingNode", (Node,), {"__call__": __call__})(core, name)
    return made


def _emitter() -> Callable[[dict[str, Any]], None]:
    try:
        return get_stream_writer()
    except RuntimeError:  # not inside a graph
        return lambda event: None
