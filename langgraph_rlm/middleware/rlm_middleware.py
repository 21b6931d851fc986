"""RLMMiddleware: an agent whose long tool results and messages lie in a store, where it searches them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any, NotRequired, TypeVar

from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from langgraph.types import Command

from langgraph_rlm.calls.files import FILES_IN_STATE
from langgraph_rlm.calls.models import Model
from langgraph_rlm.errors import InvalidInput, MissingDependency
from langgraph_rlm.graphs.routing.router import SmartRouter
from langgraph_rlm.middleware.bands import Bands, files_of
from langgraph_rlm.middleware.marks import came_through_edge
from langgraph_rlm.runs.contexts import ContextsLike, check_contexts
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.text import ContextStore
from langgraph_rlm.tools import create_rlm_tools
from langgraph_rlm.types import ContextRef, Decision

try:
    from langchain.agents.middleware.types import (
        AgentMiddleware,
        AgentState,
        ModelRequest,
        PrivateStateAttr,
        ToolCallRequest,
    )
except ImportError as error:
    raise MissingDependency('RLMMiddleware needs langchain: pip install "langgraph-rlm[agents]"') from error

T = TypeVar("T")
_DECISION = "rlm_decision"
_MOST_FILES = 1_000
"""Of one thread: beyond them the oldest names go. They stand in every checkpoint, some hundred bytes each."""
_PRUNINGS = 10
"""Within a ``ttl``: often enough that nothing lies there much longer, and seldom enough not to be noticed."""


def _joined(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> dict[str, Any]:
    files = {**(one or {}), **(other or {})}
    return dict(list(files.items())[-_MOST_FILES:])


class RLMState(AgentState[Any]):
    """What the middleware keeps in an agent's state; both are private: no input sets them and no output shows them."""

    rlm_files: NotRequired[Annotated[dict[str, ContextRef], _joined, PrivateStateAttr]]
    rlm_decision: NotRequired[Annotated[Decision | None, PrivateStateAttr]]


class RLMMiddleware(AgentMiddleware[Any, Any, Any]):
    """Long tool results and human messages go to a store; the agent gets a reference, a preview and tools to search them.

    For ``create_agent`` and ``create_deep_agent``. What is stored leaves checkpoints too. Human messages are checkpointed
    before any middleware sees them: :func:`~langgraph_rlm.middleware.interning_agent` takes care of these.

    Args:
        contexts: where texts are stored, or a function of the config that gives the store (one per tenant). In memory when
            None.
        pass_below: tokens up to which a tool's result stays as it is.
        preview_below: tokens up to which a stored result keeps a long preview, and a human message stays as it is.
        tools: search tools for stored texts, shown to the model when something is stored; False for none, or names of
            :func:`create_rlm_tools`. Without any an agent needs ``create_rlm_tools(contexts=…)`` over the same store.
        router: decides before the first call of the model how a question is best answered, and tells the model.
        model: gives the agent ``ask_rlm`` and ``query_lm`` too.
        ttl: seconds after which stored texts that nobody has used are removed: ``contexts.prune(ttl)``.

    Raises:
        InvalidInput: an argument cannot be used.
        MissingDependency: langchain is not installed.

    Example:
        >>> from langgraph_rlm import ContextStore
        >>> middleware = RLMMiddleware(contexts=ContextStore())  # create_agent(model, tools, middleware=[middleware])
        >>> [tool.name for tool in middleware.tools][:2]
        ['local_grep', 'local_search']
    """

    state_schema = RLMState

    def __init__(
        self,
        *,
        contexts: ContextsLike | None = None,
        pass_below: int = 2_000,
        preview_below: int = 20_000,
        tools: bool | Iterable[str] = True,
        router: SmartRouter | None = None,
        model: Model | None = None,
        ttl: float | None = None,
    ) -> None:
        super().__init__()
        check_contexts(contexts)
        if ttl is not None and not (isinstance(ttl, int | float) and ttl > 0):
            raise InvalidInput(f"ttl: expected seconds above 0, got {ttl!r}")
        if router is not None and not isinstance(router, SmartRouter):
            raise InvalidInput(f"router: expected a SmartRouter, got {type(router).__name__}")
        self.contexts: ContextsLike = ContextStore() if contexts is None else contexts
        self.bands = Bands(pass_below, preview_below)
        self.tools = self._tools(tools, model)
        self._names = {tool.name for tool in self.tools}
        self._router = router
        self._ttl = ttl
        self._pruned = 0.0

    def _tools(self, tools: bool | Iterable[str], model: Model | None) -> list[BaseTool]:
        if tools is False:
            return []
        made = create_rlm_tools(contexts=self.contexts, model=model, include=None if tools is True else tools)
        return [tool for tool in made if tools is not True or tool.name != "materialize_context"]

    # --- the hooks, each for both faces ---

    def before_agent(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Store long human messages, and ask the router."""
        return self._now(lambda run: self._begun(state, run))

    async def abefore_agent(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """As ``before_agent``."""
        return await self._begun(state, _run(is_async=True))

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Store a long result."""
        result = handler(request)
        return self._now(lambda run: self._kept(result, run)) if self._is_long(result) else result

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """As ``wrap_tool_call``."""
        result = await handler(request)
        return await self._kept(result, _run(is_async=True)) if self._is_long(result) else result

    def wrap_model_call(self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Any]) -> Any:
        """Show the search tools when there is something to search, and tell what the router says."""
        return handler(self._asked(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[Any]]
    ) -> Any:
        """As ``wrap_model_call``."""
        return await handler(self._asked(request))

    def after_agent(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Remove what is too old."""
        if self._is_due():
            self._now(self._cleaned)
        return None

    async def aafter_agent(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """As ``after_agent``."""
        if self._is_due():
            await self._cleaned(_run(is_async=True))
        return None

    # --- what they do ---

    def _now(self, work: Callable[[Run], Awaitable[T]]) -> T:
        run = _run(is_async=False)

        async def done() -> T:
            return await work(run)

        return Runtime.default().run(done(), run.open.stop)

    async def _begun(self, state: Any, run: Run) -> dict[str, Any] | None:
        messages: list[AnyMessage] = list(_get(state, "messages") or [])
        update: dict[str, Any] = {}
        files: dict[str, ContextRef] = {}
        if came_through_edge(run.config):
            for message in messages:
                files |= files_of(message)
        changed = []
        for message in messages:
            if isinstance(message, HumanMessage) and self.bands.is_long(message):
                new, found = await self._replaced(message, run)
                changed.append(new)
                files |= found
        if changed and all(message.id is not None for message in changed):  # replaced by their ids
            update["messages"] = changed
        if files:
            update[FILES_IN_STATE] = files
        if self._router is not None and messages and isinstance(messages[-1], HumanMessage):
            known = {**(_get(state, FILES_IN_STATE) or {}), **files}
            update[_DECISION] = await self._decided(messages[-1].text, known, run)
        return update or None

    async def _decided(self, question: str, files: Mapping[str, ContextRef], run: Run) -> Decision | None:
        assert self._router is not None
        question = question.strip()
        if not question:
            return None
        largest = max(files.values(), key=lambda ref: ref["chars"], default=None)
        return await self._router.decide_for(question, largest, run)

    async def _kept(self, result: ToolMessage | Command[Any], run: Run) -> ToolMessage | Command[Any]:
        if isinstance(result, ToolMessage):
            message, files = await self._replaced(result, run)
            update: dict[str, Any] = {"messages": [message], FILES_IN_STATE: files}
            return Command(update=update) if files else message
        messages, files = [], {}
        for message in _messages_of(result):
            if isinstance(message, ToolMessage):
                message, found = await self._replaced(message, run)
                files |= found
            messages.append(message)
        assert isinstance(result.update, dict)  # it has messages
        changed = {**result.update, "messages": messages} | ({FILES_IN_STATE: files} if files else {})
        return Command(graph=result.graph, update=changed, resume=result.resume, goto=result.goto)

    async def _replaced(self, message: Any, run: Run) -> tuple[Any, dict[str, ContextRef]]:
        contexts = await run.contexts(self.contexts)
        return await run.face.block(self.bands.replaced, message, contexts)

    def _is_long(self, result: ToolMessage | Command[Any]) -> bool:
        if isinstance(result, ToolMessage):
            return result.name not in self._names and self.bands.is_long(result)
        return any(self.bands.is_long(message) for message in _messages_of(result))

    def _asked(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        if not _get(request.state, FILES_IN_STATE):
            shown = [tool for tool in request.tools if getattr(tool, "name", None) not in self._names]
            if len(shown) < len(request.tools):
                request = request.override(tools=shown)
        decision = _get(request.state, _DECISION)
        if decision:
            before = request.system_message
            parts: list[Any] = [] if before is None else [before.text, ""]
            said = SystemMessage("\n".join([*parts, self._advice(decision)]))
            request = request.override(system_message=said if before is None else _with_advice(before, said))
        return request

    def _advice(self, decision: Decision) -> str:
        why = "; ".join(decision["reasons"][:3])
        if decision["route"] == "rlm":
            how = "give it to ask_rlm" if "ask_rlm" in self._names else "search and count before you answer"
            return f"The question needs many places of the text ({why}): {how}."
        return f"One search or one look is likely to be enough for the question ({why})."

    def _is_due(self) -> bool:
        return self._ttl is not None and time.monotonic() - self._pruned > self._ttl / _PRUNINGS

    async def _cleaned(self, run: Run) -> None:
        assert self._ttl is not None
        self._pruned = time.monotonic()
        contexts = await run.contexts(self.contexts)
        await run.face.block(contexts.prune, self._ttl)


def _with_advice(before: SystemMessage, said: SystemMessage) -> SystemMessage:
    """The system message with one more sentence; blocks of it, such as those with a cache mark, stay as they are."""
    if isinstance(before.content, str):
        return said
    advice = said.text.rpartition("\n")[2]
    return before.model_copy(update={"content": [*before.content, {"type": "text", "text": advice}]})


def _run(*, is_async: bool) -> Run:
    config: RunnableConfig = ensure_config(None)
    return Run.of(config, is_async=is_async)


def _get(state: Any, name: str) -> Any:
    return state.get(name) if isinstance(state, Mapping) else getattr(state, name, None)


def _messages_of(command: Command[Any]) -> list[Any]:
    update = command.update
    found = update.get("messages") if isinstance(update, dict) else None
    return found if isinstance(found, list) else []
