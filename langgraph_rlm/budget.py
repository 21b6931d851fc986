"""What a run has spent, and what is left of its limits.

Every model call asks the budget for room before it is sent, and reports to it afterwards. One budget serves the whole tree
of calls.
"""

from __future__ import annotations

import copy
import threading
import time
import uuid
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from langgraph_rlm.errors import BudgetExceeded, DeadlineExceeded, TooManyFailures
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices, price_usd
from langgraph_rlm.types import ModelUsage, Usage
from langgraph_rlm.waiters import Waiters

CHARS_PER_TOKEN = 4
"""Used only for estimates, where a server reports no usage; what is reserved is a bound, not an estimate."""
MESSAGE_TOKENS = 64
"""Counted for each message on top of its text: role, separators, tool definitions of the protocol."""
LEAST_OUTPUT = 1_024
"""Tokens of an answer for which a call is still sent when the budget has no room for a full one."""


MOST_FAILURES = 20
"""Requests that may fail in a run of few calls; a run of more calls may have as many failures as calls."""
_FAILURES_WITHOUT_LIMIT = 500
"""The same for a run whose calls are not limited: as many as a run has calls by default."""


class UnknownPriceWarning(UserWarning):
    """A model has no known price, so that ``max_cost_usd`` cannot hold it; tokens and calls still do."""


class OverspendWarning(UserWarning):
    """A model wrote more than the output cap that was sent with the call: limits cannot hold such a model exactly."""


def no_usage() -> Usage:
    """The usage of a run that has spent nothing yet."""
    return Usage(
        calls=0,
        requests=0,
        failed_requests=0,
        searches=0,
        embedded_tokens=0,
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
        seconds=0.0,
        estimated=False,
        overspent_tokens=0,
        by_model={},
    )


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room for one call that is in flight; hand it to :meth:`Budget.settle`, :meth:`Budget.release` or :meth:`Budget.lose`.

    Args:
        model: its name.
        input_tokens: a bound of the prompt's.
        output_tokens: the output cap that goes with the call.
        cost_usd: of both, as far as a price is known.
        price: USD of the same, None where the price of a model that may answer is not known.
        id: of the call, in the ledger.
    """

    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    price: float | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens


class Budget:
    """The limits of one run and what of them is used; safe to share between threads and tasks.

    A call takes room for the most that it can cost before it is sent: all its prompt's bytes as tokens, and a full
    answer (the output cap that is sent along). What it did not need is given back when it has been answered. So the
    limits hold also for a wide batch; a call that does not fit only because of others in flight waits for them.

    Args:
        limits: what is allowed.
        spent: what was used before, for a run that goes on.
        prices: the user's own.
    """

    def __init__(self, limits: Limits, spent: Usage | None = None, prices: Prices | None = None) -> None:
        self.limits = limits
        self._prices = prices
        self._spent: Usage = no_usage() if spent is None else Usage(**{**no_usage(), **copy.deepcopy(spent)})
        self._flying_calls = self._flying_tokens = 0
        self._flying_cost = 0.0
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._waiters = Waiters()
        self._unpriced = set[str]()

    def seconds_left(self) -> float | None:
        """Seconds until ``max_seconds``; None without that limit; never below 0."""
        if self.limits.max_seconds is None:
            return None
        return max(0.0, self.limits.max_seconds - self._spent["seconds"] - self._seconds_at_work())

    def _seconds_at_work(self) -> float:
        """Since this budget was made: it serves one node, which works from its beginning to its end."""
        return time.monotonic() - self._started

    def check(self) -> None:
        """Raise :class:`DeadlineExceeded` when the time is over."""
        if self.seconds_left() == 0.0:
            raise DeadlineExceeded(f"the run's {self.limits.max_seconds:g} seconds (max_seconds) are over")

    def price(self, model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        """As :func:`price_usd`, with this budget's prices."""
        return price_usd(model, input_tokens, output_tokens, cached_tokens, self._prices)

    def dearest(
        self, models: Sequence[str], input_tokens: int, output_tokens: int, cached_tokens: int = 0
    ) -> float | None:
        """The highest :meth:`price` of these models; None when one of them is not known: it may be the one that answers."""
        prices = [self.price(model, input_tokens, output_tokens, cached_tokens) for model in models]
        known = [price for price in prices if price is not None]
        return max(known) if len(known) == len(prices) else None

    async def room_for(self, model: str | Sequence[str], input_tokens: int, output_tokens: int) -> Reservation:
        """Take room for one call; wait for calls in flight when it does not fit beside them.

        Args and errors as in :meth:`reserve`.
        """
        while True:
            with self._lock:
                if (reservation := self._reserve(model, input_tokens, output_tokens)) is not None:
                    return reservation
                woken = self._waiters.join()
            try:
                if not await self._waiters.wait(woken, self.seconds_left()):
                    self.check()
            finally:
                with self._lock:
                    self._waiters.leave(woken)

    def reserve(self, model: str | Sequence[str], input_tokens: int, output_tokens: int) -> Reservation | None:
        """Take room for one call; None when there would be room if calls in flight turn out cheaper than they may.

        Args:
            model: the model's name, for its price. Several when any of them may answer (fallbacks): the dearest counts.
            input_tokens: a bound of the whole prompt's.
            output_tokens: of a full answer. The reservation has fewer when what is left does not pay for it.

        Raises:
            BudgetExceeded: no room; nothing is taken then.
            DeadlineExceeded: no time.
            TooManyFailures: so many requests have failed that no more are sent.
        """
        with self._lock:
            return self._reserve(model, input_tokens, output_tokens)

    def _reserve(self, model: str | Sequence[str], input_tokens: int, output_tokens: int) -> Reservation | None:
        self.check()
        models = (model,) if isinstance(model, str) else tuple(model)
        limits, spent = self.limits, self._spent
        if limits.max_calls is not None and spent["calls"] >= limits.max_calls:
            raise BudgetExceeded(f"all {limits.max_calls} model calls (max_calls) are used", limit="max_calls")
        failures = max(MOST_FAILURES, _FAILURES_WITHOUT_LIMIT if limits.max_calls is None else limits.max_calls)
        if spent["failed_requests"] >= failures:
            raise TooManyFailures(
                f"{spent['failed_requests']:,} requests to models have failed, the latest to {models[0]!r}: no more are sent "
                "in this run"
            )
        least, used = min(output_tokens, LEAST_OUTPUT), spent["input_tokens"] + spent["output_tokens"]
        most = output_tokens
        if limits.max_tokens is not None:
            most = min(most, limits.max_tokens - used - input_tokens)
            if most < least:
                raise BudgetExceeded(
                    f"{used:,} of {limits.max_tokens:,} tokens (max_tokens) are used; this call could take "
                    f"{input_tokens + least:,}",
                    limit="max_tokens",
                )
        paid, prompt, token = self._paid(), 0.0, 0.0
        if limits.max_cost_usd is not None:
            prompt, token = self._costs(models, input_tokens)
            if token > 0:
                most = min(most, int((limits.max_cost_usd - paid - prompt) / token))
            needed = prompt + least * token
            if most < least or (needed > 0 and paid + needed > limits.max_cost_usd):
                raise BudgetExceeded(
                    f"${paid:.4f} of ${limits.max_cost_usd:g} (max_cost_usd) are spent; this call could cost ${needed:.4f}",
                    limit="max_cost_usd",
                )
        cost = prompt + most * token
        if self._flying_calls and (
            (limits.max_calls is not None and spent["calls"] + self._flying_calls >= limits.max_calls)
            or spent["failed_requests"] + self._flying_calls >= failures
            or (limits.max_tokens is not None and used + self._flying_tokens + input_tokens + most > limits.max_tokens)
            or (limits.max_cost_usd is not None and paid + self._flying_cost + cost > limits.max_cost_usd and cost > 0)
        ):
            return None
        reservation = Reservation(models[0], input_tokens, most, cost, self.dearest(models, input_tokens, most))
        self._flying_calls += 1
        self._flying_tokens += reservation.tokens
        self._flying_cost += cost
        return reservation

    def search(self, queries: Sequence[str], model: str | None = None, *, refuse: bool = True) -> None:
        """Count queries to the corpus, before they are asked.

        Args:
            queries: each counts.
            model: that embeds them; None when none does. What it costs is taken at once, since embeddings report no usage.
            refuse: False counts them whatever the limits say.

        Raises:
            BudgetExceeded: ``max_searches`` or ``max_cost_usd`` has no room for all of them; none is counted then.
            DeadlineExceeded: no time.
        """
        limits, tokens = self.limits, 0
        if model is not None:
            tokens = sum(len(query.encode("utf-8", "replace")) // CHARS_PER_TOKEN + 1 for query in queries)
        with self._lock:
            spent = self._spent
            if refuse:
                self.check()
            if refuse and limits.max_searches is not None and spent["searches"] + len(queries) > limits.max_searches:
                raise BudgetExceeded(
                    f"{spent['searches']:,} of {limits.max_searches:,} searches (max_searches) are used: {len(queries):,} more "
                    "are too many. Work with what was found; grep and read are not counted",
                    limit="max_searches",
                )
            cost = None if model is None else self.price(model, tokens, 0)
            paid = self._paid()
            if (
                refuse
                and cost
                and limits.max_cost_usd is not None
                and paid + self._flying_cost + cost > limits.max_cost_usd
            ):
                raise BudgetExceeded(
                    f"${paid:.4f} of ${limits.max_cost_usd:g} (max_cost_usd) are spent; to embed this could cost ${cost:.4f}",
                    limit="max_cost_usd",
                )
            spent["searches"] += len(queries)
            spent["embedded_tokens"] += tokens
            if cost and model is not None:
                known = spent["by_model"].setdefault(model, _nothing())
                known["cost_usd"] = (known["cost_usd"] or 0.0) + cost
                spent["cost_usd"] = None if spent["cost_usd"] is None else spent["cost_usd"] + cost

    def _paid(self) -> float:
        return sum(used["cost_usd"] or 0.0 for used in self._spent["by_model"].values())

    def _costs(self, models: Sequence[str], input_tokens: int) -> tuple[float, float]:
        """USD of a prompt of this size, and of one output token after it, for the dearest of these models."""
        prompts, tokens = list[float](), list[float]()
        for model in models:
            prompt = self.price(model, input_tokens, 0)
            if prompt is not None:
                prompts.append(prompt)
                tokens.append(((self.price(model, input_tokens, 1_000_000) or 0.0) - prompt) / 1e6)
                continue
            # The price is not known: nothing, unless the server has told what the calls before cost.
            known = self._spent["by_model"].get(model)
            prompts.append(0.0 if known is None or not known["calls"] else (known["cost_usd"] or 0.0) / known["calls"])
            if len(models) > 1:  # alone, it says so itself when it has answered
                self._warn_of_no_price(model)
        return max(prompts), max(tokens, default=0.0)

    def release(self, reservation: Reservation, *, requests: int = 0) -> None:
        """Give back the room of a call that cost nothing: never sent, or so many requests for it were refused."""
        with self._lock:
            self._spent["requests"] += requests
            self._spent["failed_requests"] += requests
            self._land(reservation)

    def lose(self, reservation: Reservation, *, requests: int = 1) -> ModelUsage:
        """A call of which nobody knows what it cost (no answer came): it counts with all that it could have cost."""
        used = ModelUsage(
            calls=1, input_tokens=reservation.input_tokens, cached_tokens=0, output_tokens=reservation.output_tokens,
            cost_usd=reservation.price,
        )  # fmt: skip
        with self._lock:
            self._spent["failed_requests"] += requests
        self.settle(reservation, used, estimated=True, requests=requests)
        return used

    def _land(self, reservation: Reservation) -> None:
        self._flying_calls -= 1
        self._flying_tokens -= reservation.tokens
        self._flying_cost = (
            self._flying_cost - reservation.cost_usd if self._flying_calls else 0.0
        )  # no rounding is left
        self._waiters.wake()

    def settle(
        self, reservation: Reservation, used: ModelUsage, *, model: str | None = None, estimated: bool = False,
        requests: int = 1,
    ) -> None:  # fmt: skip
        """Record what an answered call took.

        Args:
            reservation: of the call.
            used: what it took; ``cost_usd`` None: no price is known (said once).
            model: that has answered, when it is not the one that was asked (a fallback).
            estimated: its server reported no tokens.
            requests: that were sent for it: one, or more where fallbacks were asked.
        """
        name = model or reservation.model
        beyond = max(0, used["output_tokens"] - reservation.output_tokens)
        with self._lock:  # landed and spent in one step: a call must not be invisible in between
            self._land(reservation)
            spent = self._spent
            spent["requests"] += requests
            known = spent["by_model"].setdefault(name, _nothing())
            unpriced = used["cost_usd"] is None and known["calls"] == 0 and self.price(name, 0, 0) is None
            first_beyond = beyond > 0 and not spent["overspent_tokens"]
            add_call(spent, name, used, estimated=estimated, overspent_tokens=beyond)
        if unpriced:
            self._warn_of_no_price(name)
        if first_beyond:
            warnings.warn(
                f"Model {name!r} wrote {used['output_tokens']:,} tokens although at most {reservation.output_tokens:,} were "
                "asked for: it ignores the output cap, and limits hold only after each of its calls.",
                OverspendWarning,
                stacklevel=2,
            )

    def _warn_of_no_price(self, model: str) -> None:
        if self.limits.max_cost_usd is None or model in self._unpriced:
            return
        self._unpriced.add(model)
        warnings.warn(
            f"No price is known for model {model!r}: max_cost_usd does not hold for it, max_calls and max_tokens do. "
            "Give its price with prices=.",
            UnknownPriceWarning,
            stacklevel=3,
        )

    def usage(self) -> Usage:
        """What was spent so far, the calls in flight not counted."""
        with self._lock:
            seconds = self._spent["seconds"] + self._seconds_at_work()
            by_model = {name: ModelUsage(**used) for name, used in self._spent["by_model"].items()}
            return Usage(**{**self._spent, "seconds": round(seconds, 6), "by_model": by_model})

    def calls_left(self, model: str, input_tokens: int, output_tokens: int) -> tuple[int | None, str]:
        """How many calls of this size are left, and the limit that allows no more of them; None: no limit holds.

        Args:
            model: its name. Where no price is known, what it has told of its calls before counts.
            input_tokens: of the prompt.
            output_tokens: of the answer.

        Example:
            >>> Budget(Limits(max_tokens=10_000)).calls_left("gpt-5", 3_000, 1_000)
            (2, 'max_tokens')
        """
        limits, used = self.limits, self.usage()
        left = list[tuple[int, str]]()
        if limits.max_calls is not None:
            left.append((limits.max_calls - used["calls"], "max_calls"))
        if limits.max_tokens is not None:
            tokens = limits.max_tokens - used["input_tokens"] - used["output_tokens"]
            left.append((tokens // (input_tokens + output_tokens), "max_tokens"))
        if limits.max_cost_usd is not None:
            with self._lock:
                prompt, token = self._costs((model,), input_tokens)
                paid = self._paid()
            if (cost := prompt + output_tokens * token) > 0:
                left.append((int((limits.max_cost_usd - paid) / cost + 1e-9), "max_cost_usd"))
        calls, limit = min(left, default=(None, ""))
        return (None if calls is None else max(0, calls)), limit

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
        if limits.max_searches is not None and 2 * used["searches"] >= limits.max_searches > 0:
            parts.append(f"searches {limits.max_searches - used['searches']:,} of {limits.max_searches:,}")
        if (seconds := self.seconds_left()) is not None:
            parts.append(f"{seconds:.0f} s")
        return " · ".join(parts) or "no limits"


def input_bound(texts: Iterable[str]) -> int:
    """Most tokens that messages of these texts can be: no tokenizer makes more tokens than there are UTF-8 bytes."""
    return sum(
        MESSAGE_TOKENS + (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) for text in texts
    )


def add_call(usage: Usage, model: str, used: ModelUsage, *, estimated: bool = False, overspent_tokens: int = 0) -> None:
    """Add one call to a usage, in place."""
    known = usage["by_model"].setdefault(model, _nothing())
    _add(known, used)
    _add(usage, used)
    costs = [cost for cost in (known["cost_usd"], used["cost_usd"]) if cost is not None]
    known["cost_usd"] = sum(costs) if costs else None  # what is known of it still counts against the limit
    total = usage["cost_usd"]
    usage["cost_usd"] = None if total is None or used["cost_usd"] is None else total + used["cost_usd"]
    usage["estimated"] = usage["estimated"] or estimated
    usage["overspent_tokens"] += overspent_tokens


def _nothing() -> ModelUsage:
    return ModelUsage(calls=0, input_tokens=0, cached_tokens=0, output_tokens=0, cost_usd=None)


def _add(total: Usage | ModelUsage, used: ModelUsage) -> None:
    for name in ("calls", "input_tokens", "cached_tokens", "output_tokens"):
        total[name] += used[name]
