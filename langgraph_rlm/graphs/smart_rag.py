"""Router, classic RAG and the recursive route as one graph: simple questions stay cheap, hard ones get the deep route.

question ─► router ─► direct ─► answer
               ├────► rag ─► supported? ─► answer
               │               └─ no ─► escalate ─┐
               └────► rlm ◄───────────────────────┘
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from langchain_core.runnables import Runnable
from langgraph.graph import END, START, StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph.types import Command

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.memo_files import memo_for
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.errors import EmptyCorpus, InvalidInput, LimitReached
from langgraph_rlm.graphs.accounts import Accounts, warn_if_not_durable
from langgraph_rlm.graphs.bridge import Node, Run, Sandbox, routing_node
from langgraph_rlm.graphs.grading import Grader
from langgraph_rlm.graphs.interning import InterningGraph, interning
from langgraph_rlm.graphs.questions import standing_alone
from langgraph_rlm.graphs.rag import CorpusLike, corpus_of, create_rag
from langgraph_rlm.graphs.reading import Reading, read_answer, whole_documents
from langgraph_rlm.graphs.rlm import create_rlm
from langgraph_rlm.graphs.routing.router import SmartRouter
from langgraph_rlm.graphs.routing.rules import Means
from langgraph_rlm.graphs.state import (
    Carry,
    ContextInput,
    SmartOutput,
    SmartState,
    answer_message,
    carried,
    earlier_answer,
    fresh_output,
    new_id,
)
from langgraph_rlm.graphs.structured import schema_of, structured
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices, checked_prices
from langgraph_rlm.repl import Shell
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import Decision, Hit


def create_smart_rag(
    model: Model,
    *,
    corpus: CorpusLike,
    sub_model: Model | None = None,
    router: SmartRouter | None = None,
    escalate: bool = True,
    grader: Grader | None = None,
    rag: Runnable[Any, Any] | None = None,
    rlm: Runnable[Any, Any] | None = None,
    contexts: ContextStore | None = None,
    limits: Limits | None = None,
    response_format: Any = None,
    sandbox: Sandbox = "auto",
    shell: Shell | None = None,
    window: int | None = None,
    prices: Prices | None = None,
    memo: Memo | BaseStore | None = None,
    checkpointer: Any = None,
    store: Any = None,
    name: str = "smart_rag",
) -> InterningGraph:
    """A graph that routes each question to direct reading, classic RAG or the recursive route, with reasons.

    Input and output as :func:`create_rag` and :func:`create_rlm`, and ``route`` and ``decision`` besides. One budget
    holds for the whole question, also when RAG's answer is not supported and the question goes on to the recursive route.
    When a limit ends that route before it has an answer, RAG's is given, marked as partial.

    Args:
        model: answers, and is the root model of the recursive route.
        corpus: what both routes search.
        sub_model: answers ``llm_query`` and rewrites follow-ups; ``model`` when None.
        router: decides; rules with the model's window when None.
        escalate: send questions whose RAG answer is not supported on to the recursive route, once.
        grader: judges whether RAG's answer is supported, as for :func:`create_rag`.
        rag: replaces ``create_rag``: takes ``question``, returns at least ``answer``, and ``grade`` to escalate by.
        rlm: replaces ``create_rlm``: takes ``question`` and ``context`` (a ``ContextRef`` of ``contexts``: give both the
            same store), returns at least ``answer``.
        contexts: where contexts live; in memory when None.
        limits: of one question.
        response_format: a JSON schema, pydantic model, dataclass or TypedDict for ``structured_response``.
        sandbox, shell, window, prices, memo: as in :func:`create_rlm`.
        checkpointer, store: as in ``StateGraph.compile``.
        name: of the graph.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: the arguments cannot be used.

    Example:
        >>> graph = create_smart_rag("openai:gpt-5", corpus=corpus, limits=Limits(max_cost_usd=0.5))  # doctest: +SKIP
        >>> graph.invoke({"question": "Which quarters did gross margin fall, and why?"})["answer"]  # doctest: +SKIP
    """
    if grader is not None and rag is not None:
        raise InvalidInput("grader: a rag of your own grades its answers itself; give one of the two")
    contexts, limits, root = contexts or ContextStore(), limits or Limits(), ModelCaller(model, window=window)
    memo = memo_for(memo, contexts)
    routes = _Routes(
        model=root,
        sub=root if sub_model is None else ModelCaller(sub_model, window=window),
        corpus=corpus,
        contexts=contexts,
        router=router or SmartRouter(corpus=corpus, contexts=contexts, window=root.window),
        accounts=Accounts(limits, memo, checked_prices(prices)),
        schema=schema_of(response_format),
    )
    rag = (
        _answering(rag, "rag")
        if rag is not None
        else create_rag(
            root.runnable,
            corpus=corpus,
            window=window,
            grader=grader,
            limits=limits,
            response_format=response_format,
            prices=prices,
            memo=memo,
        )
    )
    rlm = _answering(rlm, "rlm") if rlm is not None else create_rlm(
        root.runnable, sub_model=routes.sub.runnable, corpus=corpus, contexts=contexts, limits=limits,
        response_format=response_format, sandbox=sandbox, shell=shell, window=window, prices=prices, memo=memo,
    )  # fmt: skip
    builder = StateGraph(SmartState, input_schema=ContextInput, output_schema=SmartOutput)
    builder.add_node("start", Node(routes.start, "start"))
    builder.add_node("router", routing_node(routes.route, "router", ["direct", "rag", "rlm"]))
    builder.add_node("direct", Node(routes.direct, "direct"))
    builder.add_node("rag", rag)
    builder.add_node("rlm", rlm)
    builder.add_node("escalate", Node(routes.escalate, "escalate"))
    builder.add_edge(START, "start")
    builder.add_edge("start", "router")
    builder.add_edge("direct", END)
    if escalate:
        builder.add_conditional_edges("rag", Node(routes.after_rag, "supported"), ["escalate", END])
        builder.add_edge("escalate", "rlm")
    else:
        builder.add_edge("rag", END)
    builder.add_edge("rlm", END)
    return interning(builder.compile(checkpointer=checkpointer, store=store, name=name), contexts)


def _answering(given: Runnable[Any, Any], name: str) -> Runnable[Any, Any]:
    """A user's own route, which may return no more than ``answer``: the rest of what every route writes is added."""
    channels = given.output_channels if isinstance(given, Pregel) else ()
    if {"messages", "stop_reason"} <= set(channels):
        return given  # one of our graphs, or one of its shape

    async def answer(state: SmartState, run: Run) -> dict[str, Any]:
        found = await run.face.call(given, state, run.config)
        text = found.get("answer") if isinstance(found, Mapping) else None
        if not isinstance(text, str):
            raise InvalidInput(f"{name}: the given runnable must return a mapping with an 'answer' of type str")
        return {"stop_reason": "answered", "messages": answer_message(text, state["rlm_answer_id"]), **found}

    return Node(answer, name)


class _Routes:
    """The nodes that are the smart graph's own."""

    def __init__(
        self, *, model: ModelCaller, sub: ModelCaller, corpus: CorpusLike, contexts: ContextStore, router: SmartRouter,
        accounts: Accounts, schema: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        self._model, self.sub, self._corpus, self._contexts = model, sub, corpus, contexts
        self._router, self._accounts, self._schema = router, accounts, schema

    async def start(self, state: SmartState, run: Run) -> dict[str, Any]:
        carry = carried(state)
        warn_if_not_durable(run, self._contexts, self._accounts.memo)
        account, name = await self._accounts.begun(carry, run)
        question = await standing_alone(state, carry, self.sub, account, run)
        given = state.get("context")
        fresh = fresh_output() | {
            "route": "",
            "decision": Decision(route="rag", confidence=0.0, reasons=[], features={}, escalated_from=None),
            "turns": [],
            "grade": None,
            "rlm_forced": run.options.get("route", "auto") != "auto",
            "rlm_question": question.text,
            "rlm_context": None if given is None else await self._contexts.aput(given),
            "rlm_answer_id": carry.get("answer_id") or new_id(),
            "rlm_hits": [],
            "rlm_run": name,
            "usage": account.budget.usage(),
        }
        return fresh | ({"messages": question.messages} if question.messages else {})

    async def route(self, state: SmartState, run: Run) -> Command[str]:
        account = await self._accounts.opened(state, run)
        question, context = state["rlm_question"], state["rlm_context"]
        decision = await self._router.decide_for(question, context, run, account, self._model.name)
        if decision["route"] == "rag" and context is not None:
            raise InvalidInput(
                "the rag route does not read a context: ask for 'direct' or 'rlm', or leave it to the router"
            )
        update = {"decision": decision, "route": decision["route"]} | self._handed_over(state, account.budget, Carry())
        return Command(goto=decision["route"], update=update)

    async def direct(self, state: SmartState, run: Run) -> dict[str, Any]:
        """Everything there is to read, in one prompt."""
        account = await self._accounts.opened(state, run)
        stop_reason, response, question = "answered", None, state["rlm_question"]
        try:
            hits = await self._everything(state, run)
            reading = await read_answer(self._model, question, hits, account=account, run=run)
            if reading.found:
                response, stop_reason = await structured(
                    reading.answer, self._schema, question=question, model=self._model, account=account, run=run
                )
        except LimitReached as reached:
            stop_reason, reading = reached.stop_reason, Reading(f"Partial answer: {reached}.", [], False)
        run.emit({"type": "rlm", "event": "answer", "depth": 0, "path": [], "stop_reason": stop_reason})
        return {
            "answer": reading.answer,
            "structured_response": response,
            "citations": reading.citations,
            "usage": account.budget.usage(),
            "stop_reason": stop_reason,
            "messages": answer_message(reading.answer, state["rlm_answer_id"]),
        }

    async def after_rag(self, state: SmartState, run: Run) -> Literal["escalate", "__end__"]:
        """On to the recursive route when the answer is not supported and there is something left to go on with."""
        grade = state["grade"]  # None: a user's own rag that does not grade
        unsupported = grade is not None and not grade["supported"]
        if not unsupported or state["rlm_forced"] or state["stop_reason"] not in ("", "answered"):
            return "__end__"
        left = Means.of((await self._accounts.opened(state, run)).budget, self._model.name)
        return "__end__" if left.calls == 0 or left.seconds == 0 else "escalate"

    async def escalate(self, state: SmartState, run: Run) -> dict[str, Any]:
        """RAG's answer is not supported: on to the recursive route, with what was retrieved and what is left."""
        account = await self._accounts.opened(state, run)
        because = "; ".join(state["grade"]["reasons"] if state["grade"] else [])
        decision = Decision(**state["decision"])
        decision |= {"route": "rlm", "escalated_from": "rag"}
        decision["reasons"] = [*decision["reasons"], f"escalated from rag: {because}"]
        run.emit({"type": "rlm", "event": "escalate", "depth": 0, "path": [], "reason": because})
        carry = Carry(hits=state.get("rlm_hits") or [])
        if earlier := earlier_answer(state["answer"], state["citations"]):
            carry["earlier"] = earlier
        return {"decision": decision, "route": "rlm"} | self._handed_over(state, account.budget, carry)

    def _handed_over(self, state: SmartState, budget: Budget, found: Carry) -> dict[str, Any]:
        """The input of the chosen route: ephemeral keys live for one step, so the step before writes them."""
        usage = budget.usage()
        carry = Carry(usage=usage, run=state["rlm_run"], answer_id=state["rlm_answer_id"], standalone=True) | found
        update = {"question": state["rlm_question"], "rlm_carry": carry, "usage": usage}
        return update if state["rlm_context"] is None else update | {"context": state["rlm_context"]}

    async def _everything(self, state: SmartState, run: Run) -> list[Hit]:
        ref, where = state["rlm_context"], run.options.get("where")
        if ref is not None:
            self._check_readable(ref["chars"], "context")
            ids = self._contexts.documents(ref)
            texts = await run.face.block(lambda: [(i, self._contexts.read(ref, i)) for i in ids])
            return whole_documents(texts, "context")
        corpus = await corpus_of(self._corpus, run)
        listed = await run.face.block(corpus.list_documents, where)
        if not listed and not where:
            raise EmptyCorpus("the corpus holds no document: add some first")
        self._check_readable(sum(entry["chars"] for entry in listed), "documents")
        texts = await run.face.block(lambda: [(entry["doc_id"], corpus.read(entry["doc_id"])) for entry in listed])
        return whole_documents(texts, "corpus")

    def _check_readable(self, chars: int, what: str) -> None:
        """A forced direct route may meet any size."""
        if chars > self._model.window * 3:
            raise InvalidInput(
                f"the direct route reads everything at once, but there are {chars:,} characters ({what}) and the model's "
                f"window is {self._model.window:,} tokens: ask for 'rag' or 'rlm'"
            )
