"""JoinedCorpus: several corpora as one, each under a name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NoReturn

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.filters import DOC_ID, Where, comparisons, matches, validate
from langgraph_rlm.corpus.finding.fusion import fuse
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.corpus.finding.query import Query, check_hops, check_neighbours, check_query
from langgraph_rlm.corpus.finding.refining import numbered
from langgraph_rlm.corpus.ingest.given import Documents
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.corpus.planning.metadata import NoMetadata
from langgraph_rlm.corpus.texts import Overview, Totals, grouped
from langgraph_rlm.errors import DocumentMissing, EmptyCorpus, InvalidFilter, InvalidInput
from langgraph_rlm.fanout import LOCAL
from langgraph_rlm.text.words import Words
from langgraph_rlm.types import Hit

COLLECTION = "corpus"
"""The field of filters and of hits' metadata that names the corpus."""
_RESERVED = ("all", "context", "corpus")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One corpus, and how it is asked."""

    name: str
    corpus: Corpus
    query: Any
    options: dict[str, Any]


class JoinedCorpus(Corpus):
    """Searches several corpora side by side, and fuses what they find by rank. Graphs make it of ``corpus={"docs": a, …}``.

    The id of a document begins with the name of its corpus, ``docs:leave.md``. ``where={"corpus": "docs"}`` reaches one of
    them, and the rest of a filter holds in each. A corpus whose store gives no texts away is searched by meaning alone.

    Args:
        corpora: by name; names are identifiers.

    Raises:
        InvalidInput: a name is no identifier or has a meaning of its own, or there is no corpus.

    Example:
        >>> from langchain_core.documents import Document
        >>> with Corpus.open("chroma:./a") as a, Corpus.open("chroma:./b") as b:
        ...     _ = a.add([Document("Leave is 16 weeks.", id="leave.md")]), b.add([Document("Leave me alone.", id="7")])
        ...     [hit["doc_id"] for hit in JoinedCorpus({"docs": a, "tickets": b}).retrieve("leave")]
        ['docs:leave.md', 'tickets:7']
    """

    def __init__(self, corpora: Mapping[str, Corpus]) -> None:
        check_names(corpora)
        self._corpora = dict(corpora)
        self.keeps_texts = all(corpus.keeps_texts for corpus in self._corpora.values())
        self.keeps_names = any(corpus.keeps_names for corpus in self._corpora.values())
        super().__init__(Words(), NoMetadata())

    @property
    def collections(self) -> tuple[str, ...]:
        """The names."""
        return tuple(self._corpora)

    @property
    def lists_texts(self) -> bool:
        """Whether one of them does."""
        return any(corpus.lists_texts for corpus in self._corpora.values())

    # --- changing them --------------------------------------------------------------------------------------------

    def add(
        self,
        documents: Documents,
        *,
        on_progress: Callable[[AddProgress], None] | None = None,
        prune: bool | Literal["source"] = False,
        ttl: float | None = None,
    ) -> AddReport:
        """Refused."""
        self._refuse()

    def delete(self, doc_ids: Iterable[str] = (), *, where: Where | None = None) -> int:
        """Refused."""
        self._refuse()

    def purge(self) -> int:
        """In each that has something to purge."""
        return sum(corpus.purge() for corpus in self._corpora.values())

    def forget(self) -> int:
        """Refused."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise InvalidInput(f"these are several corpora ({', '.join(self._corpora)}): change the one that is meant")

    # --- finding things -------------------------------------------------------------------------------------------

    def check(self, where: Where | None) -> None:
        """As in each of them that the filter reaches."""
        super().check(where)
        for name, corpus, rest in self._reached(where):
            try:
                corpus.check(rest)
            except InvalidFilter as error:
                raise InvalidFilter(f"corpus {name!r}: {error}") from None

    def _asked(self, query: Any, k: Any, mode: Any, where: Any, **options: Any) -> Any:
        """How each of them is asked, as far as the filter reaches it."""
        self._checked(query, k, mode, where, options["neighbours"], options["diversity"], options["hops"])
        if mode == "hop" and not self.keeps_names:
            raise InvalidInput('retrieve: none of these corpora knows names: use mode="hybrid"')
        reached = list(self._reached(where))
        there = [(name, corpus, rest) for name, corpus, rest in reached if not corpus.is_empty()]
        if reached and not there:
            raise EmptyCorpus("the corpora hold no document: add some first")
        if mode == "bm25":
            there = [one for one in there if one[1].lists_texts] or there  # the last says why it cannot
        asked = []
        for name, corpus, rest in there:
            own = dict(options, k=k, mode=mode, where=rest)
            if not corpus.keeps_names and mode == "hop":
                own["mode"] = "hybrid"
            if not corpus.keeps_texts and len(there) > 1:
                own["neighbours"] = 0
            asked.append(_Asked(name, corpus, query, own))
        return asked

    def _checked(self, query: Any, k: Any, mode: Any, where: Any, neighbours: Any, diversity: Any, hops: Any) -> Query:
        check_neighbours(neighbours)
        check_hops(hops)
        self.check(where)
        check_query(query, k, mode, diversity)
        return Query([], k, mode, where, neighbours, diversity, hops)

    def _answers(self, asked: Any) -> list[list[Hit]]:
        return LOCAL.map(lambda one: one.corpus.retrieve(one.query, **one.options), asked, key=lambda one: one.name)

    async def _aanswers(self, asked: Any) -> list[list[Hit]]:
        return list(await asyncio.gather(*(one.corpus.aretrieve(one.query, **one.options) for one in asked)))

    def _hits(self, asked: Any, answers: Any) -> list[Hit]:
        found = [[_renamed(one.name, hit) for hit in hits] for one, hits in zip(asked, answers, strict=True)]
        if len(found) <= 1:
            return found[0] if found else []
        by_place = {(hit["doc_id"], hit["start"], hit["end"]): hit for hits in found for hit in hits}
        best = fuse([[(hit["doc_id"], hit["start"], hit["end"]) for hit in hits] for hits in found])
        hits = [Hit(**{**by_place[place], "score": float(score)}) for place, score in best[: asked[0].options["k"]]]
        return numbered(hits)

    def names(self, prefix: str = "", where: Where | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """See :meth:`Corpus.names`."""
        found = (
            _with_id(name, one)
            for name, corpus, rest in self._reached(where)
            for one in corpus.names(prefix, rest, limit=limit)
        )
        return list(islice(found, limit))

    def named_in(self, question: str, where: Where | None = None) -> list[dict[str, Any]]:
        """See :meth:`Corpus.named_in`."""
        found: dict[tuple[int, int], dict[str, Any]] = {}
        for name, corpus, rest in self._reached(where):
            for one in corpus.named_in(question, rest):
                documents = [_with_id(name, document) for document in one["documents"]]
                known = found.setdefault((one["start"], one["end"]), {**one, "documents": []})
                known["documents"] += documents
        return [found[span] for span in sorted(found)]

    def links(self, doc_id: str) -> dict[str, list[dict[str, Any]]]:
        """See :meth:`Corpus.links`."""
        name, corpus, own = self._of(doc_id)
        return {kind: [_with_id(name, one) for one in found] for kind, found in corpus.links(own).items()}

    # --- reading them ---------------------------------------------------------------------------------------------

    def list_documents(
        self, where: Where | None = None, *, limit: int | None = None, group: str | None = None
    ) -> list[dict[str, Any]]:
        """See :meth:`Corpus.list_documents`; those of a corpus that lists none are not among them."""
        if group is not None:
            return grouped(self.list_documents(where), group, limit)
        reached = self._listing(where)
        found = (
            _with_id(name, one) for name, corpus, rest in reached for one in corpus.list_documents(rest, limit=limit)
        )
        return list(islice(found, limit))

    def holds(self, doc_id: str, where: Where | None = None) -> bool:
        """See :meth:`Corpus.holds`."""
        name = doc_id.partition(":")[0] if isinstance(doc_id, str) else ""
        return any(
            corpus.holds(doc_id.removeprefix(f"{name}:"), rest)
            for one, corpus, rest in self._reached(where)
            if one == name and ":" in doc_id
        )

    def is_empty(self) -> bool:
        """Whether all of them are."""
        return all(corpus.is_empty() for corpus in self._corpora.values())

    def totals(self) -> Totals:
        """Of those that list their documents."""
        found = [corpus.totals() for _, corpus, _ in self._listing(None)]
        return Totals(*(sum(column) for column in zip(*found, strict=True)))

    def overview(self, where: Where | None = None) -> Overview:
        """Of all that the filter reaches; a sum is known when each part of it is."""
        found = [(name, corpus.overview(rest)) for name, corpus, rest in self._reached(where)]
        counts, chars = [one.documents for _, one in found], [one.chars for _, one in found]
        return Overview(
            None if None in counts else sum(filter(None, counts)),
            None if None in chars else sum(filter(None, chars)),
            [f"{name}:{doc_id}" for name, one in found for doc_id in one.some[:1]],
        )

    @property
    def version(self) -> str:
        """All of theirs."""
        return " ".join(f"{name}={corpus.version}" for name, corpus in self._corpora.items())

    @property
    def lexical(self) -> bool:
        """Whether all of them are."""
        return all(corpus.lexical for corpus in self._corpora.values())

    def embeds_with(self, mode: Mode) -> str | None:
        """The first model that embeds queries of this mode; each corpus that does asks its own."""
        return next((model for one in self._corpora.values() if (model := one.embeds_with(mode)) is not None), None)

    def close(self) -> None:
        """Close all of them."""
        for corpus in self._corpora.values():
            corpus.close()

    def __repr__(self) -> str:
        return f"<JoinedCorpus {self._corpora!r}>"

    # --- inside ---------------------------------------------------------------------------------------------------

    def _reached(self, where: Where | None) -> Iterator[tuple[str, Corpus, dict[str, Any] | None]]:
        """Each corpus in which something may pass the filter, and what is left of the filter there."""
        if where is not None:
            validate(where)
        for name, corpus in self._corpora.items():
            rest = _within(where or {}, name)
            if rest is not None:
                yield name, corpus, rest or None

    def _listing(self, where: Where | None) -> list[tuple[str, Corpus, dict[str, Any] | None]]:
        """Those that list their documents; where none does, one of them, which says so."""
        reached = list(self._reached(where))
        return [one for one in reached if one[1].lists_texts] or reached[:1]

    def _of(self, doc_id: Any) -> tuple[str, Corpus, str]:
        name, colon, own = doc_id.partition(":") if isinstance(doc_id, str) else ("", "", "")
        if not colon or name not in self._corpora:
            names = ", ".join(f"{one}:…" for one in self._corpora)
            raise DocumentMissing(f"no document {doc_id!r}: ids here are {names}"[:500], doc_id=str(doc_id))
        return name, self._corpora[name], own

    def _text(self, doc_id: str, where: Where | None = None) -> str:
        name, corpus, own = self._of(doc_id)
        for reached, _, rest in self._reached(where):
            if reached == name:
                return corpus.read(own, where=rest)
        raise DocumentMissing(f"there is no document {doc_id!r} among those that may be read", doc_id=doc_id)

    def _texts(
        self, where: Where | None, documents: Collection[str] | None, literals: Sequence[str] | None
    ) -> Iterator[tuple[str, bytes]]:
        wanted: dict[str, list[str]] = {}
        for doc_id in documents or ():
            name, _, own = self._of(doc_id)
            wanted.setdefault(name, []).append(own)
        for name, corpus, rest in self._listing(where):
            some = None if documents is None else wanted.get(name)
            if documents is None or some:
                for doc_id, text in corpus._texts(rest, some, None if corpus.keeps_texts else literals):
                    yield f"{name}:{doc_id}", text


def check_names(corpora: Mapping[Any, Any]) -> None:
    """InvalidInput for names that no document id can begin with."""
    if not corpora:
        raise InvalidInput("corpus: an empty mapping; give at least one corpus")
    for name in corpora:
        if not isinstance(name, str) or not name.isidentifier() or name in _RESERVED:
            raise InvalidInput(
                f"corpus: {name!r} cannot name a corpus: take an identifier such as 'docs', other than {', '.join(_RESERVED)}"
            )


def _within(where: Where, name: str) -> dict[str, Any] | None:
    """What is left of a filter in one corpus; None when nothing there passes it."""
    parts: list[dict[str, Any]] = []
    for key, condition in where.items():
        if key == "$and":
            some = [_within(one, name) for one in condition]
            if None in some:
                return None
            parts += [one for one in some if one]
        elif key == "$or":
            some = [one for one in (_within(one, name) for one in condition) if one is not None]
            if not some:
                return None
            parts += [{"$or": some}] if all(some) else []
        elif key == COLLECTION:
            if not matches({key: condition}, {key: name}):
                return None
        elif key == DOC_ID:
            for operator, bound in comparisons(condition):
                own = _own_ids(operator, bound, name)
                if operator in ("$eq", "$in") and not own:
                    return None
                parts += [{key: {"$in" if operator in ("$eq", "$in") else "$nin": own}}]
        else:
            parts += [{key: {operator: bound}} for operator, bound in comparisons(condition)]
    return {} if not parts else parts[0] if len(parts) == 1 else {"$and": parts}


def _own_ids(operator: str, bound: Any, name: str) -> list[str]:
    """Those of one corpus among the ids of a filter, as it knows them."""
    if operator not in ("$eq", "$in", "$ne", "$nin"):
        raise InvalidFilter(
            f"where: ids of several corpora have no order; doc_id takes $eq, $ne, $in, $nin, not {operator}"
        )
    ids = bound if isinstance(bound, list | tuple) else [bound]
    return [one.removeprefix(f"{name}:") for one in ids if isinstance(one, str) and one.startswith(f"{name}:")]


def _renamed(name: str, hit: Hit) -> Hit:
    return Hit(**{**hit, "doc_id": f"{name}:{hit['doc_id']}", "metadata": {**hit["metadata"], COLLECTION: name}})


def _with_id(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    named = {**entry, "doc_id": f"{name}:{entry['doc_id']}"}
    return named | {"metadata": {**entry["metadata"], COLLECTION: name}} if "metadata" in entry else named
