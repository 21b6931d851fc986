"""What a run does beside asking models, as runs of a tracer: cells and tools of kind ``tool``, searches of kind ``retriever``.

Tracers keep whatever they are given, and some refuse more than a megabyte. So they get previews: the beginning of a text, and
how long it is.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig

from langgraph_rlm.runs.run import Run

SHOWN_CHARS = 500
"""Of one text."""
_CODE_CHARS = 4_000
"""Of a cell's code and output: what a person looks for in a trace; a run of 20 turns shows 160 KB at most."""
_MOST_HITS = 20
"""Of one search."""


def shortened(value: Any, most: int = SHOWN_CHARS) -> str:
    """A value as traces and events show it: as text, JSON where it is none.

    Example:
        >>> shortened({"a": 1}), shortened("x" * 1_000, 5)
        ('{"a": 1}', 'xxxxx… (1,000 characters)')
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


class Outcome:
    """What came of a traced run; whoever does the work says it."""

    def __init__(self) -> None:
        self.shown: Any = ""
        self.error: str | None = None

    def is_(self, shown: Any, error: str | None = None) -> None:
        """Say it, shortened by the caller."""
        self.shown, self.error = shown, error


class TracedError(Exception):
    """Marks a run as failed; what has failed is its text."""


@asynccontextmanager
async def as_cell(run: Run, code: str) -> AsyncIterator[Outcome]:
    """One cell as a run of kind ``tool`` with the name ``cell``."""
    outcome = Outcome()
    async with as_tool(run, "cell", {"code": shortened(code, _CODE_CHARS)}, outcome):
        yield outcome
        outcome.shown = shortened(outcome.shown, _CODE_CHARS)


@asynccontextmanager
async def as_tool(run: Run, name: str, inputs: Mapping[str, Any], outcome: Outcome) -> AsyncIterator[Run]:
    """A run of kind ``tool``; yields the request at its place, for what runs inside of it."""
    manager = _manager_of(run)
    if manager is None:
        yield run
        return
    shown = json.dumps(inputs, ensure_ascii=False)
    started = await _told(run, manager.on_tool_start, {"name": name}, shown, name=name, inputs=dict(inputs))
    config: RunnableConfig = {**run.config, "callbacks": started.get_child()}
    try:
        yield replace(run, config=config)
    except BaseException as error:
        await _told(run, started.on_tool_error, error)
        raise
    if outcome.error is not None:
        await _told(run, started.on_tool_error, TracedError(outcome.error))
    else:
        await _told(run, started.on_tool_end, outcome.shown)


@asynccontextmanager
async def as_retriever(run: Run | None, name: str, query: str | Sequence[str]) -> AsyncIterator[list[Any]]:
    """A search as a run of kind ``retriever``; the hits are put into the list."""
    hits = list[Any]()
    manager = None if run is None else _manager_of(run)
    if run is None or manager is None:
        yield hits
        return
    shown = shortened(query if isinstance(query, str) else list(query))
    started = await _told(run, manager.on_retriever_start, {"name": name}, shown, name=name)
    try:
        yield hits
    except BaseException as error:
        await _told(run, started.on_retriever_error, error)
        raise
    await _told(run, started.on_retriever_end, previews_of(hits))


def retrieved_before(run: Run | None, name: str, query: str | Sequence[str], hits: Sequence[Mapping[str, Any]]) -> None:
    """The same for a search that is over, from a thread that cannot wait for the handlers."""
    if run is None or _manager_of(run) is None:
        return

    async def told() -> None:
        async with as_retriever(run, name, query) as found:
            found.extend(hits)

    run.tell(told)


def previews_of(hits: Sequence[Mapping[str, Any]]) -> list[Document]:
    """Hits as documents that show where they are, and the beginning of their text."""
    return [
        Document(
            shortened(hit["text"]),
            metadata={name: hit[name] for name in ("doc_id", "start", "end", "score", "rank") if name in hit},
        )
        for hit in hits[:_MOST_HITS]
    ]


def _manager_of(run: Run) -> Any:
    manager = run.config.get("callbacks")
    return manager if isinstance(manager, AsyncCallbackManager | CallbackManager) and manager.handlers else None


async def _told(run: Run, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if isinstance(getattr(method, "__self__", None), CallbackManager) or not run.face.is_async:
        told = await run.face.block(method, *args, **kwargs)
    else:
        told = method(*args, **kwargs)
    return await told if isinstance(told, Awaitable) else told
