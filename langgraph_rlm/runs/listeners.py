"""Who listens to a run: the stream writers that lead to somebody, and the handlers that show a model's tokens as they come.

LangChain and LangGraph hand every token of every model that is called in a node to whoever streams. Most calls of a run are
not for a user's eyes: they write cells, grade, condense. So nodes run under a *quiet* config, in which these handlers hear
when a call begins and ends, and nothing of what is between; the answer is told to them by
:class:`langgraph_rlm.runs.answers.AnswerMessage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.callbacks.base import BaseCallbackManager
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.pregel import Pregel

Writer = Callable[[Any], None]
_WRITER = "__rlm_writer"
"""In ``configurable``: the nearest stream writer above a graph of ours, see ``forwarding``."""


# --- handlers of tokens ---


def shows_messages(handler: Any) -> bool:
    """Whether a handler is LangGraph's, for ``stream_mode="messages"``."""
    return hasattr(handler, "seen") and hasattr(handler, "subgraphs")


def apart(config: RunnableConfig) -> tuple[RunnableConfig, tuple[Any, ...]]:
    """The config under which no token is shown, and the handlers that show tokens.

    Args:
        config: of a node.
    """
    callbacks: Any = config.get("callbacks")
    handlers = getattr(callbacks, "handlers", callbacks) or ()
    streaming = tuple(handler for handler in handlers if _shows_tokens(handler))
    if not streaming:
        return config, ()
    if not isinstance(callbacks, BaseCallbackManager):
        return {**config, "callbacks": _quiet(handlers)}, streaming
    manager = callbacks.copy()
    manager.handlers = _quiet(manager.handlers)
    manager.inheritable_handlers = _quiet(manager.inheritable_handlers)
    return {**config, "callbacks": manager}, streaming


@contextmanager
def as_current(config: RunnableConfig) -> Iterator[None]:
    """Make this the config that LangChain hands to whatever is called without one: a user's grader, a user's tool."""
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def hears_events(config: RunnableConfig) -> bool:
    """Whether a callback handler takes custom events, and there is a traced run under which they can be shown."""
    manager = cast(Any, config.get("callbacks"))
    if not getattr(manager, "parent_run_id", None):
        return False
    return any(
        not getattr(handler, "ignore_custom_event", False)
        and getattr(handler.on_custom_event, "__func__", None) is not BaseCallbackHandler.on_custom_event
        for handler in manager.handlers
    )


def _shows_tokens(handler: Any) -> bool:
    return hasattr(handler, "tap_output_iter") and hasattr(handler, "tap_output_aiter")


def _quiet(handlers: Any) -> list[Any]:
    return [_Quiet(one) if _shows_tokens(one) else one for one in handlers if not shows_messages(one)]


class _Quiet:
    """A handler that is told when a model is called and what came of it, but no token: so the model need not stream."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:
        if name.startswith("tap_output"):  # by these LangChain knows who wants tokens
            raise AttributeError(name)
        return getattr(self._handler, name)

    def __copy__(self) -> _Quiet:
        return self

    def __deepcopy__(self, memo: Any) -> _Quiet:
        return self

    async def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        """Not told."""

    async def on_stream_event(self, *args: Any, **kwargs: Any) -> None:
        """Not told."""


# --- stream writers ---


def is_live(writer: Any) -> bool:
    """Whether a stream writer leads anywhere: LangGraph gives a node a function that does nothing when nobody streams."""
    ours = str(getattr(writer, "__module__", "")).startswith("langgraph.")
    return not (ours and getattr(writer, "__closure__", None) is None)


def forwarding(config: RunnableConfig) -> RunnableConfig:
    """The config for a graph of ours that runs in a node of another graph, with that node's stream writer.

    LangGraph lets nothing that a nested graph writes through unless ``subgraphs=True``. What our runs tell is for whoever
    streams the outermost graph, so that it goes to the nearest writer that leads anywhere.
    """
    inherited = _inherited(config)
    above: RunnableConfig = {**config, "configurable": inherited}
    writer = getattr(inherited.get("__pregel_runtime"), "stream_writer", None)
    if writer is None or not is_live(writer):
        return config

    def forward(event: Any) -> None:
        with as_current(above):  # the writer takes the namespace from there
            writer(event)

    return {**config, "configurable": {**config.get("configurable", {}), _WRITER: forward}}


def writer_for(own: Writer | None, config: RunnableConfig) -> Writer | None:
    """The node's own writer, or the nearest one above that leads anywhere; None when nobody streams.

    Args:
        own: the node's; None outside of a graph.
        config: the node's.
    """
    if own is not None and is_live(own):
        return own
    return cast("Writer | None", config.get("configurable", {}).get(_WRITER))


# --- the graph above ---


def _inherited(config: RunnableConfig | None) -> dict[str, Any]:
    """``configurable`` as LangGraph makes it for a graph that is called with this config, or without one, in a node."""
    given = (config or {}).get("configurable") or {}
    own = any(given.get(key) for key in ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map"))
    current = {} if own else (var_child_runnable_config.get() or {}).get("configurable") or {}
    return {**current, **given}


def segments(config: RunnableConfig | None) -> tuple[str, ...]:
    """The nodes above, from the outermost graph down, each as LangGraph names it in a namespace (``name:id``)."""
    place = _inherited(config).get("checkpoint_ns") or ""
    return tuple(place.split("|")) if place else ()


def is_node(graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> bool:
    """Whether a graph that runs inside of another one is itself a node of it, and not called by a node's function or a tool.

    Then its messages are the other graph's too. LangGraph says it nowhere but in the task that it runs; where it cannot be
    found there, the answer is no.
    """
    call = _inherited(config).get("__pregel_call")
    task = next((one() for one in getattr(call, "args", ())[:1] if callable(one)), None)
    steps = getattr(getattr(task, "proc", None), "steps", None) or [getattr(task, "proc", None)]
    step = steps[0]
    while step is not None and not isinstance(step, Pregel):
        step = getattr(step, "bound", None)
    return step is graph
