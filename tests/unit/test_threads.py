"""Daemon threads: jobs run side by side, errors come out where they are awaited, and closing waits for nobody."""

from __future__ import annotations

import threading
import time

import pytest

from langgraph_rlm.threads import DaemonThreads


def test_jobs_run_side_by_side_and_their_results_come_back() -> None:
    threads, barrier = DaemonThreads(8, "test"), threading.Barrier(8)
    futures = [threads.submit(lambda i=i: (barrier.wait(20), i)[1]) for i in range(8)]  # type: ignore[misc]
    assert [future.result(20) for future in futures] == list(range(8))
    threads.shutdown()


def test_an_idle_thread_takes_the_next_job() -> None:
    threads = DaemonThreads(1, "test")
    names = {threads.submit(lambda: threading.current_thread().name).result(20) for _ in range(20)}
    assert names == {"test-1"}
    threads.shutdown()


def test_jobs_beyond_the_most_threads_wait_for_their_turn() -> None:
    threads, gate = DaemonThreads(2, "test"), threading.Event()
    futures = [threads.submit(gate.wait, 20) for _ in range(2)] + [threads.submit(lambda: True) for _ in range(10)]
    assert not any(future.done() for future in futures)
    gate.set()
    assert all(future.result(20) for future in futures)
    threads.shutdown()


def test_jobs_that_wait_for_jobs_of_the_same_pool_never_wait_for_a_thread() -> None:
    threads = DaemonThreads(None, "test")

    def depth(left: int) -> int:
        return 1 + threads.submit(depth, left - 1).result(60) if left else 0

    assert threads.submit(depth, 1_500).result(60) == 1_500
    threads.shutdown()


def test_threads_end_when_nobody_needs_them_and_come_back_when_somebody_does() -> None:
    threads = DaemonThreads(None, "ending", idle_seconds=0.05)
    for _ in range(3):
        barrier = threading.Barrier(20)
        futures = [threads.submit(barrier.wait, 20) for _ in range(20)]
        assert sorted(future.result(20) for future in futures) == list(range(20))
        for thread in threading.enumerate():
            if thread.name.startswith("ending-"):
                thread.join(20)
                assert not thread.is_alive()
    threads.shutdown()


def test_no_job_is_lost_while_threads_end() -> None:
    threads = DaemonThreads(4, "test", idle_seconds=0.0005)
    for number in range(2_000):
        if number % 7 == 0:
            time.sleep(0.0005)
        assert threads.submit(lambda n=number: n).result(20) == number  # type: ignore[misc]
    threads.shutdown()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_comes_out_where_the_result_is_awaited_and_the_thread_lives_on(error: BaseException) -> None:
    threads = DaemonThreads(1, "test")

    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        threads.submit(fail).result(20)
    assert threads.submit(lambda: "still there").result(20) == "still there"
    threads.shutdown()


def test_closing_gives_up_what_waits_and_never_waits_for_what_hangs() -> None:
    threads, begun, gate = DaemonThreads(1, "test"), threading.Event(), threading.Event()
    hanging = threads.submit(lambda: (begun.set(), gate.wait(60)))
    waiting = threads.submit(lambda: None)
    assert begun.wait(20)
    threads.shutdown(cancel_futures=True)
    assert waiting.cancelled()
    assert not hanging.done()
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(lambda: None)
    gate.set()
    hanging.result(20)


def test_all_threads_are_daemons() -> None:
    threads = DaemonThreads(1, "test")
    assert threads.submit(lambda: threading.current_thread().daemon).result(20)
    threads.shutdown()
