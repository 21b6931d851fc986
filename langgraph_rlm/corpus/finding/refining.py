"""What happens to hits after they were ranked: a reranker, diversity, neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from langchain_core.documents import Document

from langgraph_rlm.corpus.embeddings import HashingEmbeddings
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.types import Hit

DEPTH = 4
"""Hits looked at per hit wanted, where they are ranked once more."""

_NUMBER = "rlm_hit"


@runtime_checkable
class Compressor(Protocol):
    """LangChain's ``BaseDocumentCompressor``."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        """Some of the documents, best first."""
        ...


Reranker = Compressor | Callable[[str, list[str]], Sequence[float]]
"""Ranks hits once more: a LangChain ``BaseDocumentCompressor``, or a function from query and texts to scores."""


def reranked(hits: list[Hit], query: str, reranker: Reranker) -> list[Hit]:
    """The hits in the reranker's order, with its scores; what a compressor leaves out is gone.

    Raises:
        InvalidInput: a function that gives another number of scores.
    """
    if isinstance(reranker, Compressor):
        documents = [
            Document(hit["text"], metadata={**hit["metadata"], _NUMBER: number}) for number, hit in enumerate(hits)
        ]
        kept = list(reranker.compress_documents(documents, query))
        ordered = [
            (hits[document.metadata[_NUMBER]], document.metadata.get("relevance_score", 1.0 / (rank + 1)))
            for rank, document in enumerate(kept)
        ]
    else:
        scores = list(reranker(query, [hit["text"] for hit in hits]))
        if len(scores) != len(hits):
            raise InvalidInput(f"reranker: {len(hits)} texts were given and {len(scores)} scores came back")
        ordered = sorted(zip(hits, scores, strict=True), key=lambda pair: -pair[1])
    return [_with_score(hit, float(score)) for hit, score in ordered]


def diversified(hits: list[Hit], k: int, diversity: float) -> list[Hit]:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): each next hit is good and unlike those before.

    Relevance is the rank, likeness is by the words and letters that two texts share, so that it costs no model call.

    Args:
        hits: best first.
        k: how many.
        diversity: 0 keeps the order, 1 looks at likeness alone.
    """
    if not hits or diversity == 0:
        return hits[:k]
    vectors = np.asarray(HashingEmbeddings(256).embed_documents([hit["text"] for hit in hits]))
    relevance = 1.0 / (1.0 + np.arange(len(hits)) / len(hits))
    likest = np.zeros(len(hits))
    chosen: list[int] = []
    left = np.ones(len(hits), bool)
    while len(chosen) < min(k, len(hits)):
        worth = np.where(left, (1 - diversity) * relevance - diversity * likest, -np.inf)
        best = int(np.argmax(worth))
        chosen.append(best)
        left[best] = False
        likest = np.maximum(likest, vectors @ vectors[best])
    return [hits[at] for at in chosen]


def joined(hits: list[Hit]) -> list[Hit]:
    """Hits that overlap after they were widened are one: the better one keeps its place, if it holds the other's text."""
    kept: list[Hit] = []
    for hit in hits:
        if not any(
            hit["doc_id"] == one["doc_id"] and one["start"] <= hit["start"] and hit["end"] <= one["end"] for one in kept
        ):
            kept.append(hit)
    return kept


def numbered(hits: list[Hit]) -> list[Hit]:
    """The hits with their ranks."""
    for rank, hit in enumerate(hits):
        hit["rank"] = rank
    return hits


def _with_score(hit: Hit, score: float) -> Hit:
    changed = hit.copy()
    changed["score"] = score
    return changed
