"""ChromaIndex: vectors in Chroma, embedded in this process (``pip install "langgraph-rlm[chroma]"``)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from langgraph_rlm.corpus.filters import comparisons, validate
from langgraph_rlm.corpus.index import MAX_BATCH, RESERVED_PREFIX, Found
from langgraph_rlm.errors import CorpusError, IndexMismatch, InvalidFilter, MissingDependency, StoreUnavailable

COLLECTION = "langgraph-rlm"

_ALWAYS_FALSE = {f"{RESERVED_PREFIX}doc_id": {"$eq": ""}}  # no document has an empty id


class ChromaIndex:
    """One collection of Chroma with cosine distance.

    Chroma compares a number only with numbers of its own type, so all numbers are kept as floats.

    Args:
        directory: where the collection lives, made when it is missing; None keeps it in memory.
        collection: its name.

    Raises:
        MissingDependency: chromadb is not installed.
        StoreUnavailable: the directory cannot be opened.

    Example:
        >>> index = ChromaIndex()  # doctest: +SKIP
        >>> index.upsert(["…"], [[0.1, 0.9]], ["text"], [{"path": "a.txt"}])  # doctest: +SKIP
    """

    def __init__(self, directory: Path | None = None, collection: str = COLLECTION) -> None:
        try:
            import chromadb
            from chromadb.config import Settings
        except ImportError as error:
            raise MissingDependency(
                f'a "chroma:" corpus needs chromadb ({error}): pip install "langgraph-rlm[chroma]"'
            ) from None
        self._pid = os.getpid()
        settings = Settings(anonymized_telemetry=False)
        with _mapped_errors(f"opening {directory or 'the collection'}"):
            if directory is None:
                self._client = chromadb.EphemeralClient(settings=settings)
                collection = f"{collection}-{uuid.uuid4().hex}"  # all clients in memory share one store
            else:
                directory.mkdir(parents=True, exist_ok=True)
                self._client = chromadb.PersistentClient(str(directory), settings=settings)
            self._opened = self._client.get_or_create_collection(
                collection, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )

    @classmethod
    def open(cls, location: str, directory: Path) -> ChromaIndex:
        """The collection of ``"chroma:PATH"``, inside the corpus' directory."""
        return cls(directory / "chroma")

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add or replace records, 1000 at a time. Metadata keys of an older record stay unless it is deleted first."""
        for at in range(0, len(ids), MAX_BATCH):
            batch = slice(at, at + MAX_BATCH)
            with _mapped_errors("writing"):
                self._collection.upsert(
                    ids=list(ids[batch]),
                    embeddings=np.asarray(vectors[batch], dtype=np.float32),
                    documents=list(texts[batch]),
                    metadatas=[{key: _stored(value) for key, value in one.items()} for one in metadatas[batch]],
                )

    def query(self, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """The nearest records, best first; the score is the cosine similarity."""
        translated = None
        if where:
            validate(where)
            translated = translate(where)
        with _mapped_errors("searching"):
            found = self._collection.query(
                query_embeddings=[vector], n_results=k, where=translated, include=["metadatas", "distances"]
            )
        distances, metadatas = found["distances"] or [[]], found["metadatas"] or [[]]
        rows = zip(found["ids"][0], distances[0], metadatas[0], strict=True)
        return [Found(id_, 1.0 - distance, _whole(metadata)) for id_, distance, metadata in rows]

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; unknown ids do no harm."""
        for at in range(0, len(ids), MAX_BATCH):
            with _mapped_errors("deleting"):
                self._collection.delete(ids=list(ids[at : at + MAX_BATCH]))

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids are there."""
        found: set[str] = set()
        for at in range(0, len(ids), MAX_BATCH):
            with _mapped_errors("reading"):
                found.update(self._collection.get(ids=list(ids[at : at + MAX_BATCH]), include=[])["ids"])
        return found

    def count(self) -> int:
        """Records in the collection."""
        with _mapped_errors("counting"):
            return int(self._collection.count())

    def close(self) -> None:
        """Release Chroma's files."""
        if self._pid == os.getpid():
            self._client.close()  # type: ignore[attr-defined]

    @property
    def _collection(self) -> Any:
        if self._pid != os.getpid():  # Chroma's threads are not there: it would wait for them for ever
            raise StoreUnavailable("chroma was opened before this process was forked: open the corpus after the fork")
        return self._opened


def translate(where: Mapping[str, Any]) -> dict[str, Any] | None:
    """A filter in Chroma's dialect: one operator per dict, joined by ``$and``; None when it lets everything pass.

    Raises:
        InvalidFilter: an order of texts, which Chroma does not know.
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
    if operator not in ("$in", "$nin"):
        if operator not in ("$eq", "$ne") and isinstance(bound, str):
            raise InvalidFilter(f"where[{key!r}]: Chroma cannot order texts by {operator}")
        return {key: {operator: _stored(bound)}}
    by_type: dict[type, list[Any]] = {}
    for value in map(_stored, bound):
        by_type.setdefault(type(value), []).append(value)
    parts = [{key: {operator: values}} for values in by_type.values()]  # a list may hold one type only
    if parts:
        return _joined("$or" if operator == "$in" else "$and", parts)
    return dict(_ALWAYS_FALSE) if operator == "$in" else None


def _joined(operator: str, parts: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 and parts[0] is not None else {operator: list(parts)}


def _stored(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _whole(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that were whole, as they were."""
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in metadata.items()
    }


@contextmanager
def _mapped_errors(doing: str) -> Iterator[None]:
    from chromadb import errors

    try:
        yield
    except (errors.InvalidArgumentError, errors.InvalidDimensionException) as error:
        kind = IndexMismatch if "dimension" in str(error).lower() else CorpusError
        raise kind(f"chroma, {doing}: {error}") from error
    except errors.NotFoundError as error:
        raise CorpusError(f"chroma, {doing}: the collection is gone ({error}); add the documents again") from error
    except (errors.ChromaError, OSError) as error:
        raise StoreUnavailable(
            f"chroma, {doing}: {error}. Another process may be writing to it, or its files are damaged"
        ) from error
