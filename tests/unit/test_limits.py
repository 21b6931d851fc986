"""Limits, budgets and prices: what a run may spend, and that it never spends more."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm import budget as budget_module
from langgraph_rlm.budget import (
    LEAST_OUTPUT,
    Budget,
    OverspendWarning,
    Reservation,
    UnknownPriceWarning,
    add_call,
    no_usage,
)
from langgraph_rlm.errors import BudgetExceeded, DeadlineExceeded, InvalidInput, TooManyFailures
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import checked_prices, price_usd
from langgraph_rlm.types import ModelUsage, Usage

KNOWN, UNKNOWN = "gpt-4o-mini", "scripted"


def used(calls: int = 1, read: int = 100, cached: int = 0, written: int = 10, cost: float | None = 0.01) -> ModelUsage:
    return ModelUsage(calls=calls, input_tokens=read, cached_tokens=cached, output_tokens=written, cost_usd=cost)


# --- Limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "wanted", "result"),
    [(20, 5, 5), (5, 20, 5), (None, 5, 5), (5, None, 5), (None, None, None)],
)
def test_a_request_narrows_and_never_widens(mine: int | None, wanted: int | None, result: int | None) -> None:
    assert Limits(max_calls=mine).narrowed({"max_calls": wanted}).max_calls == result


@given(st.fixed_dictionaries({}, optional={name: st.integers(1, 10_000) for name in (f.name for f in fields(Limits))}))
def test_no_request_ever_raises_a_limit(wanted: dict[str, int]) -> None:
    mine = Limits()
    narrowed = mine.narrowed(wanted)
    for field in fields(Limits):
        allowed, got = getattr(mine, field.name), getattr(narrowed, field.name)
        assert allowed is None or got <= allowed
        assert got == allowed or got == wanted[field.name]


def test_narrowing_leaves_the_other_limits_and_the_original_alone() -> None:
    mine = Limits(max_turns=7, max_cost_usd=2.0)
    assert mine.narrowed({"max_cost_usd": 0.5}) == Limits(max_turns=7, max_cost_usd=0.5)
    assert mine == Limits(max_turns=7, max_cost_usd=2.0)
    assert mine.narrowed(None) == mine.narrowed({}) == mine


def test_an_unknown_limit_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"unknown 'max_money'.*; known are max_turns, .*output_chars"):
        Limits().narrowed({"max_money": 1})


@pytest.mark.parametrize("wanted", ["max_turns", 5, [("max_turns", 5)]])
def test_a_request_that_is_no_mapping_is_refused(wanted: Any) -> None:
    with pytest.raises(InvalidInput, match="expected Limits or a mapping"):
        Limits().narrowed(wanted)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("max_turns", 0, "at least 1"),
        ("max_turns", 1.5, "whole number"),
        ("max_turns", None, "must be a number"),
        ("max_turns", True, "must be a number"),
        ("max_turns", "5", "must be a number"),
        ("max_depth", -1, "at least 0"),
        ("max_calls", -1, "at least 0"),
        ("max_cost_usd", -0.01, "max_cost_usd"),
        ("max_cost_usd", float("nan"), "finite"),
        ("max_seconds", 0, "above 0"),
        ("max_seconds", float("inf"), "finite"),
        ("max_concurrency", 0, "at least 1"),
        ("cell_timeout", -1, "above 0"),
    ],
)
def test_an_unusable_value_is_refused_by_name(name: str, value: Any, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint) as raised:
        Limits(**{name: value})
    assert name in str(raised.value)
    with pytest.raises(InvalidInput, match=complaint):
        Limits().narrowed({name: value})


@pytest.mark.parametrize("name", ["max_depth", "max_calls", "max_tokens", "max_cost_usd"])
def test_zero_means_none_at_all_where_that_makes_sense(name: str) -> None:
    assert getattr(Limits(**{name: 0}), name) == 0


# --- Budget: reservations ---------------------------------------------------------------------------------------------


class HandOver:
    """A lock after whose release another thread gets its turn: whatever two steps leave open is seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        time.sleep(0.0002)


def test_threads_together_never_get_more_calls_than_allowed() -> None:
    budget = Budget(Limits(max_calls=50))
    budget._lock = HandOver()  # type: ignore[assignment]

    def call(number: int) -> bool:
        try:
            while (reservation := budget.reserve(UNKNOWN, 100, 10)) is None:
                time.sleep(0)
        except BudgetExceeded:
            return False
        if number % 5 == 0:
            budget.release(reservation)
            return False
        budget.settle(reservation, used())
        return True

    with ThreadPoolExecutor(16) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answered = sum(pool.map(call, range(400)))
    assert answered == budget.usage()["calls"] == 50


def taken(budget: Budget, model: str = UNKNOWN, read: int = 10, written: int = 10) -> Reservation:
    reservation = budget.reserve(model, read, written)
    assert reservation is not None
    return reservation


def test_calls_in_flight_count_until_they_are_released() -> None:
    budget = Budget(Limits(max_calls=2))
    first = taken(budget)
    taken(budget)
    assert budget.reserve(UNKNOWN, 10, 10) is None, "one of them may yet fail"
    budget.release(first)
    taken(budget)
    assert budget.usage()["calls"] == 0, "nothing was answered"


def test_without_a_call_left_nothing_is_waited_for() -> None:
    budget = Budget(Limits(max_calls=2, max_cost_usd=None))
    budget.settle(taken(budget), used())
    flying = taken(budget)
    budget.settle(taken(Budget(Limits())), used())
    budget.settle(flying, used())
    with pytest.raises(BudgetExceeded, match=r"all 2 model calls \(max_calls\)") as raised:
        budget.reserve(UNKNOWN, 10, 10)
    assert (raised.value.limit, raised.value.stop_reason) == ("max_calls", "budget")


def test_a_call_that_does_not_fit_the_tokens_is_refused_before_it_is_sent() -> None:
    budget = Budget(Limits(max_tokens=10_000))
    first = taken(budget, read=3_000, written=4_000)
    assert budget.reserve(UNKNOWN, 3_000, 4_000) is None, "it fits when the first turns out cheap"
    with pytest.raises(BudgetExceeded, match="max_tokens") as raised:
        budget.reserve(UNKNOWN, 9_500, 4_000)
    assert raised.value.limit == "max_tokens"
    budget.settle(first, used(read=100, written=10))
    taken(budget, read=3_000, written=4_000)


def test_a_call_that_does_not_fit_the_money_is_refused_before_it_is_sent() -> None:
    one = price_usd(KNOWN, 1_000_000, 1_000)
    assert one
    budget = Budget(Limits(max_cost_usd=one * 2.5))
    first = taken(budget, KNOWN, 1_000_000, 1_000)
    taken(budget, KNOWN, 1_000_000, 1_000)
    assert budget.reserve(KNOWN, 1_000_000, 1_000) is None
    budget.settle(first, used(cost=one * 2))
    with pytest.raises(BudgetExceeded, match="max_cost_usd") as raised:
        budget.reserve(KNOWN, 1_000_000, 1_000)
    assert raised.value.limit == "max_cost_usd"


def test_a_full_answer_is_paid_for_beforehand_and_what_it_did_not_need_is_given_back() -> None:
    budget = Budget(Limits(max_cost_usd=(price_usd(KNOWN, 1_000, 8_000) or 0) * 1.5))
    first = taken(budget, KNOWN, 1_000, 8_000)
    assert first.cost_usd == pytest.approx(price_usd(KNOWN, 1_000, 8_000))
    assert budget.reserve(KNOWN, 1_000, 8_000) is None
    budget.settle(first, used(read=1_000, written=10, cost=price_usd(KNOWN, 1_000, 10)))
    assert taken(budget, KNOWN, 1_000, 8_000).output_tokens == 8_000


def test_where_a_full_answer_does_not_fit_any_more_the_call_gets_a_smaller_cap() -> None:
    budget = Budget(Limits(max_tokens=6_000))
    assert taken(budget, read=3_000, written=8_000).output_tokens == 3_000
    price = price_usd(KNOWN, 1_000, 4_000) or 0
    dear = taken(Budget(Limits(max_cost_usd=price)), KNOWN, 1_000, 8_000)
    assert 3_990 <= dear.output_tokens <= 4_000
    assert dear.cost_usd <= price
    with pytest.raises(BudgetExceeded):
        Budget(Limits(max_tokens=3_000 + LEAST_OUTPUT - 1)).reserve(UNKNOWN, 3_000, 8_000)


def test_a_refused_call_takes_nothing() -> None:
    budget = Budget(Limits(max_tokens=100))
    for _ in range(5):
        with pytest.raises(BudgetExceeded):
            budget.reserve(UNKNOWN, 1_000, 10)
    taken(budget, read=80)


async def test_a_call_that_does_not_fit_beside_others_waits_for_them() -> None:
    budget = Budget(Limits(max_tokens=10_000))
    first = await budget.room_for(UNKNOWN, 3_000, 4_000)
    waiting = [asyncio.create_task(budget.room_for(UNKNOWN, 3_000, 4_000)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    budget.settle(first, used(read=100, written=10))
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(pending)) == (1, 1)
    budget.settle(done.pop().result(), used(read=3_000, written=4_000))
    with pytest.raises(BudgetExceeded):
        await pending.pop()


async def test_a_call_that_settles_in_another_thread_wakes_who_waits() -> None:
    budget = Budget(Limits(max_calls=1))
    first = await budget.room_for(UNKNOWN, 1, 1)
    waiting = asyncio.create_task(budget.room_for(UNKNOWN, 1, 1))
    await asyncio.sleep(0)
    await asyncio.to_thread(budget.release, first)
    await asyncio.wait_for(waiting, 10)


async def test_who_waits_is_told_when_the_time_is_over() -> None:
    budget = Budget(Limits(max_calls=1, max_seconds=0.05))
    await budget.room_for(UNKNOWN, 1, 1)
    with pytest.raises(DeadlineExceeded):
        await budget.room_for(UNKNOWN, 1, 1)
    assert len(budget._waiters) == 0


def test_a_call_without_an_answer_counts_with_all_it_could_have_cost() -> None:
    budget = Budget(Limits(max_cost_usd=1.0))
    budget.lose(taken(budget, KNOWN, 1_000, 500))
    usage = budget.usage()
    assert (usage["calls"], usage["input_tokens"], usage["output_tokens"]) == (1, 1_000, 500)
    assert usage["cost_usd"] == pytest.approx(price_usd(KNOWN, 1_000, 500))
    assert usage["estimated"] is True


def test_a_model_that_writes_more_than_its_cap_is_reported_once() -> None:
    budget = Budget(Limits(max_cost_usd=None))
    with pytest.warns(OverspendWarning, match="'scripted' wrote 70 tokens although at most 50"):
        budget.settle(taken(budget, written=50), used(written=70))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        budget.settle(taken(budget, written=50), used(written=55))
        budget.settle(taken(budget, written=50), used(written=50))
    assert budget.usage()["overspent_tokens"] == 25


@settings(max_examples=100, deadline=None)
@given(
    limit=st.floats(0.0001, 0.05),
    calls=st.lists(
        st.tuples(st.integers(1, 50_000), st.integers(1, 10_000), st.floats(0, 1), st.booleans()), max_size=30
    ),
)
def test_models_that_keep_to_their_caps_never_spend_more_than_was_given(limit: float, calls: list[Any]) -> None:
    budget = Budget(Limits(max_cost_usd=limit, max_calls=None))
    flying: list[tuple[Reservation, float]] = []
    for read, written, share, land in calls:
        with contextlib.suppress(BudgetExceeded):
            if (reservation := budget.reserve(KNOWN, read, written)) is not None:
                flying.append((reservation, share))
        if land and flying:
            reservation, share = flying.pop(0)
            took = int(reservation.input_tokens * share), int(reservation.output_tokens * share)
            budget.settle(reservation, used(read=took[0], written=took[1], cost=price_usd(KNOWN, *took)))
    for reservation, _ in flying:
        budget.lose(reservation)
    assert (budget.usage()["cost_usd"] or 0) <= limit * (1 + 1e-9)


def test_no_call_is_sent_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(budget_module.time, "monotonic", lambda: now)
    budget = Budget(Limits(max_seconds=60))
    now += 59
    assert budget.seconds_left() == pytest.approx(1)
    taken(budget)
    now += 2
    assert budget.seconds_left() == 0
    with pytest.raises(DeadlineExceeded, match="60 seconds") as raised:
        budget.reserve(UNKNOWN, 10, 10)
    assert (raised.value.limit, raised.value.stop_reason) == ("max_seconds", "deadline")


def test_time_between_two_budgets_of_a_run_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(budget_module.time, "monotonic", lambda: now)
    before = Budget(Limits(max_seconds=60))
    now += 20
    kept = before.usage()
    now += 5_000
    after = Budget(Limits(max_seconds=60), kept)
    now += 10
    assert after.seconds_left() == pytest.approx(30)
    assert after.usage()["seconds"] == pytest.approx(30)


# --- Budget: usage ----------------------------------------------------------------------------------------------------


def test_usage_sums_all_models_and_each_one() -> None:
    budget = Budget(Limits())
    for model, spent in [
        ("a", used(read=100, cached=40, written=10, cost=0.1)),
        ("b", used(read=5, written=1, cost=0.2)),
        ("a", used(read=1, written=2, cost=0.3)),
    ]:
        budget.settle(taken(budget, model), spent)
    usage = budget.usage()
    assert (usage["calls"], usage["input_tokens"], usage["cached_tokens"], usage["output_tokens"]) == (3, 106, 40, 13)
    assert usage["cost_usd"] == pytest.approx(0.6)
    assert usage["by_model"]["a"] == {**used(2, 101, 40, 12), "cost_usd": pytest.approx(0.4)}
    assert usage["by_model"]["b"] == used(read=5, written=1, cost=0.2)
    assert usage["estimated"] is False


def test_a_budget_goes_on_from_what_was_spent_without_changing_it() -> None:
    spent: Usage = {**no_usage(), "calls": 3, "by_model": {UNKNOWN: used(calls=3)}}  # type: ignore[typeddict-item]
    budget = Budget(Limits(max_calls=4), spent)
    budget.settle(taken(budget, UNKNOWN), used(), estimated=True)
    with pytest.raises(BudgetExceeded):
        budget.reserve(UNKNOWN, 10, 10)
    assert budget.usage()["estimated"] is True
    assert (spent["calls"], spent["by_model"][UNKNOWN]["calls"], spent["estimated"]) == (3, 3, False)


def test_usage_handed_out_does_not_change_afterwards() -> None:
    budget = Budget(Limits())
    budget.settle(taken(budget, "a"), used())
    before = budget.usage()
    budget.settle(taken(budget, "a"), used())
    assert (before["calls"], before["by_model"]["a"]["calls"]) == (1, 1)


def test_a_model_without_a_price_makes_the_sum_unknown_and_is_said_once() -> None:
    budget = Budget(Limits(max_cost_usd=1))
    budget.settle(taken(budget, "a"), used(cost=0.5))
    with pytest.warns(UnknownPriceWarning, match="'scripted'"):
        budget.settle(taken(budget, UNKNOWN), used(cost=None))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        budget.settle(taken(budget, UNKNOWN), used(cost=None))
        free = Budget(Limits(max_cost_usd=None))
        free.settle(taken(free), used(cost=None))
    assert budget.usage()["cost_usd"] is None
    assert budget.usage()["by_model"]["a"]["cost_usd"] == 0.5


def test_money_still_holds_for_priced_models_beside_an_unpriced_one() -> None:
    budget = Budget(Limits(max_cost_usd=1.0))
    with pytest.warns(UnknownPriceWarning):
        budget.settle(taken(budget, UNKNOWN), used(cost=None))
    budget.settle(taken(budget, KNOWN), used(cost=1.0))
    with pytest.raises(BudgetExceeded, match="max_cost_usd"):
        budget.reserve(KNOWN, 10, 10)


# --- what the model is told, and prices -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (Limits(max_calls=None, max_cost_usd=None), (None, "")),
        (Limits(max_calls=5, max_cost_usd=None), (3, "max_calls")),
        (Limits(max_tokens=10_000, max_cost_usd=None), (4, "max_tokens")),
        (Limits(max_cost_usd=0.02), (1, "max_cost_usd")),
        (Limits(max_calls=1, max_cost_usd=0.001), (0, "max_calls")),
        (Limits(max_calls=2, max_cost_usd=1.0), (0, "max_calls")),
    ],
)
def test_calls_left_are_those_that_the_narrowest_limit_pays_for(limits: Limits, left: tuple[int | None, str]) -> None:
    spent = no_usage()
    add_call(spent, "a", used(calls=2, read=1_000, written=500, cost=0.01))
    budget = Budget(limits, spent, prices={"a": {"input": 1.0, "output": 9.0}})
    assert budget.calls_left("a", 1_000, 1_000) == left


def test_left_says_what_is_left_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(budget_module.time, "monotonic", lambda: now)
    budget = Budget(Limits(max_calls=500, max_tokens=20_000, max_cost_usd=1.0, max_seconds=600))
    budget.settle(taken(budget, "a"), used(calls=4, read=900, written=100, cost=0.02))
    now += 17
    assert budget.left() == "calls 496 of 500 · tokens 19,000 of 20,000 · $0.98 of $1 · 583 s"


def test_left_never_goes_below_zero_and_names_no_limit_that_is_not_set() -> None:
    nothing = Limits(max_calls=None, max_cost_usd=None, max_seconds=None)
    assert Budget(nothing).left() == "no limits"
    budget = Budget(Limits(max_calls=1, max_tokens=100, max_cost_usd=0.01, max_seconds=None))
    budget.settle(taken(budget, "a"), used(calls=5, read=5_000, cost=9.0))
    assert budget.left() == "calls 0 of 1 · tokens 0 of 100 · $0.00 of $0.01"


@pytest.mark.parametrize("model", [KNOWN, f"openai:{KNOWN}"])
def test_a_known_model_has_a_price_with_and_without_its_provider(model: str) -> None:
    price = price_usd(model, 1_000_000, 1_000_000)
    assert price is not None
    assert 0.1 < price < 10
    assert price_usd(model, 2_000, 0) == pytest.approx(2 * (price_usd(model, 1_000, 0) or 0))


def test_cached_input_is_cheaper() -> None:
    assert (price_usd(KNOWN, 1_000_000, 0, cached_tokens=900_000) or 0) < (price_usd(KNOWN, 1_000_000, 0) or 0)


@pytest.mark.parametrize("model", [UNKNOWN, "nobody:nothing", "openai:no-such-model", ""])
def test_an_unknown_model_has_no_price(model: str) -> None:
    assert price_usd(model, 1_000, 1_000) is None


def test_costs_that_were_not_known_do_not_hide_those_that_are() -> None:
    spent = no_usage() | {"calls": 1, "cost_usd": None, "by_model": {KNOWN: used(cost=None)}}
    budget = Budget(Limits(max_cost_usd=0.5), spent)  # type: ignore[arg-type]  # as a client could send it
    budget.settle(taken(budget, KNOWN), used(cost=0.6))
    with pytest.raises(BudgetExceeded):
        budget.reserve(KNOWN, 10, 10)
    assert budget.usage()["cost_usd"] is None
    assert budget.usage()["by_model"][KNOWN]["cost_usd"] == 0.6


def test_a_model_that_tells_its_own_cost_is_held_by_it() -> None:
    budget = Budget(Limits(max_cost_usd=1.0))
    for _ in range(2):
        budget.settle(taken(budget, UNKNOWN), used(cost=0.5))
    with pytest.raises(BudgetExceeded):
        budget.reserve(UNKNOWN, 10, 10)


def test_the_users_own_prices_come_before_the_lists() -> None:
    mine = checked_prices(
        {"scripted": {"input": 2.0, "output": 10.0, "cached": 0.5}, KNOWN: {"input": 1.0, "output": 1.0}}
    )
    assert price_usd(UNKNOWN, 1_000_000, 100_000, 500_000, mine) == pytest.approx(1.0 + 0.25 + 1.0)
    assert price_usd(f"openai:{KNOWN}", 1_000_000, 0, 500_000, mine) == pytest.approx(1.0)
    budget = Budget(Limits(max_cost_usd=0.01), prices=mine)
    with pytest.raises(BudgetExceeded):
        budget.reserve(UNKNOWN, 5_000, 4_000)


@pytest.mark.parametrize(
    "price",
    [{"input": 1.0}, {"input": -1, "output": 1}, {"input": "1", "output": 1}, {"input": 1, "output": 1, "in": 1}, 5],
)
def test_an_unusable_price_is_refused_by_the_models_name(price: Any) -> None:
    with pytest.raises(InvalidInput, match="prices\\['mine'\\]"):
        checked_prices({"mine": price})


@pytest.mark.parametrize("tokens", [1, 999, 1_000, 1_001, 199_999, 200_000, 200_001, 250_000])
def test_prices_are_exactly_those_of_the_lists_at_every_size(tokens: int) -> None:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    for model in (KNOWN, "gemini-2.5-pro", "claude-sonnet-4-5"):
        listed = calc_price(
            Tokens(input_tokens=tokens, output_tokens=77, cache_read_tokens=tokens // 2), model_ref=model
        )
        assert price_usd(model, tokens, 77, tokens // 2) == pytest.approx(float(listed.total_price))


# --- Budget: fallbacks, failing requests, searches ----------------------------------------------------------------------

CHEAP, DEAR = "gpt-4o-mini", "gpt-4o"


def test_a_call_that_fallbacks_may_answer_is_reserved_at_the_dearest_of_them() -> None:
    budget = Budget(Limits(max_cost_usd=1.0))
    alone, chain = budget.reserve(DEAR, 1_000, 1_000), budget.reserve((CHEAP, DEAR), 1_000, 1_000)
    assert alone is not None
    assert chain is not None
    assert (chain.model, chain.cost_usd) == (CHEAP, alone.cost_usd)
    assert budget.lose(chain)["cost_usd"] == budget.price(DEAR, 1_000, 1_000)


def test_an_unknown_price_among_fallbacks_is_told_before_anything_is_sent_and_makes_a_lost_call_unpriced() -> None:
    budget = Budget(Limits(max_cost_usd=1.0))
    with pytest.warns(UnknownPriceWarning, match=UNKNOWN):
        reservation = budget.reserve((CHEAP, UNKNOWN), 1_000, 1_000)
    assert reservation is not None
    assert reservation.cost_usd > 0, "the limit holds for the one that is known"
    assert budget.lose(reservation)["cost_usd"] is None


@pytest.mark.parametrize(("max_calls", "most"), [(3, 20), (40, 40), (None, 500)])
def test_so_many_requests_may_fail_and_no_more(max_calls: int | None, most: int) -> None:
    budget = Budget(Limits(max_calls=max_calls))
    for _ in range(most):
        reservation = budget.reserve(UNKNOWN, 1, 1)
        assert reservation is not None
        budget.release(reservation, requests=1)
    with pytest.raises(TooManyFailures, match=f"{most} requests to models have failed") as raised:
        budget.reserve(UNKNOWN, 1, 1)
    assert (raised.value.stop_reason, raised.value.limit) == ("error", "failed requests")
    usage = budget.usage()
    assert (usage["calls"], usage["requests"], usage["failed_requests"]) == (0, most, most)


def test_requests_in_flight_may_all_fail_and_wait_for_each_other_near_the_bound() -> None:
    budget = Budget(Limits(max_calls=None))
    for _ in range(499):
        budget.release(taken(budget, UNKNOWN), requests=1)
    last = taken(budget, UNKNOWN)
    assert budget.reserve(UNKNOWN, 1, 1) is None
    budget.settle(last, used())
    assert budget.reserve(UNKNOWN, 1, 1) is not None


def test_each_query_of_a_list_is_a_search_and_the_limit_is_named() -> None:
    budget = Budget(Limits(max_searches=5))
    budget.search(["a", "b", "c"])
    with pytest.raises(BudgetExceeded, match=r"3 of 5 searches \(max_searches\) are used: 3 more") as raised:
        budget.search(["d", "e", "f"])
    assert raised.value.limit == "max_searches"
    budget.search(["d", "e"])
    assert budget.usage()["searches"] == 5
    budget.search(["of the graph itself"], refuse=False)
    assert budget.usage()["searches"] == 6


def test_without_a_limit_searches_are_counted_only() -> None:
    budget = Budget(Limits(max_searches=None))
    budget.search(["a"] * 5_000)
    assert budget.usage()["searches"] == 5_000


def test_what_embeddings_cost_is_taken_from_the_same_budget() -> None:
    prices = checked_prices({"embedder": {"input": 1_000.0, "output": 0.0}})
    budget = Budget(Limits(max_cost_usd=0.01), prices=prices)
    budget.search(["four letters each"], "embedder")
    usage = budget.usage()
    assert usage["embedded_tokens"] == 5
    assert usage["cost_usd"] == pytest.approx(0.005)
    assert usage["by_model"]["embedder"]["cost_usd"] == pytest.approx(0.005)
    assert (usage["calls"], usage["input_tokens"]) == (0, 0)
    with pytest.raises(BudgetExceeded, match="max_cost_usd"):
        budget.search(["x" * 100], "embedder")
    assert budget.usage()["searches"] == 1


def test_a_usage_of_an_earlier_release_is_gone_on_from() -> None:
    old: Any = {name: value for name, value in no_usage().items() if name in ("calls", "input_tokens", "cached_tokens")}
    old |= {"output_tokens": 1, "cost_usd": 0.0, "seconds": 1.0, "estimated": False, "by_model": {}}
    budget = Budget(Limits(), spent=old)
    budget.search(["a"])
    assert (budget.usage()["requests"], budget.usage()["searches"], budget.usage()["output_tokens"]) == (0, 1, 1)
