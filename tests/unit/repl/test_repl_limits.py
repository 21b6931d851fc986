"""Time and memory: soft limits keep the variables, hard ones end the process and say so."""

import threading
from concurrent.futures import Future

import pytest

from langgraph_rlm.errors import ReplError

SHORT = {"cell_timeout": 0.2, "grace": 20.0}


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "while True: kept += 1",
        "import time\ntime.sleep(600)",
        "import threading\nthreading.Event().wait()",
        "while True:\n    try: kept += 1\n    except Exception: pass",
        "while True:\n    try: kept += 1\n    except BaseException: pass",
        "import time\nwhile True:\n    try:\n        time.sleep(600)\n    except BaseException:\n        pass",
        "def f():\n    while True:\n        try:\n            [i for i in range(1000)]\n        except BaseException:\n            continue\nf()",
        "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')",
        "import asyncio\nasyncio.run(asyncio.sleep(600))",
        "from concurrent.futures import ThreadPoolExecutor\nimport time\n"
        "with ThreadPoolExecutor(1) as p: p.submit(time.sleep, 1)\nwhile True: pass",
        "while True: call()",
        "while True:\n    try: call()\n    except Exception: pass",
    ],
)
def test_a_cell_that_runs_too_long_is_interrupted_and_its_variables_stay(session, loop):
    s = session(limits=SHORT, call=lambda: 1)
    result = s.run(f"kept = 41\n{loop}")
    assert not result["killed"]
    assert "TimeoutError: the cell ran longer than 0.2 s" in result["error"]
    assert s.shows("kept > 40") == "True"


def test_a_cell_may_catch_the_time_limit_to_keep_what_it_has(session):
    s = session(limits=SHORT)
    assert s.shows("import time\ntry: time.sleep(600)\nexcept TimeoutError:\n    print('partial')") == "partial"
    assert s.shows("import sys\nsys.gettrace()") == ""


def test_a_cell_that_cannot_be_interrupted_is_killed_and_reported(session):
    s = session(limits={"cell_timeout": 0.1, "grace": 0.3})
    # a regex in another thread neither looks at signals nor lets the main thread run
    evil = "threading.Thread(target=re.match, args=(r'(a+)+$', 'a' * 60 + 'b')).start()"
    result = s.run(f"import re, threading\nprint('lost')\n{evil}\nwhile True: pass")
    assert result["killed"] and result["final"] is None and "\n" not in result["error"]
    assert "0.1 s" in result["error"] and "was killed" in result["error"]
    assert not s.repl.alive
    assert session().shows("1") == "1"


def test_a_handler_set_by_a_cell_is_replaced_for_the_next_one(session):
    s = session(limits=SHORT)
    s.run("import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)")
    assert "TimeoutError" in s.run("while True: pass")["error"]


def test_waiting_for_calls_costs_no_time_in_whichever_way_a_cell_waits(session):
    asked, limit = [], 0.8

    def ask():
        asked.append(Future())
        if len(asked) == 3:
            for future in asked:
                threading.Timer(2 * limit, future.set_result, ["late"]).start()
        return asked[-1]

    s = session(limits={"cell_timeout": limit, "grace": 0.1}, ask=ask)
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(3) as p: print(list(p.map(lambda _: ask(), 'abc')))"
    )
    assert s.shows(code) == "['late', 'late', 'late']"


def test_computing_while_another_thread_waits_for_a_call_costs_time(session):
    asked = Future()
    s = session(limits=SHORT, ask=lambda: asked)
    result = s.run(
        "import threading\nlog = []\ndef wait():\n    try: ask()\n    except TimeoutError as e: log.append('late')\n"
        "t = threading.Thread(target=wait)\nt.start()\nwhile True: pass"
    )
    assert "TimeoutError" in result["error"] and asked.cancelled()
    assert s.shows("t.join()\nlog") == "['late']"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os\nos._exit(3)", "exit status 3"),
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", "SIGTERM"),
    ],
)
def test_the_death_of_the_process_is_one_plain_line(session, code, says):
    s = session()
    result = s.run(f"print('lost')\n{code}")
    assert result["killed"] and says in result["error"] and "\n" not in result["error"]
    assert result["stdout"] == "" and len(result["digest"]) == 64
    assert not s.repl.alive


@pytest.mark.parametrize("bomb", ["kept.append(' ' * (1 << 40))", "while True: kept.append(' ' * (1 << 20))"])
def test_running_out_of_memory_is_an_error_of_the_cell(session, bomb):
    s = session(limits={"memory_bytes": 300 << 20})
    result = s.run(f"kept = []\n{bomb}")
    assert not result["killed"] and "MemoryError" in result["error"]
    assert s.shows("kept.clear()\nlen(kept)") == "0"


def test_files_cannot_grow(plain_session):
    s = plain_session()
    assert "OSError" in s.run("import os\nos.write(os.memfd_create('f'), b'x')")["error"]
    assert s.shows("1") == "1"


def test_interrupt_from_another_thread_ends_a_running_cell(session):
    s = session(started=lambda: threading.Thread(target=s.repl.interrupt, args=("stopped by hand",)).start())
    result = s.run("started()\nwhile True: pass")
    assert result["killed"] and result["error"] == "stopped by hand"
    assert not s.repl.alive
    with pytest.raises(ReplError, match="ended"):
        s.run("1")


def test_close_from_another_thread_ends_a_cell_that_waits_for_a_call(session):
    future = Future()

    def ask():
        threading.Thread(target=s.repl.close).start()
        return future

    s = session(ask=ask)
    result = s.run("ask()")
    assert result["killed"] and "closed" in result["error"] and future.cancelled()


def test_what_a_cell_has_started_dies_with_it(plain_session, gone):
    s = plain_session()
    pid = int(s.shows("import subprocess\nsubprocess.Popen(['/bin/sleep', '600']).pid"))
    s.repl.close()
    assert gone(pid)


def test_an_error_keeps_to_the_limit_of_output_even_when_that_is_tiny(session):
    s = session(limits={"output_chars": 10})
    assert len(s.run("1 / 0")["error"]) <= 10
    assert "not taken" in s.run("FINAL(1)\n1 / 0")["error"]
