"""What a corpus tells about a question before anything is answered: how far its word scores fall, and what they cover.

A look-up has one chunk that stands out and holds most of what the question names. A question whose evidence is spread over
several places, or is not there in its words, has many chunks that score about the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.graphs.signals import shortened
from langgraph_rlm.text.analyzer import Analyzer
from langgraph_rlm.text.words import Words
from langgraph_rlm.types import Hit

DEPTH = 20
"""Chunks that are looked at."""
NEAR = 8
"""Of them, those that classic RAG would read."""

_FALL, _COVER, _FLAT = 7.6, 1.8, 6.0
_MOST_FOR, _MOST_AGAINST = 1.0, -3.0


def evidence_of(corpus: Corpus, question: str, where: Mapping[str, Any] | None = None) -> dict[str, float]:
    """How a corpus answers a question's words; empty where it cannot be asked at once (a store that keeps no texts here).

    ``fall_off``: how far the 20th best chunk's score is below the best one's, 0 to 1. ``covered``: the share of the
    question's words that the best chunk holds; rare words count more. ``unmatched``: the share that none of the 20 holds.
    ``spread``: documents among the best eight, for each chunk. Takes one search by words.

    Args:
        corpus: that is searched.
        question: as the user asked it.
        where: a filter on the documents' metadata.
    """
    if not corpus.keeps_texts:
        return {}
    asked = shortened(question)
    hits = corpus.retrieve(asked, k=DEPTH, mode="bm25", where=None if where is None else dict(where))
    return _measured(_analyzer(), asked, hits)


def leaning(features: Mapping[str, float]) -> float:
    """Log-odds, from -3 to 1, that the evidence tells for the recursive route; 0 without evidence.

    The three constants are rounded from a fit on public questions with known evidence (``benchmarks/routing.py``).
    Scores that fall little are no sign on their own: that RAG finds nothing shows when it has answered.
    """
    if "fall_off" not in features:
        return 0.0
    leaned = _FLAT - _FALL * features["fall_off"] - _COVER * features["covered"]
    return min(_MOST_FOR, max(_MOST_AGAINST, leaned))


def _measured(analyzer: Analyzer, question: str, hits: Sequence[Hit]) -> dict[str, float]:
    words = list(analyzer.asked(question).weights)
    if not hits or not words:
        return {"fall_off": 0.0, "covered": 0.0, "unmatched": 1.0, "spread": 0.0}
    held = [set(analyzer.tokens(hit["text"])) for hit in hits]
    rarity = {word: math.log1p(DEPTH / (0.5 + sum(word in tokens for tokens in held))) for word in words}
    total, near = sum(rarity.values()), hits[:NEAR]
    last = hits[DEPTH - 1]["score"] if len(hits) >= DEPTH else 0.0
    return {
        "fall_off": 1.0 - last / hits[0]["score"] if hits[0]["score"] > 0 else 0.0,
        "covered": sum(rarity[word] for word in words if word in held[0]) / total,
        "unmatched": sum(rarity[word] for word in words if not any(word in tokens for tokens in held)) / total,
        "spread": len({hit["doc_id"] for hit in near}) / len(near),
    }


@cache
def _analyzer() -> Analyzer:
    return Analyzer(Words())
