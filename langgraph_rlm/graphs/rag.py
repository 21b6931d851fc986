"""Classic RAG as a graph: retrieve → answer → grade. One call to the model, for questions that one passage answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.store.base import BaseStore

from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.memo_files import memo_for
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.finding import MODES, Mode
from langgraph_rlm.errors import InvalidInput, LimitReached
from langgraph_rlm.graphs.accounts import Accounts
from langgraph_rlm.graphs.bridge import Node, Run
from langgraph_rlm.graphs.questions import standing_alone
from langgraph_rlm.graphs.reading import Reading, grade_by_rules, read_answer
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
from langgraph_rlm.limits import Limits, Prices, checked_prices
from langgraph_rlm.types import Grade, Hit

CorpusLike = Corpus | Callable[[RunnableConfig], Corpus | Awaitable[Corpus]]
"""A corpus, or a function of the node's config that gives one: one corpus per tenant."""
Grader = Callable[[str, str, Sequence[Hit]], Grade | bool]
"""``(question, answer, hits)`` → whether the hits support the answer."""


def create_rag(
    model: Model,
    *,
    corpus: CorpusLike,
    k: int = 8,
    mode: Mode = "hybrid",
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

    Args:
        model: answers.
        corpus: where to retrieve.
        k: passages in the prompt, 1 to 1000.
        mode: how to retrieve; ``hop`` follows names from document to document.
        grader: replaces the rules that judge whether the answer is supported.
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
    steps = _Steps(ModelCaller(model), corpus, k, mode, grader, accounts, schema_of(response_format), system_prompt)
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
        self, model: ModelCaller, corpus: CorpusLike, k: int, mode: Mode,
        grader: Grader | None, accounts: Accounts, schema: dict[str, Any] | None, system_prompt: str | None,
    ) -> None:  # fmt: skip
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 1000:
            raise InvalidInput(f"k must be a whole number from 1 to 1000, not {k!r}")
        if mode not in MODES:
            raise InvalidInput(f"mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
        self._model, self._corpus, self._k, self._mode = model, corpus, k, mode
        self._grader, self._accounts, self._schema, self._extra = grader, accounts, schema, system_prompt

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
        hits = await retrieved(corpus, question, options.get("k", self._k), self._mode, options.get("where"), run)
        run.emit({"type": "rlm", "event": "retrieve", "depth": 0, "path": [], "hits": len(hits)})
        return {"rlm_hits": hits, "usage": account.budget.usage()}

    async def answer(self, state: RAGState, run: Run) -> dict[str, Any]:
        account = await self._accounts.opened(state, run)
        hits, question = state["rlm_hits"], state["rlm_question"]
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
        question, hits = state["rlm_question"], state["rlm_hits"]
        reading = Reading(state["answer"], state["citations"], state["rlm_found"])
        grade = grade_by_rules(question, reading, hits)
        if self._grader is not None and reading.found:
            verdict = await run.face.block(self._grader, question, reading.answer, hits)
            grade = Grade(supported=verdict, reasons=["by the given grader"]) if isinstance(verdict, bool) else verdict
        run.emit({"type": "rlm", "event": "answer", "depth": 0, "path": [], "supported": grade["supported"]})
        return {"grade": grade}


async def corpus_of(corpus: CorpusLike, run: Run) -> Corpus:
    """The corpus of this request."""
    if isinstance(corpus, Corpus):
        return corpus
    made: Any = await run.face.block(corpus, run.config)
    found = await made if inspect.isawaitable(made) else made
    if not isinstance(found, Corpus):
        raise InvalidInput(f"corpus: the function returned {type(found).__name__}, not a Corpus")
    return found


async def retrieved(
    corpus: Corpus,
    query: str,
    k: int,
    mode: Mode,
    where: dict[str, Any] | None,
    run: Run,
) -> list[Hit]:
    """Hits, by the corpus's async or sync face as the run has it."""
    if run.face.is_async:
        return await corpus.aretrieve(query, k=k, mode=mode, where=where)
    return await run.face.block(corpus.retrieve, query, k=k, mode=mode, where=where)
