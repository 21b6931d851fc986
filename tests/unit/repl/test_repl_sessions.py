"""Sessions between their turns: the pool, and rebuilding by replay."""

import os
import threading

import pytest

from langgraph_rlm.errors import ReplError
from langgraph_rlm.repl import ReplPool, chain, replay
from langgraph_rlm.repl.clock import CellClock, process_seconds
from langgraph_rlm.types import Turn


class Double:
    """A REPL that runs nothing."""

    def __init__(self):
        self.alive = True

    def close(self):
        self.alive = False


def turn(number, code, result=None, **changes):
    result = result or {"stdout": "", "error": None, "digest": "", "killed": False, "seconds": 0.0}
    fields = {"output": result["stdout"], **{key: result[key] for key in ("error", "digest", "seconds", "killed")}}
    return Turn(number=number, thought="", code=code, calls={}, **{**fields, **changes})


def test_a_checked_out_repl_is_nobody_elses():
    pool, repl = ReplPool(), Double()
    pool.checkin("s", "d", repl)
    assert pool.checkout("s", "other") is None and pool.checkout("t", "d") is None
    assert pool.checkout("s", "d") is repl
    assert pool.checkout("s", "d") is None


def test_of_many_threads_one_gets_the_repl():
    pool, got = ReplPool(), []
    pool.checkin("s", "d", Double())
    ready = threading.Barrier(8)

    def take():
        ready.wait(10)
        got.append(pool.checkout("s", "d"))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(repl is not None for repl in got) == 1


def test_the_pool_closes_the_longest_unused_the_idle_and_the_dead():
    seconds = [0.0]
    pool = ReplPool(max_repls=2, idle_seconds=10, now=lambda: seconds[0])
    one, two, three, dead = Double(), Double(), Double(), Double()
    dead.alive = False
    for digest, repl in (("1", one), ("2", two), ("3", three), ("4", dead)):
        pool.checkin("s", digest, repl)
    assert (one.alive, two.alive, three.alive, len(pool)) == (False, True, True, 2)
    seconds[0] = 11.0
    assert pool.checkout("s", "2") is two  # asked for in time to find it; the other one has waited too long
    assert not three.alive and len(pool) == 0


def test_a_repl_that_died_in_the_pool_is_not_given_out():
    pool, repl = ReplPool(), Double()
    pool.checkin("s", "d", repl)
    repl.alive = False
    assert pool.checkout("s", "d") is None


def test_a_twin_under_the_same_digest_replaces_the_older_one():
    pool, one, two = ReplPool(), Double(), Double()
    pool.checkin("s", "d", one)
    pool.checkin("s", "d", two)
    assert not one.alive and pool.checkout("s", "d") is two


def test_discard_and_close():
    pool, repls = ReplPool(), [Double() for _ in range(4)]
    for at, repl in enumerate(repls[:3]):
        pool.checkin("s" if at < 2 else "t", str(at), repl)
    pool.discard("s")
    assert [repl.alive for repl in repls] == [False, False, True, True]
    pool.close()
    pool.checkin("t", "3", repls[3])
    assert not any(repl.alive for repl in repls)


def test_a_forked_copy_of_the_host_forgets_the_sessions_and_leaves_them_alive(session):
    pool, s = ReplPool(), session()
    pool.checkin("s", "d", s.repl)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if len(pool) == 0 and pool.checkout("s", "d") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pool.checkout("s", "d") is s.repl and s.shows("1") == "1"


def test_the_chain_tells_the_order_and_the_borders_of_cells():
    assert chain(chain("", "a"), "b") != chain(chain("", "b"), "a")
    assert chain("", "a\nb") != chain(chain("", "a"), "b")
    assert len(chain("", "\ud800")) == 64


CELLS = ["x = [ask(1)]", "x.append(ask(2))\nx", "y = 5\n1 / 0", "import random\nx.append(random.random())\nx"]


def test_a_replayed_session_has_the_same_variables_and_shows_the_same(session):
    first = session(ask=lambda n: n * 10)
    turns = [turn(at, code, first.run(code)) for at, code in enumerate(CELLS)]
    turns[1:1] = [turn(9, ""), turn(9, "while True: pass", killed=True)]
    asked = []

    def on_call_for(index):
        return lambda name, args, kwargs: asked.append(index) or args[0] * 10

    repl, differing = replay(lambda: session(ask=None).repl, turns, on_call_for)
    assert differing == [] and asked == [0, 3]
    assert repl.execute("x, y", None)["stdout"] == first.run("x, y")["stdout"]


def test_a_replay_that_shows_something_else_says_where(session):
    first = session()
    codes = ["1", "import time\ntime.perf_counter_ns()", "2"]
    turns = [turn(at, code, first.run(code)) for at, code in enumerate(codes)]
    assert replay(lambda: session().repl, turns, lambda index: None)[1] == [1]


def test_a_replay_that_kills_its_repl_raises_and_closes_it(session):
    started = []

    def start():
        started.append(session().repl)
        return started[-1]

    with pytest.raises(ReplError, match=r"cell 0 of 1.*exit status 4"):
        replay(start, [turn(1, "import os\nos._exit(4)")], lambda index: None)
    assert not started[0].alive


def test_a_paused_clock_counts_cpu_time_and_a_running_one_wall_time():
    now, cpu = [0.0], [0.0]
    clock = CellClock(cpu=lambda: cpu[0], now=lambda: now[0])
    now[0], cpu[0] = 2.0, 0.5
    assert clock.used() == 2.0
    clock.pause()
    now[0], cpu[0] = 100.0, 1.5
    assert clock.used() == 3.0
    clock.resume()
    now[0] = 101.0
    clock.skip(0.5)
    assert clock.used() == 3.5


def test_the_cpu_time_of_a_process_can_be_read():
    own = process_seconds(os.getpid())
    assert own is None or own > 0
    assert process_seconds(2**22 - 1) is None
