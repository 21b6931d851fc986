"""Retrieving for a question: how, and by which face of the corpus."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from langgraph_rlm.budget import Budget
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.corpus.finding.query import check_neighbours, check_query
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.runs.events import RetrieveEvent
from langgraph_rlm.runs.run import Run
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
    *,
    depth: int = 0,
    path: list[str] | None = None,
) -> list[Hit]:
    """Hits, by the corpus's async or sync face as the run has it, and an event that tells what was asked.

    Args:
        corpus: what is searched.
        question: what for.
        search: how.
        where: the request's filter.
        run: the request.
        budget: counts the queries; those of the root itself are few, and never refused.
        depth, path: of the child that asks, for the event.

    Raises:
        BudgetExceeded: a child has no search left.
    """
    options: dict[str, Any] = {"where": where} | asdict(search)
    event = RetrieveEvent(event="retrieve", depth=depth, path=path or [], hits=0, mode=search.mode)
    if search.plan:
        options["plan"] = await run.face.block(corpus.plan, question, where)
        event["plan"] = options["plan"].as_dict()
    queries = [part.query for part in options["plan"].parts] if search.plan else [question]
    mode = "hybrid" if search.mode == "auto" else search.mode
    budget.search(queries, corpus.embeds_with(mode), refuse=depth > 0)
    if run.face.is_async:
        hits = await corpus.aretrieve(question, **options)
    else:
        hits = await run.face.block(corpus.retrieve, question, **options)
    event["hits"] = len(hits)
    event["mode"] = hits[0]["source"] if hits else search.mode
    run.emit(event)
    return hits
