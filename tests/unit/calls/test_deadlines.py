"""Deadlines of calls in threads: each is told once, in time, and none that was taken back."""

from __future__ import annotations

import asyncio

from langgraph_rlm.calls.deadlines import Deadlines


async def test_what_is_late_is_told_and_what_was_in_time_is_not() -> None:
    told: list[str] = []
    late, last = asyncio.Event(), asyncio.Event()
    deadlines = Deadlines()
    taken_back = deadlines.after(0.01, lambda: told.append("in time"))
    deadlines.take_back(taken_back)
    deadlines.after(0.05, lambda: (told.append("last"), last.set())[0])
    deadlines.after(0.02, lambda: (told.append("late"), late.set())[0])
    await asyncio.wait_for(asyncio.gather(late.wait(), last.wait()), 20)
    assert told == ["late", "last"]


async def test_a_shorter_deadline_does_not_wait_for_a_longer_one() -> None:
    rung = asyncio.Event()
    deadlines = Deadlines()
    deadlines.after(3_600, lambda: None)
    await asyncio.to_thread(deadlines.after, 0.01, rung.set)
    await asyncio.wait_for(rung.wait(), 20)


async def test_what_was_taken_back_twice_or_is_unknown_does_no_harm() -> None:
    deadlines = Deadlines()
    number = deadlines.after(60, lambda: None)
    for _ in range(2):
        deadlines.take_back(number)
