"""StoreIndex: what every vector store has in common, so that a store is left with its own requests and its dialect."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from langgraph_rlm.corpus.dialects import Dialect, F
from langgraph_rlm.corpus.filters import Where, inexact, matches, validate, widened
from langgraph_rlm.corpus.finding.fusion import fusion_depth
from langgraph_rlm.corpus.index import (
    MAX_BATCH,
    STAMP,
    Address,
    Capability,
    Found,
    Record,
    batches,
    check_transport,
)
from langgraph_rlm.errors import (
    CollectionMissing,
    CorpusError,
    DimensionMismatch,
    IndexMismatch,
    InvalidFilter,
    InvalidInput,
    RLMError,
    StoreUnavailable,
    is_panic,
)

E = TypeVar("E", bound=CorpusError)


class StoreIndex(ABC, Generic[F]):
    """A :class:`langgraph_rlm.corpus.index.VectorIndex` over the requests of one store.

    The methods that a corpus calls are here, in the order of the seam: they refuse what the store cannot do, cut what
    is too much for one request, and turn the client's exceptions into those of :mod:`langgraph_rlm.errors`. A store
    implements the methods below them, each of which is one request, and may raise whatever its client raises.

    A filter on numbers that a float64 does not hold exactly is sent in a wider form, and what comes back is compared
    once more here, exactly. A process that was forked since the index was opened is refused: connections and threads
    of clients do not come along.

    Args:
        address: of a server, or what stands for it in messages (a directory, ``memory``).
        collection: the name of the collection, index or namespace.

    Raises:
        InvalidInput: the transport of the address is not one of the store's.

    A store of its own, beside a ``Dialect`` for its filters::

            class MyIndex(StoreIndex[dict]):
                store, dialect = "mine", MyDialect("mine")
    """

    store: ClassVar[str]
    """The name of the store: in ``"store:location"``, in messages and as a field of errors."""
    dialect: ClassVar[Dialect[Any]]
    """How it writes filters."""
    transports: ClassVar[tuple[str, ...]] = ()
    """What may follow the ``+`` of ``"store+transport://…"``."""
    capabilities: frozenset[Capability] = frozenset()
    """What this store has beyond the methods that every one has."""
    exact_numbers: ClassVar[bool] = True
    """Whether whole numbers of 64 bits come back as they were written; else a filter on them is refused."""
    most_at_once: ClassVar[int] = MAX_BATCH
    """Ids of one request."""
    most_bytes: ClassVar[int | None] = None
    """Of one request that writes; None where it does not matter."""

    def __init__(self, address: Address | str, collection: str) -> None:
        if isinstance(address, Address):
            check_transport(self.store, address.transport, self.transports)
        self.place = Place(self.store, str(address), collection)
        self._lock: AbstractContextManager[Any] = nullcontext()  # for a client that only one thread may use
        self._dimension: int | None = None
        self._pid = os.getpid()

    # --- what a corpus calls --------------------------------------------------------------------------------------

    def claim(self, embeddings: str, dimension: int) -> None:
        """Make the collection, or check that it was made for these vectors."""
        with self._request("claiming"):
            self._make(dimension)
            stamp, own = dict(self._stamp()), self._own_stamp(embeddings, dimension)
        if refused := self.place.made_with(stamp, own[STAMP[0]], dimension):
            raise refused
        if any(stamp.get(key) is None for key in own):
            with self._request("claiming"):
                self._set_stamp(own)
        self._dimension = dimension

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Refuse metadata that the store cannot keep; most keep all that is flat."""

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add or replace records, in requests of the size that the store takes. Of equal ids the last one counts."""
        if not len(ids) == len(vectors) == len(texts) == len(metadatas):
            sizes = f"{len(ids)} ids, {len(vectors)} vectors, {len(texts)} texts and {len(metadatas)} metadatas"
            raise InvalidInput(f"upsert: one of each is needed for every record, got {sizes}")
        if len(places := {id_: at for at, id_ in enumerate(ids)}) < len(ids):
            last = sorted(places.values())
            ids, texts, metadatas = ([column[at] for at in last] for column in (ids, texts, metadatas))  # type: ignore[assignment]
            vectors = [vectors[at] for at in last]
        if not ids:
            return
        with self._request("writing"):
            if self._dimension is None:
                self._make(len(vectors[0]))
            self._check_dimension("writing", *vectors)
        for batch in self._batches(vectors, texts, metadatas):
            with self._request("writing"):
                self._write(ids[batch], vectors[batch], texts[batch], metadatas[batch])

    def query(self, vector: Sequence[float], k: int, where: Where | None = None) -> list[Found]:
        """The nearest records, best first; the score is the cosine similarity."""
        narrow, exact = self._asked(where)
        with self._request("searching"):
            self._check_dimension("searching", vector)
        return self._best(lambda depth: self._near(vector, depth, narrow), k, exact)

    def bm25(self, text: str, k: int, where: Where | None = None) -> list[Found]:
        """Ranked by words, with the capability ``bm25``."""
        self._need("bm25", "no ranking by words in the store", "Use corpus.retrieve")
        narrow, exact = self._asked(where)
        return self._best(lambda depth: self._worded(text, depth, narrow), k, exact)

    def hybrid(self, text: str, vector: Sequence[float], k: int, where: Where | None = None) -> list[Found]:
        """Ranked by words and by vector in one request, with the capability ``hybrid``."""
        self._need("hybrid", "no hybrid ranking in the store", "Use corpus.retrieve")
        narrow, exact = self._asked(where)
        with self._request("searching"):
            self._check_dimension("searching", vector)
        return self._best(lambda depth: self._fused(text, vector, depth, fusion_depth(depth), narrow), k, exact)

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records of these ids, in their order."""
        found: dict[str, Record] = {}
        for at in range(0, len(ids), self.most_at_once):
            with self._request("reading"):
                found.update((record.id, record) for record in self._fetch(ids[at : at + self.most_at_once]))
        return [found[id_] for id_ in ids if id_ in found]

    def scroll(self, where: Where | None = None) -> Iterator[Record]:
        """All records that pass the filter, page by page."""
        narrow, exact = self._asked(where)
        return self._read(self._pages(narrow), exact)

    def candidates(
        self, literals: Sequence[str], where: Where | None = None, *, ignore_case: bool = False
    ) -> Iterator[Record]:
        """Records that may hold one of these strings, with the capability ``candidates``."""
        self._need("candidates", "no search in texts", "Give the corpus its directory")
        narrow, exact = self._asked(where)
        return self._read(self._holding(literals, narrow, ignore_case), exact)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; unknown ids do no harm."""
        for at in range(0, len(ids), self.most_at_once):
            with self._request("deleting"):
                if self._is_there():
                    self._remove(ids[at : at + self.most_at_once])

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids are there."""
        found: set[str] = set()
        for at in range(0, len(ids), self.most_at_once):
            with self._request("reading"):
                if self._is_there():
                    found.update(self._held(ids[at : at + self.most_at_once]))
        return found

    def count(self) -> int:
        """Records in the collection."""
        with self._request("counting"):
            return self._count() if self._is_there() else 0

    def close(self) -> None:
        """Release files and connections; in a process that was forked since, they are those of the other one."""
        if self._pid == os.getpid():
            self._close()

    # --- what a store implements, each one request ----------------------------------------------------------------

    @abstractmethod
    def _make(self, dimension: int) -> None:
        """Make the collection where it is missing. Another thread or process may be making it now."""

    @abstractmethod
    def _is_there(self) -> bool:
        """Whether there is a collection; of a store where its owner makes it, True."""

    @abstractmethod
    def _stamp(self) -> Mapping[str, Any]:
        """What the collection says under the two keys of ``STAMP``: names of embeddings and their dimension, if it does."""

    @abstractmethod
    def _set_stamp(self, stamp: Mapping[str, Any]) -> None:
        """Write it beside what else the collection has."""

    @abstractmethod
    def _write(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add or replace records; no id comes twice."""

    @abstractmethod
    def _near(self, vector: Sequence[float], k: int, where: F | None) -> list[Found]:
        """The nearest records, with all of their metadata where ``exact_numbers`` holds."""

    def _worded(self, text: str, k: int, where: F | None) -> list[Found]:
        """The best records by words, with the capability ``bm25``."""
        raise NotImplementedError

    def _fused(self, text: str, vector: Sequence[float], k: int, depth: int, where: F | None) -> list[Found]:
        """The best of the ``depth`` best by words and by vector each, with the capability ``hybrid``."""
        raise NotImplementedError

    @abstractmethod
    def _fetch(self, ids: Sequence[str]) -> Iterator[Record]:
        """Those of these records that are there, in any order."""

    @abstractmethod
    def _pages(self, where: F | None) -> Iterator[Sequence[Record]]:
        """All records that pass the filter, one request for each page."""

    def _holding(self, literals: Sequence[str], where: F | None, ignore_case: bool) -> Iterator[Sequence[Record]]:
        """Pages of the records that hold one of these strings, with the capability ``candidates``."""
        raise NotImplementedError

    @abstractmethod
    def _remove(self, ids: Sequence[str]) -> None:
        """Remove records of a collection that is there."""

    @abstractmethod
    def _held(self, ids: Sequence[str]) -> Iterator[str]:
        """Which of these ids are in a collection that is there."""

    @abstractmethod
    def _count(self) -> int:
        """Records of a collection that is there."""

    @abstractmethod
    def _close(self) -> None:
        """Release files and connections."""

    @abstractmethod
    def _error(self, doing: str, error: Exception) -> CorpusError | None:
        """The error of ours for one of the client's, made by :class:`Place`; None for what is not the client's."""

    # --- how they go together -------------------------------------------------------------------------------------

    @contextmanager
    def _request(self, doing: str) -> Iterator[None]:
        if self._pid != os.getpid():  # its threads are not there, its sockets are shared: it could wait for ever
            what = "it was opened before this process was forked"
            raise self.place.error(StoreUnavailable, doing, what, "Open the corpus after the fork")
        try:
            with self._lock:
                yield
        except RLMError:
            raise
        except BaseException as error:
            ours: CorpusError | None = None
            if is_panic(error):
                out = "Its files may be damaged: put them back from a copy, or index the documents again elsewhere"
                ours = self.place.error(StoreUnavailable, doing, error, out)
            elif isinstance(error, Exception):
                ours = self._error(doing, error)
            if ours is None:
                raise
            if isinstance(ours, CollectionMissing):
                self._dimension = None
            raise ours from error

    def _asked(self, where: Where | None) -> tuple[F | None, Where | None]:
        """The filter in the store's dialect, and what is to be compared once more where the store does not compare exactly."""
        if not where:
            return None, None
        validate(where)
        if (number := inexact(where)) is None:
            return self.dialect.translated(where), None
        if not self.exact_numbers:
            raise InvalidFilter(
                f"where: {number!r} has no exact place among {self.store}'s numbers, which are float64 and tell whole numbers "
                "apart below 2^53: keep such ids as str, or open the corpus with its directory"
            )
        return self.dialect.translated(widened(where)), where

    def _best(self, find: Callable[[int], list[Found]], k: int, exact: Where | None) -> list[Found]:
        depth = k
        while True:
            with self._request("searching"):
                found = find(depth)
            if exact is None:
                return found
            passing = [one for one in found if matches(exact, one.metadata)]
            if len(passing) >= k or len(found) < depth:
                return passing[:k]
            depth *= 4

    def _read(self, pages: Iterator[Sequence[Record]], exact: Where | None) -> Iterator[Record]:
        while True:
            with self._request("reading"):
                page = next(pages, None)
            if page is None:
                return
            yield from page if exact is None else (record for record in page if matches(exact, record.metadata))

    def _batches(
        self, vectors: Sequence[Sequence[float]], texts: Sequence[str], metadatas: Sequence[Mapping[str, Any]]
    ) -> Iterator[slice]:
        if self.most_bytes is not None:
            return batches(vectors, texts, metadatas, self.most_bytes, self.most_at_once)
        return (slice(at, at + self.most_at_once) for at in range(0, len(vectors), self.most_at_once))

    def _own_stamp(self, embeddings: str, dimension: int) -> dict[str, Any]:
        return dict(zip(STAMP, (embeddings, dimension), strict=True))

    def _check_dimension(self, doing: str, *vectors: Sequence[float]) -> None:
        if self._dimension is None:
            held = self._stamp().get(STAMP[1])
            self._dimension = int(held) if isinstance(held, int | float) else None
        self.place.check_dimension(doing, self._dimension, *vectors)

    def _need(self, capability: Capability, what: str, way_out: str) -> None:
        if capability not in self.capabilities:
            raise self.place.error(CorpusError, "searching", what, way_out)


class Place(NamedTuple):
    """What every message about a store names, and every error has as its fields."""

    store: str
    address: str
    collection: str

    def error(self, kind: type[E], doing: str, what: object, way_out: str) -> E:
        """An error that says where, at what, what happened, what to do."""
        says = f"{self.store} at {self.address}, collection {self.collection!r}, {doing}: {what}. {way_out}"
        return kind(says, **self._asdict())

    def missing(self, doing: str) -> CollectionMissing:
        """The collection is not there."""
        out = "corpus.add(documents) makes it, and puts back what it held"
        return self.error(CollectionMissing, doing, "there is no such collection", out)

    def wrong_dimension(self, doing: str, what: object) -> DimensionMismatch:
        """Vectors of another length than the collection holds."""
        return self.error(
            DimensionMismatch, doing, what, "Give the embeddings that it was made with, or another collection"
        )

    def check_dimension(self, doing: str, held: int | None, *vectors: Sequence[float]) -> None:
        """Refuse vectors of another length than the collection holds.

        Raises:
            DimensionMismatch: naming both.
        """
        for given in set(map(len, vectors)) - {held} if held is not None else ():
            raise self.wrong_dimension(doing, f"it holds vectors of dimension {held}, not {given}")

    def made_with(self, stamp: Mapping[str, Any], embeddings: str, wanted: int) -> IndexMismatch | None:
        """The error when a collection was made with other embeddings than those of a corpus; None when it fits."""
        stamped, dimension = map(stamp.get, STAMP)
        if isinstance(dimension, int | float) and dimension != wanted:
            what = f"it holds vectors of dimension {dimension:g}, {embeddings!r} gives {wanted}"
            return self.wrong_dimension("claiming", what)
        if isinstance(stamped, str) and stamped != embeddings:
            what = f"it was made with the embeddings {stamped!r}, the corpus has {embeddings!r}"
            out = "Give the embeddings that it was made with, or another collection"
            return self.error(IndexMismatch, "claiming", what, out)
        return None
