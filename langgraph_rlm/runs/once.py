"""What a function of the request gives, kept for one run: its corpus, its store of contexts."""

from __future__ import annotations

import inspect
import threading
from asyncio import wrap_future
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from langchain_core.runnables import RunnableConfig

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.runs.faces import Face

T = TypeVar("T")


class Once(Generic[T]):
    """What the functions of one run have given, each called once. Safe to share between threads and loops.

    Args:
        kind: that they give; one that is given itself is taken as it is.
        name: of the argument, for errors.
    """

    def __init__(self, kind: type[T], name: str) -> None:
        self._kind, self._name = kind, name
        self._made: dict[int, tuple[Any, Future[T]]] = {}
        self._lock = threading.Lock()

    async def of(self, given: T | Callable[[RunnableConfig], Any], config: RunnableConfig, face: Face) -> T:
        """What this run has; the function may be sync or async.

        Raises:
            InvalidInput: the function gave something else. What it raises itself is raised as it is.
        """
        if isinstance(given, self._kind):
            return given
        with self._lock:
            known = self._made.get(id(given))
            if known is None:
                made: Future[T] = Future()
                self._made[id(given)] = given, made  # with the function itself, so that no other gets its id
        if known is not None:
            return await wrap_future(known[1])
        try:
            found = await self._called(given, config, face)
        except BaseException as error:
            made.set_exception(error)
            made.exception()  # it is raised here: nobody else may be waiting
            raise
        made.set_result(found)
        return found

    async def _called(self, given: Any, config: RunnableConfig, face: Face) -> T:
        made: Any = await face.block(given, config)
        found = await made if inspect.isawaitable(made) else made
        if not isinstance(found, self._kind):
            raise InvalidInput(
                f"{self._name}: the function returned {type(found).__name__}, not a {self._kind.__name__}"
            )
        return found
