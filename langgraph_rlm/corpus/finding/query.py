"""A query as it is asked: checked, in several texts where there are several, each within its scope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from langgraph_rlm.corpus.filters import Where, is_text
from langgraph_rlm.corpus.finding.modes import Mode, check_mode
from langgraph_rlm.corpus.index import RESERVED_PREFIX
from langgraph_rlm.corpus.planning.plans import Plan
from langgraph_rlm.corpus.planning.scope import all_of
from langgraph_rlm.errors import InvalidInput

MOST_HITS = 1000
"""Of one retrieval: beyond it the hits are no answer but a dump, for which ``list_documents`` and ``read`` are there."""
MOST_QUERIES = 100
"""Of one retrieval; each costs an embedding and a request to the store."""
MOST_NEIGHBOURS = 50
"""Chunks before and after a hit: with 800 characters each some 80,000 in all, more than a prompt has room for."""
MOST_HOPS = 3
"""Links of a path. Questions of MuSiQue, the longest chains of the public sets, have four documents."""
MOST_QUERY_CHARS = 100_000
"""Of each query; model-written cells send them too."""

_HOP_DEPTH, _HOP_DEPTH_IN_CODE = 32, 64
"""At least so many. CONTRIBUTING says what other depths find: what a file of code says of a question lies in several chunks."""

HEADINGS = f"{RESERVED_PREFIX}headings"
"""The key of a hit's metadata that holds the headings it stands under, the outermost first."""

Place = tuple[str, int, int]
"""Document id, start and end of a chunk."""


class Asked(NamedTuple):
    """One of the queries that are fused."""

    text: str
    where: Where | None


class Query(NamedTuple):
    """What is looked for, checked."""

    asked: list[Asked]
    k: int
    mode: Mode
    where: Where | None
    neighbours: int
    diversity: float
    hops: int = 1
    plan: Plan | None = None
    notes: tuple[tuple[str, Any], ...] = ()
    """Told with every hit, in its metadata."""

    @property
    def texts(self) -> list[str]:
        """What is embedded; a text that is asked in several scopes once."""
        question = [] if self.plan is None else [self.plan.question]
        return list(dict.fromkeys([one.text for one in self.asked] + question))

    @property
    def hop_depth(self) -> int:
        """Hits by words and vectors from which links are followed, or which they may lift."""
        return max(_HOP_DEPTH, 2 * self.k)

    @property
    def hop_depth_in_code(self) -> int:
        """The same where files of code are among them."""
        return max(_HOP_DEPTH_IN_CODE, self.hop_depth)

    def planned(self, plan: Plan) -> Query:
        """The parts of a plan in the place of the question, each within the caller's filter."""
        asked = [Asked(part.query, all_of(self.where, part.where)) for part in plan.parts]
        return self._replace(asked=asked, plan=plan)


def provenance(query: Query, finders: Sequence[int]) -> dict[str, Any]:
    """What a hit's metadata tells of how it was found, where there was more than one plain query.

    ``rlm_queries``: numbers of the queries that found it, the best first. Of a plan also ``rlm_scope`` and ``rlm_why`` of the
    best of them. ``rlm_mode``: what ``auto`` stood for, and why.
    """
    said: dict[str, Any] = dict(query.notes)
    if len(query.asked) > 1 or query.plan is not None:
        said["rlm_queries"] = list(finders)
    if query.plan is not None:
        part = query.plan.parts[finders[0]] if finders else None
        said["rlm_scope"] = None if part is None else part.where
        said["rlm_why"] = "beyond the scope: within it there was no more" if part is None else part.why
    return said


def found_by(numbers: Sequence[int], rankings: Sequence[Sequence[tuple[Place, float]]]) -> dict[Place, list[int]]:
    """Of each place the numbers of the queries that found it, the one with the best rank first.

    Args:
        numbers: of the query of each ranking.
        rankings: places with scores, best first.
    """
    ranks: dict[Place, dict[int, int]] = {}
    for number, ranking in zip(numbers, rankings, strict=True):
        for rank, (place, _) in enumerate(ranking):
            by = ranks.setdefault(place, {})
            by[number] = min(rank, by.get(number, rank))
    return {place: sorted(by, key=lambda number: (by[number], number)) for place, by in ranks.items()}


def check_neighbours(neighbours: Any) -> None:
    """InvalidInput for what is no number of neighbours."""
    if isinstance(neighbours, bool) or not isinstance(neighbours, int) or not 0 <= neighbours <= MOST_NEIGHBOURS:
        raise InvalidInput(
            f"retrieve: neighbours must be a whole number from 0 to {MOST_NEIGHBOURS}, not {neighbours!r}"
        )


def check_hops(hops: Any) -> None:
    """InvalidInput for what is no number of links."""
    if isinstance(hops, bool) or not isinstance(hops, int) or not 1 <= hops <= MOST_HOPS:
        raise InvalidInput(f"retrieve: hops must be a whole number from 1 to {MOST_HOPS}, not {hops!r}")


def check_query(query: Any, k: Any, mode: Any, diversity: Any) -> list[str]:
    """The queries, or InvalidInput for what cannot be asked."""
    queries = [query] if isinstance(query, str) else list(query) if isinstance(query, Sequence) else []
    if not queries or not all(isinstance(one, str) and one.strip() for one in queries):
        raise InvalidInput(f"retrieve: query must be a str, or a list of them, and not empty; got {query!r}"[:200])
    if len(queries) > MOST_QUERIES or max(map(len, queries)) > MOST_QUERY_CHARS:
        raise InvalidInput(
            f"retrieve: at most {MOST_QUERIES} queries of at most {MOST_QUERY_CHARS:,} characters each, not "
            f"{len(queries):,} of up to {max(map(len, queries)):,}"
        )
    if not all(map(is_text, queries)):
        raise InvalidInput("retrieve: a query holds a lone surrogate, which no document has; repair it")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST_HITS:
        raise InvalidInput(f"retrieve: k must be a whole number from 1 to {MOST_HITS}, not {k!r}")
    check_mode(mode)
    if isinstance(diversity, bool) or not isinstance(diversity, int | float) or not 0 <= diversity <= 1:
        raise InvalidInput(f"retrieve: diversity must be a number from 0 to 1, not {diversity!r}")
    return queries
