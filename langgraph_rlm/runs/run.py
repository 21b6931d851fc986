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
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.config import get_stream_writer

from langgraph_rlm.corpus import Corpus, JoinedCorpus
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.corpora import CorpusLike
from langgraph_rlm.runs.events import VERSION
from langgraph_rlm.runs.faces import Face
from langgraph_rlm.runs.listeners import Writer, apart, hears_events, segments, writer_for
from langgraph_rlm.runs.once import Once
from langgraph_rlm.runs.request import options_of
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.runs.stopping import Stop
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import RequestOptions, Stream

_KEY = "__rlm_run"
"""In ``configurable``: with these marks LangGraph keeps it out of checkpoints and traces."""
_EVENT = "rlm"
"""The name under which callback handlers get the events."""


class Emit(Protocol):
    """``Run.emit``."""

    def __call__(self, event: str, /, **fields: Any) -> int:
        """Send an event; its sequence number, 0 when nobody listens."""
        ...


class OpenRun:
    """What lives as long as one call of the outermost graph of ours: its id, its corpora, its stop, the count of its events.

    Args:
        routes: names that a request may ask for; None where whoever reads them knows.
        config: with which it is called.
        is_node: the graph is a node of the one above, so that its messages are that one's too.
        stream: which tokens are streamed, unless a request says it.
    """

    def __init__(
        self, routes: Collection[str] | None = None, config: RunnableConfig | None = None, *, is_node: bool = False,
        stream: Stream = "answer",
    ) -> None:  # fmt: skip
        self.stream = stream
        self.id = ""
        """Of the question; the graph gives it when it knows it."""
        self.routes = routes
        self.stop = Stop()
        self.corpora = Once(Corpus, "corpus")  # type: ignore[type-abstract]
        self.joined: dict[int, tuple[Any, JoinedCorpus]] = {}
        """Of mappings of corpora, with the mapping itself, so that no other gets its id."""
        self.contexts = Once(ContextStore, "contexts")
        self.pauses: dict[str, Any] = {}
        """Names of nodes by ``interrupt_before`` and ``interrupt_after``."""
        self.numbers = itertools.count(1)
        self.is_node = is_node
        self.depth = len(segments(config))
        """Graphs above."""

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


class _Told:
    """What handlers are told of one node, one after the other.

    Args:
        by_handlers: whether any of them takes custom events.
        tokens: whether any of them shows tokens.
    """

    def __init__(self, by_handlers: bool = False, tokens: bool = False) -> None:
        self.by_handlers, self.tokens = by_handlers, tokens
        self._waiting: list[Callable[[], Awaitable[None]]] = []
        self._telling: asyncio.Task[None] | None = None

    def add(self, work: Callable[[], Awaitable[None]]) -> None:
        self._waiting.append(work)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def wait(self) -> None:
        while self._telling is not None:
            await self._telling

    async def _tell(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                for work in waiting:
                    await work()
        finally:
            self._telling = None


@dataclass(frozen=True, slots=True)
class Run:
    """What a node knows of the request it serves.

    Args:
        config: the node's, under which nobody is shown the tokens of a model that is called.
        face: sync or async.
        runtime: the process's.
        options: of the request, validated.
        open: what all nodes of the run share.
        listening: handlers that show tokens; those of the answer are told to them.
        writer: LangGraph's, for custom events; None when nobody streams them.
        loop: on which the node runs; None outside of any node.
        depth, path, turn: the place in the tree of children, for events.
        rooms: how many calls, and how many children of each depth, may be in flight; see ``room``.
    """

    config: RunnableConfig
    face: Face
    runtime: Runtime
    options: RequestOptions
    open: OpenRun
    listening: tuple[Any, ...] = ()
    writer: Writer | None = None
    loop: asyncio.AbstractEventLoop | None = None
    depth: int = 0
    path: Sequence[str] = ()
    turn: int = 0
    rooms: dict[int, asyncio.Semaphore] = field(default_factory=dict)
    _told: _Told = field(default_factory=_Told)

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
        quiet, listening = apart(config)
        if options.get("stream", opened.stream) == "all":
            quiet = config
        told = _Told(hears_events(config), bool(listening))
        return cls(
            quiet, runtime.face(is_async=is_async), runtime, options, opened, listening, writer_for(_writer(), config),
            loop, _told=told,
        )  # fmt: skip

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
            InvalidFilter: it cannot be searched with the filter of the request.
        """
        if isinstance(given, Mapping):
            members = {name: await self.open.corpora.of(one, self.config, self.face) for name, one in given.items()}
            corpus: Corpus = self.open.joined.setdefault(id(given), (given, JoinedCorpus(members)))[1]
        else:
            corpus = await self.open.corpora.of(given, self.config, self.face)
        corpus.check(self.options.get("where"))
        return corpus

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

    # --- what is told ---

    def at(self, depth: int, path: Sequence[str], turn: int = 0) -> Self:
        """The same request at another place of the tree of children."""
        return replace(self, depth=depth, path=path, turn=turn)

    @property
    def heard(self) -> bool:
        """Whether anybody streams events or listens to them."""
        return self.writer is not None or self._told.by_handlers

    def emit(self, event: str, /, **fields: Any) -> int:
        """Send an event to whoever streams or listens; its stamp is added here.

        Args:
            event: its kind, see :mod:`langgraph_rlm.runs.events`.
            **fields: what this kind has beside the stamp.

        Returns:
            Its sequence number; 0 when nobody listens.
        """
        if not self.heard:
            return 0
        sequence = next(self.open.numbers)
        stamped = {
            "type": "rlm", "version": VERSION, "event": event, "run": self.open.id, "sequence": sequence,
            "time": time.time(), "depth": self.depth, "path": list(self.path), "turn": self.turn, **fields,
        }  # fmt: skip
        if self.writer is not None:
            self.writer(stamped)
        if self._told.by_handlers:
            self.tell(lambda: self._dispatched(stamped))
        return sequence

    def tell(self, work: Callable[[], Awaitable[None]]) -> None:
        """Tell handlers something on the node's loop, after all that was told before; from any thread."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._told.add, work)

    async def all_told(self) -> None:
        """Wait until handlers have got everything."""
        if self._told.by_handlers or self._told.tokens:
            await asyncio.sleep(0)  # what was handed over by a thread comes first
            await self._told.wait()

    async def _dispatched(self, event: dict[str, Any]) -> None:
        if self.face.is_async:
            await adispatch_custom_event(_EVENT, event, config=self.config)
        else:
            await self.face.block(dispatch_custom_event, _EVENT, event, config=self.config)


def unheard(event: str, /, **fields: Any) -> int:
    """An ``emit`` that nobody listens to."""
    return 0


def new_id() -> str:
    """A fresh id for a run, a session or a message."""
    return uuid.uuid4().hex


def _writer() -> Writer | None:
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):  # not inside a graph; KeyError: inside another Runnable, such as a tool
        return None


def _context_of(config: RunnableConfig) -> Any:
    """The ``context=`` that the graph was invoked with; a nested graph has its parent's."""
    return getattr(config.get("configurable", {}).get("__pregel_runtime"), "context", None)
