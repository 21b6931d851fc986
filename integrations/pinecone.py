"""PineconeIndex: vectors or documents in a serverless index of Pinecone (``pip install "langgraph-rlm[pinecone]"``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langgraph_rlm.stores import (
    MAX_BATCH,
    RESERVED_PREFIX,
    STAMP,
    CollectionMissing,
    CorpusError,
    Dialect,
    Found,
    InvalidInput,
    MissingDependency,
    Record,
    StoreAuthenticationFailed,
    StoreIndex,
    StoreUnavailable,
    check_transport,
    floats,
    record_bytes,
    split_address,
)

from .pinecone_data import FETCHED_AT_ONCE, data_of

NAMESPACE = "langgraph-rlm"
MAX_BYTES = 2_000_000
"""Of one request."""
ATTEMPTS = 4
"""How often records are sent that did not arrive with the others."""


class PineconeDialect(Dialect[dict[str, Any]]):
    """Pinecone's own: one operator per dict, lists of str or of numbers, and ``$ne`` is about records that have the field."""

    nothing = {f"{RESERVED_PREFIX}doc_id": {"$eq": ""}}  # noqa: RUF012 - no document has an empty id

    def compared(self, key: str, operator: str, bound: Any) -> dict[str, Any]:
        """What lacks the field differs from everything."""
        if operator in ("$ne", "$nin"):
            differs = [{key: {"$ne": value}} for value in (bound if operator == "$nin" else [bound])]
            several = differs[0] if len(differs) == 1 else self.joined("$and", differs)
            return self.joined("$or", [{key: {"$exists": False}}, several])
        if operator == "$in" and isinstance(bound[0], bool):
            equal = [{key: {"$eq": value}} for value in bound]
            return equal[0] if len(equal) == 1 else self.joined("$or", equal)
        return {key: {operator: bound}}

    def joined(self, operator: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A list under the operator."""
        return {operator: list(parts)}


class PineconeIndex(StoreIndex[dict[str, Any]]):
    """One namespace of an index with cosine distance, which has to exist already.

    An index whose schema has a dense vector and a string with full-text search ranks by words too (the capability
    ``bm25``). One of vectors alone keeps the text of a chunk beside its metadata, where both fit into 40 KB, and has no
    search in it. Pinecone's numbers are floats: whole numbers from 2^53 on are kept as text beside them, and no filter can
    ask for one. It looks nothing up by substrings, and shows what was written only seconds, for documents up to a minute,
    later. An index is for one embeddings model.

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

    store = "pinecone"
    dialect = PineconeDialect(store)
    exact_numbers = False
    most_at_once = FETCHED_AT_ONCE

    def __init__(
        self, index: str, namespace: str = NAMESPACE, *, api_key: str | None = None, host: str | None = None
    ) -> None:
        try:
            from pinecone import Pinecone
        except ImportError as error:
            raise MissingDependency(
                f'a "pinecone:" corpus needs pinecone ({error}): pip install "langgraph-rlm[pinecone]"'
            ) from None
        super().__init__(f"index {index!r}", namespace)
        self._name = index
        with self._request("opening"):
            self._client = Pinecone(api_key=api_key, host=host)
            described = self._client.indexes.describe(index)
            self._index = self._client.index(host=described.host or "")
            self._data = data_of(self._index, namespace, described)
            self._dimension = described.dimension
        self.capabilities = self._data.capabilities

    @classmethod
    def open(cls, location: str, directory: Path) -> PineconeIndex:
        """The namespace of ``"pinecone://index/namespace"``."""
        address = split_address(location)
        if address is None:
            raise InvalidInput(f'corpus: expected "pinecone://index/namespace", got "pinecone:{location}"')
        check_transport(cls.store, address.transport, cls.transports)
        return cls(address.host, address.collection)

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Refuse more than 40 KB of metadata, and names that the index has for something else."""
        self._data.check(metadata)

    def _make(self, dimension: int) -> None:
        """The index is made by its owner, the namespace by the first record."""

    def _is_there(self) -> bool:
        return True

    def _stamp(self) -> Mapping[str, Any]:
        described = self._client.indexes.describe(self._name)
        return {STAMP[0]: dict(described.tags or {}).get(STAMP[0]), STAMP[1]: described.dimension}

    def _own_stamp(self, embeddings: str, dimension: int) -> dict[str, Any]:
        return super()._own_stamp(re.sub(r"[^A-Za-z0-9;@_.+ -]", "_", embeddings)[:120], dimension)  # as a tag may be

    def _set_stamp(self, stamp: Mapping[str, Any]) -> None:
        tags = dict(self._client.indexes.describe(self._name).tags or {})
        self._client.indexes.configure(self._name, tags={**tags, STAMP[0]: stamp[STAMP[0]]})

    def _batches(self, *columns: Sequence[Any]) -> Iterator[slice]:
        yield slice(None)  # the SDK cuts them, and sends several at once

    def _write(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """At most 1000 and 2 MB at a time; those that did not arrive are sent again."""
        largest = max(map(record_bytes, vectors, texts, metadatas))
        waiting: list[Any] = [
            self._data.row(id_, vector, text, metadata)
            for id_, vector, text, metadata in zip(ids, map(floats, vectors), texts, metadatas, strict=True)
        ]
        size = max(1, min(MAX_BATCH, MAX_BYTES // largest))
        for _ in range(ATTEMPTS):
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
        raise self.place.error(StoreUnavailable, "writing", what, "Add again: what arrived is not sent twice")

    def _near(self, vector: Sequence[float], k: int, where: dict[str, Any] | None) -> list[Found]:
        return self._data.near(floats(vector), k, where)

    def _worded(self, text: str, k: int, where: dict[str, Any] | None) -> list[Found]:
        return self._data.worded(text, k, where)

    def _fetch(self, ids: Sequence[str]) -> Iterator[Record]:
        return iter(self._data.fetch(ids).values())

    def _pages(self, where: dict[str, Any] | None) -> Iterator[Sequence[Record]]:
        if where is not None:
            return self._data.matching(where)
        return (list(self._fetch(ids)) for ids in self._data.listed())

    def _remove(self, ids: Sequence[str]) -> None:
        self._data.delete(ids)

    def _held(self, ids: Sequence[str]) -> Iterator[str]:
        return iter(self._data.held(ids))

    def _count(self) -> int:
        namespaces, name = self._index.describe_index_stats().namespaces, self.place.collection
        return int(namespaces[name].vector_count) if name in namespaces else 0

    def _close(self) -> None:
        self._index.close()
        self._client.close()

    def _error(self, doing: str, error: Exception) -> CorpusError | None:
        import pinecone as sdk

        says = getattr(error, "message", "") or str(error) or type(error).__name__
        match error:
            case sdk.UnauthorizedError() | sdk.ForbiddenError() | sdk.PineconeConfigurationError():
                return self._refused_key(doing, says)
            case sdk.NotFoundError():
                out = (
                    f'pc.indexes.create(name="{self._name}", dimension=…, metric="cosine", '
                    'spec=ServerlessSpec(cloud="aws", region="us-east-1")) makes one; corpus.add(documents) fills it'
                )
                return self.place.error(CollectionMissing, doing, says, out)
            case sdk.ApiError() if error.status_code == 429 or error.status_code >= 500:
                return self.place.error(StoreUnavailable, doing, error, "Try again later")
            case sdk.ApiError():
                return self.place.error(CorpusError, doing, error, "The request was refused as it stands")
            case sdk.PineconeValueError() | sdk.PineconeTypeError() if "api key" not in says.lower():
                return self.place.error(CorpusError, doing, says, "The client refused the request")
            case sdk.PineconeValueError() | sdk.PineconeTypeError():
                return self._refused_key(doing, says)
            case sdk.PineconeError() | OSError():
                return self.place.error(StoreUnavailable, doing, error, "Check the network, or try again")
        return None

    def _refused_key(self, doing: str, reason: str) -> StoreAuthenticationFailed:
        return self.place.error(StoreAuthenticationFailed, doing, reason, "Set PINECONE_API_KEY or give api_key=")
