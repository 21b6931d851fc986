"""The store of contexts of a run: given as it is, or by a function of the request, so that tenants have stores of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from langchain_core.runnables import RunnableConfig

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.text import ContextStore

ContextsLike = ContextStore | Callable[[RunnableConfig], ContextStore | Awaitable[ContextStore]]
"""A store, or a function of the request's config that gives one; it is called once for each run."""


def check_contexts(contexts: object) -> None:
    """Refuse what is neither a store nor a function that gives one.

    Raises:
        InvalidInput: naming what was given.
    """
    if (
        contexts is None
        or isinstance(contexts, ContextStore)
        or (callable(contexts) and not isinstance(contexts, type))
    ):
        return
    raise InvalidInput(f"contexts: expected a ContextStore or a function of the config, got {type(contexts).__name__}")
