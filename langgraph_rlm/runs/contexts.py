"""The store of contexts of a run: given as it is, or by a function of the request, so that tenants have stores of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.text import ContextStore
from langgraph_rlm.threads import in_thread

ContextsLike = ContextStore | Callable[[RunnableConfig], ContextStore]
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


class Contexts:
    """The stores that the functions of one run have given. Safe to share between threads."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Any, ContextStore]] = {}
        self._lock = threading.Lock()

    def of(self, given: ContextsLike | None, config: RunnableConfig) -> ContextStore:
        """The run's store.

        Raises:
            InvalidInput: the function gave something else. What it raises itself is raised as it is.
        """
        if isinstance(given, ContextStore):
            return given
        assert given is not None  # a graph with contexts has a store
        with self._lock:
            if id(given) not in self._found:
                found = given(config)
                if not isinstance(found, ContextStore):
                    raise InvalidInput(f"contexts: the function returned {type(found).__name__}, not a ContextStore")
                self._found[id(given)] = given, found
            return self._found[id(given)][1]

    async def aof(self, given: ContextsLike | None, config: RunnableConfig) -> ContextStore:
        """As ``of``; a function is called in a thread."""
        return given if isinstance(given, ContextStore) else await in_thread(self.of, given, config)
