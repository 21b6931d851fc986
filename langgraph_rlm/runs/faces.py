"""The two faces of one coroutine: how a run that was started with ``invoke`` or with ``ainvoke`` does what takes time.

All logic is written once, as coroutines. On the async face they run on the caller's loop and models are awaited there.
On the sync face they run on a background loop, and models are called by their *sync* methods in threads: a client that
is bound to the caller's loop is never touched from another one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, ParamSpec, Protocol, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig

from langgraph_rlm.threads import in_thread, in_threads_of

P = ParamSpec("P")
T = TypeVar("T")


class Face(Protocol):
    """How one run calls models and blocking functions."""

    is_async: bool

    async def call(
        self, runnable: Runnable[Any, Any], value: Any, config: RunnableConfig | None, **options: Any
    ) -> Any:
        """The runnable's answer; options go with the call."""
        ...

    async def block(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a blocking function, run in a thread with the caller's context variables."""
        ...

    async def wait(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``block``, for functions that wait for calls of this same run (a cell): they have threads of their own."""
        ...


class _Threads:
    def __init__(self, cells: Executor) -> None:
        # Two pools: were cells and the calls they wait for in one, enough cells could fill it and wait for ever.
        self._cells = cells

    async def block(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_thread(function, *args, **kwargs)

    async def wait(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await in_threads_of(self._cells, function, *args, **kwargs)


class AsyncFace(_Threads):
    """For ``ainvoke`` and ``astream``: models are awaited on the caller's loop."""

    is_async = True

    async def call(
        self, runnable: Runnable[Any, Any], value: Any, config: RunnableConfig | None, **options: Any
    ) -> Any:
        return await runnable.ainvoke(value, config, **options)


class SyncFace(_Threads):
    """For ``invoke`` and ``stream``: models are called by their sync methods, in threads."""

    is_async = False

    async def call(
        self, runnable: Runnable[Any, Any], value: Any, config: RunnableConfig | None, **options: Any
    ) -> Any:
        return await self.block(runnable.invoke, value, config, **options)
