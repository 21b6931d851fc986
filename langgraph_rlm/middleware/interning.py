"""An agent whose long human messages never reach a checkpoint: they become references at the edge of its graph.

LangGraph checkpoints the input before any middleware runs, so middleware comes too late for it. ``stream`` and ``astream``,
through which every other way of running a graph goes, and ``astream_events``, whose first event is the input, do it.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateUpdate

from langgraph_rlm.calls.files import FILES_IN_STATE
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.middleware.bands import Bands, without_files
from langgraph_rlm.middleware.marks import came_through_edge, marked
from langgraph_rlm.runs.contexts import ContextsLike, check_contexts
from langgraph_rlm.runs.run import OpenRun
from langgraph_rlm.runs.runtime import Runtime


def interning_agent(
    agent: CompiledStateGraph[Any, Any, Any, Any], contexts: ContextsLike, *, preview_below: int = 20_000
) -> InterningAgent:
    """The agent, with its long human messages stored before they are checkpointed or traced.

    It is the same graph otherwise: tools, checkpointer and state are the agent's. A Ctrl-C also stops the tools of
    :func:`create_rlm_tools` that are at work.

    Args:
        agent: of ``create_agent`` or ``create_deep_agent``, with ``RLMMiddleware(contexts=…)``.
        contexts: the same as the middleware's.
        preview_below: tokens up to which a human message stays as it is; the same as the middleware's.

    Raises:
        InvalidInput: the agent is none, or has no RLMMiddleware; an argument cannot be used.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langgraph_rlm import ContextStore, ExtractiveModel
        >>> contexts = ContextStore()
        >>> agent = create_agent(ExtractiveModel(), middleware=[RLMMiddleware(contexts=contexts, tools=False)])
        >>> agent = interning_agent(agent, contexts)
    """
    if contexts is None:
        raise InvalidInput("contexts: give the store of the agent's RLMMiddleware")
    check_contexts(contexts)
    if not isinstance(agent, CompiledStateGraph):
        raise InvalidInput(f"agent: expected a compiled agent, got {type(agent).__name__}")
    if FILES_IN_STATE not in agent.channels:
        raise InvalidInput("agent: it has no RLMMiddleware: create_agent(…, middleware=[RLMMiddleware(contexts=…)])")
    made: Any = agent.copy()
    made.__class__ = InterningAgent
    made.rlm_contexts, made.rlm_bands = contexts, Bands(min(2_000, preview_below), preview_below)
    return made


class InterningAgent(CompiledStateGraph[Any, Any, Any, Any]):
    """An agent made by :func:`interning_agent`."""

    rlm_contexts: ContextsLike
    rlm_bands: Bands

    def __init__(self, *args: Any, rlm_contexts: ContextsLike, rlm_bands: Bands, **kwargs: Any) -> None:
        """``copy``, which ``with_config`` and servers call for every request, hands over every attribute."""
        super().__init__(*args, **kwargs)
        self.rlm_contexts, self.rlm_bands = rlm_contexts, rlm_bands

    def stream(
        self, input: Any, config: RunnableConfig | None = None, *args: Any, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """As ``CompiledStateGraph.stream``."""
        with closing(OpenRun()) as own:
            config = own.within(self._merged(config))
            parts = super().stream(self._interned_now(input, config), marked(config), *args, **kwargs)
            try:
                while True:
                    with own.stop.at_ctrl_c():
                        try:
                            part = next(parts)
                        except StopIteration:
                            return
                    yield part
            except BaseException:
                own.stop.now()
                raise
            finally:
                parts.close()  # type: ignore[attr-defined]  # it is a generator

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """As ``CompiledStateGraph.astream``."""
        with closing(OpenRun()) as own:
            config = own.within(self._merged(config))
            parts = super().astream(await self._interned(input, config), marked(config), *args, **kwargs)
            async with aclosing(parts):  # type: ignore[type-var]
                async for part in parts:
                    yield part

    def astream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As ``CompiledStateGraph.astream_events``; the first event shows the reference in place of the text."""
        if kwargs.get("version") == "v3":
            return super().astream_events(input, config, **kwargs)  # goes through astream
        return self._events(input, config, kwargs)

    async def _events(self, input: Any, config: RunnableConfig | None, kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        config = self._merged(config)
        taken = await self._interned(input, config)  # marked: its references stay when it comes to ``astream``
        async with aclosing(super().astream_events(taken, marked(config), **kwargs)) as events:
            async for event in events:
                yield event

    def bulk_update_state(self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]) -> RunnableConfig:
        """As ``CompiledStateGraph.bulk_update_state``, which ``update_state`` calls."""
        taken = [
            [step._replace(values=self._interned_now(step.values, config)) for step in steps] for steps in supersteps
        ]
        return super().bulk_update_state(config, taken)

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """As ``CompiledStateGraph.abulk_update_state``, which ``aupdate_state`` calls."""
        taken = [
            [step._replace(values=await self._interned(step.values, config)) for step in steps] for steps in supersteps
        ]
        return await super().abulk_update_state(config, taken)

    # --- what happens at the edge ---

    def _merged(self, config: RunnableConfig | None) -> RunnableConfig:
        """With what ``with_config`` has bound, so that functions of the config see it."""
        bound, given = self.config or {}, config or {}
        return {**given, "configurable": {**bound.get("configurable", {}), **given.get("configurable", {})}}

    def _interned_now(self, input: Any, config: RunnableConfig) -> Any:
        messages = _messages_of(input, config)
        if messages is None:
            return input
        if any(map(self.rlm_bands.is_long, messages)):
            return Runtime.default().run(self._interned(input, config, is_async=False), OpenRun.of(config).stop)
        return _with(input, messages)

    async def _interned(self, input: Any, config: RunnableConfig, *, is_async: bool = True) -> Any:
        messages = _messages_of(input, config)
        if messages is None:
            return input
        face = Runtime.default().face(is_async=is_async)
        for number, message in enumerate(messages):
            if isinstance(message, HumanMessage) and self.rlm_bands.is_long(message):
                contexts = await OpenRun.of(config).contexts.of(self.rlm_contexts, config, face)
                messages[number], _ = await face.block(self.rlm_bands.replaced, message, contexts)
        return _with(input, messages)


def _messages_of(input: Any, config: RunnableConfig) -> list[BaseMessage] | None:
    """The messages of an input as objects with ids; None where it has none.

    With an id of its own a message can be replaced; LangGraph gives one, but deepagents does not for a tuple. References
    that did not come from here are a client's, who may have made them up.
    """
    values = input.update if isinstance(input, Command) else input
    if not isinstance(values, Mapping) or not values.get("messages"):
        return None
    given = values["messages"]
    messages = convert_to_messages(given if isinstance(given, list) else [given])
    known = came_through_edge(config)
    messages = [message if known else without_files(message) for message in messages]
    return [one if one.id else one.model_copy(update={"id": str(uuid.uuid4())}) for one in messages]


def _with(input: Any, messages: list[BaseMessage]) -> Any:
    if isinstance(input, Command):
        return replace(input, update=_with(input.update, messages))
    return {**input, "messages": messages}
