"""Graph nodes that can be invoked and awaited.

A node is written once, as a coroutine. ``ainvoke`` awaits it on the caller's loop; ``invoke`` runs it on the runtime's
background loop, so that sync callers get the same concurrency without an event loop of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.types import Command

from langgraph_rlm.graphs.keys import Keys
from langgraph_rlm.runs.listeners import as_current
from langgraph_rlm.runs.run import OpenRun, Run
from langgraph_rlm.runs.runtime import Runtime

Core = Callable[[Any, Run], Awaitable[Any]]
"""A node's logic: ``(state, run)`` → an update of the state or a ``Command``."""


class Node(Runnable[Any, Any]):
    """A graph node with both faces.

    Args:
        core: its logic.
        name: its name in traces.
        keys: the user's names of the state's keys.
    """

    def __init__(self, core: Core, name: str, keys: Keys | None = None) -> None:
        self._core = core
        self.name = name
        self._keys = keys or Keys()

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node; blocks."""
        config = ensure_config(config)
        return Runtime.default().run(self._serve(input, config, is_async=False), OpenRun.of(config).stop)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node on this loop."""
        return await self._serve(input, ensure_config(config), is_async=True)

    async def _serve(self, state: Any, config: RunnableConfig, *, is_async: bool) -> Any:
        run = Run.of(config, is_async=is_async)
        try:
            with as_current(run.config):
                return self._keys.write(await self._core(self._keys.read(state), run))
        finally:
            await run.all_told()


class Choice(Node):
    """Where a conditional edge leads: ``(state, run)`` → a node's name.

    When a run is cancelled while an edge is chosen, LangGraph (1.2) keeps what the node before it has written and takes that step
    for done, without the edge: the resumed run would end there, with no answer. So the choice is made first.
    """

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Choose on this loop; a cancellation comes through at the next step."""
        choosing = asyncio.ensure_future(super().ainvoke(input, config, **kwargs))
        this = asyncio.current_task()
        assert this is not None  # a coroutine that runs has one
        held = 0
        while not choosing.done():
            try:
                await asyncio.shield(choosing)
            except asyncio.CancelledError:
                held += 1
                this.uncancel()
        for _ in range(held):
            this.cancel()
        return choosing.result()


def routing_node(core: Core, name: str, destinations: Sequence[str], keys: Keys | None = None) -> Node:
    """A node that returns a ``Command`` to one of ``destinations``.

    LangGraph draws and checks the destinations of a node by the return annotation of its ``__call__``; a plain
    callable would be drawn as a dead end, and a mistyped destination would end the run in silence. So each node gets a
    class of its own that is annotated with its destinations.
    """

    def __call__(self: Node, state: Any, config: RunnableConfig | None = None) -> Any:
        return self.invoke(state, config)

    __call__.__annotations__["return"] = Command[Literal[tuple(destinations)]]  # type: ignore[misc]
    made: Node = type("RoutingNode", (Node,), {"__call__": __call__})(core, name, keys)
    return made
