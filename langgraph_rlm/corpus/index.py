"""The seam under which vector stores live: what a corpus needs of one, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from langgraph_rlm.errors import InvalidInput

RESERVED_PREFIX = "rlm_"
"""Of the metadata keys that are ours: ``rlm_doc_id``, ``rlm_digest``, ``rlm_start``, ``rlm_end``."""

MAX_BATCH = 1000
"""Records of one call."""

_GROUP = "langgraph_rlm.indexes"


class Found(NamedTuple):
    """A record near a vector."""

    id: str
    score: float
    """Similarity, higher is nearer; comparable only within one store."""
    metadata: dict[str, Any]
    """At least the reserved keys."""


class VectorIndex(Protocol):
    """A collection of vectors with chunk texts and flat metadata. Calls block and may come from several threads.

    Every method may raise ``StoreUnavailable`` (the store does not answer) and ``CorpusError`` (it refuses).
    """

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add records, or replace the vector and text of those whose id is there. Ids are UUIDs.

        Raises:
            IndexMismatch: vectors of another dimension than the collection's.
        """
        ...

    def query(self, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """The at most ``k`` nearest records that pass the filter (:mod:`langgraph_rlm.corpus.filters`), best first.

        Raises:
            IndexMismatch: a vector of another dimension than the collection's.
            InvalidFilter: the store cannot express the filter.
        """
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; ids that are not there do no harm."""
        ...

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids are there."""
        ...

    def count(self) -> int:
        """Records in the collection."""
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


class IndexFactory(Protocol):
    """What an entry point of the group ``langgraph_rlm.indexes`` names, usually the index class itself."""

    def open(self, location: str, directory: Path) -> VectorIndex:
        """Open or make the collection.

        Args:
            location: what follows the scheme in ``"scheme:location"``.
            directory: the corpus' own directory, for a store that lives in files.

        Raises:
            MissingDependency: the store's client is not installed; the message holds the command.
            StoreUnavailable: the store does not answer.
        """
        ...


def split_spec(spec: str) -> tuple[str, str]:
    """``"chroma:./index"`` → ``("chroma", "./index")``.

    Raises:
        InvalidInput: another form, or no store of this name is installed; the message lists those that are.
    """
    scheme, colon, location = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if not colon or not location.strip():
        raise InvalidInput(f'corpus: expected "store:location", e.g. "chroma:./index", got {spec!r}')
    _entry_point(scheme)
    return scheme, location


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


def _entry_point(scheme: str) -> EntryPoint:
    installed = entry_points(group=_GROUP)
    for found in installed:
        if found.name == scheme:
            return found
    known = ", ".join(sorted({f'"{point.name}:…"' for point in installed})) or "none"
    raise InvalidInput(f"corpus: no vector store {scheme!r} is installed; installed are {known}")
