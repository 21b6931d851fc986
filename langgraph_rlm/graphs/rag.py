"""Classic RAG as a graph: retrieve → answer → grade. One call to the model, for questions that one passage answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.memo_files import memo_for
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.finding.finder import check_neighbours, check_query
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.errors import InvalidInput, LimitReached
from langgraph_rlm.graphs.accounts import Accounts
from langgraph_rlm.graphs.bridge import Node, Run
from langgraph_rlm.graphs.grading import GradedBy, Grader
from langgraph_rlm.graphs.packing import LEAST_TOKENS, arranged, packed
from langgraph_rlm.graphs.prompts import reader_messages
from langgraph_rlm.graphs.questions import standing_alone
from langgraph_rlm.graphs.reading import Reading, read_answer
from langgraph_rlm.graphs.state import (
    QuestionInput,
    RAGOutput,
    RAGState,
    answer_message,
    carried,
    fresh_output,
    new_id,
)
from langgraph_rlm.graphs.structured import schema_of, structured
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices, checked_prices
from langgraph_rlm.types import Grade, Hit

CorpusLike = Corpus | Callable[[RunnableConfig], Corpus | Awaitable[Corpus]]
"""A corpus, or a function of the node's config that gives one: one corpus per tenant."""


def create_rag(
    model: Model,
    *,
    corpus: CorpusLike,
    k: int = 8,
    mode: Mode = "hybrid",
    plan: bool = False,
    neighbours: int = 0,
    diversity: float = 0.0,
    window: int | None = None,
    grader: Grader | None = None,
    limits: Limits | None = None,
    response_format: Any = None,
    system_prompt: str | None = None,
    prices: Prices | None = None,
    memo: Memo | BaseStore | None = None,
    checkpointer: Any = None,
    store: Any = None,
    name: str = "rag",
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Classic RAG: retrieve passages, answer from them with citations, grade whether they support the answer.

    Input: ``question`` or ``messages``. Output: ``answer``, ``citations``, ``grade``, ``usage``, ``stop_reason``,
    ``structured_response`` and an ``AIMessage`` on ``messages``.

    The prompt takes as many of the passages as the model's window has room for: those that overlap are joined, one that
    does not fit is shortened by whole sentences, and the best stand first and last.

    Args:
        model: answers.
        corpus: where to retrieve; its reranker has its say.
        k: passages to retrieve, 1 to 1000.
        mode: how, as in :meth:`Corpus.retrieve`; ``auto`` follows names where the question asks for it.
        plan: take questions apart that compare, enumerate or name metadata of the documents, see :meth:`Corpus.plan`.
        neighbours: so many chunks before and after each hit come with it, 0 to 50.
        diversity: 0 to 1: how much a hit that resembles those before it gives way to others.
        window: tokens that fit a request; what the model's profile says when None, else 128K.
        grader: judges whether the answer is supported: a function of question, answer and hits, which has the last
            word, or a chat model, which is asked where the rules find no false quote. Rules alone when None.
        limits: of one question.
        response_format: a JSON schema, pydantic model, dataclass or TypedDict for ``structured_response``.
        system_prompt: added to the instructions for the model.
        prices: USD per million tokens by model name, for models that the public lists do not know.
        memo: where paid answers are recorded, as for :func:`create_rlm`; in memory when None.
        checkpointer, store: as in ``StateGraph.compile``.
        name: of the graph.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: the arguments cannot be used.

    Example:
        >>> graph = create_rag("openai:gpt-5-mini", corpus=corpus)  # doctest: +SKIP
        >>> graph.invoke({"question": "What is the notice period?"})["answer"]  # doctest: +SKIP
    """
    accounts = Accounts(limits or Limits(), memo_for(memo, None), checked_prices(prices))
    search = Search(k=k, mode=mode, plan=plan, neighbours=neighbours, diversity=diversity)
    reader = ModelCaller(model, window=window)
    steps = _Steps(reader, corpus, search, grader, accounts, schema_of(response_format), system_prompt)
    builder = StateGraph(RAGState, input_schema=QuestionInput, output_schema=RAGOutput)
    builder.add_node("start", Node(steps.start, "start"))
    builder.add_node("retrieve", Node(steps.retrieve, "retrieve"))
    builder.add_node("answer", Node(steps.answer, "answer"))
    builder.add_node("grade", Node(steps.grade, "grade"))
    builder.add_edge(START, "start")
    builder.add_edge("start", "retrieve")
    builder.add_edge("retrieve", "answer")
    builder.add_edge("answer", "grade")
    builder.add_edge("grade", END)
    return builder.compile(checkpointer=checkpointer, store=store, name=name)


class _Steps:
    def __init__(
        self, model: ModelCaller, corpus: CorpusLike, search: Search, grader: Grader | None, accounts: Accounts,
        schema: dict[str, Any] | None, system_prompt: str | None,
    ) -> None:  # fmt: skip
        self._model, self._corpus, self._search = model, corpus, search
        self._accounts, self._schema, self._extra = accounts, schema, system_prompt
        self._graded = GradedBy(grader)

    async def start(self, state: RAGState, run: Run) -> dict[str, Any]:
        carry = carried(state)
        fresh = fresh_output()
        account, name = await self._accounts.begun(carry, run)
        question = await standing_alone(state, carry, self._model, account, run)
        fresh |= {
            "grade": Grade(supported=False, reasons=[]),
            "rlm_hits": [],
            "rlm_found": False,
            "rlm_run": name,
            "usage": account.budget.usage(),
        }
        fresh |= {"rlm_question": question.text, "rlm_answer_id": carry.get("answer_id") or new_id()}
        return fresh | ({"messages": question.messages} if question.messages else {})

    async def retrieve(self, state: RAGState, run: Run) -> dict[str, Any]:
        account = await self._accounts.opened(state, run)
        corpus = await corpus_of(self._corpus, run)
        question, options = state["rlm_question"], run.options
        search = replace(self._search, k=options.get("k", self._search.k))
        hits = await retrieved(corpus, question, search, options.get("where"), run)
        return {"rlm_hits": hits, "usage": account.budget.usage()}

    async def answer(self, state: RAGState, run: Run) -> dict[str, Any]:
        account = await self._accounts.opened(state, run)
        hits, question = self._passages(state), state["rlm_question"]
        stop_reason, response = "answered", None
        try:
            if hits:
                reading = await read_answer(self._model, question, hits, account=account, run=run, extra=self._extra)
            else:
                reading = Reading(
                    "The passages do not hold the answer: nothing was found for this question.", [], False
                )
            if reading.found:
                response, stop_reason = await structured(
                    reading.answer, self._schema, question=question, model=self._model, account=account, run=run
                )
        except LimitReached as reached:
            stop_reason = reached.stop_reason
            best = f" The best passage found is {hits[0]['doc_id']}, line {hits[0]['line']}." if hits else ""
            reading = Reading(f"Partial answer: {reached}.{best}", [], False)
        return {
            "answer": reading.answer,
            "structured_response": response,
            "citations": reading.citations,
            "rlm_found": reading.found,
            "usage": account.budget.usage(),
            "stop_reason": stop_reason,
            "messages": answer_message(reading.answer, state["rlm_answer_id"]),
        }

    async def grade(self, state: RAGState, run: Run) -> dict[str, Any]:
        account = await self._accounts.opened(state, run)
        reading = Reading(state["answer"], state["citations"], state["rlm_found"])
        hits = self._passages(state)
        grade = await self._graded.grade(state["rlm_question"], reading, hits, account=account, run=run)
        run.emit({"type": "rlm", "event": "answer", "depth": 0, "path": [], "supported": grade["supported"]})
        return {"grade": grade, "usage": account.budget.usage()}

    def _passages(self, state: RAGState) -> list[Hit]:
        """The hits as the prompt has them."""
        question = state["rlm_question"]
        empty = reader_messages(question, [], extra=self._extra)
        room = max(LEAST_TOKENS, self._model.room(*(message.text for message in empty)))
        return arranged(packed(state["rlm_hits"], room, question))


async def corpus_of(corpus: CorpusLike, run: Run) -> Corpus:
    """The corpus of this request."""
    if isinstance(corpus, Corpus):
        return corpus
    made: Any = await run.face.block(corpus, run.config)
    found = await made if inspect.isawaitable(made) else made
    if not isinstance(found, Corpus):
        raise InvalidInput(f"corpus: the function returned {type(found).__name__}, not a Corpus")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How to retrieve for a question.

    Args:
        k: hits, 1 to 1000.
        mode: as in :meth:`Corpus.retrieve`, and so are ``plan``, ``neighbours`` and ``diversity``.

    Raises:
        InvalidInput: a value that is not usable.
    """

    k: int
    mode: Mode = "hybrid"
    plan: bool = False
    neighbours: int = 0
    diversity: float = 0.0

    def __post_init__(self) -> None:
        check_query("?", self.k, self.mode, self.diversity)
        check_neighbours(self.neighbours)
        if not isinstance(self.plan, bool):
            raise InvalidInput(f"plan must be True or False, not {self.plan!r}")


async def retrieved(
    corpus: Corpus, question: str, search: Search, where: dict[str, Any] | None, run: Run, **told: Any
) -> list[Hit]:
    """Hits, by the corpus's async or sync face as the run has it, and an event that tells what was asked; ``told`` goes
    with it."""
    options: dict[str, Any] = {"where": where} | asdict(search)
    if search.plan:
        options["plan"] = await run.face.block(corpus.plan, question, where)
        told["plan"] = options["plan"].as_dict()
    if run.face.is_async:
        hits = await corpus.aretrieve(question, **options)
    else:
        hits = await run.face.block(corpus.retrieve, question, **options)
    mode = hits[0]["source"] if hits else search.mode
    run.emit({"type": "rlm", "event": "retrieve", "depth": 0, "path": [], "hits": len(hits), "mode": mode} | told)
    return hits
