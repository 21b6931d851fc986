"""Finding chunks: by words, by vectors or by both, fused by rank, ranked once more, widened to their neighbours."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from langgraph_rlm.corpus.catalog import Catalog, Passage, Row
from langgraph_rlm.corpus.filters import Where, matches, orders_texts, validate
from langgraph_rlm.corpus.fusion import fuse, fusion_depth
from langgraph_rlm.corpus.hopping import PATH, Hopper, Trail
from langgraph_rlm.corpus.index import RESERVED_PREFIX, VectorIndex
from langgraph_rlm.corpus.manifest import Manifest
from langgraph_rlm.corpus.name_graph import NameGraph
from langgraph_rlm.corpus.refining import DEPTH, Reranker, diversified, joined, numbered, reranked
from langgraph_rlm.errors import CollectionMissing, DocumentMissing, EmptyCorpus, InvalidInput
from langgraph_rlm.text.bm25 import BM25Index
from langgraph_rlm.text.store import missing_document
from langgraph_rlm.types import Hit

Mode = Literal["vector", "bm25", "hybrid", "hop"]
MODES: tuple[Mode, ...] = ("vector", "bm25", "hybrid", "hop")

MOST_HITS = 1000
MOST_QUERIES = 100
MOST_NEIGHBOURS = 50
MOST_HOPS = 3
MOST_QUERY_CHARS = 100_000
"""Of each query; model-written cells send them too."""

_HOP_DEPTH = 24  # hits by words from which links are followed or which they may lift
_IDS_AT_ONCE = 1000  # documents named in one filter of a store

_Place = tuple[str, int, int]  # document id, start, end
_Scored = tuple[_Place, str, float]  # with the digest of the document's content
_Engine = Callable[[int], list[_Scored]]  # gives so many, best first


class Query(NamedTuple):
    """What is looked for, checked."""

    texts: list[str]
    k: int
    mode: Mode
    where: Where | None
    neighbours: int
    diversity: float
    hops: int = 1


class Finder:
    """Looks into the catalog, the word index and the vector store of one corpus.

    Args:
        directory: the corpus' own; for messages.
        manifest: gives what the corpus is made with now.
        catalog: its documents.
        words: its word index.
        vectors: gives the vector store, which is opened when it is first needed.
        names: what the documents are called.
        reranker: ranks hits once more.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Callable[[], Manifest],
        catalog: Catalog,
        words: BM25Index,
        vectors: Callable[[], VectorIndex],
        names: NameGraph,
        reranker: Reranker | None = None,
    ) -> None:
        self._names = names
        self._directory = directory
        self._manifest = manifest
        self._catalog = catalog
        self._words = words
        self._vectors = vectors
        self._reranker = reranker

    def checked(
        self, query: Any, k: Any, mode: Any, where: Any, neighbours: Any, diversity: Any, hops: Any = 1
    ) -> Query:
        """The query, or an error for what cannot be asked.

        Raises:
            InvalidInput: a value that is not usable; it is named.
            InvalidFilter: ``where`` is not usable.
            EmptyCorpus: there is no document.
        """
        texts = check_query(query, k, mode, diversity)
        if isinstance(neighbours, bool) or not isinstance(neighbours, int) or not 0 <= neighbours <= MOST_NEIGHBOURS:
            raise InvalidInput(f"retrieve: neighbours must be a whole number from 0 to {MOST_NEIGHBOURS}")
        if isinstance(hops, bool) or not isinstance(hops, int) or not 1 <= hops <= MOST_HOPS:
            raise InvalidInput(f"retrieve: hops must be a whole number from 1 to {MOST_HOPS}, not {hops!r}")
        if where is not None:
            validate(where)
        if not self._catalog.totals()[0]:
            raise EmptyCorpus("the corpus holds no document: add some first")
        return Query(texts, k, mode, where, neighbours, diversity, hops)

    def wants_vectors(self, mode: Mode) -> bool:
        """Whether the queries have to be embedded: embeddings that are only lexical have no say in ``hybrid``."""
        return mode == "vector" or (mode in ("hybrid", "hop") and not self._manifest().lexical)

    def hits(self, query: Query, vectors: Sequence[Sequence[float]]) -> list[Hit]:
        """The hits for a query, and for the vectors of its texts where they are wanted; best first.

        Raises:
            IndexMismatch: vectors of another length than the index holds.
            CollectionMissing: the vector store was emptied by somebody else.
        """
        if self._reranker is None and not query.diversity:
            return self._ranked(query, vectors)
        hits = self._ranked(query._replace(k=min(MOST_HITS, query.k * DEPTH)), vectors)
        if self._reranker is not None:
            hits = reranked(hits, "\n".join(query.texts), self._reranker)
        return numbered(diversified(hits, query.k, query.diversity))

    def documents(self, where: Where | None) -> Iterator[Row]:
        """The documents that pass a filter, by id."""
        return (row for row in self._catalog.rows() if matches(where, row.metadata))

    def texts(self, where: Where | None, documents: Collection[str] | None) -> Iterable[tuple[str, bytes]]:
        """Full texts of the documents that pass a filter, of these ids alone where some are given.

        Raises:
            DocumentMissing: an id that is not in the corpus.
        """
        if where is None and documents is None:
            return self._catalog.texts()
        if where is not None:
            validate(where)
        wanted = {row.doc_id for row in self.documents(where)}
        if documents is not None:
            known = wanted if where is None else set(self._catalog.ids())
            for doc_id in documents:
                if doc_id not in known:
                    raise DocumentMissing(missing_document(doc_id, sorted(known)))
            wanted &= set(documents)
        return self._catalog.texts(wanted)

    def _ranked(self, query: Query, vectors: Sequence[Sequence[float]]) -> list[Hit]:
        allowed = None if not query.where else [row.doc_id for row in self.documents(query.where)]
        if query.mode == "hop":
            hits = self._names.following(lambda hopper: self._hopped(hopper, query, vectors, allowed))
            if hits is not None:
                return hits
            query = query._replace(mode="hybrid")  # no document has a name, and the hits say so
        engines = self._engines(query, vectors, allowed)
        fused = len(engines) > 1
        depth = fusion_depth(query.k) if fused else query.k
        rows: dict[str, Row] = {}
        within = None if allowed is None else frozenset(allowed)
        live = [self._live(engine, depth, rows, within) for engine in engines]
        best = fuse([[place for place, _ in ranking] for ranking in live]) if fused else live[0]
        return self._as_hits(best[: query.k], rows, query)

    def _hopped(
        self, hopper: Hopper, query: Query, vectors: Sequence[Sequence[float]], allowed: list[str] | None
    ) -> list[Hit]:
        """Hits by words, or by words and vectors, and by the links from there; each with its path."""
        rows: dict[str, Row] = {}
        within = None if allowed is None else frozenset(allowed)
        depth = max(_HOP_DEPTH, 2 * query.k)
        rankings: list[list[tuple[_Place, float]]] = []
        paths: dict[_Place, Trail] = {}
        for number, text in enumerate(query.texts):
            engines = self._engines(query._replace(texts=[text]), vectors[number : number + 1], allowed)
            live = [self._live(engine, depth, rows, within) for engine in engines]
            best = fuse([[place for place, _ in one] for one in live])[:depth] if len(live) > 1 else live[0]
            top = live[0][0][1] if live[0] else 1.0
            reached = hopper.search(text, best, top, query.hops, rows, allowed)
            ranked = reached[: fusion_depth(query.k)]
            rankings.append([(place, one.score) for place, one in ranked])
            for place, one in ranked:
                paths.setdefault(place, one.path)
        many = len(rankings) > 1
        best = fuse([[place for place, _ in one] for one in rankings]) if many else rankings[0]
        told = {place: hopper.explained(paths[place]) for place, _ in best[: query.k]}
        return self._as_hits(best[: query.k], rows, query, told)

    def _engines(self, query: Query, vectors: Sequence[Sequence[float]], allowed: list[str] | None) -> list[_Engine]:
        engines: list[_Engine] = []
        if query.mode != "vector":
            engines += [functools.partial(self._by_words, text, allowed) for text in query.texts]
        for vector in vectors:
            self._manifest().check_dimension(len(vector))
            engines.append(functools.partial(self._near, vector, query.where, allowed))
        return engines

    def _as_hits(
        self,
        best: Sequence[tuple[_Place, float]],
        rows: Mapping[str, Row],
        query: Query,
        paths: Mapping[_Place, list[dict[str, Any]]] | None = None,
    ) -> list[Hit]:
        passages = self._passages((place for place, _ in best), query.neighbours)
        hits = [
            Hit(
                doc_id=place[0],
                start=passages[place].start,
                end=passages[place].end,
                text=passages[place].text,
                score=float(score),
                rank=0,
                line=passages[place].line,
                source=query.mode,
                metadata=dict(rows[place[0]].metadata) | ({} if paths is None else {PATH: paths[place]}),
            )
            for place, score in best
            if place in passages
        ]
        return numbered(joined(hits) if query.neighbours else hits)

    def _live(
        self, engine: _Engine, wanted: int, rows: dict[str, Row], within: frozenset[str] | None
    ) -> list[tuple[_Place, float]]:
        """The best places of one engine that still stand in the rows, which are collected on the way.

        While documents are being replaced, an engine may hold chunks of their old texts: then it is asked for more. So
        it is when a store compares less exactly than the filter: to Chroma all numbers are floats, and two tenants with
        ids of 64 bits could look alike.
        """
        depth = wanted
        while True:
            found = engine(depth)
            rows.update(self._catalog.rows_of(place[0] for place, _, _ in found if place[0] not in rows))
            live = [
                (place, score)
                for place, digest, score in found
                if place[0] in rows and rows[place[0]].digest == digest and (within is None or place[0] in within)
            ]
            if len(live) >= wanted or len(found) < depth:
                return live[:wanted]
            depth *= 4

    def _by_words(self, query: str, allowed: list[str] | None, k: int) -> list[_Scored]:
        ranked = self._words.search(query, k, allowed)
        return [((one.doc_id, one.start, one.end), one.digest, one.score) for one in ranked]

    def _near(self, vector: Sequence[float], where: Where | None, allowed: list[str] | None, k: int) -> list[_Scored]:
        """The nearest chunks. An order of texts is unknown to stores: they get the ids of the documents instead."""
        if allowed is not None and not allowed:
            return []
        filters: list[Mapping[str, Any] | None] = [where or None]
        if where and allowed is not None and orders_texts(where):
            groups = [allowed[at : at + _IDS_AT_ONCE] for at in range(0, len(allowed), _IDS_AT_ONCE)]
            filters = [{f"{RESERVED_PREFIX}doc_id": {"$in": group}} for group in groups]
        index = self._vectors()
        try:
            found = [one for condition in filters for one in index.query(vector, k, condition)]
        except CollectionMissing:
            if next(self._catalog.all_done(), None):
                raise
            return []  # the first documents are still on their way
        if not found and not where and "lag" not in index.capabilities and next(self._catalog.all_done(), None):
            raise CollectionMissing(
                f"the vector store of the corpus in {self._directory} holds none of its chunks, somebody has emptied it: "
                "corpus.add([]) puts them back"
            )
        found.sort(key=lambda one: -one.score)
        near = []
        for one in found[:k]:
            doc_id, digest, start, end = (
                one.metadata[RESERVED_PREFIX + name] for name in ("doc_id", "digest", "start", "end")
            )
            near.append(((doc_id, start, end), digest, one.score))
        return near

    def _passages(self, places: Iterable[_Place], neighbours: int) -> dict[_Place, Passage]:
        by_document: dict[str, list[tuple[int, int]]] = {}
        for doc_id, start, end in places:
            by_document.setdefault(doc_id, []).append((start, end))
        return self._catalog.passages_of(by_document, neighbours)


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
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST_HITS:
        raise InvalidInput(f"retrieve: k must be a whole number from 1 to {MOST_HITS}, not {k!r}")
    if mode not in MODES:
        raise InvalidInput(f"retrieve: unknown mode {mode!r}; known are {', '.join(map(repr, MODES))}")
    if isinstance(diversity, bool) or not isinstance(diversity, int | float) or not 0 <= diversity <= 1:
        raise InvalidInput(f"retrieve: diversity must be a number from 0 to 1, not {diversity!r}")
    return queries
