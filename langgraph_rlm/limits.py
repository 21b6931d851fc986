"""What a run may spend, what it has spent, and what is left.

``Limits`` is what the user allows, ``Usage`` what was spent, and a ``Budget`` joins the two for one run: every model
call asks it for room before it is sent and reports to it afterwards. One budget serves the whole tree of calls.
"""

from __future__ import annotations

import copy
import math
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from langgraph_rlm.errors import BudgetExceeded, DeadlineExceeded, InvalidInput
from langgraph_rlm.types import ModelUsage, Usage

CHARS_PER_TOKEN = 4
"""Used only where a server reports no usage, and to weigh a prompt before it is sent."""


class UnknownPriceWarning(UserWarning):
    """A model has no known price, so that ``max_cost_usd`` cannot hold it; tokens and calls still do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one question may use; None means no limit. A request may narrow them, never widen them.

    Args:
        max_turns: rounds of think → execute of the root model.
        max_depth: 0 no sub-calls at all; 1 ``rlm_query`` asks the sub-model directly; 2 and more recursive children.
        max_calls: model calls of the whole tree.
        max_tokens: input and output tokens of the whole tree.
        max_cost_usd: USD of the whole tree, for models whose price is known.
        max_seconds: seconds at work; pauses between a checkpoint and its resume do not count.
        max_concurrency: sub-calls in flight at once in the whole tree; as many children of each depth.
        cell_timeout: seconds one cell may run, without the time it waits for host calls.
        output_chars: characters of a cell's output that are kept.

    Example:
        >>> Limits(max_cost_usd=0.5).narrowed({"max_turns": 5}).max_turns
        5
    """

    max_turns: int = 20
    max_depth: int = 1
    max_calls: int | None = 500
    max_tokens: int | None = None
    max_cost_usd: float | None = 1.0
    max_seconds: float | None = 600
    max_concurrency: int = 32
    cell_timeout: float = 60.0
    output_chars: int = 8_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InvalidInput(f"limits: {field.name} must be a number, not {value!r}")
            if isinstance(value, float) and not math.isfinite(value):  # no sum is ever above NaN: it would not limit
                raise InvalidInput(f"limits: {field.name} must be a finite number, not {value!r}")
            if field.name in _WHOLE and not isinstance(value, int):
                raise InvalidInput(f"limits: {field.name} must be a whole number, not {value!r}")
            least = 0 if field.name in _MAY_BE_ZERO else 1 if field.name in _WHOLE else None
            if (value <= 0) if least is None else (value < least):
                bound = "above 0" if least is None else f"at least {least}"
                raise InvalidInput(f"limits: {field.name} must be {bound}, not {value!r}")

    def narrowed(self, wanted: Mapping[str, Any] | None) -> Limits:
        """These limits with the narrower of both values wherever ``wanted`` names one.

        Raises:
            InvalidInput: an unknown name or an unusable value.
        """
        if not wanted:
            return self
        if not isinstance(wanted, Mapping):
            raise InvalidInput(f"limits: expected a mapping of names to numbers, got {type(wanted).__name__}")
        known = asdict(self)
        if unknown := sorted(set(wanted) - set(known)):
            raise InvalidInput(f"limits: unknown {', '.join(map(repr, unknown))}; known are {', '.join(known)}")
        asked = replace(self, **dict(wanted))  # validates the values
        narrower: dict[str, Any] = {name: _narrower(known[name], getattr(asked, name)) for name in wanted}
        return replace(self, **narrower)


_OPTIONAL = {"max_calls", "max_tokens", "max_cost_usd", "max_seconds"}
_WHOLE = {"max_turns", "max_depth", "max_calls", "max_tokens", "max_concurrency", "output_chars"}
_MAY_BE_ZERO = {"max_depth", "max_calls", "max_tokens", "max_cost_usd"}


def _narrower(mine: float | None, wanted: float | None) -> float | None:
    if mine is None or wanted is None:
        return wanted if mine is None else mine
    return min(mine, wanted)


def no_usage() -> Usage:
    """The usage of a run that has spent nothing yet."""
    return Usage(
        calls=0,
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
        seconds=0.0,
        estimated=False,
        by_model={},
    )


def price_usd(model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
    """USD for these tokens by the public price lists of ``genai-prices``; None for a model they do not know.

    Args:
        model: its name, with or without the provider: ``"gpt-5-mini"``, ``"openai:gpt-5-mini"``.
        input_tokens: all input tokens, the cached ones included.
        output_tokens: output tokens.
        cached_tokens: the part of the input that was read from the provider's prompt cache.
    """
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    provider, _, name = model.rpartition(":")
    tokens = Tokens(input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached_tokens or None)
    try:
        return float(calc_price(tokens, model_ref=name, provider_id=provider or None).total_price)
    except LookupError:
        return None


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room for one call that is in flight. Hand it to :meth:`Budget.settle` or :meth:`Budget.release`."""

    model: str
    tokens: int
    cost_usd: float


class Budget:
    """The limits of one run and what of them is used; safe to share between threads and tasks.

    A call in flight counts with its own prompt, so that a wide batch stops where the limit is and not after it.

    Args:
        limits: what is allowed.
        spent: what was used before, for a run that goes on.
    """

    def __init__(self, limits: Limits, spent: Usage | None = None) -> None:
        self.limits = limits
        self._spent = no_usage() if spent is None else copy.deepcopy(spent)
        self._flying_calls = self._flying_tokens = 0
        self._flying_cost = 0.0
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def seconds_left(self) -> float | None:
        """Seconds until ``max_seconds``; None without that limit; never below 0."""
        if self.limits.max_seconds is None:
            return None
        return max(0.0, self.limits.max_seconds - self._spent["seconds"] - (time.monotonic() - self._started))

    def check(self) -> None:
        """Raise :class:`DeadlineExceeded` when the time is over."""
        if self.seconds_left() == 0.0:
            raise DeadlineExceeded(f"the run's {self.limits.max_seconds:g} seconds (max_seconds) are over")

    def reserve(self, model: str, prompt_chars: int) -> Reservation:
        """Take room for one call.

        Args:
            model: the model's name, for its price.
            prompt_chars: characters of the whole prompt.

        Raises:
            BudgetExceeded: no room; nothing is taken then.
            DeadlineExceeded: no time.
        """
        self.check()
        tokens = prompt_chars // CHARS_PER_TOKEN + 1
        price = price_usd(model, tokens, 0)
        limits, spent = self.limits, self._spent
        with self._lock:
            cost = self._usual_cost(model) if price is None else price
            if limits.max_calls is not None and spent["calls"] + self._flying_calls + 1 > limits.max_calls:
                raise BudgetExceeded(f"all {limits.max_calls} model calls (max_calls) are used", limit="max_calls")
            used = spent["input_tokens"] + spent["output_tokens"] + self._flying_tokens
            if limits.max_tokens is not None and used + tokens > limits.max_tokens:
                raise BudgetExceeded(
                    f"{used:,} of {limits.max_tokens:,} tokens (max_tokens) are used; this call's prompt takes about {tokens:,}",
                    limit="max_tokens",
                )
            paid = sum(used["cost_usd"] or 0.0 for used in spent["by_model"].values()) + self._flying_cost
            if limits.max_cost_usd is not None and cost > 0 and paid + cost > limits.max_cost_usd:
                raise BudgetExceeded(
                    f"${paid:.4f} of ${limits.max_cost_usd:g} (max_cost_usd) are spent; this call's prompt costs about ${cost:.4f}",
                    limit="max_cost_usd",
                )
            self._flying_calls += 1
            self._flying_tokens += tokens
            self._flying_cost += cost
        return Reservation(model, tokens, cost)

    def _usual_cost(self, model: str) -> float:
        """Of a call to a model whose price is not known: 0, unless its server has told what the calls before cost."""
        known = self._spent["by_model"].get(model)
        return 0.0 if known is None or not known["calls"] else (known["cost_usd"] or 0.0) / known["calls"]

    def release(self, reservation: Reservation) -> None:
        """Give back the room of a call that was never answered."""
        with self._lock:
            self._land(reservation)

    def _land(self, reservation: Reservation) -> None:
        self._flying_calls -= 1
        self._flying_tokens -= reservation.tokens
        self._flying_cost -= reservation.cost_usd

    def settle(self, reservation: Reservation, used: ModelUsage, *, estimated: bool = False) -> None:
        """Record what an answered call took. ``used["cost_usd"]`` None: no price is known (said once)."""
        with self._lock:  # landed and spent in one step: a call must not be invisible in between
            self._land(reservation)
            spent = self._spent
            known = spent["by_model"].setdefault(reservation.model, _nothing())
            unpriced = used["cost_usd"] is None and known["calls"] == 0
            _add(known, used)
            _add(spent, used)
            costs = [cost for cost in (known["cost_usd"], used["cost_usd"]) if cost is not None]
            known["cost_usd"] = sum(costs) if costs else None  # what is known of it still counts against the limit
            total = spent["cost_usd"]
            spent["cost_usd"] = None if total is None or used["cost_usd"] is None else total + used["cost_usd"]
            spent["estimated"] = spent["estimated"] or estimated
        if unpriced and self.limits.max_cost_usd is not None:
            warnings.warn(
                f"No price is known for model {reservation.model!r}: max_cost_usd does not hold for it, "
                "max_calls and max_tokens do.",
                UnknownPriceWarning,
                stacklevel=2,
            )

    def usage(self) -> Usage:
        """What was spent so far, the calls in flight not counted."""
        with self._lock:
            seconds = self._spent["seconds"] + time.monotonic() - self._started
            by_model = {name: ModelUsage(**used) for name, used in self._spent["by_model"].items()}
            return Usage(**{**self._spent, "seconds": round(seconds, 6), "by_model": by_model})

    def left(self) -> str:
        """One line for the model that says what is left, e.g. ``calls 496 of 500 · $0.98 of $1 · 583 s``."""
        limits, used, parts = self.limits, self.usage(), []
        if limits.max_calls is not None:
            parts.append(f"calls {max(0, limits.max_calls - used['calls'])} of {limits.max_calls}")
        if limits.max_tokens is not None:
            tokens = used["input_tokens"] + used["output_tokens"]
            parts.append(f"tokens {max(0, limits.max_tokens - tokens):,} of {limits.max_tokens:,}")
        if limits.max_cost_usd is not None and used["cost_usd"]:
            parts.append(f"${max(0.0, limits.max_cost_usd - used['cost_usd']):.2f} of ${limits.max_cost_usd:g}")
        if (seconds := self.seconds_left()) is not None:
            parts.append(f"{seconds:.0f} s")
        return " · ".join(parts) or "no limits"


def _nothing() -> ModelUsage:
    return ModelUsage(calls=0, input_tokens=0, cached_tokens=0, output_tokens=0, cost_usd=None)


def _add(total: Usage | ModelUsage, used: ModelUsage) -> None:
    for name in ("calls", "input_tokens", "cached_tokens", "output_tokens"):
        total[name] += used[name]
