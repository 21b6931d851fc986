"""The rules of the router: what a question's signs, its evidence in the corpus, the sizes and the limits make of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, cast

from langgraph_rlm.budget import LEAST_OUTPUT, Budget
from langgraph_rlm.calls.models import DEFAULT_WINDOW
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.detect import advise, room_of, tokens_of
from langgraph_rlm.graphs.retrieving import MANY, Reading, reading_for
from langgraph_rlm.graphs.routing.evidence import evidence_of, leaning
from langgraph_rlm.graphs.routing.weights import MORE, Weights, probability
from langgraph_rlm.graphs.signals import Signals, shortened, signals_of
from langgraph_rlm.types import Decision

SMALL_CORPUS_TOKENS = 8_000
"""A whole corpus below this costs no more to read than a few passages do."""
LEAST_CALLS = 3
"""Model calls that the recursive route takes: look, ask about a piece, answer."""
CALL_TOKENS = 3_000, LEAST_OUTPUT
"""Input and output tokens of such a call: instructions with some pages of output, and room for a short answer."""
HURRIED_SECONDS = 20
"""With less time than this a question has to be clearer to go to the recursive route."""
GREY = 1.1
"""Log-odds around the threshold in which the rules are not sure: probabilities from 1/4 to 3/4."""
SHIFT = {"cost": -1.25, "balanced": 0.0, "quality": 0.75}
_IN_A_HURRY = -1.5
"""Log-odds: with little time a question needs one strong sign more to go to the recursive route."""
_NOT_ENGLISH = "it does not read like English, whose signs alone are known"


class Means(NamedTuple):
    """What is left to answer a question with; None: no limit."""

    calls: int | None = None
    """Of the size that the recursive route's have, as far as calls, tokens and USD go."""
    seconds: float | None = None
    limit: str = "max_calls"
    """Which allows no more calls."""

    @classmethod
    def of(cls, budget: Budget, model: str) -> Self:
        """What a budget has left for calls of this model."""
        calls, limit = budget.calls_left(model, *CALL_TOKENS)
        return cls(calls, budget.seconds_left(), limit)


class Size(NamedTuple):
    """Of a context."""

    chars: int
    docs: int = 1
    """Texts; each has marks around it in a prompt."""


class Weighed(NamedTuple):
    """A question as the rules see it."""

    log_odds: float | None
    """Above the threshold; None when the sizes or the limits alone decide."""
    decision: Decision
    reading: dict[str, Any] = {}  # noqa: RUF012 - never changed
    """How RAG would read for it: ``mode`` and ``k``; empty without a corpus."""


_NO_LIMIT = Means()


@dataclass(frozen=True, slots=True)
class Rules:
    """Decides without any model.

    Args:
        weights: of the features.
        window: tokens that the answering model can read; None when it is not known.
        prefer: see :class:`SmartRouter`.
    """

    weights: Weights
    window: int | None
    prefer: Literal["cost", "balanced", "quality"]

    def weigh(
        self,
        question: str,
        *,
        context: Size | None = None,
        corpus: Corpus | None = None,
        where: dict[str, Any] | None = None,
        means: Means = _NO_LIMIT,
    ) -> Weighed:
        """What the rules say; blocks while it reads the corpus.

        Args:
            question: as the user asked it.
            context: size of the run's context, where there is one; a corpus is not looked at then.
            corpus: what RAG and the recursive route search.
            where: the request's filter on its documents.
            means: what is left to answer with.

        Raises:
            InvalidInput: the question is empty.
        """
        if not isinstance(question, str) or not question.strip():
            raise InvalidInput("the question is empty")
        signals = signals_of(question)
        features = dict(signals.features)
        if context is not None:
            features["context_tokens"] = float(tokens_of(*context))
            return self._of_context(signals, features, context)
        if corpus is not None:
            features |= _scope(corpus, where)
            tokens = features.get("corpus_tokens", math.inf)  # of an unknown size: too much at once
            if tokens <= min(SMALL_CORPUS_TOKENS, room_of(self.window or DEFAULT_WINDOW)) and not _counts(features):
                why = f"all documents together have about {tokens:,.0f} tokens: they are read at once"
                return _settled("direct", 1.0, [why], features)
            features |= evidence_of(corpus, question, where)
            reading = reading_for(corpus, shortened(question), where)
            return self._of_question(signals, features, means, reading, hops=corpus.keeps_names)
        return self._of_question(signals, features, means)

    def _of_context(self, signals: Signals, features: dict[str, float], size: Size) -> Weighed:
        if _counts(features):
            # Models miscount what they read; code does not, however short the text is.
            return _settled("rlm", 0.9, ["counting is for code, not for reading", *signals.reasons], features)
        advice = advise(size.chars, self.window, docs=size.docs)
        if advice.route is None:  # no window is known: the usual one
            advice = advise(size.chars, DEFAULT_WINDOW, docs=size.docs)
        reasons = list(advice.reasons) + (signals.reasons if advice.route == "rlm" else [])
        return _settled(cast(str, advice.route), advice.confidence, reasons, features)

    def _of_question(
        self,
        signals: Signals,
        features: dict[str, float],
        means: Means,
        reading: Reading | None = None,
        *,
        hops: bool = False,
    ) -> Weighed:
        if means.calls is not None and means.calls < LEAST_CALLS:
            few = "1 model call" if means.calls == 1 else f"{means.calls} model calls"
            are = "is" if means.calls == 1 else "are"
            left = (
                f"{few} {are} left" if means.limit == "max_calls" else f"what is left of {means.limit} pays for {few}"
            )
            why = f"{left}, and the recursive route takes {LEAST_CALLS} or more"
            options = {} if reading is None else reading.options()
            return _settled("rag", 1.0, [why], features, options)
        needs = log_odds = self.weights.above_threshold(features) + SHIFT[self.prefer]
        notes: list[str] = []
        if not signals.english:
            moved, note = _without_signs(log_odds, features)
            log_odds = moved
            notes.append(note)
        if reading is not None:
            if log_odds >= MORE and reading.k < MANY:
                reading = reading._replace(k=MANY, why="it may take more than a few passages")
            log_odds = min(needs, self.weights.beyond(features, hops=hops) + SHIFT[self.prefer])
            if log_odds < 0:  # the clearer that it takes more than a few passages, the less sure are the rules
                log_odds = max(log_odds, min(needs, -GREY / 2))
            if log_odds < 0 <= needs:
                notes.append(f"RAG reads {reading.k} passages for it, {reading.how()}")
        if means.seconds is not None and means.seconds < HURRIED_SECONDS:
            log_odds += _IN_A_HURRY
            notes.append(f"only {means.seconds:.0f} seconds are left")
        if _counts(features):
            log_odds = max(log_odds, GREY)  # passages do not tell how often something occurs
            notes.append("counting is for code, not for reading")
        route = "rlm" if log_odds >= 0 else "rag"
        reasons = notes + _reasons_for(route, signals, features)
        options = {} if reading is None else reading.options()
        decision = decided(route, probability(log_odds), reasons, features, options if route == "rag" else {})
        return Weighed(log_odds, decision, options)


def decided(
    route: str, chance: float, reasons: list[str], features: dict[str, float], options: dict[str, Any] | None = None
) -> Decision:
    """A decision whose confidence is how far the probability of the recursive route is from even."""
    sure = round(abs(chance - 0.5) * 2, 3)
    return Decision(
        route=route, options=options or {}, confidence=sure, reasons=reasons, features=features, escalated_from=None
    )


def _without_signs(log_odds: float, features: Mapping[str, float]) -> tuple[float, str]:
    """Log-odds of a question in another language, and the reason that says so."""
    if "fall_off" not in features:
        # Neither sure of the one nor of the other: a classifier may tell.
        return max(log_odds, -GREY / 2), f"{_NOT_ENGLISH}, and there is no corpus to ask"
    return log_odds + max(0.0, leaning(features)) / 2, f"{_NOT_ENGLISH}: the corpus decides"


def _settled(
    route: str, confidence: float, reasons: list[str], features: dict[str, float], options: dict[str, Any] | None = None
) -> Weighed:
    decision = Decision(
        route=route,
        options=options or {},
        confidence=confidence,
        reasons=reasons,
        features=features,
        escalated_from=None,
    )
    return Weighed(None, decision, options or {})


def _reasons_for(route: str, signals: Signals, features: Mapping[str, float]) -> list[str]:
    """Why, in words: the signs and the evidence that speak for the route, or what it is taken in spite of."""
    leaned = leaning(features)
    nowhere = features.get("unmatched") == 1.0
    why = (
        "no passage holds any of its words"
        if nowhere
        else "no passage stands out: its words score about the same in many"
    )
    flat = [why] if leaned > 0 else []
    steep = ["one passage stands out and holds what it names"] if leaned < 0 else []
    if route == "rlm":
        return [*signals.reasons, *flat] or ["it is not clear, and the recursive route is preferred"]
    in_spite = [f"although {reason}" for reason in signals.reasons[:1]]
    return [*steep, *in_spite] or ["it reads like a look-up: nothing asks for many documents or several steps"]


def _counts(features: Mapping[str, float]) -> bool:
    return bool(features.get("occurrences"))


def _scope(corpus: Corpus, where: dict[str, Any] | None) -> dict[str, float]:
    """How much the request may read, as far as the corpus knows."""
    seen = corpus.overview(where)
    if seen.chars is None:
        return {}
    documents = {} if seen.documents is None else {"documents": float(seen.documents)}
    return {"corpus_tokens": float(tokens_of(seen.chars, seen.documents or 0))} | documents
