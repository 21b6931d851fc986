"""The two shapes in which Pinecone keeps records: vectors with metadata, and documents of a schema with full text."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from langgraph_rlm.stores import (
    FIRST_INEXACT,
    RESERVED_PREFIX,
    TENANT,
    TEXT,
    Capability,
    Found,
    InvalidInput,
    Record,
    whole,
)

MAX_METADATA_BYTES = 40_000
"""Of one record; in an index of vectors its text included, where that fits."""
MAX_HITS = 10_000
FETCHED_AT_ONCE = 100
"""Ids of one request: those of vectors stand in its address, and lists have no longer pages."""

_EXACT = f"{RESERVED_PREFIX}exact"  # whole numbers that a float does not hold, as JSON of their names and values
_OWN = [*(RESERVED_PREFIX + name for name in ("doc_id", "digest", "start", "end")), TENANT]


class Data(Protocol):
    """Requests to one namespace; every error is the SDK's."""

    capabilities: frozenset[Capability]

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Refuse what cannot be kept with a record.

        Raises:
            InvalidInput: naming it.
        """
        ...

    def row(self, id_: str, vector: list[float], text: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """A record as it is sent."""
        ...

    def send(self, rows: list[dict[str, Any]], at_once: int) -> Any:
        """Write rows; the SDK's account of what arrived."""
        ...

    def near(self, vector: list[float], k: int, where: dict[str, Any] | None) -> list[Found]:
        """The nearest records."""
        ...

    def worded(self, text: str, k: int, where: dict[str, Any] | None) -> list[Found]:
        """The best records by words, where there is the capability ``bm25``."""
        ...

    def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """Those of these at most 100 records that are there."""
        ...

    def held(self, ids: Sequence[str]) -> set[str]:
        """Which of these at most 100 records are there."""
        ...

    def listed(self) -> Iterator[list[str]]:
        """All ids, page by page."""
        ...

    def matching(self, where: dict[str, Any]) -> Iterator[list[Record]]:
        """All records that pass a filter, page by page."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove at most 100 records."""
        ...


class Vectors:
    """Vectors with metadata. The text stands in the metadata where both fit; there is no search in it.

    Args:
        index: the SDK's.
        namespace: in it.
    """

    capabilities: frozenset[Capability] = frozenset({"lag"})

    def __init__(self, index: Any, namespace: str) -> None:
        self._index = index
        self._name = namespace

    def check(self, metadata: Mapping[str, Any]) -> None:
        """At most 40 KB."""
        _check_size(metadata)

    def row(self, id_: str, vector: list[float], text: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """With its text, if it fits."""
        kept = _kept(metadata)
        with_text = {**kept, TEXT: text}
        fits = _size(with_text) <= MAX_METADATA_BYTES
        return {"id": id_, "values": vector, "metadata": with_text if fits else kept}

    def send(self, rows: list[dict[str, Any]], at_once: int) -> Any:
        """By ``upsert``."""
        return self._index.upsert(vectors=rows, namespace=self._name, batch_size=at_once, show_progress=False)

    def near(self, vector: list[float], k: int, where: dict[str, Any] | None) -> list[Found]:
        """By ``query``."""
        found = self._index.query(
            vector=vector, top_k=min(k, MAX_HITS), namespace=self._name, filter=where, include_metadata=True
        )
        return [Found(one.id, float(one.score), _without_text(one.metadata)) for one in found.matches]

    def worded(self, text: str, k: int, where: dict[str, Any] | None) -> list[Found]:
        """Never asked for."""
        raise NotImplementedError

    def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """By ``fetch``."""
        page = self._index.fetch(ids=list(ids), namespace=self._name)
        return {id_: _vector_record(one) for id_, one in page.vectors.items()}

    def held(self, ids: Sequence[str]) -> set[str]:
        """By ``fetch``; it knows no lesser answer."""
        return set(self.fetch(ids))

    def listed(self) -> Iterator[list[str]]:
        """By ``list``."""
        for page in self._index.list(namespace=self._name, limit=FETCHED_AT_ONCE):
            yield [item.id for item in page.vectors if item.id]

    def matching(self, where: dict[str, Any]) -> Iterator[list[Record]]:
        """By ``fetch_by_metadata``."""
        token: str | None = None
        while True:
            page = self._index.fetch_by_metadata(
                filter=where, namespace=self._name, limit=FETCHED_AT_ONCE, pagination_token=token
            )
            yield [_vector_record(one) for one in page.vectors.values()]
            token = page.pagination.next if page.pagination else None
            if token is None:
                return

    def delete(self, ids: Sequence[str]) -> None:
        """By ``delete``."""
        _unless_new(self._index.delete, ids=list(ids), namespace=self._name)


class Documents:
    """Documents of a schema with a dense vector and a string for full-text search, which Pinecone ranks by BM25.

    Args:
        index: the SDK's.
        namespace: in it.
        fields: of the schema; none of them can be a key of metadata.
        vector: the field of the vector.
        text: the field of the text.
    """

    capabilities: frozenset[Capability] = frozenset({"lag", "bm25"})

    def __init__(self, index: Any, namespace: str, fields: Sequence[str], vector: str, text: str) -> None:
        self._index = index
        self._documents = index.documents
        self._name = namespace
        self._fields = fields
        self._vector, self._text = vector, text

    def check(self, metadata: Mapping[str, Any]) -> None:
        """At most 40 KB, no field of the schema, and no name that is Pinecone's own."""
        _check_size(metadata)
        for key in metadata:
            if key in self._fields:
                raise InvalidInput(f"metadata {key!r} is a field of the Pinecone index' schema: call it otherwise")
            if key.startswith(("_", "$")):
                raise InvalidInput(
                    f"metadata {key!r}: names that begin with _ or $ are Pinecone's own: call it otherwise"
                )

    def row(self, id_: str, vector: list[float], text: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Metadata stands beside the fields of the schema."""
        return {"_id": id_, **_kept(metadata), self._vector: vector, self._text: text}

    def send(self, rows: list[dict[str, Any]], at_once: int) -> Any:
        """By ``batch_upsert``."""
        return self._documents.batch_upsert(
            namespace=self._name, documents=rows, batch_size=at_once, show_progress=False
        )

    def near(self, vector: list[float], k: int, where: dict[str, Any] | None) -> list[Found]:
        """By the field of the vector."""
        return self._searched({"type": "dense_vector", "field": self._vector, "values": vector}, k, where)

    def worded(self, text: str, k: int, where: dict[str, Any] | None) -> list[Found]:
        """By BM25 in the field of the text."""
        return self._searched({"type": "text", "fields": [self._text], "query": text}, k, where)

    def fetch(self, ids: Sequence[str]) -> dict[str, Record]:
        """By ``fetch``, with all fields."""
        page = _unless_new(self._documents.fetch, namespace=self._name, ids=list(ids))
        return {id_: self._record(one) for id_, one in page.documents.items()} if page else {}

    def held(self, ids: Sequence[str]) -> set[str]:
        """By ``fetch``, without the vectors."""
        some = {"ids": list(ids), "include_fields": _OWN[:1]}
        page = _unless_new(self._documents.fetch, namespace=self._name, **some)
        return set(page.documents) if page else set()

    def listed(self) -> Iterator[list[str]]:
        """By ``list``."""
        pages = self._documents.list(namespace=self._name, limit=FETCHED_AT_ONCE).pages()
        while (page := _unless_new(lambda: next(pages, None))) is not None:
            yield [item.id for item in page.items]

    def matching(self, where: dict[str, Any]) -> Iterator[list[Record]]:
        """By ``fetch`` with a filter."""
        asked: dict[str, Any] = {"namespace": self._name, "filter": where, "limit": FETCHED_AT_ONCE}
        while (page := _unless_new(self._documents.fetch, **asked)) is not None:
            yield list(map(self._record, page.documents.values()))
            if page.pagination is None or page.pagination.next is None:
                return
            asked["pagination_token"] = page.pagination.next

    def delete(self, ids: Sequence[str]) -> None:
        """By ``delete``."""
        _unless_new(self._documents.delete, namespace=self._name, ids=list(ids))

    def _searched(self, score_by: dict[str, Any], k: int, where: dict[str, Any] | None) -> list[Found]:
        answer = _unless_new(
            self._documents.search,
            namespace=self._name,
            score_by=[score_by],
            top_k=min(k, MAX_HITS),
            include_fields=_OWN,  # "*" would bring the vectors too
            filter=where,
        )
        matches = answer.matches if answer else []
        return [Found(one.id, float(one.score or 0.0), _whole(self._metadata(one))) for one in matches]

    def _record(self, document: Any) -> Record:
        return Record(document.id, document.get(self._text) or "", _whole(self._metadata(document)))

    def _metadata(self, document: Any) -> dict[str, Any]:
        return {
            key: value
            for key, value in document.to_dict().items()
            if key not in self._fields and not key.startswith("_")
        }


def data_of(index: Any, namespace: str, described: Any) -> Data:
    """The shape that an index has, by the schema that Pinecone describes it with.

    Args:
        index: the SDK's index.
        namespace: in it.
        described: the SDK's ``IndexModel``.

    Raises:
        InvalidInput: a schema with full text, but not with one vector and one text to choose.
    """
    fields = described.schema.fields
    texts = [name for name, field in fields.items() if getattr(field, "full_text_search", None) is not None]
    if not texts:
        return Vectors(index, namespace)
    dense = [name for name, field in fields.items() if getattr(field, "dimension", None) is not None]
    text = TEXT if TEXT in texts else texts[0]
    if len(dense) != 1 or (len(texts) > 1 and text != TEXT):
        raise InvalidInput(
            f"corpus: the Pinecone index {described.name!r} has the fields {', '.join(map(repr, fields))}: a corpus needs "
            f"one dense_vector, and one string with full_text_search or one of the name {TEXT!r}"
        )
    return Documents(index, namespace, list(fields), dense[0], text)


def _unless_new(method: Callable[..., Any], nothing: Any = None, /, **asked: Any) -> Any:
    """What a namespace answers, which comes with its first record and is not there before."""
    from pinecone import NotFoundError

    try:
        return method(**asked)
    except NotFoundError as error:
        if "namespace" not in error.message.lower():
            raise
        return nothing


def _size(metadata: Mapping[str, Any]) -> int:
    return len(json.dumps(metadata, ensure_ascii=False).encode())


def _check_size(metadata: Mapping[str, Any]) -> None:
    if (size := _size(_kept(metadata))) > MAX_METADATA_BYTES - 1_000:
        raise InvalidInput(
            f"{size:,} bytes of metadata, and Pinecone keeps at most {MAX_METADATA_BYTES:,} with a record: "
            "put long values into the text, or leave them out"
        )


def _kept(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata, and beside it the whole numbers that Pinecone rounds, since it keeps all numbers as floats."""
    exact = {key: value for key, value in metadata.items() if type(value) is int and abs(value) >= FIRST_INEXACT}
    return {**metadata, _EXACT: json.dumps(exact)} if exact else dict(metadata)


def _whole(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that were whole as they were."""
    found = {key: whole(value) for key, value in metadata.items() if key != _EXACT}
    if isinstance(exact := metadata.get(_EXACT), str):
        with contextlib.suppress(ValueError, AttributeError):  # somebody else's, in a namespace that others fill
            found.update(
                (key, value) for key, value in json.loads(exact).items() if type(value) is int and key in found
            )
    return found


def _without_text(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    return _whole({key: value for key, value in (metadata or {}).items() if key != TEXT})


def _vector_record(record: Any) -> Record:
    return Record(record.id, str((record.metadata or {}).get(TEXT, "")), _without_text(record.metadata))
