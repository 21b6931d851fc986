"""The mark of a run whose input went through the edge of an interning agent: its references are ours, not a client's."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig

_KEY = "__rlm_interned"
"""In ``configurable``: LangGraph keeps names with these marks out of checkpoints and traces."""
_MARK = object()
"""No client can send it."""


def marked(config: RunnableConfig) -> RunnableConfig:
    """The config of a run whose input was interned."""
    return {**config, "configurable": {**config.get("configurable", {}), _KEY: _MARK}}


def came_through_edge(config: RunnableConfig) -> bool:
    """Whether the input of this run was interned."""
    return config.get("configurable", {}).get(_KEY) is _MARK
