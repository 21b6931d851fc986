"""The seam under which vector stores live: what a corpus needs of one, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import numpy as np

from langgraph_rlm.errors import InvalidInput, nearest
from langgraph_rlm.text.words import Words

RESERVED_PREFIX = "rlm_"
"""Of the metadata keys that are ours: ``rlm_doc_id``, ``rlm_digest``, ``rlm_start``, ``rlm_end``."""

TEXT, TENANT = f"{RESERVED_PREFIX}text", f"{RESERVED_PREFIX}tenant"
"""The keys of a record's text, in stores that have no place of their own for it, and of its tenant."""

STAMP = (f"{RESERVED_PREFIX}embeddings", f"{RESERVED_PREFIX}dimension")
"""Under these names a collection keeps what its vectors were made with."""

MAX_BATCH = 1000
"""Records of one call."""

PAGE = 1000
"""Records that a scroll asks for at a time."""

Capability = Literal["candidates", "bm25", "hybrid", "lag"]
"""What not every store has: ``candidates`` looks texts up by their substrings, ``bm25`` ranks by words, ``hybrid`` by words
and by vectors in one request, ``lag`` means that reads may miss what was just written."""

_NUMBER_BYTES = 24  # the longest float64 as JSON, with its comma and blank
_RECORD_BYTES = 200  # id and names of the fields
_GROUP, _ADAPTERS = "langgraph_rlm.indexes", "langgraph_rlm.adapters"


class Record(NamedTuple):
    """What is stored under an id, without its vector."""

    id: str
    text: str
    metadata: dict[str, Any]


class Found(NamedTuple):
    """A record near a vector."""

    id: str
    score: float
    """Similarity, higher is nearer; comparable only within one store."""
    metadata: dict[str, Any]
    """At least the reserved keys."""


class VectorIndex(Protocol):
    """A collection of vectors with chunk texts and flat metadata. Calls block and may come from several threads.

    Every method may raise ``StoreUnavailable`` (the store does not answer), ``CollectionMissing``,
    ``StoreAuthenticationFailed`` and ``CorpusError`` (it refuses). :class:`langgraph_rlm.testing.IndexConformance` is
    the suite of tests that an index has to pass; :class:`langgraph_rlm.stores.StoreIndex` is the way to write one.
    """

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this store has beyond the methods that every one has."""
        ...

    def claim(self, embeddings: str, dimension: int) -> None:
        """Make the collection when it is missing, and write into it what its vectors are made with.

        Raises:
            IndexMismatch: it was made with other embeddings, or (``DimensionMismatch``) for vectors of another length.
        """
        ...

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Refuse metadata that the store cannot keep, before anything is written.

        Raises:
            InvalidInput: what is too much of it.
        """
        ...

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add records, or replace the vector and text of those whose id is there. Ids are UUIDs.

        Raises:
            DimensionMismatch: vectors of another dimension than the collection's.
        """
        ...

    def query(self, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """The at most ``k`` nearest records that pass the filter (:mod:`langgraph_rlm.corpus.filters`), best first.

        Raises:
            DimensionMismatch: a vector of another dimension than the collection's.
            InvalidFilter: the store cannot express the filter.
        """
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; ids that are not there do no harm."""
        ...

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids are there."""
        ...

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records of these ids, in their order; those that are not there are left out."""
        ...

    def scroll(self, where: Mapping[str, Any] | None = None) -> Iterator[Record]:
        """All records that pass the filter, page by page, in no order."""
        ...

    def candidates(
        self, literals: Sequence[str], where: Mapping[str, Any] | None = None, *, ignore_case: bool = False
    ) -> Iterator[Record]:
        """Records whose text holds any of these strings, perhaps others too. Needs the capability of this name."""
        ...

    def bm25(self, text: str, k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """Ranked by words. Needs the capability of this name."""
        ...

    def hybrid(self, text: str, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """Ranked by words and by vector, fused by rank. Needs the capability of this name."""
        ...

    def count(self) -> int:
        """Records in the collection."""
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


class Address(NamedTuple):
    """Where a server's collection is."""

    transport: str
    """What follows the ``+`` of ``"qdrant+grpc://…"``; empty without one."""
    host: str
    port: int | None
    collection: str

    def __str__(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}" if self.port else self.host


class IndexFactory(Protocol):
    """What an entry point of the group ``langgraph_rlm.indexes`` names, usually the index class itself."""

    def open(self, location: str, directory: Path) -> VectorIndex:
        """Open or make the collection.

        Args:
            location: what follows the store's name in ``"store:location"`` or ``"store+transport://…"``.
            directory: the corpus' own directory, for a store that lives in files.

        Raises:
            MissingDependency: the store's client is not installed; the message holds the command.
            StoreUnavailable: the store does not answer.
        """
        ...


def floats(vector: Sequence[float]) -> list[float]:
    """A vector as Python's own numbers: embeddings may give numpy's, which no JSON knows.

    Example:
        >>> floats((1, 0.5))
        [1.0, 0.5]
    """
    return list(map(float, vector.tolist() if isinstance(vector, np.ndarray) else vector))


def record_bytes(vector: Sequence[float], text: str, metadata: Mapping[str, Any]) -> int:
    """About the most bytes that a record has as JSON."""
    letters = len(text) + len(text) // 8 if text.isascii() else 4 * len(text)
    return _NUMBER_BYTES * len(vector) + letters + 2 * len(repr(metadata)) + _RECORD_BYTES


def batches(
    vectors: Sequence[Sequence[float]],
    texts: Sequence[str],
    metadatas: Sequence[Mapping[str, Any]],
    most_bytes: int,
    most: int = MAX_BATCH,
) -> Iterator[slice]:
    """Runs of records that fit one request each, by their size as JSON; one that does not fit alone is alone."""
    start = size = 0
    for at, (vector, text, metadata) in enumerate(zip(vectors, texts, metadatas, strict=True)):
        own = record_bytes(vector, text, metadata)
        if at > start and (size + own > most_bytes or at - start >= most):
            yield slice(start, at)
            start, size = at, 0
        size += own
    if start < len(vectors):
        yield slice(start, len(vectors))


def split_spec(spec: str) -> tuple[str, str]:
    """``"chroma:./index"`` → ``("chroma", "./index")``; ``"qdrant+grpc://host/c"`` → ``("qdrant", "+grpc://host/c")``.

    Raises:
        InvalidInput: another form, or no store of this name is installed; the message lists those that are.
    """
    scheme, colon, location = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if not colon or not location.strip():
        raise InvalidInput(f'corpus: expected "store:location", e.g. "chroma:./index", got {spec!r}')
    name, plus, transport = scheme.partition("+")
    _entry_point(name)
    return name, f"+{transport}:{location}" if plus else location


def split_address(location: str) -> Address | None:
    """The parts of ``"//host:port/collection"``; None for a path, which is no server.

    Raises:
        InvalidInput: host or collection are missing, or the port is no number.

    Example:
        >>> split_address("//localhost:6333/papers")
        Address(transport='', host='localhost', port=6333, collection='papers')
    """
    transport, slashes, rest = location.partition("://") if location.startswith("+") else ("", "", location)
    if not slashes and not location.startswith("//"):
        if location.startswith("+"):
            raise InvalidInput(f'corpus: expected "store+transport://host:port/collection", got {location!r}')
        return None
    try:
        parts = urlsplit(f"//{rest}" if slashes else rest)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f'corpus: expected "store://host:port/collection", got {location!r} ({error})') from None
    collection = unquote(parts.path.strip("/"))
    if not parts.hostname or not collection or parts.username or parts.query:
        raise InvalidInput(f'corpus: expected "store://host:port/collection", got {location!r}')
    return Address(transport.removeprefix("+"), parts.hostname, port, collection)


def check_transport(store: str, transport: str, known: Sequence[str]) -> None:
    """Refuse what a store does not speak: a slip in ``https`` must not send a key in the clear.

    Raises:
        InvalidInput: naming it, and those that the store speaks.
    """
    if transport and transport not in known:
        spoken = ", ".join(f'"{store}+{one}://…"' for one in known) or f'"{store}://…" alone'
        raise InvalidInput(f"corpus: {store} speaks no {transport!r}{nearest(transport, known)}: expected {spoken}")


def open_index(spec: str, directory: Path) -> VectorIndex:
    """Open the vector index that a spec names, by the entry points of installed packages.

    Args:
        spec: ``"store:location"``.
        directory: the corpus' own directory.

    Raises:
        InvalidInput: the spec is not usable.
        MissingDependency: the store's client is not installed.
        StoreUnavailable: the store does not answer.
    """
    scheme, location = split_spec(spec)
    factory: IndexFactory = _entry_point(scheme).load()
    return factory.open(location, directory)


def is_index(given: Any) -> bool:
    """Whether something is a :class:`VectorIndex`."""
    return all(callable(getattr(given, name, None)) for name in ("claim", "upsert", "query", "existing", "scroll"))


def open_foreign(
    store: Any, *, directory: Any, tenant: str | None, words: Words | None = None, group_by: str | None = "source"
) -> Any:
    """A corpus over a LangChain ``VectorStore`` or ``BaseRetriever``.

    Raises:
        InvalidInput: it is neither, or was given what such a corpus cannot have.
    """
    if directory is not None or tenant is not None:
        raise InvalidInput(
            "corpus: a LangChain store keeps its own records and filters: directory= and tenant= are for stores that "
            "the corpus fills itself; narrow it with langgraph_rlm.integrations.langchain.wrap(store, filter=…)"
        )
    (adapter,) = entry_points(group=_ADAPTERS, name="langchain")
    return adapter.load()(store, words=words, group_by=group_by)


def _entry_point(scheme: str) -> EntryPoint:
    installed = entry_points(group=_GROUP)
    for found in installed:
        if found.name == scheme:
            return found
    names = sorted({point.name for point in installed})
    known = ", ".join(f'"{name}:…"' for name in names) or "none"
    raise InvalidInput(
        f"corpus: no vector store {scheme!r} is installed{nearest(scheme, names)}; installed are {known}"
    )
