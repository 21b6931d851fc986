"""Host functions as cells see them: values, failures, hits, threads, Futures."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from langgraph_rlm.repl import FailedCall, HitList

HIT = {"doc_id": "d", "start": 0, "end": 1, "text": "é", "metadata": {"match": [0, 1]}}


def echo(*args, **kwargs):
    return [list(args), kwargs]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ("'é🦜', 1, -2.5, None, True", "[['é🦜', 1, -2.5, None, True], {}]"),
        ("(1, 2), in_='all', where={'a': [1]}", "[[[1, 2]], {'in_': 'all', 'where': {'a': [1]}}]"),
        ("{'a': 1}.keys(), (i for i in 'ab'), range(2)", "[[['a'], ['a', 'b'], [0, 1]], {}]"),
        ("2 ** 64 - 1", "[[18446744073709551615], {}]"),
        (r"'a\ud800'", r"[['a\\ud800'], {}]"),
    ],
)
def test_arguments_arrive_and_values_come_back(session, arguments, received):
    assert session(echo=echo).shows(f"echo({arguments})") == received


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("object()", "echo() argument 1 is an object; it must be None"),
        ("1, {2}", "echo() argument 2 is a set; it must be"),
        ("where={'a': [b'x']}", "echo() argument 'where'['a'][0] is a bytes; it must be"),
        ("{1: 2}", "echo() argument 1 has the key 1, which is an int; keys must be str"),
        ("2 ** 64", "echo() argument 1 is an int of more than 64 bits"),
        ("['x', CallError('timeout', 'late')]", "argument 1[1] is a call that failed (CallError('timeout', 'late'))"),
        ("loop", "nested more than 100 deep"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_a_type_error_that_names_it(session, arguments, message):
    error = session(echo=echo).run(f"loop = []\nloop.append(loop)\necho({arguments})")["error"]
    assert "TypeError: " in error and message in error


def test_an_argument_or_a_result_too_large_for_a_message_is_a_value_error(session):
    s = session(limits={"frame_bytes": 50_000}, echo=echo, big=lambda: "x" * 60_000)
    assert "ValueError: the arguments of echo() are 60," in s.run("echo('x' * 60_000)")["error"]
    assert "ValueError: the result is 60," in s.run("big()")["error"]
    assert s.shows("len(echo('x' * 40_000)[0][0])") == "40000"


def test_large_values_pass_both_ways_at_once(session):
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(6) as pool:\n"
        "    print([len(v[0][0]) for v in pool.map(echo, ['x' * 3_000_000] * 6)])"
    )
    assert session(echo=echo).shows(code) == str([3_000_000] * 6)


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        (TypeError("a"), "TypeError: a"),
        (ValueError("b"), "ValueError: b"),
        (UnicodeError("c"), "ValueError: c"),
        (KeyError("d"), "KeyError: 'd'"),
        (TimeoutError("e"), "TimeoutError: e"),
        (OSError("f"), "RuntimeError: f"),
        (ZeroDivisionError(), "RuntimeError: ZeroDivisionError"),
    ],
)
@pytest.mark.parametrize("as_future", [False, True])
def test_an_exception_of_the_host_keeps_its_kind_and_only_its_message_travels(session, raised, shown, as_future):
    def fail():
        if not as_future:
            raise raised
        future = Future()
        future.set_exception(raised)
        return future

    error = session(fail=fail).run("fail()")["error"]
    assert error.splitlines()[-1] == shown
    told = [line for line in error.splitlines() if line.strip(" ~^")]  # Python 3.13 marks the place in the line
    assert __file__ not in error and len(told) == 4


def test_a_cell_can_catch_what_the_host_raises(session):
    def fail():
        raise ValueError("no")

    assert session(fail=fail).shows("try: fail()\nexcept ValueError as e: print('caught', e)") == "caught no"


def test_a_result_that_cannot_be_sent_is_an_error_of_the_cell(session):
    s = session(odd=lambda: object(), huge=lambda: 2**70)
    assert "ValueError: the result cannot be sent to the cell" in s.run("odd()")["error"]
    assert "ValueError: the result cannot be sent to the cell" in s.run("huge()")["error"]


def test_hits_are_a_list_that_knows_how_much_was_searched(session):
    s = session(grep=lambda: HitList([HIT], seen=9, complete=False), none=lambda: HitList())
    assert s.shows(f"h = grep()\nh == [{HIT}], len(h), h.seen, h.complete, h[0]['text']") == "(True, 1, 9, False, 'é')"
    assert s.shows("h.matches == h, h.count") == "(True, 1)"
    assert s.shows("n = none()\nn, n.seen, n.complete, isinstance(n, list)") == "([], 0, True, True)"
    assert s.run("FINAL(h)")["final"] == [HIT]


def test_hits_and_failures_stand_anywhere_in_a_result(session):
    s = session(mixed=lambda: {"a": [HitList([HIT], 1), "x", FailedCall("timeout", "late", True)]})
    assert s.shows("a = mixed()['a']\na[0].seen, a[1], a[2], a[2].retryable") == (
        "(1, 'x', CallError('timeout', 'late'), True)"
    )


def test_a_failed_call_is_false_and_no_string(session):
    s = session(ask=lambda: FailedCall("rate_limited", "slow down", True))
    assert s.shows("e = ask()\nbool(e), isinstance(e, str), isinstance(e, CallError), e.category, e.message") == (
        "(False, False, True, 'rate_limited', 'slow down')"
    )
    for code in ("'a' + e", "e + 'a'", "''.join([e])", "e['text']"):
        assert "TypeError" in s.run(code)["error"]


def test_sixteen_threads_of_a_cell_are_answered_side_by_side(session):
    everyone = threading.Barrier(16)  # nobody gets through unless all sixteen calls are there at once
    with ThreadPoolExecutor(16) as pool:

        def meet(number):
            return pool.submit(lambda: (everyone.wait(30), number * 10)[1])

        code = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(16) as p:\n    print(list(p.map(meet, range(16))))"
        assert session(meet=meet).shows(code) == str([number * 10 for number in range(16)])


def test_asyncio_in_a_cell_can_call_through_threads(session):
    everyone = threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool:
        code = (
            "import asyncio\nasync def main():\n"
            "    return await asyncio.gather(*(asyncio.to_thread(meet, i) for i in range(3)))\nasyncio.run(main())"
        )
        meet = {"meet": lambda n: pool.submit(lambda: (everyone.wait(30), n)[1])}
        assert session(**meet).shows(code) == "[0, 1, 2]"


def test_answers_find_their_callers_in_whatever_order_they_come(session):
    waiting = []

    def ask(number):
        future = Future()
        waiting.append((number, future))
        if len(waiting) == 5:
            for asked, other in reversed(waiting):
                other.set_result(asked * 2)
        return future

    code = "import threading\nout = {}\nts = [threading.Thread(target=lambda i=i: out.update({i: ask(i)})) for i in range(5)]\n"
    assert session(ask=ask).shows(code + "for t in ts: t.start()\nfor t in ts: t.join()\nsorted(out.items())") == str(
        [(number, number * 2) for number in range(5)]
    )


def test_many_calls_from_many_threads_lose_nothing(session):
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as p:\n    print(sum(p.map(double, range(2000))) + sum(map(double, range(100))))"
    )
    with ThreadPoolExecutor(4) as pool:
        at_once = session(double=lambda n: n * 2 if n % 3 else pool.submit(lambda: n * 2))
        assert at_once.shows(code) == str(1999 * 2000 + 99 * 100)


def test_a_call_of_a_thread_that_outlives_its_cell_raises_there_and_is_cancelled(session):
    asked = []

    def ask():
        asked.append(Future())
        return asked[-1]

    s = session(ask=ask, called=lambda: bool(asked))
    s.run(
        "import threading, time\nlog = []\n"
        "def late():\n    try: ask()\n    except RuntimeError as e: log.append(str(e))\n"
        "t = threading.Thread(target=late)\nt.start()\nwhile not called(): time.sleep(0.001)"
    )
    assert asked[0].cancelled()
    assert s.shows("t.join()\nlog") == "['the cell that made this call has ended; join threads in their cell']"
    assert s.shows("1") == "1"


def test_a_pool_of_threads_may_serve_several_cells(session):
    s = session(echo=echo)
    s.run("from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)\nlist(pool.map(echo, [1]))")
    assert s.shows("list(pool.map(echo, [2, 3]))") == "[[[2], {}], [[3], {}]]"


def test_a_cancelled_future_is_an_error_of_the_cell(session):
    future = Future()
    future.cancel()
    assert "the call was cancelled" in session(ask=lambda: future).run("ask()")["error"]


def test_what_is_no_exception_unwinds_the_cell_past_its_handlers_and_reaches_the_caller(session):
    class Pause(BaseException):
        pass

    def ask():
        raise Pause("approval")

    s = session(ask=ask)
    with pytest.raises(Pause):
        s.run("try:\n    ask()\nexcept BaseException:\n    pass")
    assert not s.repl.alive


def test_on_call_runs_on_the_thread_that_executes(session):
    threads = set()
    session(note=lambda: threads.add(threading.get_ident())).run(
        "import threading\nt = threading.Thread(target=note)\nt.start()\nt.join()\nnote()"
    )
    assert threads == {threading.get_ident()}


def test_a_process_forked_by_a_cell_cannot_speak_for_it(plain_session):
    code = (
        "import os\npid = os.fork()\n"
        "if pid == 0:\n    try: echo(1)\n    except RuntimeError: print('child')\n    os._exit(7)\n"
        "os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"
    )
    s = plain_session(echo=echo)
    assert s.shows(code) == "7"
    assert s.shows("pid = os.fork()\n1 if pid == 0 else os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])") == "0"
