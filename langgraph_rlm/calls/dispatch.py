"""The only door from a cell to the host: an unknown name or a wrong argument stops here, everything else is counted."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from langgraph.errors import GraphBubbleUp
from pydantic import ValidationError

from langgraph_rlm.calls.function_table import Function
from langgraph_rlm.calls.functions import ALIASES, Functions, available
from langgraph_rlm.calls.scope import CellRecord, Scope
from langgraph_rlm.errors import EmbeddingsError, IndexMismatch, MemoError, ReplError, RLMError, StoreError
from langgraph_rlm.redaction import redacted
from langgraph_rlm.shortening import shortened

_log = logging.getLogger(__name__)

_SEARCHES = ("bm25_search", "vector_retrieve", "hybrid_search", "hop_search")
_OF_TEXTS = ("bm25_search", "grep", "search", "count", "read")  # what needs no vectors


class Dispatcher:
    """Serves the cells of one run at one depth.

    Made on the loop on which the run's coroutines live; ``door`` is then called from the threads that run cells.

    Args:
        scope: what the functions may touch.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self.functions: Mapping[str, Function] = {**available(scope), **scope.own}

    @property
    def names(self) -> list[str]:
        """What cells may call."""
        return [*self.functions, *(alias for alias, name in ALIASES.items() if name in self.functions)]

    def describe(self) -> list[str]:
        """One entry for each function, for the prompt."""
        return [function.describe() for function in self.functions.values()]

    def door(self, number: int, *, replayed: bool = False) -> Door:
        """The door for the cell of this number; ``replayed``: it had run to its end before."""
        return Door(self._scope, self._loop, self.functions, CellRecord(number, replayed))


class Door:
    """An ``OnCall``: takes the calls of one cell and keeps the record of them.

    ``failed`` is what the run cannot go on from, and what no cell can deal with: the memo is damaged or out of reach.
    """

    def __init__(
        self, scope: Scope, loop: asyncio.AbstractEventLoop, functions: Mapping[str, Function], record: CellRecord
    ) -> None:
        self.record = record
        self.failed: MemoError | None = None
        self._functions = functions
        self._bound = Functions(scope, record)
        self._scope = scope
        self._loop = loop
        self._pending: set[Future[Any]] = set()

    def __call__(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any | Future[Any]:
        """The value of a call, or a Future of it when it takes time."""
        name = ALIASES.get(name, name)
        function = self._functions.get(name)
        if function is None:
            raise ReplError(f"there is no function {name!r} in this run; there are {', '.join(self._functions)}")
        if self.failed is not None:
            raise RuntimeError("the run is over")
        self.record.calls[name] = self.record.calls.get(name, 0) + 1
        try:
            given = _in_order(args) if function.name in _SEARCHES else args
            result = function.call(self._bound, *given, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the cell is told so in plain words
            raise self._told(function, error) from None
        if inspect.iscoroutine(result):
            future = asyncio.run_coroutine_threadsafe(self._guarded(function, result), self._loop)
        elif isinstance(result, Future):
            future = result
        else:
            return result
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def close(self) -> None:
        """Give up the calls that a cell has left behind; harmless when there are none."""
        for future in tuple(self._pending):
            future.cancel()

    async def _guarded(self, function: Function, call: Any) -> Any:
        try:
            return await call
        except Exception as error:  # noqa: BLE001 - as above; arguments of a coroutine are checked when it starts
            raise self._told(function, error) from None

    def _told(self, function: Function, error: Exception) -> Exception:
        if not isinstance(error, MemoError):
            return _for_the_cell(function, error, self._way_out(function, error))
        self.failed = error
        return RuntimeError("the run is over")  # not in its words: they hold a path

    def _way_out(self, function: Function, error: Exception) -> str:
        """Which functions still work when the vectors do not, or that none does."""
        if self._scope.corpus is None or not isinstance(error, StoreError | IndexMismatch | EmbeddingsError):
            return ""
        if not self._scope.corpus.keeps_texts and isinstance(error, StoreError):
            return "; the corpus is read from there alone, so that no function finds anything in it now"
        working = [name for name in _OF_TEXTS if name in self._functions and name != function.name]
        return f"; still working: {', '.join(working)}"


def _for_the_cell(function: Function, error: Exception, way_out: str) -> Exception:
    """The same mistake as a plain exception."""
    if isinstance(error, ValidationError):
        return TypeError(_in_a_line(function, error))
    return for_a_model(function.name, error, way_out)


def for_a_model(name: str, error: Exception, way_out: str = "") -> Exception:
    """A mistake as a plain exception: what the model can act on, nothing of the host.

    Args:
        name: of the function that the model has called.
        error: what it raised.
        way_out: added where the error itself may not be shown.
    """
    if isinstance(error, GraphBubbleUp):
        return error
    if isinstance(error, RLMError) and error.told is None:
        return KeyError(str(error)) if isinstance(error, KeyError) else ValueError(str(error))
    # Not for the cell: it may hold paths and addresses; and not as it is, it may hold keys.
    _log.error("%s() failed\n%s", name, redacted("".join(traceback.format_exception(error))))
    if isinstance(error, RLMError):
        return RuntimeError(f"{name}(): {error.told}{way_out}")
    return RuntimeError(f"{name}() failed on the host ({type(error).__name__}); try another way")


_TEXTS = {
    "context",
    "text",
    "document",
    "documents",
    "data",
    "passage",
    "passages",
    "content",
    "chunk",
    "chunks",
    "input",
}
"""What models call the text that they want to hand to a sub-model."""
_PIECE = (
    'it takes no text besides the prompt: put a piece into it, llm_query(f"{question}\\n\\n{piece}"), as a sub-model sees nothing '
    "else"
)


def _in_a_line(function: Function, error: ValidationError) -> str:
    """What is wrong with the arguments, and the call as it should stand."""
    problems = []
    parameters = list(inspect.signature(function.call).parameters)  # self is number 0, for pydantic too
    for problem in error.errors(include_url=False, include_context=False)[:3]:
        first, *inner = problem["loc"] or ("arguments",)
        name = parameters[first] if isinstance(first, int) and first < len(parameters) else first
        if problem["type"] == "unexpected_keyword_argument":
            asks_model = function.name in ("llm_query", "llm_query_batched")
            problems.append(_PIECE if asks_model and name in _TEXTS else f"there is no argument {name!r}")
        elif problem["type"].startswith("missing"):
            problems.append(f"{name} is missing")
        elif problem["type"] == "unexpected_positional_argument":
            problems.append("there are too many arguments, or one has to be given by its name")
        else:
            place = ".".join(map(str, [name, *inner]))
            problems.append(f"{place}: {problem['msg']} (got {shortened(repr(problem['input']))})")
    return f"{function.name}(): {'; '.join(problems)}. Write {function.usage()}"


def _in_order(args: list[Any]) -> list[Any]:
    """``vector_retrieve(5, "question")``: the number is how many, and the text is the query."""
    match args:
        case [int() as k, str() | list() as query, *rest] if not isinstance(k, bool):
            return [query, k, *rest]
    return args
