"""Router and routes as one graph: simple questions stay cheap, hard ones get the deep route.

question ─► start ─► router ─► direct ─► answer
                        ├────► rag ─► supported? ─► answer
                        │               └─ no ─► escalate ─┐
                        ├────► rlm ◄───────────────────────┘
                        └────► … the user's own routes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from langchain_core.messages import RemoveMessage
from langchain_core.runnables import Runnable
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.types import Command

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.accounts import warn_if_not_durable
from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.models import Model
from langgraph_rlm.errors import EmptyCorpus, InvalidInput
from langgraph_rlm.graphs.answering import Answering
from langgraph_rlm.graphs.arguments import moved
from langgraph_rlm.graphs.attachments import context_given
from langgraph_rlm.graphs.estimate import Estimating
from langgraph_rlm.graphs.graph import Edge, RLMGraph, compiled
from langgraph_rlm.graphs.keys import public_names
from langgraph_rlm.graphs.nodes import Choice, Node, routing_node
from langgraph_rlm.graphs.questions import standing_alone
from langgraph_rlm.graphs.routes import DIRECT, RAG, RLM, Route, check_routes, node_of
from langgraph_rlm.graphs.routing.router import SmartRouter
from langgraph_rlm.graphs.routing.rules import Means
from langgraph_rlm.graphs.shared import Shared
from langgraph_rlm.graphs.state import (
    Carry,
    ContextInput,
    SmartOutput,
    SmartState,
    carried,
    carried_hits,
    earlier_answer,
    fresh_output,
)
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.corpora import CorpusLike, check_corpus
from langgraph_rlm.runs.request import RequestContext, check_stream
from langgraph_rlm.runs.run import Run, new_id
from langgraph_rlm.types import ContextRef, Decision, Stream


@moved(
    grader="rag={'grader': …}", k="rag={'k': …}", mode="rag={'mode': …}", plan="rag={'plan': …}",
    sandbox="rlm={'sandbox': …}", shell="rlm={'shell': …}", strategy="rlm={'strategy': …}", on_limit="rlm={'on_limit': …}",
    system_prompt="rag={'system_prompt': …}, rlm={'system_prompt': …} or direct={'system_prompt': …}",
)  # fmt: skip
def create_smart_rag(
    model: Model,
    *,
    corpus: CorpusLike,
    sub_model: Model | None = None,
    router: SmartRouter | None = None,
    routes: Sequence[Route] = (),
    rag: Runnable[Any, Any] | Mapping[str, Any] | None = None,
    rlm: Runnable[Any, Any] | Mapping[str, Any] | None = None,
    direct: Runnable[Any, Any] | Mapping[str, Any] | None = None,
    escalate: bool = True,
    stream: Stream = "answer",
    contexts: ContextsLike | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    response_format: Any = None,
    window: int | None = None,
    prices: Prices | None = None,
    memo: Memo | BaseStore | None = None,
    keys: Mapping[str, str] | None = None,
    checkpointer: Any = None,
    store: Any = None,
    name: str = "smart_rag",
) -> RLMGraph:
    """A graph that routes each question to direct reading, classic RAG, the recursive route or one of your own.

    Input and output as :func:`create_rag` and :func:`create_rlm`, and ``route`` and ``decision`` besides. One budget
    holds for the whole question, also when RAG's answer is not supported and the question goes on to the recursive route.
    When a limit ends that route before it has an answer, RAG's is given, marked as partial.

    Args:
        model: answers, and is the root model of the recursive route.
        corpus: what is searched, a function of the request's config that gives it, called once for each run, or several
            of both by name (``{"docs": a, "tickets": b}``); who made a corpus closes it.
        sub_model: answers ``llm_query`` and rewrites follow-ups; ``model`` when None.
        router: decides; rules with the model's window when None.
        routes: of your own, see :class:`Route`.
        rag: options of :func:`create_rag` by name, ``{"k": 12, "mode": "hop", "grader": …}``; or a Runnable that replaces it:
            takes ``question``, returns at least ``answer``, and ``grade`` to escalate by.
        rlm: options of :func:`create_rlm` by name, ``{"strategy": "director", "sandbox": …, "shell": …}``; or a Runnable that
            replaces it: takes ``question`` and ``context`` (a ``ContextRef`` of ``contexts``: give both the same store),
            returns at least ``answer``.
        direct: options of the route that reads everything at once, ``{"system_prompt": …}``; or a Runnable.
        escalate: send questions whose answer is not supported on to the recursive route, once.
        stream: the tokens of an answer that may still escalate are held until it is graded (``answer``), or sent at once and
            withdrawn when it does (``early``); ``all`` sends those of every other model call too. A request may say it.
        contexts: where contexts live, or a function of the config that gives the store; in memory when None.
        limits: of one question; a mapping changes the defaults.
        response_format: a JSON schema, pydantic model, dataclass or TypedDict for ``structured_response``, which is an
            instance of it where a class is given (plain JSON in the state).
        window: tokens that fit a request, for models that do not say it themselves.
        prices: as in :func:`create_rlm`.
        memo: as in :func:`create_rlm`.
        keys: other names for keys of the state, as in :func:`create_rlm`.
        checkpointer: as in ``StateGraph.compile``.
        store: as in ``StateGraph.compile``.
        name: of the graph.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: the arguments cannot be used.
        TypeError: a parameter that belongs to one route; its new place is told.

    Example:
        >>> graph = create_smart_rag("openai:gpt-5", corpus=corpus, limits=Limits(max_cost_usd=0.5))  # doctest: +SKIP
        >>> graph.invoke({"question": "Which quarters did gross margin fall, and why?"})["answer"]  # doctest: +SKIP
    """
    check_corpus(corpus)
    shared = Shared.made(
        model, sub_model=sub_model, corpus=corpus, contexts=contexts, limits=limits, response_format=response_format,
        window=window, prices=prices, memo=memo, keys=keys, known_keys=public_names(SmartState),
    )  # fmt: skip
    return smart_graph(
        shared, router=router, routes=routes, rag=rag, rlm=rlm, direct=direct, escalate=escalate, stream=stream,
        checkpointer=checkpointer, store=store, name=name,
    )  # fmt: skip


def smart_graph(
    shared: Shared,
    *,
    router: SmartRouter | None = None,
    routes: Sequence[Route] = (),
    rag: Runnable[Any, Any] | Mapping[str, Any] | None = None,
    rlm: Runnable[Any, Any] | Mapping[str, Any] | None = None,
    direct: Runnable[Any, Any] | Mapping[str, Any] | None = None,
    escalate: bool = True,
    stream: Stream = "answer",
    checkpointer: Any = None,
    store: Any = None,
    name: str = "smart_rag",
) -> RLMGraph:
    """The graph of :func:`create_smart_rag`, on what its routes share."""
    check_stream(stream, "stream")
    every, keys_ = check_routes(routes), shared.keys
    given = {"direct": direct or {}, "rag": rag or {}, "rlm": rlm or {}}
    chosen = router or SmartRouter(corpus=shared.corpus, contexts=shared.contexts, window=shared.root.window)
    steps = _Steps(shared, every, chosen, escalate, stream)
    builder: StateGraph[Any, Any, Any, Any] = StateGraph(
        keys_.schema(SmartState),
        input_schema=keys_.schema(ContextInput),
        output_schema=keys_.schema(SmartOutput),
        context_schema=RequestContext,
    )
    builder.add_node("start", Node(steps.start, "start", keys_))
    builder.add_node("router", routing_node(steps.route, "router", [route.name for route in every], keys_))
    builder.add_edge(START, "start")
    builder.add_edge("start", "router")
    nodes = {route.name: node_of(route, given.get(route.name, {}), shared, _PARAMETERS) for route in every}
    for route in every:
        builder.add_node(route.name, nodes[route.name])
        if escalate and route is not RLM:
            supported = Choice(partial(steps.after, route.name), "supported", keys_)
            builder.add_conditional_edges(route.name, supported, ["escalate", END])
        else:
            builder.add_edge(route.name, END)
    builder.add_node("escalate", Node(steps.escalate, "escalate", keys_))
    builder.add_edge("escalate", RLM.name)
    edge = Edge(
        contexts=shared.contexts, keys=keys_, shape=shared.shape, routes=tuple(route.name for route in every),
        window=shared.root.window, stream=stream, estimating=_estimating(shared, nodes, given[DIRECT.name]),
    )  # fmt: skip
    return compiled(builder, edge, name=name, checkpointer=checkpointer, store=store)


def _estimating(shared: Shared, nodes: Mapping[str, Any], direct: Any) -> Estimating:
    """Of those routes whose work is ours: what a Runnable of the user's takes is not known."""
    ours = [name for name in (RAG.name, RLM.name) if isinstance(nodes[name], RLMGraph)]
    rag = nodes[RAG.name].rlm.estimating if RAG.name in ours else Estimating.made(shared)
    return replace(rag, routes=[*([DIRECT.name] if isinstance(direct, Mapping) else []), *ours])


_PARAMETERS = frozenset(
    [
        "corpus",
        "sub_model",
        "router",
        "routes",
        "escalate",
        "stream",
        "contexts",
        "limits",
        "response_format",
        "window",
        "prices",
        "memo",
        "keys",
        "checkpointer",
        "store",
        "name",
    ]
)


class _Steps:
    """The nodes that are the smart graph's own."""

    def __init__(
        self, shared: Shared, routes: Sequence[Route], router: SmartRouter, escalates: bool, stream: Stream
    ) -> None:
        self._escalates, self._stream = escalates, stream
        self._shared, self._accounts, self._root = shared, shared.accounts, shared.root
        self._routes = {route.name: route for route in routes}
        self._router = router.offering(routes)

    async def start(self, state: SmartState, run: Run) -> dict[str, Any]:
        carry = carried(state)
        contexts = await run.contexts(self._shared.contexts)
        given = await context_given(state, run)
        context = None if given is None else await contexts.aput(given)
        await self._check_readable(context, run)
        warn_if_not_durable(run, contexts, self._accounts.memo)
        account, name = await self._accounts.begun(run, name=carry.get("run", ""), usage=carry.get("usage"))
        question = await standing_alone(state, carry, self._shared.sub, account, run, context)
        fresh = fresh_output() | {
            "route": "",
            "decision": Decision(
                route=RAG.name, options={}, confidence=0.0, reasons=[], features={}, escalated_from=None
            ),
            "turns": [],
            "grade": None,
            "rlm_forced": run.options.get("route", "auto") != "auto",
            "rlm_question": question.text,
            "rlm_context": context,
            "rlm_taken": [str(name) for name in state.get("rlm_taken") or []],
            "rlm_answer_id": carry.get("answer_id") or new_id(),
            "rlm_held": False,
            "rlm_hits": [],
            "rlm_run": name,
            "usage": account.budget.usage(),
        }
        return fresh | ({"messages": question.messages} if question.messages else {})

    async def route(self, state: SmartState, run: Run) -> Command[str]:
        account = await self._accounts.opened(run, state["rlm_run"], state.get("usage"))
        question, context = state["rlm_question"], state["rlm_context"]
        decision = await self._router.decide_for(question, context, run, account, self._root.name)
        if context is not None:
            decision["reasons"] = [*decision["reasons"], _read_instead(context, state["rlm_taken"])]
        # Until an answer is graded it may be the first of two; who asks for it at once is told when it is withdrawn.
        may_go_on = self._escalates and decision["route"] != RLM.name and not state["rlm_forced"]
        carry = Carry(held=may_go_on and decision["route"] != DIRECT.name and self._stream_of(run) != "early")
        update = {"decision": decision, "route": decision["route"], "rlm_options": decision["options"]}
        update |= self._handed_over(state, account.budget, carry)
        return Command(goto=decision["route"], update=update)

    async def after(self, route: str, state: SmartState, run: Run) -> Literal["escalate", "__end__"]:
        """On to the recursive route when the answer is not supported and there is something left to go on with."""
        grade = state["grade"]  # None: a route that does not grade
        unsupported = grade is not None and not grade["supported"]
        if unsupported and not state["rlm_forced"] and state["stop_reason"] in ("", "answered"):
            account = await self._accounts.opened(run, state["rlm_run"], state.get("usage"))
            left = Means.of(account.budget, self._root.name)
            if left.calls != 0 and left.seconds != 0:
                return "escalate"
        if state["rlm_held"]:
            Answering(run, state["rlm_answer_id"]).release(state["answer"])
        return "__end__"

    async def escalate(self, state: SmartState, run: Run) -> dict[str, Any]:
        """The answer is not supported: on to the recursive route, with what was retrieved and what is left."""
        account = await self._accounts.opened(run, state["rlm_run"], state.get("usage"))
        because = "; ".join(state["grade"]["reasons"] if state["grade"] else [])
        decision, before = Decision(**state["decision"]), state["route"]
        decision |= {"route": RLM.name, "options": {}, "escalated_from": before}
        decision["reasons"] = [*decision["reasons"], f"escalated from {before}: {because}"]
        run.emit("escalate", reason=because)
        withdrawn = {} if state["rlm_held"] else self._withdrawn(state, run)
        carry = Carry(hits=carried_hits(state.get("rlm_hits")))
        if earlier := earlier_answer(state["answer"], state["citations"]):
            carry["earlier"] = earlier
        update = {"decision": decision, "route": RLM.name} | withdrawn
        return update | self._handed_over({**state, **withdrawn}, account.budget, carry)

    def _withdrawn(self, state: SmartState, run: Run) -> dict[str, Any]:
        """Take back an answer that was shown: its message goes, and the next answer is another one."""
        shown = state["messages"][-1] if state["messages"] else None
        if shown is None or shown.type != "ai" or shown.id is None:
            return {}
        run.emit("withdrawn", message_id=shown.id)
        return {"messages": [RemoveMessage(shown.id)], "rlm_answer_id": new_id()}

    def _stream_of(self, run: Run) -> Stream:
        return run.options.get("stream", self._stream)

    def _handed_over(self, state: Mapping[str, Any], budget: Budget, found: Carry) -> dict[str, Any]:
        """The input of the chosen route: ephemeral keys live for one step, so the step before writes them."""
        usage = budget.usage()
        carry = Carry(usage=usage, run=state["rlm_run"], answer_id=state["rlm_answer_id"], standalone=True) | found
        update = {"question": state["rlm_question"], "rlm_carry": carry, "usage": usage}
        return update if state["rlm_context"] is None else update | {"context": state["rlm_context"]}

    async def _check_readable(self, context: ContextRef | None, run: Run) -> None:
        """Before anything is paid: there is something to read, and the route that was asked for can read it."""
        wanted = run.options.get("route", "auto")
        if context is not None:
            if wanted != "auto" and not self._routes[wanted].takes_context:
                able = " or ".join(repr(name) for name, route in self._routes.items() if route.takes_context)
                raise InvalidInput(
                    f"the {wanted} route does not read a context: ask for {able}, or leave it to the router"
                )
            return
        assert self._shared.corpus is not None  # checked by the factory
        corpus = await run.corpus(self._shared.corpus)
        if await run.face.block(corpus.is_empty):
            raise EmptyCorpus("the corpus holds no document: add some first, or give 'context' with the question")


def _read_instead(context: ContextRef, taken: Sequence[str]) -> str:
    what = f"{context['docs']:,} texts" if context["docs"] != 1 else "text"
    came = f" (taken from {', '.join(taken)})" if taken else ""
    return (
        f"the {what} given as context are read, not the corpus{came}"
        if context["docs"] != 1
        else (f"the {what} given as context is read, not the corpus{came}")
    )
