"""The pace of a process at one model: one pause for all, one call that tries, then slowly more."""

from __future__ import annotations

import asyncio

import pytest

from langgraph_rlm.calls.pacing import MOST_PAUSE, Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


async def enter(pace: Pace) -> int:
    entered = await pace.enter(None)
    assert entered is not None
    return entered


async def may_enter(pace: Pace) -> int | None:
    """What ``enter`` gives at once; None when it would wait."""
    waiting = asyncio.ensure_future(pace.enter(None))
    for _ in range(5):
        await asyncio.sleep(0)
    if waiting.done():
        return waiting.result()
    waiting.cancel()
    return None


async def test_nothing_holds_calls_back_before_a_server_has_refused_one(pace: Pace) -> None:
    assert [await may_enter(pace) for _ in range(1_000)] == [0] * 1_000


async def test_a_refused_burst_is_one_pause(pace: Pace) -> None:
    burst = [await enter(pace) for _ in range(32)]
    pauses = [pace.refused(entered, 5) for entered in burst]
    assert pauses == [5.0] * 32
    assert await may_enter(pace) is None


async def test_after_a_pause_one_call_tries_and_then_half_as_many_as_before(pace: Pace, clock: Clock) -> None:
    for entered in [await enter(pace) for _ in range(8)]:
        pace.refused(entered, 5)
    clock.now = 5.0
    first = await may_enter(pace)
    assert first is not None
    assert await may_enter(pace) is None, "one finds out"
    pace.leave(first, answered=True)
    assert [await may_enter(pace) is None for _ in range(5)] == [False] * 4 + [True]


async def test_pauses_grow_while_the_server_goes_on_refusing_and_start_anew_when_it_has_answered(
    pace: Pace, clock: Clock
) -> None:
    taken = list[float]()
    for _ in range(8):
        pause = pace.refused(await enter(pace), None)
        taken.append(pause)
        clock.now += pause
    assert taken[:5] == sorted(taken[:5])
    assert taken[0] < 1.3
    assert 29 < taken[-1] < 38
    pace.leave(await enter(pace), answered=True)
    assert pace.refused(await enter(pace), None) < 1.3


async def test_a_call_that_failed_otherwise_lets_the_next_one_try(pace: Pace, clock: Clock) -> None:
    pace.refused(await enter(pace), 1)
    clock.now = 1.0
    pace.leave(await enter(pace), answered=False)
    assert await may_enter(pace) is not None


@pytest.mark.parametrize(("asked", "taken"), [(0.0, 0.05), (99_999.0, MOST_PAUSE), (3.0, 3.0)])
async def test_what_a_server_asks_for_is_bounded(asked: float, taken: float, pace: Pace) -> None:
    assert pace.refused(await enter(pace), asked) == taken


async def test_nobody_waits_longer_than_its_run(pace: Pace) -> None:
    pace.refused(await enter(pace), 60)
    assert await pace.enter(0.0) is None


async def test_who_waits_is_let_in_when_there_is_room_and_a_cancelled_one_loses_no_turn(
    pace: Pace, clock: Clock
) -> None:
    pace.refused(await enter(pace), 1)
    clock.now = 1.0
    trying = await enter(pace)
    waiting = [asyncio.ensure_future(pace.enter(None)) for _ in range(4)]
    await asyncio.sleep(0)
    pace.leave(trying, answered=True)  # wakes the first
    waiting[0].cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert [one.done() for one in waiting] == [True, True, True, False]
    waiting[3].cancel()
