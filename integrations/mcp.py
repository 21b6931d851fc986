"""An MCP server: a corpus and the questions about it, for editors and desktop clients.

Clients cut calls after a minute. So ``ask`` waits ``wait_s`` seconds and then gives the run's id, and ``ask_result`` goes on; runs
lie on disk and outlive the server. It runs on versions 1 and 2 of the SDK (``mcp``).

The libraries of graphs and stores are imported at the first call of a tool, not before: clients wait for the list of tools.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

from pydantic import Field

from langgraph_rlm.errors import MissingDependency, RLMError
from langgraph_rlm.server.keys import Caller, Keys, RequireKey, caller_of
from langgraph_rlm.server.replies import Asking, Documents, Ended, Loaded, Matches, Routes, Text

if TYPE_CHECKING:
    from langgraph_rlm.server.runs import Look
    from langgraph_rlm.server.service import Service

MOST_QUESTION_CHARS = 20_000
"""A longer text is no question: it belongs into a file."""
MOST_WAIT_SECONDS = 240
"""What the most patient of the desktop clients waits for a call."""
WAIT_SECONDS = 45
"""Most of them give a call up after 60 seconds."""
_OF_A_CITATION = ("doc_id", "line", "start", "end", "quote", "verified")
Many = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0)]
Question = Annotated[str, Field(max_length=MOST_QUESTION_CHARS)]
Usd = Annotated[float, Field(ge=0)]
Wait = Annotated[float, Field(ge=0, le=MOST_WAIT_SECONDS)]

_INSTRUCTIONS = "Search first. ask answers questions over many documents, with citations; when it returns a run_id, call ask_result."


def create_mcp_server(open_service: Callable[[], AbstractAsyncContextManager[Service]]) -> Any:
    """The server, of the SDK's class (``MCPServer`` of version 2, ``FastMCP`` of version 1); ``server.run("stdio")`` serves.

    Args:
        open_service: opens what is served, at the first call of a tool; it is closed when the server ends.

    Raises:
        MissingDependency: the SDK is not installed.

    Example:
        >>> from pathlib import Path
        >>> from langgraph_rlm import Corpus, ExtractiveModel, create_smart_rag
        >>> from langgraph_rlm.server.service import Service
        >>> def made(corpus, kept):
        ...     return create_smart_rag(
        ...         ExtractiveModel(), corpus=corpus, contexts=kept.contexts, memo=kept.memo, checkpointer=kept.checkpointer
        ...     )
        >>> server = create_mcp_server(
        ...     lambda: Service.opened(lambda: Corpus.open("chroma:./index"), made, Path("./index/runs"))
        ... )
        >>> server.name
        'langgraph-rlm'
    """
    base, context, tool_error, annotations = _sdk()
    lazily = _Lazily(open_service)

    class Server(base):  # type: ignore[misc, valid-type]
        async def list_tools(self) -> Any:
            """With short schemas: every definition is part of every prompt."""
            listed = await super().list_tools()
            for tool in listed:
                _slim(_field(tool, "inputSchema"), "title", "additionalProperties", "maxLength", optional=True)
                _slim(
                    _field(tool, "outputSchema"),
                    "title",
                    "additionalProperties",
                    "required",
                    "description",
                    optional=False,
                )
            return listed

        async def call_tool(self, name: str, arguments: dict[str, Any], *more: Any, **others: Any) -> Any:
            """With unknown names refused: the SDK would leave out an argument that does not exist."""
            known = {
                tool.name: _field(tool, "inputSchema").get("properties", {}) for tool in await super().list_tools()
            }
            if name not in known:
                raise tool_error(f"there is no tool {name!r:.80}; there are {', '.join(known)}")
            for given in arguments:
                if given not in known[name]:
                    raise tool_error(f"{name} has no argument {given!r:.80}; it has {', '.join(known[name])}")
            return await super().call_tool(name, arguments, *more, **others)

    server = Server("langgraph-rlm", instructions=_INSTRUCTIONS, lifespan=lazily.lifespan)
    _add_tools(server, lazily, context, tool_error, annotations)
    return server


def caller_of_call(context: Any) -> Caller:
    """Who calls: of the key that came over HTTP, or the user whose process talks to this one."""
    request = getattr(context.request_context, "request", None)
    return Caller() if request is None else caller_of(request.scope)


def http_app(server: Any, keys: Keys) -> Any:
    """The server as an ASGI app at ``/mcp``; whoever has no key of ``keys`` is refused."""
    return RequireKey(server.streamable_http_app(), keys, open_paths=())


def owner_of(context: Any) -> str:
    """Whose runs and texts a call sees."""
    return caller_of_call(context).tenant


class _Lazily:
    """Opens the service at the first call, once."""

    def __init__(self, open_service: Callable[[], AbstractAsyncContextManager[Service]]) -> None:
        self._open, self._stack = open_service, AsyncExitStack()
        self._service: Service | None = None
        self._opening: asyncio.Lock | None = None

    @asynccontextmanager
    async def lifespan(self, server: Any) -> AsyncIterator[None]:
        self._opening = asyncio.Lock()
        try:
            yield
        finally:
            await self._stack.aclose()

    async def service(self) -> Service:
        assert self._opening is not None  # calls come within the lifespan
        async with self._opening:
            if self._service is None:
                self._service = await self._stack.enter_async_context(self._open())
        return self._service


def _add_tools(server: Any, lazily: _Lazily, context: Any, tool_error: Any, annotations: Any) -> None:
    def tool(description: str, **hints: bool) -> Callable[[Any], Any]:
        def added(function: Any) -> Any:
            if "ctx" in function.__annotations__:
                function.__annotations__["ctx"] = context  # by this class the SDK finds the parameter
            return server.tool(description=description, annotations=annotations(**hints))(function)

        return added

    @asynccontextmanager
    async def served() -> AsyncIterator[Service]:
        try:
            yield await lazily.service()
        except RLMError as error:  # version 2 hides the words of any other exception
            raise tool_error(str(error)) from None

    @tool("Find passages by words and meaning.", readOnlyHint=True)
    async def search(query: Question, k: Many = 8, where: dict[str, Any] | None = None) -> Matches:
        async with served() as service:
            return await service.search(query, k, "hybrid", where)

    @tool("Find passages by following names from document to document.", readOnlyHint=True)
    async def hop_search(query: Question, k: Many = 8) -> Matches:
        async with served() as service:
            return await service.search(query, k, "hop")

    @tool("Find lines by a regular expression, in all documents, one of them, or a loaded context.", readOnlyHint=True)
    async def grep(
        pattern: Question, ctx: Any, source: str | None = None, max_matches: Many = 20, ignore_case: bool = False
    ) -> Matches:
        async with served() as service:
            return await service.grep(owner_of(ctx), pattern, source, max_matches, ignore_case)

    @tool("Read characters start to end of a document or loaded context.", readOnlyHint=True)
    async def read(source: str, ctx: Any, start: Offset = 0, end: int | None = None) -> Text:
        async with served() as service:
            return await service.read(owner_of(ctx), source, start, end)

    @tool("List the documents.", readOnlyHint=True)
    async def list_documents(where: dict[str, Any] | None = None) -> Documents:
        async with served() as service:
            return await service.list_documents(where)

    @tool("Load a file of an allowed folder as a context for ask, grep and read.")
    async def load(path: str, ctx: Any) -> Loaded:
        async with served() as service:
            return await service.load(owner_of(ctx), path)

    @tool(
        "Answer a question over all documents, or over a loaded context, with citations; may take minutes.",
        readOnlyHint=True, openWorldHint=True,
    )  # fmt: skip
    async def ask(
        question: Question, ctx: Any, context: str | None = None, wait_s: Wait = WAIT_SECONDS,
        max_cost_usd: Usd | None = None,
    ) -> Asking:  # fmt: skip
        async with served() as service:
            wanted = {} if max_cost_usd is None else {"max_cost_usd": max_cost_usd}
            own = caller_of_call(ctx).limits
            limits = wanted if own is None else asdict(own.narrowed(wanted))
            asked = await service.asked(owner_of(ctx), question, context, limits)
            run_id = await service.runs.start(owner_of(ctx), asked)
            return await waited(service, ctx, run_id, wait_s)

    @tool("Wait for the answer of ask; without run_id of the last one.", readOnlyHint=True, openWorldHint=True)
    async def ask_result(ctx: Any, run_id: str | None = None, wait_s: Wait = WAIT_SECONDS) -> Asking:
        async with served() as service:
            return await waited(service, ctx, run_id, wait_s)

    @tool("End a run.")
    async def cancel(run_id: str, ctx: Any) -> Ended:
        async with served() as service:
            ended = await service.runs.cancel(owner_of(ctx), run_id)
            return Ended(run_id=ended.run_id, status=ended.status)

    @tool("Tell what a question may cost, without asking a model.", readOnlyHint=True)
    async def estimate(question: Question, ctx: Any, context: str | None = None) -> Routes:
        async with served() as service:
            return await service.estimate(await service.asked(owner_of(ctx), question, context))

    @server.resource("corpus://{doc_id}", mime_type="text/plain", description="The beginning of a document.")
    async def document(doc_id: str) -> str:
        async with served() as service:
            return (await service.read("", unquote(doc_id), 0, None))["text"]

    async def waited(service: Service, ctx: Any, run_id: str | None, seconds: float) -> Asking:
        async def heard(steps: int, line: str) -> None:
            await ctx.report_progress(steps, None, line)

        look = await service.runs.wait(owner_of(ctx), run_id, seconds, heard)
        if look.status == "failed":
            raise tool_error(f"run {look.run_id} has failed: {look.so_far}. The same question goes on from there")
        return _shown(look)


def _shown(look: Look) -> Asking:
    result = look.result or {}
    return Asking(
        run_id=look.run_id,
        status=look.status,
        so_far=look.so_far,
        answer=result.get("answer") or "",
        found=bool(result.get("found")),
        route=result.get("route") or "",
        stop_reason=result.get("stop_reason") or "",
        citations=[{name: one[name] for name in _OF_A_CITATION} for one in result.get("citations") or []],
        cost_usd=(result.get("usage") or {}).get("cost_usd"),
    )


def _field(tool: Any, name: str) -> Any:
    """A field of the SDK's record of a tool, which is named differently in both versions."""
    snake = "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
    return getattr(tool, name, None) or getattr(tool, snake, None)


def _slim(schema: Any, *dropped: str, optional: bool) -> None:
    """Leave out of a schema what a model does not need: the keywords that are named, and, where arguments are optional anyway,
    that null stands for the default."""
    if isinstance(schema, list):
        for value in schema:
            _slim(value, *dropped, optional=optional)
    if not isinstance(schema, dict):
        return
    for keyword in dropped:
        if not isinstance(schema.get(keyword), dict):  # else it is the name of a property
            schema.pop(keyword, None)
    if optional and schema.get("anyOf", ())[1:] == [{"type": "null"}]:
        schema |= schema.pop("anyOf")[0]
        if schema.get("default", "") is None:
            del schema["default"]
    for value in schema.values():
        _slim(value, *dropped, optional=optional)


def _sdk() -> tuple[Any, Any, Any, Any]:
    """Class of servers, of contexts, of errors that a model may read, and of a tool's annotations."""
    try:
        types = import_module("mcp.types")
    except ImportError as missing:
        raise MissingDependency('the MCP server needs the SDK. Run: pip install "langgraph-rlm[mcp]"') from missing
    try:
        module, name = import_module("mcp.server.mcpserver"), "MCPServer"
    except ModuleNotFoundError:
        module, name = import_module("mcp.server.fastmcp"), "FastMCP"  # of version 1
    errors = import_module(f"{module.__name__}.exceptions")
    return getattr(module, name), module.Context, errors.ToolError, types.ToolAnnotations
