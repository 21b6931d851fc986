"""A compiled graph that takes raw text off its input before anything is written.

LangGraph checkpoints and traces a graph's input before its first node runs: by then it is too late to replace a text
by a reference. So ``stream`` and ``astream``, through which every other way of running a graph goes, do it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from langgraph_rlm.text import ContextStore

KEY = "context"


class InterningGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A ``CompiledStateGraph`` whose input ``context`` becomes a ``ContextRef``; made by :func:`interning`."""

    rlm_contexts: ContextStore

    def stream(self, input: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As ``CompiledStateGraph.stream``."""
        yield from super().stream(self._interned(input), *args, **kwargs)

    async def astream(self, input: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """As ``CompiledStateGraph.astream``."""
        raw = _raw_context(input)
        if raw is not None:
            input = _with_context(input, await self.rlm_contexts.aput(raw))
        async for part in super().astream(input, *args, **kwargs):
            yield part

    def _interned(self, input: Any) -> Any:
        raw = _raw_context(input)
        return input if raw is None else _with_context(input, self.rlm_contexts.put(raw))


def interning(graph: CompiledStateGraph[Any, Any, Any, Any], contexts: ContextStore) -> InterningGraph:
    """``graph`` itself, from now on interning its input into ``contexts``.

    ``StateGraph.compile`` has no hook for the class it makes, so the class is changed afterwards.
    """
    graph.__class__ = InterningGraph
    graph.rlm_contexts = contexts  # type: ignore[attr-defined]
    return graph  # type: ignore[return-value]


def _raw_context(input: Any) -> Any:
    values = input.update if isinstance(input, Command) else input
    return values.get(KEY) if isinstance(values, dict) else None


def _with_context(input: Any, ref: Any) -> Any:
    if isinstance(input, Command):
        return Command(graph=input.graph, update={**input.update, KEY: ref}, resume=input.resume, goto=input.goto)  # type: ignore[dict-item]
    return {**input, KEY: ref}
