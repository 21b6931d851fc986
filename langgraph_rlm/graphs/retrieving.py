"""Retrieving for a question: how, and by which face of the corpus."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from langgraph_rlm.budget import Budget
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.corpus.finding.query import check_neighbours, check_query
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.traces import as_retriever
from langgraph_rlm.types import Hit


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
    corpus: Corpus,
    question: str,
    search: Search,
    where: dict[str, Any] | None,
    run: Run,
    budget: Budget,
) -> list[Hit]:
    """Hits, by the corpus's async or sync face as the run has it, and an event that tells what was asked.

    Args:
        corpus: what is searched.
        question: what for.
        search: how.
        where: the request's filter.
        run: the request, at the place of who asks.
        budget: counts the queries; those of the root itself are few, and never refused.

    Raises:
        BudgetExceeded: a child has no search left.
    """
    options: dict[str, Any] = {"where": where} | asdict(search)
    if search.plan:
        options["plan"] = await run.face.block(corpus.plan, question, where)
    queries = [part.query for part in options["plan"].parts] if search.plan else [question]
    mode = "hybrid" if search.mode == "auto" else search.mode
    budget.search(queries, corpus.embeds_with(mode), refuse=run.depth > 0)
    async with as_retriever(run, f"{search.mode}_search", queries) as found:
        if run.face.is_async:
            hits = await corpus.aretrieve(question, **options)
        else:
            hits = await run.face.block(corpus.retrieve, question, **options)
        found.extend(hits)
    planned = {"plan": options["plan"].as_dict()} if search.plan else {}
    run.emit("retrieval", hits=len(hits), mode=hits[0]["source"] if hits else search.mode, **planned)
    return hits
