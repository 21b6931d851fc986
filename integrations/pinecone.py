"""PineconeIndex: vectors or documents in a serverless index of Pinecone (``pip install "langgraph-rlm[pinecone]"``)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from langgraph_rlm.corpus.filters import comparisons, validate
from langgraph_rlm.corpus.index import (
    MAX_BATCH,
    RESERVED_PREFIX,
    STAMP,
    AsyncTwins,
    Capability,
    Found,
    Place,
    Record,
    floats,
    record_bytes,
    split_address,
)
from langgraph_rlm.errors import (
    CollectionMissing,
    CorpusError,
    InvalidFilter,
    InvalidInput,
    MissingDependency,
    StoreAuthenticationFailed,
    StoreUnavailable,
)

from .pinecone_data import data_of

NAMESPACE = "langgraph-rlm"
MAX_BYTES = 2_000_000
"""Of one request."""
FETCHED_AT_ONCE = 100
"""Records of one request."""
ATTEMPTS = 4
"""How often records are sent that did not arrive with the others."""

_T = TypeVar("_T")
_ALWAYS_FALSE = {f"{RESERVED_PREFIX}doc_id": {"$eq": ""}}  # no document has an empty id


class PineconeIndex(AsyncTwins):
    """One namespace of an index with cosine distance, which has to exist already.

    An index whose schema has a dense vector and a string with full-text search ranks by words too (the capability
    ``bm25``). One of vectors alone keeps the text of a chunk beside its metadata, where both fit into 40 KB, and has no
    search in it. Pinecone keeps numbers as floats, looks nothing up by substrings, and shows what was written only
    seconds, for documents up to a minute, later. An index is for one embeddings model.

    Args:
        index: its name.
        namespace: the namespace in it; one that is missing comes with the first record.
        api_key: ``PINECONE_API_KEY`` when left out.
        host: of the control plane; ``PINECONE_CONTROLLER_HOST`` or Pinecone's own when left out.

    Raises:
        MissingDependency: pinecone is not installed.
        StoreUnavailable: the service does not answer.
        StoreAuthenticationFailed: the key is missing or refused.
        CollectionMissing: there is no such index.

    Example:
        >>> index = PineconeIndex("papers", "acme")  # doctest: +SKIP
        >>> index.upsert(["…"], [[0.1, 0.9]], ["text"], [{"path": "a.txt"}])  # doctest: +SKIP
    """

    def __init__(
        self, index: str, namespace: str = NAMESPACE, *, api_key: str | None = None, host: str | None = None
    ) -> None:
        try:
            from pinecone import Pinecone
        except ImportError as error:
            raise MissingDependency(
                f'a "pinecone:" corpus needs pinecone ({error}): pip install "langgraph-rlm[pinecone]"'
            ) from None
        self._lock = threading.Lock()
        self._index_name, self._name = index, namespace
        self._place = Place("pinecone", f"index {index!r}", namespace)
        with self._mapped("opening"):
            self._client = Pinecone(api_key=api_key, host=host)
            described = self._client.indexes.describe(index)
            self._index = self._client.index(host=described.host or "")
            self._data = data_of(self._index, namespace, described)
            self._dimension = described.dimension

    @property
    def capabilities(self) -> frozenset[Capability]:
        """``lag``, and ``bm25`` where the index has full text."""
        return self._data.capabilities

    @classmethod
    def open(cls, location: str, directory: Path) -> PineconeIndex:
        """The namespace of ``"pinecone://index/namespace"``."""
        address = split_address(location)
        if address is None:
            raise InvalidInput(f'corpus: expected "pinecone://index/namespace", got "pinecone:{location}"')
        return cls(address.host, address.collection)

    def claim(self, embeddings: str, dimension: int) -> None:
        """Check that the index was made for these vectors; its tags name the embeddings."""
        named = _tag(embeddings)
        with self._lock, self._mapped("claiming"):
            tags = dict(self._client.indexes.describe(self._index_name).tags or {})
            stamp = {STAMP[0]: tags.get(STAMP[0]), STAMP[1]: self._dimension}
            if (refused := self._place.made_with(stamp, named, dimension)) is None and STAMP[0] not in tags:
                self._client.indexes.configure(self._index_name, tags={**tags, STAMP[0]: named})
        if refused:
            raise refused

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Refuse more than 40 KB of metadata, and names that the index has for something else."""
        self._data.check(metadata)

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add or replace records, at most 1000 and 2 MB at a time; those that did not arrive are sent again."""
        if not ids:
            return
        self._place.check_dimension("writing", self._dimension, *vectors)
        largest = max(map(record_bytes, vectors, texts, metadatas))
        waiting: list[Any] = [
            self._data.row(id_, vector, text, metadata)
            for id_, vector, text, metadata in zip(ids, map(floats, vectors), texts, metadatas, strict=True)
        ]
        size = max(1, min(MAX_BATCH, MAX_BYTES // largest))
        for _ in range(ATTEMPTS):
            with self._mapped("writing"):
                sent = self._data.send(waiting, size)
                if not sent.has_errors:
                    return
                for failure in sent.errors:
                    if not failure.retryable:
                        raise failure.error
                waiting = list(sent.failed_items)
            if all(failure.disposition == "abandoned" for failure in sent.errors):
                break  # the SDK has given the service up for half a minute
        what = f"{len(waiting)} of {len(ids)} records did not arrive ({sent.errors[0].error_message})"
        raise StoreUnavailable(self._place.says("writing", what, "Add again: what arrived is not sent twice"))

    def query(self, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """The nearest records, best first; the score is the cosine similarity."""
        translated = _checked(where)
        self._place.check_dimension("searching", self._dimension, vector)
        with self._mapped("searching"):
            return self._data.near(floats(vector), k, translated)

    def bm25(self, text: str, k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """Ranked by BM25, in an index that has full text."""
        if "bm25" not in self.capabilities:
            raise CorpusError(self._place.says("searching", "no ranking by words in the store", "Use corpus.retrieve"))
        translated = _checked(where)
        with self._mapped("searching"):
            return self._data.worded(text, k, translated)

    def hybrid(self, text: str, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """Not in one request."""
        raise CorpusError(self._place.says("searching", "no hybrid ranking in the store", "Use corpus.retrieve"))

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records of these ids, in their order."""
        found: dict[str, Record] = {}
        for at in range(0, len(ids), FETCHED_AT_ONCE):
            with self._mapped("reading"):
                found.update(self._data.fetch(ids[at : at + FETCHED_AT_ONCE]))
        return [found[id_] for id_ in ids if id_ in found]

    def scroll(self, where: Mapping[str, Any] | None = None) -> Iterator[Record]:
        """All records that pass the filter, page by page."""
        translated = _checked(where)
        if translated is None:
            return (record for ids in self._pages(self._data.listed()) for record in self.get(ids))
        return (record for page in self._pages(self._data.matching(translated)) for record in page)

    def candidates(
        self, literals: Sequence[str], where: Mapping[str, Any] | None = None, *, ignore_case: bool = False
    ) -> Iterator[Record]:
        """Pinecone knows words and no substrings."""
        raise CorpusError(self._place.says("searching", "no search in texts", "Give the corpus its directory"))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; unknown ids do no harm."""
        for at in range(0, len(ids), MAX_BATCH):
            with self._mapped("deleting"):
                self._data.delete(ids[at : at + MAX_BATCH])

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids are there."""
        found: set[str] = set()
        for at in range(0, len(ids), FETCHED_AT_ONCE):
            with self._mapped("reading"):
                found |= self._data.held(ids[at : at + FETCHED_AT_ONCE])
        return found

    def count(self) -> int:
        """Records in the namespace."""
        with self._mapped("counting"):
            namespaces = self._index.describe_index_stats().namespaces
        return int(namespaces[self._name].vector_count) if self._name in namespaces else 0

    def close(self) -> None:
        """Release connections."""
        self._index.close()
        self._client.close()

    def _pages(self, pages: Iterator[_T]) -> Iterator[_T]:
        while True:
            with self._mapped("reading"):
                page = next(pages, None)
            if page is None:
                return
            yield page

    @contextmanager
    def _mapped(self, doing: str) -> Iterator[None]:
        import pinecone as sdk

        try:
            yield
        except (sdk.UnauthorizedError, sdk.ForbiddenError, sdk.PineconeConfigurationError) as error:
            raise self._refused_key(doing, error.message) from error
        except sdk.NotFoundError as error:
            out = (
                f'pc.indexes.create(name="{self._index_name}", dimension=…, metric="cosine", '
                'spec=ServerlessSpec(cloud="aws", region="us-east-1")) makes one; corpus.add(documents) fills it'
            )
            raise CollectionMissing(self._place.says(doing, error.message, out)) from error
        except sdk.ApiError as error:
            if error.status_code == 429 or error.status_code >= 500:
                raise StoreUnavailable(self._place.says(doing, error, "Try again later")) from error
            raise CorpusError(self._place.says(doing, error, "The request was refused as it stands")) from error
        except (sdk.PineconeValueError, sdk.PineconeTypeError) as error:
            if "api key" not in error.message.lower():
                raise CorpusError(self._place.says(doing, error.message, "The client refused the request")) from error
            raise self._refused_key(doing, error.message) from error
        except (sdk.PineconeError, OSError) as error:
            raise StoreUnavailable(self._place.says(doing, error, "Check the network, or try again")) from error

    def _refused_key(self, doing: str, reason: str) -> StoreAuthenticationFailed:
        return StoreAuthenticationFailed(self._place.says(doing, reason, "Set PINECONE_API_KEY or give api_key="))


def translate(where: Mapping[str, Any]) -> dict[str, Any] | None:
    """A filter in Pinecone's dialect: one operator per dict, joined by ``$and``; None when it lets everything pass.

    Raises:
        InvalidFilter: an order of texts, which Pinecone does not know.
    """
    conditions = []
    for key, condition in where.items():
        if key in ("$and", "$or"):
            parts = [translate(part) for part in condition]
            if key == "$and":
                conditions += [part for part in parts if part is not None]
            elif all(part is not None for part in parts):
                conditions.append(_joined("$or", parts))
        else:
            for operator, bound in comparisons(condition):
                translated = _comparison(key, operator, bound)
                if translated is not None:
                    conditions.append(translated)
    return _joined("$and", conditions) if conditions else None


def _comparison(key: str, operator: str, bound: Any) -> dict[str, Any] | None:
    if operator in ("$ne", "$nin"):  # what lacks the field differs from everything
        values = [bound] if operator == "$ne" else bound
        differs = [{key: {"$ne": value}} for value in values]
        return _joined("$or", [{key: {"$exists": False}}, _joined("$and", differs)]) if differs else None
    if operator == "$in":
        parts: list[dict[str, Any] | None] = [{key: {"$eq": value}} for value in bound if isinstance(value, bool)]
        parts += [
            {key: {"$in": values}}
            for kind in (str, (int, float))
            if (values := [value for value in bound if isinstance(value, kind) and not isinstance(value, bool)])
        ]
        return _joined("$or", parts) if parts else dict(_ALWAYS_FALSE)
    if operator != "$eq" and isinstance(bound, str):
        raise InvalidFilter(f"where[{key!r}]: Pinecone cannot order texts by {operator}")
    return {key: {operator: bound}}


def _joined(operator: str, parts: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 and parts[0] is not None else {operator: list(parts)}


def _checked(where: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not where:
        return None
    validate(where)
    return translate(where)


def _tag(name: str) -> str:
    """A name with the characters that a tag may have."""
    return re.sub(r"[^A-Za-z0-9;@_.+ -]", "_", name)[:120]
