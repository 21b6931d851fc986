"""Fanouts: results in order, several at once, errors as they would come one after the other, no deadlock when nested."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm import threads
from langgraph_rlm.fanout import LOCAL, MOST_AT_ONCE
from langgraph_rlm.threads import DaemonThreads, in_thread


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> DaemonThreads:
    """A pool of two threads in the place of the process's own."""
    pool = DaemonThreads(2, "few")
    monkeypatch.setattr("langgraph_rlm.fanout.call_threads", lambda: pool)
    monkeypatch.setattr(threads, "call_threads", lambda: pool)
    return pool


@given(st.lists(st.integers(0, 5)), st.integers(1, 9), st.booleans())
def test_results_are_those_of_the_builtin_map(items: list[int], at_once: int, named: bool) -> None:
    key = (lambda item: item) if named else None
    assert LOCAL.map(lambda item: item * 2, items, key=key, at_once=at_once) == [item * 2 for item in items]


def test_items_are_worked_on_side_by_side() -> None:
    barrier = threading.Barrier(MOST_AT_ONCE)
    assert LOCAL.map(lambda item: (barrier.wait(20), item)[1], range(MOST_AT_ONCE)) == list(range(MOST_AT_ONCE))


def test_no_more_than_the_wanted_number_at_once() -> None:
    lock, busy, most = threading.Lock(), 0, 0

    def work(item: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        threading.Event().wait(0.001)
        with lock:
            busy -= 1

    LOCAL.map(work, range(40), at_once=3)
    assert most <= 3


def test_items_of_one_key_are_worked_on_once() -> None:
    seen: list[str] = []
    assert LOCAL.map(lambda word: seen.append(word) or word.upper(), ["a", "b", "a"], key=str) == ["A", "B", "A"]  # type: ignore[func-returns-value]
    assert sorted(seen) == ["a", "b"]


def test_the_first_item_is_worked_on_by_the_caller() -> None:
    assert LOCAL.map(lambda _: threading.get_ident(), range(4))[0] == threading.get_ident()


def test_the_first_error_in_order_is_raised_when_all_that_was_begun_has_ended() -> None:
    other_failed, ended = threading.Event(), threading.Event()

    def work(item: int) -> None:
        if item == 0:
            assert other_failed.wait(20)
            ended.set()
            raise KeyError("first")
        other_failed.set()
        raise ValueError("second")

    with pytest.raises(KeyError, match="first"):
        LOCAL.map(work, [0, 1])
    assert ended.is_set()


def test_nothing_is_begun_after_an_error() -> None:
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        raise ValueError

    with pytest.raises(ValueError):
        LOCAL.map(work, range(1000), at_once=2)
    assert len(begun) <= 2


def test_an_interrupt_of_the_caller_passes_through_after_the_others_have_ended() -> None:
    began, ended = threading.Event(), threading.Event()

    def work(item: int) -> None:
        if item == 0:
            assert began.wait(20)
            raise KeyboardInterrupt
        began.set()
        ended.set()

    with pytest.raises(KeyboardInterrupt):
        LOCAL.map(work, [0, 1])
    assert ended.is_set()


def test_context_variables_of_the_caller_are_seen_and_not_changed() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("caller")

    def work(item: int) -> str:
        found = variable.get()
        variable.set(f"changed by {item}")
        return found

    assert LOCAL.map(work, range(5)) == ["caller"] * 5
    assert variable.get() == "caller"


@pytest.mark.usefixtures("few")
def test_calls_within_calls_end_when_every_thread_is_busy() -> None:
    def deep(left: int) -> int:
        return 1 if left == 0 else sum(LOCAL.map(deep, [left - 1] * 3))

    assert LOCAL.map(deep, [4] * 4) == [81] * 4


@pytest.mark.usefixtures("few")
async def test_calls_within_jobs_of_the_same_pool_end_when_every_thread_is_busy() -> None:
    jobs = (in_thread(LOCAL.map, lambda item: item + 1, list(range(5))) for _ in range(20))
    assert await asyncio.wait_for(asyncio.gather(*jobs), 60) == [[1, 2, 3, 4, 5]] * 20
