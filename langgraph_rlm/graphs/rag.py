"""Classic RAG as a graph: retrieve → answer → grade. One call to the model, for questions that one passage answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.models import Model, is_chat_model
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.errors import InvalidInput, LimitReached, ModelError
from langgraph_rlm.graphs.answering import Answering, kept_by_parents
from langgraph_rlm.graphs.attachments import context_given
from langgraph_rlm.graphs.estimate import Estimating
from langgraph_rlm.graphs.grading import GradedBy, Grader
from langgraph_rlm.graphs.graph import Edge, RLMGraph, compiled
from langgraph_rlm.graphs.keys import public_names
from langgraph_rlm.graphs.nodes import Node
from langgraph_rlm.graphs.packing import LEAST_TOKENS, arranged, packed
from langgraph_rlm.graphs.prompts import reader_messages
from langgraph_rlm.graphs.questions import standing_alone
from langgraph_rlm.graphs.reading import Reading, read_answer
from langgraph_rlm.graphs.retrieving import MANY, Search, retrieved
from langgraph_rlm.graphs.shared import Shared
from langgraph_rlm.graphs.state import QuestionInput, RAGOutput, RAGState, carried, fresh_output
from langgraph_rlm.graphs.structured import structured
from langgraph_rlm.graphs.telling import tell_budget
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.runs.corpora import CorpusLike, check_corpus
from langgraph_rlm.runs.request import RequestContext
from langgraph_rlm.runs.run import Run, new_id
from langgraph_rlm.types import Grade, Hit


def create_rag(
    model: Model,
    *,
    corpus: CorpusLike,
    k: int | None = None,
    mode: Mode = "auto",
    plan: bool | Literal["auto"] = "auto",
    neighbours: int | None = None,
    diversity: float = 0.0,
    window: int | None = None,
    grader: Grader | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    response_format: Any = None,
    system_prompt: str | None = None,
    prices: Prices | None = None,
    memo: Memo | BaseStore | None = None,
    keys: Mapping[str, str] | None = None,
    checkpointer: Any = None,
    store: Any = None,
    name: str = "rag",
) -> RLMGraph:
    """Classic RAG: retrieve passages, answer from them with citations, grade whether they support the answer.

    Input: ``question`` or ``messages``. Output: ``answer``, ``found``, ``citations``, ``grade``, ``usage``,
    ``stop_reason``, ``structured_response`` and an ``AIMessage`` on ``messages``.

    The prompt takes as many of the passages as the model's window has room for: those that overlap are joined, one that
    does not fit is shortened by whole sentences, and the best stand first and last.

    Args:
        model: answers.
        corpus: where to retrieve, a function of the request's config that gives it, called once for each run, or several
            of both by name (``{"docs": a, "tickets": b}``); who made a corpus closes it.
        k: passages to retrieve, 1 to 1000; None for 8, or 20 where names are followed.
        mode: how, as in :meth:`Corpus.retrieve`; ``auto`` follows names where the question names something of the corpus.
            ``mode="hybrid", plan=False`` retrieves as the question stands.
        plan: take questions apart that compare, enumerate or name metadata of the documents, see :meth:`Corpus.plan`;
            ``auto`` where the metadata is named.
        neighbours: so many chunks before and after each hit come with it, 0 to 50; None for 0, or 1 where names are followed.
        diversity: 0 to 1: how much a hit that resembles those before it gives way to others.
        window: tokens that fit a request; what the model's profile says when None, else 128K.
        grader: judges whether the answer is supported: a function of question, answer and hits, which has the last
            word, or a chat model, which is asked where the rules find no false quote. Rules alone when None.
        limits: of one question; a mapping changes the defaults.
        response_format: a JSON schema, pydantic model, dataclass or TypedDict for ``structured_response``, which is an
            instance of it where a class is given (plain JSON in the state).
        system_prompt: added to the instructions for the model.
        prices: USD per million tokens by model name, for models that the public lists do not know.
        memo: where paid answers are recorded, as for :func:`create_rlm`; in memory when None.
        keys: other names for keys of the state, ours → yours: ``{"question": "query", "answer": "reply"}``.
        checkpointer: as in ``StateGraph.compile``.
        store: as in ``StateGraph.compile``.
        name: of the graph.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: the arguments cannot be used.

    Example:
        >>> graph = create_rag("openai:gpt-5-mini", corpus=corpus)  # doctest: +SKIP
        >>> graph.invoke({"question": "What is the notice period?"})["answer"]  # doctest: +SKIP
    """
    check_corpus(corpus)
    shared = Shared.made(
        model, corpus=corpus, limits=limits, response_format=response_format, window=window, prices=prices, memo=memo,
        keys=keys, known_keys=public_names(RAGState),
    )  # fmt: skip
    return rag_graph(
        shared, k=k, mode=mode, plan=plan, neighbours=neighbours, diversity=diversity, grader=grader,
        system_prompt=system_prompt, checkpointer=checkpointer, store=store, name=name,
    )  # fmt: skip


def rag_graph(
    shared: Shared,
    *,
    k: int | None = None,
    mode: Mode = "auto",
    plan: bool | Literal["auto"] = "auto",
    neighbours: int | None = None,
    diversity: float = 0.0,
    grader: Grader | None = None,
    system_prompt: str | None = None,
    checkpointer: Any = None,
    store: Any = None,
    name: str = "rag",
) -> RLMGraph:
    """The graph of :func:`create_rag`, on what a graph's routes share."""
    search = Search(k=k, mode=mode, plan=plan, neighbours=neighbours, diversity=diversity)
    steps, keys = _Steps(shared, search, GradedBy(grader), system_prompt), shared.keys
    builder: StateGraph[Any, Any, Any, Any] = StateGraph(
        keys.schema(RAGState),
        input_schema=keys.schema(QuestionInput),
        output_schema=keys.schema(RAGOutput),
        context_schema=RequestContext,
    )
    builder.add_node("start", Node(steps.start, "start", keys))
    builder.add_node("retrieve", Node(steps.retrieve, "retrieve", keys))
    builder.add_node("answer", Node(steps.answer, "answer", keys))
    builder.add_node("grade", Node(steps.grade, "grade", keys))
    builder.add_edge(START, "start")
    builder.add_edge("start", "retrieve")
    builder.add_edge("retrieve", "answer")
    builder.add_edge("answer", "grade")
    builder.add_edge("grade", END)
    estimating = Estimating.made(shared, "rag", passages=MANY if k is None else k, graders=int(is_chat_model(grader)))
    edge = Edge(keys=keys, shape=shared.shape, estimating=estimating)
    return compiled(builder, edge, name=name, checkpointer=checkpointer, store=store)


class _Steps:
    def __init__(self, shared: Shared, search: Search, graded: GradedBy, system_prompt: str | None) -> None:
        self._shared, self._search, self._graded, self._extra = shared, search, graded, system_prompt
        self._model, self._accounts = shared.root, shared.accounts
        assert shared.corpus is not None  # checked by the factories
        self._corpus: CorpusLike = shared.corpus

    async def start(self, state: RAGState, run: Run) -> dict[str, Any]:
        carry = carried(state)
        if await context_given(state, run):
            raise InvalidInput("classic RAG reads no files of messages: create_rlm and create_smart_rag do")
        await run.corpus(self._corpus)  # one that cannot be had ends the run before anything is paid
        account, name = await self._accounts.begun(run, name=carry.get("run", ""), usage=carry.get("usage"))
        question = await standing_alone(state, carry, self._shared.sub, account, run)
        fresh = fresh_output() | {
            "grade": Grade(supported=False, reasons=[]),
            "rlm_hits": [],
            "rlm_run": name,
            "rlm_question": question.text,
            "rlm_answer_id": carry.get("answer_id") or new_id(),
            "rlm_how": _options(state.get("rlm_options")),
            "rlm_held": carry.get("held", False),
            "usage": account.budget.usage(),
        }
        return fresh | ({"messages": question.messages} if question.messages else {})

    async def retrieve(self, state: RAGState, run: Run) -> dict[str, Any]:
        account = await self._accounts.opened(run, state["rlm_run"], state.get("usage"))
        corpus = await run.corpus(self._corpus)
        search = self._search.narrowed(state.get("rlm_how") or {}).asked(run.options.get("k"), run.options.get("mode"))
        hits = await retrieved(corpus, state["rlm_question"], search, run.options.get("where"), run, account.budget)
        return {"rlm_hits": hits, "usage": account.budget.usage()}

    async def answer(self, state: RAGState, run: Run) -> dict[str, Any]:
        account = await self._accounts.opened(run, state["rlm_run"], state.get("usage"))
        hits, question = self._passages(state), state["rlm_question"]
        said = Answering(run, state["rlm_answer_id"], held=state["rlm_held"])
        stop_reason, response = "answered", None
        try:
            reading = await self._read(question, hits, account, run, said)
            if reading.found:
                response, stop_reason = await structured(
                    reading.answer, self._shared.shape, question=question, model=self._model, account=account, run=run
                )
        except LimitReached as reached:
            stop_reason = reached.stop_reason
            best = f" The best passage found is {hits[0]['doc_id']}, line {hits[0]['line']}." if hits else ""
            reading = Reading(f"Partial answer: {reached}.{best}", [], False)
        update = {
            "answer": reading.answer,
            "found": reading.found,
            "structured_response": response,
            "citations": reading.citations,
            "usage": account.budget.usage(),
            "stop_reason": stop_reason,
            "messages": said.messages(reading.answer),
            "rlm_answer_id": said.id,
        }
        return kept_by_parents(update, "rag")

    async def grade(self, state: RAGState, run: Run) -> dict[str, Any]:
        account = await self._accounts.opened(run, state["rlm_run"], state.get("usage"))
        reading = Reading(state["answer"], state["citations"], state["found"])
        hits = self._passages(state)
        grade = await self._graded.grade(state["rlm_question"], reading, hits, account=account, run=run)
        run.emit(
            "answer", message_id=state["rlm_answer_id"], stop_reason=state["stop_reason"], supported=grade["supported"]
        )
        tell_budget(run, account)
        mine = [one for one in (state.get("messages") or [])[-1:] if one.id == state["rlm_answer_id"]]
        return kept_by_parents({"grade": grade, "usage": account.budget.usage()}, "rag", mine)

    async def _read(self, question: str, hits: list[Hit], account: Account, run: Run, said: Answering) -> Reading:
        """The answer from as many of the passages as the model takes: a server may have a smaller window than it says."""
        if not hits:
            return Reading("The passages do not hold the answer: nothing was found for this question.", [], False)
        while True:
            try:
                return await read_answer(
                    self._model, question, hits, account=account, run=run, extra=self._extra, tokens=said.tokens
                )
            except ModelError as error:
                if error.category != "too_long" or len(hits) == 1:
                    raise
                hits = sorted(hits, key=lambda hit: hit["rank"])[: len(hits) // 2]

    def _passages(self, state: RAGState) -> list[Hit]:
        """The hits as the prompt has them."""
        question = state["rlm_question"]
        empty = reader_messages(question, [], extra=self._extra)
        room = max(LEAST_TOKENS, self._model.room(*(message.text for message in empty)))
        return arranged(packed(state["rlm_hits"], room, question))


def _options(given: Any) -> dict[str, Any]:
    """What a router's node has written, or somebody else."""
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInput(f"rlm_options must be a mapping with 'mode' and 'k', not {type(given).__name__}")
    options = dict(given or {})
    Search().narrowed(options)  # names and values
    return options
