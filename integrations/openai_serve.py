"""A graph behind OpenAI's protocol, by langgraph-openai-serve: chat completions and responses, streamed or not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Literal, NotRequired

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langgraph_rlm.calls.accounts import Accounts
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.errors import MissingDependency, RLMError
from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.graphs.nodes import Node
from langgraph_rlm.limits import Limits
from langgraph_rlm.runs.request import RequestContext
from langgraph_rlm.runs.run import Run
from langgraph_rlm.server.errors import message_of, status_of
from langgraph_rlm.server.keys import Keys, RequireKey, current_caller
from langgraph_rlm.server.progress import progress_line

NAME = "langgraph-rlm"
"""What clients call the model."""
# Open WebUI's prompts begin with the first; the others are those of LibreChat.
_CHORE = re.compile(
    r"### Task:|Provide a concise, 5-word-or-less title|Write a concise title for this conversation|Analyze this conversation and"
)


class _State(MessagesState):
    citations: NotRequired[list[dict[str, Any]]]
    usage: NotRequired[dict[str, Any]]


class _Served(CompiledStateGraph[Any, Any, Any, Any]):
    """With events as the status lines, and errors as the answers, that clients of OpenAI's protocol know."""

    async def astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """As ``CompiledStateGraph.astream``."""
        from langgraph_openai_serve import InvalidRequestError, status_event

        parts = super().astream(*args, **kwargs)
        try:
            async with aclosing(parts):  # type: ignore[type-var]
                async for part in parts:
                    if part["type"] != "custom":
                        yield part
                    elif isinstance(part["data"], Mapping) and (line := progress_line(part["data"])) is not None:
                        yield {**part, "data": status_event(line)}
        except RLMError as error:
            raise InvalidRequestError(message_of(error), status_code=status_of(error)) from error


def openai_app(graph: RLMGraph, model: Model, *, keys: Keys | None = None, limits: Limits | None = None) -> Any:
    """An ASGI app that serves a graph at ``/v1``, to the ``openai`` client and to chat UIs.

    The last message is the question, those before it are its history. Usage is that of all calls, sub-calls included. Prompts by
    which chat UIs ask for titles, tags and follow-up questions go to the model alone.

    Args:
        graph: without a checkpointer: clients send the whole conversation.
        model: answers such prompts.
        keys: who may call; everybody when None.
        limits: of such a prompt.

    Raises:
        MissingDependency: langgraph-openai-serve is not installed.

    Example:
        >>> from langgraph_rlm import ExtractiveModel, create_rlm
        >>> app = openai_app(create_rlm(ExtractiveModel(), sandbox="unsafe"), ExtractiveModel())
    """
    try:
        from fastapi import FastAPI
        from langgraph_openai_serve import GraphConfig, GraphRegistry, LanggraphOpenaiServe
    except ImportError as missing:
        raise MissingDependency('this needs a package. Run: pip install "langgraph-rlm[openai-serve]"') from missing
    caller = ModelCaller(model)

    async def chore(state: _State, run: Run) -> dict[str, Any]:
        account = await Accounts.for_one_call(run, Limits.of(limits))
        reply = await caller.ask(state["messages"], account=account, config=run.config, role="chore")
        return {"messages": [AIMessage(reply.text)], "usage": account.budget.usage()}

    builder: StateGraph[Any, Any, Any, Any] = StateGraph(_State, context_schema=RequestContext)
    builder.add_node("chore", Node(chore, "chore"))
    builder.add_node("research", graph)
    builder.add_conditional_edges(START, _of_a_chat_ui, ["chore", "research"])
    served = builder.compile()
    served.__class__ = _Served
    served_as = GraphConfig(
        graph=served,
        description="Answers questions over documents, with citations.",
        context_factory=lambda request, settings: {"rlm": current_caller().options()},
        output_to_message=_with_citations,
    )
    app = FastAPI()
    LanggraphOpenaiServe(registry=GraphRegistry(graphs={NAME: served_as}), app=app).bind_openai_api("/v1")
    return RequireKey(app, keys or Keys({}), open_paths=("/health", "/v1/health"))


def _of_a_chat_ui(state: _State) -> Literal["chore", "research"]:
    return "chore" if _CHORE.match(state["messages"][-1].text.lstrip()) else "research"


def _with_citations(output: Mapping[str, Any]) -> AIMessage:
    """The answer; each citation is an annotation on the place that quotes it, else on the whole answer."""
    text, usage = str(output["messages"][-1].text), output.get("usage") or {}
    notes = []
    for citation in output.get("citations") or [] if text else []:
        at = text.find(citation["quote"]) if citation["quote"] else -1
        start, end = (at, at + len(citation["quote"])) if at >= 0 else (0, len(text))
        url = f"corpus://{citation['doc_id']}#{citation['start']}-{citation['end']}"
        title = f"{citation['doc_id']}:{citation['line']}"
        notes.append({"type": "citation", "url": url, "title": title, "start_index": start, "end_index": end - 1})
    read, written = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    return AIMessage(
        content=[{"type": "text", "text": text, "annotations": notes}] if text else "",
        usage_metadata={"input_tokens": read, "output_tokens": written, "total_tokens": read + written},
    )
