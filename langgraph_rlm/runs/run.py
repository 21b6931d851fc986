"""A run: one question on its way, and what every part that serves it needs to know.

A graph opens it at its edge (:class:`OpenRun`), and each node gets a :class:`Run`, which is the same with the node's own
config. Code that is no graph (a router asked by hand, a judge, a tool) makes one with :meth:`Run.alone`.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.config import get_stream_writer

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.corpora import CorpusLike
from langgraph_rlm.runs.events import VERSION, Event
from langgraph_rlm.runs.faces import Face
from langgraph_rlm.runs.once import Once
from langgraph_rlm.runs.request import options_of
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.runs.stopping import Stop
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import RequestOptions

_KEY = "__rlm_run"
"""In ``configurable``: with these marks LangGraph keeps it out of checkpoints and traces."""
_EVENT = "rlm"
"""The name under which callback handlers get the events."""


class OpenRun:
    """What lives as long as one call of the outermost graph of ours: its id, its corpora, its stop, the count of its events.

    Args:
        routes: names that a request may ask for; None where whoever reads them knows.
    """

    def __init__(self, routes: Collection[str] | None = None) -> None:
        self.id = ""
        """Of the question; the graph gives it when it knows it."""
        self.routes = routes
        self.stop = Stop()
        self.corpora = Once(Corpus, "corpus")  # type: ignore[type-abstract]
        self.contexts = Once(ContextStore, "contexts")
        self.pauses: dict[str, Any] = {}
        """Names of nodes by ``interrupt_before`` and ``interrupt_after``."""
        self.numbers = itertools.count(1)

    @staticmethod
    def of(config: RunnableConfig) -> OpenRun:
        """The one that a node belongs to; a new one outside of any graph."""
        found: OpenRun = config.get("configurable", {}).get(_KEY) or OpenRun()
        return found

    def within(self, config: RunnableConfig | None) -> RunnableConfig:
        """The config for what belongs to this run; a run inside of another one belongs to that."""
        inherited = ensure_config(config).get("configurable", {})  # no more of it: its defaults are not LangGraph's
        return {**(config or {}), "configurable": {_KEY: self, **inherited}}

    def close(self) -> None:
        """Nothing listens for Ctrl-C any more."""
        self.stop.close()


@dataclass(frozen=True, slots=True)
class Run:
    """What a node knows of the request it serves.

    Args:
        config: the node's.
        face: sync or async.
        runtime: the process's.
        options: of the request, validated.
        open: what all nodes of the run share.
        writer: LangGraph's, for custom events.
        loop: on which the node runs; None outside of any node.
        rooms: how many calls, and how many children of each depth, may be in flight; see ``room``.
    """

    config: RunnableConfig
    face: Face
    runtime: Runtime
    options: RequestOptions
    open: OpenRun
    writer: Callable[[Any], None] = lambda event: None
    loop: asyncio.AbstractEventLoop | None = None
    rooms: dict[int, asyncio.Semaphore] = field(default_factory=dict)
    _telling: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    def of(cls, config: RunnableConfig | None, *, is_async: bool) -> Run:
        """The run of a node with this config, whose coroutine asks for it.

        Raises:
            InvalidInput: options of the request that cannot be used.
        """
        config, runtime = ensure_config(config), Runtime.default()
        opened = OpenRun.of(config)
        options = options_of(config, _context_of(config), routes=opened.routes)
        try:
            loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:  # a tool that is called by hand
            loop = None
        return cls(config, runtime.face(is_async=is_async), runtime, options, opened, _writer(), loop)

    @classmethod
    def alone(cls, *, is_async: bool) -> Run:
        """For what is asked outside of any graph.

        Example:
            >>> Run.alone(is_async=False).options
            {}
        """
        runtime = Runtime.default()
        return cls(ensure_config(None), runtime.face(is_async=is_async), runtime, RequestOptions(), OpenRun())

    # --- what belongs to it ---

    async def corpus(self, given: CorpusLike) -> Corpus:
        """The run's corpus; a function that makes one is called once for the run.

        Raises:
            InvalidInput: the function gave something else. What it raises itself is raised as it is.
        """
        return await self.open.corpora.of(given, self.config, self.face)

    async def contexts(self, given: ContextsLike) -> ContextStore:
        """The run's store of contexts; a function that gives one is called once for the run."""
        return await self.open.contexts.of(given, self.config, self.face)

    def room(self, depth: int, most: int) -> asyncio.Semaphore:
        """Room for children of this depth (0: for sub-calls) in the whole tree; one for each, since children wait for theirs."""
        return self.rooms.setdefault(depth, asyncio.Semaphore(most))

    @property
    def resumable(self) -> bool:
        """Whether the run has a checkpointer, so that somebody may go on with it."""
        return bool(self.saver)

    @property
    def saver(self) -> Any:
        """The checkpointer, or None."""
        return self.config.get("configurable", {}).get("__pregel_checkpointer")

    @property
    def thread_id(self) -> Any:
        """Of the conversation, or None."""
        return self.config.get("configurable", {}).get("thread_id")

    def started_here(self) -> str:
        """An id for what starts in this node: the same when the step is run again after a crash, and never another's.

        LangGraph names the task of a node after the checkpoint that it starts from, whose id is drawn at random.
        """
        place = self.config.get("configurable", {}).get("checkpoint_ns")
        if not place:  # not inside a graph
            return new_id()
        named = f"{self.thread_id}\n{place}".encode("utf-8", "backslashreplace")
        return hashlib.sha256(named).hexdigest()[:32]

    # --- events ---

    def emit(self, event: Event) -> None:
        """Send a custom event to whoever streams or listens; its stamp is added here."""
        stamped = {
            "type": "rlm", "version": VERSION, "run": self.open.id, "sequence": next(self.open.numbers),
            "time": time.time(), **event,
        }  # fmt: skip
        self.writer(stamped)
        if self.loop is not None and _has_listeners(self.config):
            self.loop.call_soon_threadsafe(self._tell, stamped)  # a cell's calls come from its own thread

    async def all_told(self) -> None:
        """Wait until callback handlers have got every event."""
        if self.loop is not None and _has_listeners(self.config):
            await asyncio.sleep(0)  # what was handed over by a thread comes first
            while self._telling:
                telling = list(self._telling)
                await asyncio.gather(*telling)
                del self._telling[: len(telling)]

    def _tell(self, event: dict[str, Any]) -> None:
        before = self._telling[-1] if self._telling else None
        self._telling.append(asyncio.get_running_loop().create_task(self._told(event, before)))

    async def _told(self, event: dict[str, Any], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])  # in their order
        if self.face.is_async:
            await adispatch_custom_event(_EVENT, event, config=self.config)
        else:
            await self.face.block(dispatch_custom_event, _EVENT, event, config=self.config)


def new_id() -> str:
    """A fresh id for a run, a session or a message."""
    return uuid.uuid4().hex


def _writer() -> Callable[[Any], None]:
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):  # not inside a graph; KeyError: inside another Runnable, such as a tool
        return lambda event: None


def _context_of(config: RunnableConfig) -> Any:
    """The ``context=`` that the graph was invoked with; a nested graph has its parent's."""
    return getattr(config.get("configurable", {}).get("__pregel_runtime"), "context", None)


def _has_listeners(config: RunnableConfig) -> bool:
    """Whether callback handlers are there, and a traced run under which an event can be shown."""
    manager = cast(Any, config.get("callbacks"))
    return bool(getattr(manager, "handlers", None) and getattr(manager, "parent_run_id", None))
