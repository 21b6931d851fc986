"""What a question may cost before it is asked: calls, tokens, USD and seconds of each route, from the least to the most.

No model is asked and nothing is searched: bounds come from sizes, from the limits and from what is known of the models. The
true figure of a route lies between them, mostly near the lower one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from typing_extensions import TypedDict

from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.calls.usage import estimated_tokens
from langgraph_rlm.corpus.own import OwnCorpus
from langgraph_rlm.graphs.detect import Measured, room_of, tokens_of
from langgraph_rlm.graphs.shared import Shared
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices, price_usd
from langgraph_rlm.runs.corpora import CorpusLike

_SHORT_PROMPT, _LONG_PROMPT = 300, 1_500
"""Tokens of a route's instructions: of the shortest and of the longest in ``graphs/prompts.py``."""
_SHORT_ANSWER = 50
"""Tokens."""
_DENSE = 4
"""Tokens are estimated as four characters each; texts of some languages have as many tokens as characters."""
_SHORT_PASSAGE, _LONG_PASSAGE = 200, 1_000
"""Characters of a retrieved passage: a short one; and the default chunk size with what it repeats of its neighbour."""
_FAST, _SLOW = 300, 10
"""Tokens written in a second, by a fast host and by a machine without a GPU: wide on purpose, for nothing is measured here."""
_FEWEST_TURNS = 2
"""Of a recursive run: one cell that looks, one that answers."""


class Bounds(TypedDict):
    """From ``low`` to ``high``; None where it is not known, or not limited."""

    low: float | None
    high: float | None


class RouteEstimate(TypedDict):
    """What one route may take: model calls, tokens read and written by all of them, USD, seconds of the models."""

    calls: Bounds
    tokens: Bounds
    cost_usd: Bounds
    seconds: Bounds


class Estimate(TypedDict):
    """One entry for each route that could answer the question."""

    routes: dict[str, RouteEstimate]


class _Work(NamedTuple):
    """So many calls, and the tokens that all of them read and write; infinite where nothing limits them."""

    calls: float
    read: float
    written: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimating:
    """Makes the estimates of one graph.

    Args:
        root: answers.
        sub: answers sub-calls.
        limits: of one question.
        prices: the user's own.
        routes: names of those built-in routes that the graph has.
        passages: that classic RAG retrieves at most.
        graders: models that are asked whether an answer of classic RAG is supported.
        corpus: what is searched: its size is looked up where that asks no store.
    """

    root: ModelCaller
    sub: ModelCaller
    limits: Limits
    routes: Sequence[str]
    prices: Prices | None = None
    passages: int = 0
    graders: int = 0
    corpus: CorpusLike | None = None

    @classmethod
    def made(cls, shared: Shared, *routes: str, passages: int = 0, graders: int = 0) -> Self:
        """For a graph with these routes."""
        return cls(
            root=shared.root, sub=shared.sub, limits=shared.accounts.limits, prices=shared.accounts.prices, routes=routes,
            passages=passages, graders=graders, corpus=shared.corpus,
        )  # fmt: skip

    def of(
        self, question: str, context: Measured | None = None, limits: Limits | Mapping[str, Any] | None = None
    ) -> Estimate:
        """The estimate for a question.

        Args:
            question: as it would be asked.
            context: what comes with it; the corpus is read when None.
            limits: of the request: they narrow the graph's.
        """
        allowed, asked = self.limits.narrowed(limits), estimated_tokens(question)
        works = {
            "direct": self._direct(asked, context),
            "rag": None if context is not None else self._rag(asked),  # a context is read, not searched
            "rlm": self._rlm(asked, allowed),
        }
        routes = ((name, works.get(name)) for name in self.routes)
        return Estimate(routes={name: self._bounded(*work, allowed) for name, work in routes if work is not None})

    def _direct(self, asked: int, context: Measured | None) -> tuple[_Work, _Work] | None:
        chars = self._corpus_chars() if context is None else context.chars
        if chars is None or (tokens := tokens_of(chars, context.docs if context else 1)) > room_of(self.root.window):
            return None  # not known, or it does not fit and the route is not taken
        most = min(_LONG_PROMPT + asked + tokens * _DENSE, self.root.window)
        return _Work(1, _SHORT_PROMPT + asked + tokens, _SHORT_ANSWER), _Work(1, most, self.root.most_output)

    def _corpus_chars(self) -> int | None:
        return self.corpus.total_chars() if isinstance(self.corpus, OwnCorpus) else None

    def _rag(self, asked: int) -> tuple[_Work, _Work]:
        most = min(_LONG_PROMPT + asked + tokens_of(self.passages * _LONG_PASSAGE) * _DENSE, self.root.window)
        calls = 1 + self.graders
        return (
            _Work(1, _SHORT_PROMPT + asked + tokens_of(_SHORT_PASSAGE), _SHORT_ANSWER),
            _Work(calls, calls * most, calls * self.root.most_output),
        )

    def _rlm(self, asked: int, limits: Limits) -> tuple[_Work, _Work]:
        calls = math.inf if limits.max_calls is None else limits.max_calls
        window = max(self.root.window, self.sub.window)
        written = max(self.root.most_output, self.sub.most_output)
        return (
            _Work(_FEWEST_TURNS, _FEWEST_TURNS * (_LONG_PROMPT + asked), _FEWEST_TURNS * _SHORT_ANSWER),
            _Work(calls, calls * window, calls * written),
        )

    def _bounded(self, least: _Work, most: _Work, limits: Limits) -> RouteEstimate:
        low, high = self._usd(least, self.root), max(self._usd(most, self.root), self._usd(most, self.sub))
        priced = not math.isnan(low)  # a limit in USD does not hold for a model without a price
        return RouteEstimate(
            calls=_within(least.calls, most.calls, limits.max_calls),
            tokens=_within(least.read + least.written, most.read + most.written, limits.max_tokens),
            cost_usd=_within(low, high, limits.max_cost_usd) if priced else Bounds(low=None, high=None),
            seconds=_within(least.written / _FAST, most.written / _SLOW, limits.max_seconds),
        )

    def _usd(self, work: _Work, model: ModelCaller) -> float:
        """Infinite for endless work, not a number for a model without a price."""
        one = price_usd(model.name, 1_000_000, 0, prices=self.prices)
        if one is None or math.isinf(work.read):
            return math.nan if one is None else math.inf
        return price_usd(model.name, int(work.read), int(work.written), prices=self.prices) or 0.0


def _within(low: float, high: float, limit: float | None) -> Bounds:
    """Both bounds, not above the limit."""
    most = math.inf if limit is None else limit
    high = min(high, most)
    return Bounds(low=round(min(low, most), 6), high=None if math.isinf(high) else round(high, 6))
