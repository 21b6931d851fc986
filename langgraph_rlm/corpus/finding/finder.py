"""Finding chunks: by words, by vectors or by both, for one query or several, fused by rank, widened to their neighbours."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from langgraph_rlm.corpus.catalog import Catalog, Passage, Row
from langgraph_rlm.corpus.filters import Where, beyond_stores, equal_texts, passes, validate
from langgraph_rlm.corpus.finding.fusion import fuse, fusion_depth
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.corpus.finding.query import (
    HEADINGS,
    MOST_HITS,
    Asked,
    Place,
    Query,
    check_hops,
    check_neighbours,
    check_query,
    found_by,
    provenance,
)
from langgraph_rlm.corpus.finding.refining import DEPTH, Reranker, diversified, joined, numbered, reranked
from langgraph_rlm.corpus.index import RESERVED_PREFIX, VectorIndex
from langgraph_rlm.corpus.manifest import Manifest
from langgraph_rlm.corpus.names.hopping import PATH, Hopper, Trail
from langgraph_rlm.corpus.names.linking import style_of
from langgraph_rlm.corpus.names.name_graph import NameGraph
from langgraph_rlm.errors import CollectionMissing, DocumentMissing, EmptyCorpus
from langgraph_rlm.fanout import LOCAL
from langgraph_rlm.text.bm25 import BM25Index
from langgraph_rlm.text.checks import missing_document
from langgraph_rlm.types import Hit

_IDS_AT_ONCE = 1000  # documents named in one filter of a store
_SHORT_SHARE = 0.25  # of the chunk size: what the overlap alone comes to by default tells too little by itself

_Scored = tuple[Place, str, float]  # with the digest of the document's content
_Vectors = Mapping[str, Sequence[float]]  # by text


class _Engine(NamedTuple):
    """One way to look for one of the queries."""

    number: int
    """Of the query."""
    waits: bool
    """It asks a store, which may be far away."""
    find: Callable[[int], list[_Scored]]
    """Gives so many, best first."""


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
        self._directory = directory
        self._manifest = manifest
        self._catalog = catalog
        self._words = words
        self._vectors = vectors
        self._names = names
        self._reranker = reranker

    def checked(self, query: Any, k: Any, mode: Any, where: Any, neighbours: Any, diversity: Any, hops: Any) -> Query:
        """The query, or an error for what cannot be asked.

        Raises:
            InvalidInput: a value that is not usable; it is named.
            InvalidFilter: ``where`` is not usable.
            EmptyCorpus: there is no document.
        """
        texts = check_query(query, k, mode, diversity)
        check_neighbours(neighbours)
        check_hops(hops)
        if where is not None:
            validate(where)
        if self._catalog.is_empty():
            raise EmptyCorpus("the corpus holds no document: add some first")
        return Query([Asked(text, where) for text in texts], k, mode, where, neighbours, diversity, hops)

    def wants_vectors(self, mode: Mode) -> bool:
        """Whether the queries have to be embedded: embeddings that are only lexical have no say in ``hybrid``."""
        return mode == "vector" or (mode in ("hybrid", "hop") and not self._manifest().lexical)

    def hits(self, query: Query, vectors: Sequence[Sequence[float]]) -> list[Hit]:
        """The hits for a query, and for the vectors of its texts where they are wanted; best first.

        Raises:
            IndexMismatch: vectors of another length than the index holds.
            CollectionMissing: the vector store was emptied by somebody else.
        """
        by_text = dict(zip(query.texts, vectors, strict=True)) if vectors else {}
        if self._reranker is None and not query.diversity:
            return self._ranked(query, by_text)
        hits = self._ranked(query._replace(k=min(MOST_HITS, query.k * DEPTH)), by_text)
        if self._reranker is not None:
            question = "\n".join(one.text for one in query.asked) if query.plan is None else query.plan.question
            hits = reranked(hits, question, self._reranker)
        return numbered(diversified(hits, query.k, query.diversity))

    def documents(self, where: Where | None) -> Iterator[Row]:
        """The documents that pass a filter, by id."""
        return (row for row in self._catalog.rows(equal_texts(where)) if passes(where, row.doc_id, row.metadata))

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
                    raise DocumentMissing(missing_document(doc_id, sorted(known)), doc_id=str(doc_id))
            wanted &= set(documents)
        return self._catalog.texts(wanted)

    def ids_of(self, filters: Sequence[Where | None]) -> list[list[str]]:
        """Ids of the documents that pass each of these filters, in one look at the catalog."""
        found: list[list[str]] = [[] for _ in filters]
        shared = set.intersection(*map(equal_texts, filters)) if filters else set()
        for row in self._catalog.rows(shared):
            for ids, where in zip(found, filters, strict=True):
                if passes(where, row.doc_id, row.metadata):
                    ids.append(row.doc_id)
        return found

    def _ranked(self, query: Query, vectors: _Vectors) -> list[Hit]:
        if query.mode == "hop":
            hits = self._names.following(lambda hopper: self._collected(query, vectors, hopper))
            if hits is not None:
                return hits
            query = query._replace(mode="hybrid")  # no document has a name, and the hits say so
        return self._collected(query, vectors, None)

    def _collected(self, query: Query, vectors: _Vectors, hopper: Hopper | None) -> list[Hit]:
        rows: dict[str, Row] = {}
        paths: dict[Place, Trail] = {}
        best, finders = self._fused(query.asked, query, vectors, rows, hopper, paths)
        best = best[: query.k]
        if query.plan is not None and len(best) < query.k:
            question = [Asked(query.plan.question, query.where)]
            beyond, _ = self._fused(question, query, vectors, rows, hopper, paths)
            worst = best[-1][1] if best else math.inf
            more = [(place, min(score, worst)) for place, score in beyond if place not in finders]
            best += more[: query.k - len(best)]
        trails = {} if hopper is None else {place: hopper.explained(paths[place]) for place, _ in best}
        return self._as_hits(best, finders, rows, query, trails)

    def _fused(
        self,
        asked: Sequence[Asked],
        query: Query,
        vectors: _Vectors,
        rows: dict[str, Row],
        hopper: Hopper | None,
        paths: dict[Place, Trail],
    ) -> tuple[list[tuple[Place, float]], dict[Place, list[int]]]:
        """The best places of all queries together, and the numbers of those that found each, the best first."""
        filters = {repr(one.where): one.where for one in asked if one.where}
        ids = dict(zip(filters, self.ids_of(list(filters.values())), strict=True)) if filters else {}
        allowed = [ids[repr(one.where)] if one.where else None for one in asked]
        engines = self._engines(asked, query.mode, vectors, allowed)
        numbers = [engine.number for engine in engines]
        plain = query.k if len(engines) == 1 else fusion_depth(query.k)
        depth = plain if hopper is None else query.hop_depth
        live = self._live_of(engines, depth, rows, allowed)
        if hopper is not None:
            if any(style_of(place[0]) == "code" for found in live for place, _ in found):
                depth = query.hop_depth_in_code
                live = self._live_of(engines, depth, rows, allowed)
            own = [[one for one, of in zip(live, numbers, strict=True) if of == number] for number in range(len(asked))]
            live = [
                self._hopped(hopper, one.text, found, query, depth, rows, some, paths)
                for one, found, some in zip(asked, own, allowed, strict=True)
            ]
            numbers = list(range(len(asked)))
        best = fuse([[place for place, _ in ranking] for ranking in live]) if len(live) > 1 else live[0]
        return best, found_by(numbers, live)

    def _hopped(
        self,
        hopper: Hopper,
        text: str,
        found: Sequence[list[tuple[Place, float]]],
        query: Query,
        depth: int,
        rows: dict[str, Row],
        allowed: list[str] | None,
        paths: dict[Place, Trail],
    ) -> list[tuple[Place, float]]:
        """What one query reaches by links from what its engines have found, words first; collects the paths."""
        best = fuse([[place for place, _ in one] for one in found])[:depth] if len(found) > 1 else found[0]
        top = found[0][0][1] if found[0] else 1.0
        reached = hopper.search(text, best, top, query.hops, rows, allowed)[: fusion_depth(query.k)]
        for place, one in reached:
            paths.setdefault(place, one.path)
        return [(place, one.score) for place, one in reached]

    def _live_of(
        self, engines: Sequence[_Engine], depth: int, rows: dict[str, Row], allowed: Sequence[list[str] | None]
    ) -> list[list[tuple[Place, float]]]:
        within = [None if some is None else frozenset(some) for some in allowed]
        return [
            self._live(engine.find, depth, seen, rows, within[engine.number])
            for engine, seen in zip(engines, self._looked(engines, depth), strict=True)
        ]

    @staticmethod
    def _looked(engines: Sequence[_Engine], depth: int) -> list[list[_Scored]]:
        """What each engine finds at first. Word indexes answer at once; stores are asked side by side."""
        waiting = [engine for engine in engines if engine.waits]
        looked = iter(LOCAL.map(lambda engine: engine.find(depth), waiting))
        return [next(looked) if engine.waits else engine.find(depth) for engine in engines]

    def _engines(
        self, asked: Sequence[Asked], mode: Mode, vectors: _Vectors, allowed: Sequence[list[str] | None]
    ) -> list[_Engine]:
        engines: list[_Engine] = []
        for number, one in enumerate(asked if mode != "vector" else ()):
            engines.append(_Engine(number, False, functools.partial(self._by_words, one.text, allowed[number])))
        for number, one in enumerate(asked if vectors else ()):
            self._manifest().check_dimension(len(vectors[one.text]))
            find = functools.partial(self._near, vectors[one.text], one.where, allowed[number])
            engines.append(_Engine(number, True, find))
        return engines

    def _as_hits(
        self,
        best: Sequence[tuple[Place, float]],
        finders: Mapping[Place, list[int]],
        rows: Mapping[str, Row],
        query: Query,
        trails: Mapping[Place, list[dict[str, Any]]],
    ) -> list[Hit]:
        passages = self._passages([place for place, _ in best], query.neighbours)
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
                metadata=rows[place[0]].metadata
                | provenance(query, finders.get(place, []))
                | ({HEADINGS: list(passages[place].headings)} if passages[place].headings else {})
                | ({PATH: trails[place]} if place in trails else {}),
            )
            for place, score in best
            if place in passages
        ]
        widened = any(passages[place].end - passages[place].start > place[2] - place[1] for place in passages)
        return numbered(joined(hits) if widened else hits)

    def _live(
        self,
        find: Callable[[int], list[_Scored]],
        wanted: int,
        found: list[_Scored],
        rows: dict[str, Row],
        within: frozenset[str] | None,
    ) -> list[tuple[Place, float]]:
        """The best places of one engine that still stand in the rows, which are collected on the way.

        While documents are being replaced, an engine may hold chunks of their old texts: then it is asked for more. So it
        is when a store compares less exactly than the filter.
        """
        depth = wanted
        while True:
            rows.update(self._catalog.rows_of(place[0] for place, _, _ in found if place[0] not in rows))
            live = [
                (place, score)
                for place, digest, score in found
                if place[0] in rows and rows[place[0]].digest == digest and (within is None or place[0] in within)
            ]
            if len(live) >= wanted or len(found) < depth:
                return live[:wanted]
            depth *= 4
            found = find(depth)

    def _by_words(self, query: str, allowed: list[str] | None, k: int) -> list[_Scored]:
        ranked = self._words.search(query, k, allowed)
        return [((one.doc_id, one.start, one.end), one.digest, one.score) for one in ranked]

    def _near(self, vector: Sequence[float], where: Where | None, allowed: list[str] | None, k: int) -> list[_Scored]:
        """The nearest chunks. What stores cannot compare exactly they are not asked: they get the ids of the documents instead."""
        if allowed is not None and not allowed:
            return []
        filters: list[Mapping[str, Any] | None] = [where or None]
        if where and allowed is not None and beyond_stores(where):
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

    def _passages(self, places: Iterable[Place], neighbours: int) -> dict[Place, Passage]:
        """The texts of chunks with so many around them; one that is short brings one more on each side in any case."""
        short = self._manifest().chunk_size * _SHORT_SHARE
        by_document: dict[int, dict[str, list[tuple[int, int]]]] = {}
        for doc_id, start, end in places:
            near = max(neighbours, 1) if end - start < short else neighbours
            by_document.setdefault(near, {}).setdefault(doc_id, []).append((start, end))
        return {
            place: passage
            for near, spans in by_document.items()
            for place, passage in self._catalog.passages_of(spans, near).items()
        }
