"""Retrieving for a question: how, and by which face of the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, cast

from langgraph_rlm.budget import Budget
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.finding.modes import Mode, chosen
from langgraph_rlm.corpus.finding.query import check_neighbours, check_query
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.traces import as_retriever
from langgraph_rlm.types import Hit

FEW, MANY = 8, 20
"""Passages for a question that one of them answers, and for one that takes several: of 1,453 held-out questions of six kinds
``auto`` has all evidence among 8 for 81 %, among 20 for 89 %."""

BY_WORDS = 4
"""Of the passages where names are followed: those that words find best. A thing that the question spells out and that is no name
of the corpus (a function's full name) is found by its words alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How to retrieve for a question.

    Args:
        k: hits, 1 to 1000; None for 8, or 20 where names are followed.
        mode: as in :meth:`Corpus.retrieve`, and so are ``neighbours`` and ``diversity``. ``auto`` follows names also where the
            question names a single thing, as there is room for 20 passages.
        plan: as in :meth:`Corpus.retrieve`; ``auto`` where the question names metadata of the documents.
        neighbours: None for 0, or 1 where names are followed: a name leads to a document, and what it says of the question may
            stand in the next chunk.
        is_chosen: the mode was chosen for the question, and not asked for.

    Raises:
        InvalidInput: a value that is not usable.
    """

    k: int | None = None
    mode: Mode = "auto"
    plan: bool | Literal["auto"] = "auto"
    neighbours: int | None = None
    diversity: float = 0.0
    is_chosen: bool = False

    def __post_init__(self) -> None:
        check_query("?", FEW if self.k is None else self.k, self.mode, self.diversity)
        check_neighbours(self.neighbours or 0)
        if not isinstance(self.plan, bool) and self.plan != "auto":
            raise InvalidInput(f"plan must be 'auto', True or False, not {self.plan!r}")

    def narrowed(self, options: Mapping[str, Any]) -> Search:
        """With the router's options where this search leaves them open; a mode or number that was set stays."""
        mode, k = options.get("mode"), options.get("k")
        changed = replace(self, mode=mode, is_chosen=True) if mode is not None and self.mode == "auto" else self
        return replace(changed, k=k) if k is not None and self.k is None else changed

    def asked(self, k: int | None, mode: str | None) -> Search:
        """With what the request asks for."""
        changed = self if mode is None else replace(self, mode=cast(Mode, mode), is_chosen=False)
        return changed if k is None else replace(changed, k=k)

    def settled(self, mode: Mode) -> Search:
        """With this mode, and what it leaves open in numbers."""
        hops = mode == "hop"
        k = (MANY if hops else FEW) if self.k is None else self.k
        neighbours = int(hops) if self.neighbours is None else self.neighbours
        return replace(self, mode=mode, k=k, neighbours=neighbours)


class Reading(NamedTuple):
    """How RAG reads for a question."""

    mode: Mode
    why: str
    k: int

    def options(self) -> dict[str, Any]:
        """As a decision has it."""
        return {"mode": self.mode, "k": self.k}

    def how(self) -> str:
        """In words."""
        return "and follows the names in them" if self.mode == "hop" else "by its words"


def reading_for(corpus: Corpus, question: str, where: Mapping[str, Any] | None = None) -> Reading:
    """The mode and number of passages for a question: names are followed where it has one, as there is room for 20.

    Args:
        corpus: that is searched.
        question: as it is asked.
        where: a filter on the documents' metadata.
    """
    found = chosen(corpus, [question], where)
    if found.mode == "hop":
        return Reading("hop", found.why, MANY)
    if found.names:
        return Reading("hop", f"it names {found.names[0][:80]!r}", MANY)
    return Reading("hybrid", found.why, FEW)


def _with_those(hits: list[Hit], others: list[Hit]) -> list[Hit]:
    """The hits, of which the last give way to those others that none of them holds."""
    held = [(hit["doc_id"], hit["start"], hit["end"]) for hit in hits]
    new = [
        one
        for one in others
        if not any(
            doc_id == one["doc_id"] and start <= one["start"] and one["end"] <= end for doc_id, start, end in held
        )
    ]
    kept = [*hits[: max(0, len(hits) - len(new))], *new] if new else hits
    return [Hit(**{**hit, "rank": rank}) for rank, hit in enumerate(kept)]


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
    why = ""
    if search.mode == "auto":
        reading = await run.face.block(reading_for, corpus, question, where)
        why = f"{reading.mode}: {reading.why}"
        search = replace(search.settled(reading.mode), is_chosen=True)
    else:
        search = search.settled(search.mode)
    options: dict[str, Any] = {"where": where} | asdict(search)
    del options["is_chosen"]
    plan = None
    if search.plan:
        plan = await run.face.block(corpus.plan, question, where)
        if search.plan == "auto" and not any(part.where for part in plan.parts):
            plan = None  # no document's metadata is named
    options["plan"] = plan if plan is not None else False
    queries = [part.query for part in plan.parts] if plan is not None else [question]
    budget.search(queries, corpus.embeds_with(search.mode), refuse=run.depth > 0)
    by_words: dict[str, Any] = {}
    if search.is_chosen and search.mode == "hop" and (search.k or 0) > BY_WORDS:
        by_words = {"where": where, "k": BY_WORDS, "mode": "hybrid"}
    if by_words:
        budget.search([question], corpus.embeds_with("hybrid"), refuse=run.depth > 0)
    async with as_retriever(run, f"{search.mode}_search", queries) as found:
        if run.face.is_async:
            hits = await corpus.aretrieve(question, **options)
            spelt = await corpus.aretrieve(question, **by_words) if by_words else []
        else:
            hits = await run.face.block(corpus.retrieve, question, **options)
            spelt = await run.face.block(corpus.retrieve, question, **by_words) if by_words else []
        hits = _with_those(hits, spelt)
        for hit in hits if why else ():
            hit["metadata"]["rlm_mode"] = why
        found.extend(hits)
    planned = {} if plan is None else {"plan": plan.as_dict()}
    run.emit("retrieval", hits=len(hits), mode=hits[0]["source"] if hits else search.mode, **planned)
    return hits
