"""Tools of the user's own for cells: LangChain tools and plain functions, checked when the graph is made.

A cell calls one as a function. What models of agents call needs more than that: a tool that steers the graph (``Command``) or
asks a person (``interrupt``) has no meaning in the middle of a cell, and is refused by name.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, StructuredTool
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.types import Command, interrupt
from pydantic import PydanticUserError
from pydantic.errors import PydanticInvalidForJsonSchema

from langgraph_rlm.calls.functions import ALIASES, FUNCTIONS
from langgraph_rlm.calls.schemas import check_schema
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.repl.worker.names import RESERVED
from langgraph_rlm.shortening import one_line

TIMEOUT = 60.0
"""Seconds of one call, as many as a cell has."""
_TOLD_CHARS = 2_000
"""Of a tool's description in the prompt: it may come from a server of somebody else's."""
_KINDS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "dict"}
_TAKEN = frozenset([*FUNCTIONS, *ALIASES, *RESERVED, "context_chunks", *keyword.kwlist, *dir(builtins)])


@dataclass(frozen=True, slots=True)
class CellTool:
    """A tool for cells with settings of its own: ``tools=[CellTool(pay, counts=True, timeout=5)]``.

    Args:
        tool: a LangChain tool or a function.
        timeout: seconds of one call; the graph's ``tool_timeout`` when None.
        counts: each call counts as one of ``max_calls``.

    Example:
        >>> CellTool(len, counts=True).counts
        True
    """

    tool: BaseTool | Callable[..., Any]
    timeout: float | None = None
    counts: bool = False


Tool = BaseTool | Callable[..., Any] | CellTool
"""What ``tools=`` takes: a LangChain tool (MCP's too), a function with type hints, sync or async, or a ``CellTool``."""


@dataclass(frozen=True, slots=True)
class OwnTool:
    """A tool as cells see it.

    Args:
        name: in a cell.
        schema: of its arguments: a pydantic model, or a JSON schema.
        called, awaited: what runs it; None where it has no such form.
        config: the parameter that takes the config; None without one.
        has_artifact: its result is a pair, of which a cell gets the first.
        told: signature and description, for the prompt.
        parameters: that a cell gives, in order.
        injected: those that it does not give, by name: what they stand for.
        timeout: seconds of one call.
        counts: each call counts as one of ``max_calls``.
    """

    name: str
    schema: Any
    called: Callable[..., Any] | None
    awaited: Callable[..., Any] | None
    config: str | None
    has_artifact: bool
    told: str
    parameters: tuple[str, ...]
    injected: Mapping[str, Any]
    timeout: float
    counts: bool

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name.

        Raises:
            InvalidInput: too many, unknown, or given twice; in words for the cell.
        """
        if len(args) > len(self.parameters):
            raise InvalidInput(f"{self.name}() takes {len(self.parameters)} arguments, got {len(args)}")
        values = dict(zip(self.parameters, args, strict=False))
        for name, value in kwargs.items():
            if name in values:
                raise InvalidInput(f"{self.name}() got {one_line(name)!r} twice")
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "nothing"
                raise InvalidInput(f"{self.name}() has no argument {one_line(name)!r}; it takes {known}")
            values[name] = value
        return values


def own_tools(tools: Any, timeout: float = TIMEOUT) -> tuple[OwnTool, ...]:
    """The tools of ``tools=``, checked.

    Args:
        tools: see :data:`Tool`.
        timeout: seconds of one call, for those that have none of their own.

    Raises:
        InvalidInput: one of them cannot be called by cells; it says which, and why.
    """
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise InvalidInput(f"tools: expected a list of tools and functions, got {type(tools).__name__}")
    made = tuple(_made(given if isinstance(given, CellTool) else CellTool(given), timeout) for given in tools)
    names = [one.name for one in made]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidInput(f"tools: two of them have the name {twice!r} in cells; rename one")
    return made


def _made(given: CellTool, timeout: float) -> OwnTool:
    tool = given.tool if isinstance(given.tool, BaseTool) else _of_function(given.tool)
    name = re.sub(r"\W", "_", tool.name)  # names of MCP tools may hold dashes and dots
    if not name.isidentifier() or name.startswith("_"):
        raise InvalidInput(f"tools: {tool.name!r} cannot be the name of a function in cells; rename the tool")
    if name in _TAKEN:
        raise InvalidInput(f"tools: {tool.name!r} is the name of something that cells have already; rename the tool")
    seconds = timeout if given.timeout is None else given.timeout
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise InvalidInput(f"tools: the timeout of {tool.name!r} must be a number of seconds above 0, not {seconds!r}")
    _check_plain(tool)
    called, awaited = functions_of(tool)
    config = next((name for one in (called, awaited) for name in _config_of(one)), None)
    schema = _schema_of(tool)
    properties = {name: one for name, one in schema.get("properties", {}).items() if name != config}
    return OwnTool(
        name=name,
        schema=tool.get_input_schema() if tool.args_schema is None else tool.args_schema,
        called=called,
        awaited=awaited,
        config=config,
        has_artifact=tool.response_format == "content_and_artifact",
        told=_told(tool, properties, schema.get("required", ())),
        parameters=tuple(properties),
        injected={name: kind for name, kind in _injected(tool) if name not in properties},
        timeout=float(seconds),
        counts=bool(given.counts),
    )


def _of_function(function: Any) -> BaseTool:
    if not callable(function) or isinstance(function, type):
        raise InvalidInput(f"tools: expected a LangChain tool or a function, got {function!r}")
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise InvalidInput(f"tools: {function!r} has no name that a cell could call; write a def")
    is_async = inspect.iscoroutinefunction(function)
    try:
        return StructuredTool.from_function(
            func=None if is_async else function,
            coroutine=function if is_async else None,
            name=name,
            description=inspect.getdoc(function) or "(no description)",
        )
    except (PydanticUserError, ValueError, TypeError, NameError) as error:
        raise InvalidInput(f"tools: no signature can be made of {name!r}: {error}") from error


def _schema_of(tool: BaseTool) -> dict[str, Any]:
    """JSON schema of what a cell gives."""
    schema: Any = tool.tool_call_schema
    try:
        made = schema if isinstance(schema, dict) else schema.model_json_schema()
    except (PydanticInvalidForJsonSchema, PydanticUserError, AttributeError) as error:
        raise InvalidInput(f"tools: the arguments of {tool.name!r} have no JSON schema: {error}") from error
    if isinstance(tool.args_schema, dict):
        check_schema(made, f"tools: {tool.name!r}")
    return made


def _told(tool: BaseTool, properties: Mapping[str, Any], required: Sequence[str]) -> str:
    """``(city: str, days: int = 3)`` Description."""
    parts = []
    for name, one in properties.items():
        kind = _KINDS.get(one.get("type", "")) if isinstance(one, Mapping) else None
        part = f"{name}: {kind}" if kind else name
        if name not in required:
            part += f" = {one.get('default')!r}" if isinstance(one, Mapping) else " = None"
        parts.append(part)
    said = " ".join(tool.description.split())
    said = said if len(said) <= _TOLD_CHARS else f"{said[:_TOLD_CHARS]}…"
    return f"({', '.join(parts)})` {said} (A tool of the user's; a failed call gives a `CallError`.)"


# --- what it calls ----------------------------------------------------------------------------------------------------


def functions_of(tool: BaseTool) -> tuple[Callable[..., Any] | None, Callable[..., Any] | None]:
    """The function and the coroutine behind a tool.

    Cells call these, and not ``invoke``: that hands all arguments, and the whole result, to tracers.
    """
    if isinstance(tool, StructuredTool):
        return tool.func, tool.coroutine
    kind = type(tool)
    return (
        None if kind._run is BaseTool._run else tool._run,
        None if kind._arun is BaseTool._arun else tool._arun,
    )


def _config_of(function: Callable[..., Any] | None) -> Iterator[str]:
    for name, hint in _hints(function).items() if function is not None else ():
        if name != "return" and RunnableConfig in (hint, *get_args(hint)):
            yield name


def _injected(tool: BaseTool) -> Iterator[tuple[str, Any]]:
    """Parameters that LangGraph fills in, and what they ask for."""
    for function in filter(None, functions_of(tool)):
        for name, hint in _hints(function).items():
            origin = get_origin(hint) or hint
            if origin is ToolRuntime:
                yield name, ToolRuntime
            for mark in getattr(hint, "__metadata__", ()):
                made = mark() if isinstance(mark, type) and issubclass(mark, InjectedToolArg) else mark
                if isinstance(made, InjectedState | InjectedStore | InjectedToolCallId):
                    yield name, made
                elif isinstance(made, InjectedToolArg) and name == "runtime":  # as langchain-mcp-adapters writes it
                    yield name, ToolRuntime
                elif isinstance(made, InjectedToolArg) and not _has_default(function, name):
                    raise InvalidInput(
                        f"tools: {tool.name!r} has {name!r} filled in by somebody, and nobody is there to do it"
                    )


def _has_default(function: Callable[..., Any], name: str) -> bool:
    parameter = inspect.signature(function).parameters.get(name)
    return parameter is not None and parameter.default is not parameter.empty


def _check_plain(tool: BaseTool) -> None:
    for function in filter(None, functions_of(tool)):
        if any(_is_command(kind) for kind in _parts_of(_hints(function).get("return"))):
            raise InvalidInput(
                f"tools: {tool.name!r} returns a Command, which steers a graph: a cell can only take a value from it"
            )
        for used in _used_by(function):
            if used is interrupt:
                raise InvalidInput(
                    f"tools: {tool.name!r} asks a person (interrupt), for whom a cell cannot wait; ask before the run"
                )
            if used is Command:
                raise InvalidInput(
                    f"tools: {tool.name!r} makes a Command, which steers a graph: a cell can only take a value from it"
                )


def _is_command(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Command)


def _parts_of(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _parts_of(part)
    else:
        yield hint


def _used_by(function: Callable[..., Any]) -> Iterator[Any]:
    """What a function refers to by a name of its module or of a function around it."""
    function = _unwrapped(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return
    known = {**getattr(function, "__globals__", {}), **inspect.getclosurevars(function).nonlocals}
    names = list(_names_in(code))
    yield from (known.get(name) for name in names)
    modules = [known[name] for name in names if inspect.ismodule(known.get(name))]
    yield from (getattr(module, name, None) for module in modules for name in names)
    if "langgraph.types" in names:  # imported in the function itself
        yield from (kind for name, kind in (("interrupt", interrupt), ("Command", Command)) if name in names)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names_in(part)


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = inspect.unwrap(function)
        elif not hasattr(function, "__code__") and callable(function) and not inspect.isroutine(function):
            function = type(function).__call__  # an object with __call__
        else:
            return getattr(function, "__func__", function)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(_unwrapped(function), include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
