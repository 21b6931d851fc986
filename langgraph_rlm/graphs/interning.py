"""A compiled graph that takes raw text off its input before anything is written, and that stops when nobody listens.

LangGraph checkpoints and traces a graph's input before its first node runs: by then it is too late to replace a text
by a reference. So ``stream`` and ``astream``, through which every other way of running a graph goes, do it, and so do
the two methods through which a state is updated by hand.

LangGraph's ``stream`` waits for the nodes that run in its threads before it lets a ``close()`` or a Ctrl-C through; an
endless cell would hold it up for ever. So the nodes of a sync run are given up first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateUpdate

from langgraph_rlm.graphs.state import Carry, new_id
from langgraph_rlm.runs.stopping import Stop
from langgraph_rlm.text import ContextStore

KEY = "context"
CARRY = "rlm_carry"


class InterningGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A ``CompiledStateGraph`` whose input ``context`` becomes a ``ContextRef``; made by :func:`interning`."""

    rlm_contexts: ContextStore

    def stream(
        self, input: Any, config: RunnableConfig | None = None, *args: Any, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """As ``CompiledStateGraph.stream``."""
        with closing(Stop()) as stop:
            parts = super().stream(_named(self._interned(input), config), stop.within(config), *args, **kwargs)
            try:
                while True:
                    with stop.at_ctrl_c():
                        try:
                            part = next(parts)
                        except StopIteration:
                            return
                    yield part
            except BaseException:  # closed, or a Ctrl-C outside of what is guarded: between two parts
                stop.now()
                raise
            finally:
                parts.close()  # type: ignore[attr-defined]  # it is a generator

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """As ``CompiledStateGraph.astream``."""
        parts = super().astream(_named(await self._ainterned(input), config), config, *args, **kwargs)
        async with aclosing(parts):  # type: ignore[type-var]  # else it is closed when it is collected
            async for part in parts:
                yield part

    def bulk_update_state(self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]) -> RunnableConfig:
        """As ``CompiledStateGraph.bulk_update_state``, which ``update_state`` calls."""
        taken = [[step._replace(values=self._interned(step.values)) for step in steps] for steps in supersteps]
        return super().bulk_update_state(config, taken)

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """As ``CompiledStateGraph.abulk_update_state``, which ``aupdate_state`` calls."""
        taken = [[step._replace(values=await self._ainterned(step.values)) for step in steps] for steps in supersteps]
        return await super().abulk_update_state(config, taken)

    def _interned(self, input: Any) -> Any:
        raw = _raw_context(input)
        return input if raw is None else _with_context(input, self.rlm_contexts.put(raw))

    async def _ainterned(self, input: Any) -> Any:
        raw = _raw_context(input)
        return input if raw is None else _with_context(input, await self.rlm_contexts.aput(raw))


def interning(graph: CompiledStateGraph[Any, Any, Any, Any], contexts: ContextStore) -> InterningGraph:
    """``graph`` itself, from now on interning its input into ``contexts``.

    ``StateGraph.compile`` has no hook for the class it makes, so the class is changed afterwards.
    """
    graph.__class__ = InterningGraph
    graph.rlm_contexts = contexts  # type: ignore[attr-defined]
    return graph  # type: ignore[return-value]


def _named(input: Any, config: RunnableConfig | None) -> Any:
    """A question with the id of its run, so that this is known even where no checkpoint but the input's was written.

    A graph in a node of another one leaves it to ``run_id``: its input comes again when that node runs again.
    """
    nested = ensure_config(config).get("configurable", {}).get("checkpoint_ns")
    if nested or not isinstance(input, dict) or CARRY in input:
        return input
    return {**input, CARRY: Carry(run=new_id())}


def _raw_context(input: Any) -> Any:
    values = input.update if isinstance(input, Command) else input
    if isinstance(values, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in values):
        values = dict(values)  # a Command's update may be pairs
    return values.get(KEY) if isinstance(values, dict) else None


def _with_context(input: Any, ref: Any) -> Any:
    if isinstance(input, Command):
        return replace(input, update=_with_context(input.update, ref))
    return (
        [*(pair for pair in input if pair[0] != KEY), (KEY, ref)]
        if not isinstance(input, dict)
        else {**input, KEY: ref}
    )
