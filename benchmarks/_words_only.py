"""A vector index that keeps nothing: for corpora that are only searched by words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langgraph_rlm.corpus.index import Found, Record


class WordsOnly:
    """Takes vectors and forgets them."""

    capabilities: frozenset[Any] = frozenset()

    def claim(self, embeddings: str, dimension: int) -> None:
        """Nothing to make."""

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Anything is fine."""

    def upsert(self, ids: Sequence[str], vectors: Any, texts: Any, metadatas: Any) -> None:
        """Forgotten."""

    def query(self, vector: Any, k: int, where: Any = None) -> list[Found]:
        """Nothing is near."""
        return []

    def delete(self, ids: Sequence[str]) -> None:
        """Nothing is there."""

    def existing(self, ids: Sequence[str]) -> set[str]:
        """None."""
        return set()

    def get(self, ids: Sequence[str]) -> list[Record]:
        """None."""
        return []

    def scroll(self, where: Any = None) -> Iterator[Record]:
        """None."""
        return iter(())

    def count(self) -> int:
        """None."""
        return 0

    def close(self) -> None:
        """Nothing to release."""
