"""A Recursive Language Model as a graph: think → execute → think … → answer.

The question's text never enters a prompt: it is the variable ``context`` of a REPL (and a corpus behind functions).
Each turn the root model *thinks*, which means that it writes a cell of Python, and the cell is *executed*: it looks at
the text, searches it, cuts it up, and asks a sub-model about the pieces. The model sees what the cell printed and
thinks again, until a cell submits the answer. A child is the same loop one depth down. After arXiv:2512.24601.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore

from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.models import Model
from langgraph_rlm.calls.own_tools import TIMEOUT, Tool, own_tools
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.estimate import Estimating
from langgraph_rlm.graphs.graph import Edge, RLMGraph, compiled
from langgraph_rlm.graphs.keys import public_names
from langgraph_rlm.graphs.nodes import Choice, Node
from langgraph_rlm.graphs.recursion import Recursion
from langgraph_rlm.graphs.shared import Shared
from langgraph_rlm.graphs.state import ContextInput, RLMOutput, RLMState
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.repl.shell import Shell
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.corpora import CorpusLike
from langgraph_rlm.runs.request import RequestContext
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.runtime import Sandbox
from langgraph_rlm.runs.sandboxes import factory_for
from langgraph_rlm.types import Strategy


def create_rlm(
    model: Model,
    *,
    sub_model: Model | None = None,
    corpus: CorpusLike | None = None,
    contexts: ContextsLike | None = None,
    strategy: Strategy = "hybrid",
    tools: Sequence[Tool] = (),
    tool_timeout: float = TIMEOUT,
    limits: Limits | Mapping[str, Any] | None = None,
    on_limit: Literal["answer", "raise"] = "answer",
    response_format: Any = None,
    system_prompt: str | None = None,
    sandbox: Sandbox = "auto",
    shell: Shell | None = None,
    window: int | None = None,
    prices: Prices | None = None,
    memo: Memo | BaseStore | None = None,
    keys: Mapping[str, str] | None = None,
    checkpointer: Any = None,
    store: Any = None,
    name: str = "rlm",
) -> RLMGraph:
    """A recursive language model over a context, a corpus, or both.

    Input: ``question`` or ``messages``, and optionally ``context`` (text, list, dict, documents or a ``ContextRef``).
    Output: ``answer``, ``found``, ``citations``, ``turns``, ``usage``, ``stop_reason``, ``structured_response`` and an
    ``AIMessage`` on ``messages``.

    Args:
        model: the root model; writes the cells.
        sub_model: answers ``llm_query``; the root model when None.
        corpus: what the retrieval functions search, a function of the request's config that gives it, called once for each run, or several
            of both by name (``{"docs": a, "tickets": b}``); who made a corpus closes it.
        contexts: where contexts live, or a function of the config that gives the store; in memory when None, so that a
            resume in another process needs ``ContextStore(path)``.
        strategy: ``filter`` retrieves first and reasons over the chunks, ``director`` lets the model decide what to
            retrieve, ``hybrid`` does both; only with a corpus.
        tools: of your own, that cells call as functions: LangChain tools (MCP's too), functions with type hints, or
            ``CellTool`` for one with settings.
        tool_timeout: seconds of one call of such a tool; then it is a ``CallError``.
        limits: of one question, the whole tree of calls together; a mapping changes the defaults.
        on_limit: at a limit, ``answer`` with the best there is (marked as partial) or ``raise`` LimitReached.
        response_format: a JSON schema, pydantic model, dataclass or TypedDict for ``structured_response``, which is an
            instance of it where a class is given (plain JSON in the state).
        system_prompt: added to the instructions for the root model.
        sandbox: where cells run: ``jail`` is Linux's (seccomp, Landlock), ``monty`` an interpreter of its own, ``auto``
            the first of them that can run here, ``unsafe`` a process without a jail, or any ``ReplFactory``.
        shell: gives cells ``codex_exec``, a shell in a jail of its own; off when None.
        window: tokens that fit a request, for models that do not say it themselves; 128K are assumed for these.
        prices: USD per million tokens by model name, ``{"mine": {"input": 0.5, "output": 1.5}}``; they come before the
            public lists, which do not know every model.
        memo: where paid answers and the ledger are recorded: a ``SqliteMemo``, a LangGraph ``BaseStore``, …. When None, a
            file beside the contexts if these have a directory, else memory.
        keys: other names for keys of the state, ours → yours: ``{"question": "query", "context": "documents"}``; with
            ``{"context": "auto"}`` the fields of the input that hold long text are the context.
        checkpointer: as in ``StateGraph.compile``.
        store: as in ``StateGraph.compile``.
        name: of the graph.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: the arguments cannot be used.
        SandboxUnavailable: cells cannot run here in this sandbox, or commands in the shell.

    Example:
        >>> graph = create_rlm("openai:gpt-5", sub_model="openai:gpt-5-mini")  # doctest: +SKIP
        >>> graph.invoke({"question": "How many errors are there?", "context": log})["answer"]  # doctest: +SKIP
    """
    shared = Shared.made(
        model, sub_model=sub_model, corpus=corpus, contexts=contexts, limits=limits, response_format=response_format,
        window=window, prices=prices, memo=memo, keys=keys, known_keys=public_names(RLMState),
    )  # fmt: skip
    return rlm_graph(
        shared, strategy=strategy, tools=tools, tool_timeout=tool_timeout, on_limit=on_limit, system_prompt=system_prompt,
        sandbox=sandbox, shell=shell,
        checkpointer=checkpointer, store=store, name=name,
    )  # fmt: skip


def rlm_graph(
    shared: Shared,
    *,
    strategy: Strategy = "hybrid",
    tools: Sequence[Tool] = (),
    tool_timeout: float = TIMEOUT,
    on_limit: Literal["answer", "raise"] = "answer",
    system_prompt: str | None = None,
    sandbox: Sandbox = "auto",
    shell: Shell | None = None,
    checkpointer: Any = None,
    store: Any = None,
    name: str = "rlm",
) -> RLMGraph:
    """The graph of :func:`create_rlm`, on what a graph's routes share."""
    recursion = Recursion(
        shared,
        strategy=_checked_strategy(strategy) if shared.corpus is not None else None,
        raises=_checked_on_limit(on_limit),
        extra=system_prompt,
        factory=factory_for(sandbox),
        shell=None if shell is None else shell.checked(),
        tools=own_tools(tools, tool_timeout),
    )
    keys = shared.keys
    builder: StateGraph[Any, Any, Any, Any] = StateGraph(
        keys.schema(RLMState),
        input_schema=keys.schema(ContextInput),
        output_schema=keys.schema(RLMOutput),
        context_schema=RequestContext,
    )
    builder.add_node("start", Node(recursion.start, "start", keys))
    builder.add_node("think", Node(recursion.think, "think", keys))
    builder.add_node("execute", Node(recursion.execute, "execute", keys))
    builder.add_node("answer", Node(recursion.answer, "answer", keys))
    builder.add_edge(START, "start")
    builder.add_edge("start", "think")
    builder.add_conditional_edges("think", Choice(_after_think, "after_think", keys), ["execute", "answer"])
    builder.add_conditional_edges("execute", Choice(_after_execute, "after_execute", keys), ["think", "answer"])
    builder.add_edge("answer", END)
    edge = Edge(
        contexts=shared.contexts, keys=keys, shape=shared.shape, window=shared.root.window,
        estimating=Estimating.made(shared, "rlm"),
    )  # fmt: skip
    return compiled(builder, edge, name=name, checkpointer=checkpointer, store=store)


async def _after_think(state: RLMState, run: Run) -> Literal["execute", "answer"]:
    return "answer" if state["stop_reason"] else "execute"


async def _after_execute(state: RLMState, run: Run) -> Literal["think", "answer"]:
    return "answer" if state["stop_reason"] else "think"


def _checked_strategy(strategy: Strategy) -> Strategy:
    if strategy not in ("filter", "director", "hybrid"):
        raise InvalidInput(f"strategy must be 'filter', 'director' or 'hybrid', not {strategy!r}")
    return strategy


def _checked_on_limit(on_limit: str) -> bool:
    if on_limit not in ("answer", "raise"):
        raise InvalidInput(f"on_limit must be 'answer' or 'raise', not {on_limit!r}")
    return on_limit == "raise"
