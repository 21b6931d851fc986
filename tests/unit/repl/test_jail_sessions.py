"""Sessions side by side share nothing but the context's memory; whatever process dies, nothing is left and all heals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from langgraph_rlm.repl import ReplContext, ReplLimits, replay
from langgraph_rlm.repl.jail import JailFactory
from langgraph_rlm.types import Turn


def nothing(name, args, kwargs):
    return None


def context(text: str) -> ReplContext:
    data = text.encode()
    return ReplContext("text", [], [len(data)], data)


def test_parallel_sessions_see_only_their_own_output_variables_and_directory(factory):
    together = threading.Barrier(6)
    code = """
import os, sys, math, builtins
name = "session-{n}"
try: os.chdir("/proc" if {n} % 2 else "/tmp")
except PermissionError: pass
here = os.getcwd()
os.environ["WHO"] = name
math.pi = builtins.MINE = {n}
for i in range(50):
    meet(i)
    print(name, i, math.pi, MINE, os.environ["WHO"], os.getcwd() == here, file=sys.stderr if i % 2 else sys.stdout)
sorted(k for k in globals() if k.startswith("only_"))
"""

    def run(n):
        repl = factory.start(None, ["meet"], ReplLimits())
        repl.execute(f"only_{n} = {n}", nothing)

        def meet(name, args, kwargs):
            together.wait(60)

        try:
            return repl.execute(code.replace("{n}", str(n)), meet)
        finally:
            repl.close()

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(run, range(6)))
    for n, result in enumerate(results):
        assert result["error"] is None, result["error"]
        lines = [f"session-{n} {i} {n} {n} session-{n} True" for i in range(50)]
        assert result["stdout"].splitlines() == [*lines, str([f"only_{n}"])]
    after = factory.start(None, [], ReplLimits())
    shown = after.execute(
        "import math, os\nround(math.pi, 2), os.getcwd(), 'WHO' in os.environ, 'MINE' in dir(__builtins__)", nothing
    )
    after.close()
    assert shown["stdout"] == "(3.14, '/', False, False)\n"


def test_a_context_overwritten_in_memory_is_overwritten_for_that_session_only(jail):
    text = context("the context of all " * 50_000)
    one, other = (jail.start(text, [], ReplLimits()) for _ in range(2))
    vandal = (
        "import ctypes, sys\n"
        "at = id(context) + sys.getsizeof(context) - len(context) - 1\n"
        "ctypes.memset(at, ord('X'), len(context))\n"
        "print(context[:6], context.count('X') == len(context))"
    )
    shown = one.execute(vandal, nothing)
    assert shown["error"] is None and shown["stdout"] == "XXXXXX True\n"
    third = jail.start(text, [], ReplLimits())
    for repl in (other, third):
        assert repl.execute("context[:11], context.count('X')", nothing)["stdout"] == "('the context', 0)\n"
    for repl in (one, other, third):
        repl.close()


def test_modules_that_one_session_spoils_are_whole_in_the_next(jail):
    one = jail.start(None, [], ReplLimits())
    one.execute(
        "import json, re, sys\njson.dumps = re.sub = None\nsys.modules['math'] = None\nimport builtins\nbuiltins.len = 0",
        nothing,
    )
    two = jail.start(None, [], ReplLimits())
    assert two.execute(
        "import json, re, math\njson.dumps([len('ab')]), re.sub('a', 'b', 'a'), math.floor(1.5)", nothing
    )["stdout"] == ("('[2]', 'b', 1)\n")
    one.close()
    two.close()


SCAN = """
import gc, sys
mark = "".join(["TOP", "SECRET", "4711"])
gc.unfreeze()
seen, waiting, found = set(), [sys.modules, *gc.get_objects()], set()
while waiting:
    o = waiting.pop()
    if id(o) in seen: continue
    seen.add(id(o))
    if isinstance(o, str) and mark in o and o != mark: found.add(o[:40])
    elif isinstance(o, (bytes, bytearray)) and mark.encode() in o: found.add(str(bytes(o[:40])))
    waiting += gc.get_referents(o)
[f for f in sorted(found) if "is in here" in f or "too" in f]
"""


def test_a_session_has_nothing_of_another_context_in_its_memory(jail):
    secret = "".join(["TOP", "SECRET", "4711"])
    one = jail.start(context(f"{secret} is in here"), [], ReplLimits(), {"given": f"{secret} too"})
    two = jail.start(context("nothing is in this one"), [], ReplLimits())
    assert one.execute(SCAN, nothing)["stdout"] == f"['{secret} is in here', '{secret} too']\n"
    assert two.execute(SCAN, nothing)["stdout"] == "[]\n"
    one.close()
    two.close()


HOST = """
import sys, threading, time
from langgraph_rlm.repl import ReplContext, ReplLimits
from langgraph_rlm.repl.jail import JailFactory
factory = JailFactory(landlock=sys.argv[2] == "1")
other = factory.start(None, [], ReplLimits())
repl = factory.start(ReplContext("text", [], [3], b"abc"), ["tell"], ReplLimits(cell_timeout=600.0))
idle = factory.start(ReplContext("text", [], [3], b"abc"), [], ReplLimits())
def tell(name, args, kwargs):
    pids = [repl._worker.pid, idle._worker.pid, other._worker.pid, repl._worker._template.pid, other._worker._template.pid]
    print(*pids, factory._zygote.pid, flush=True)
repl.execute("tell()\\n" + sys.argv[1], tell)
"""
ENDS_MAIN = "import ctypes, os, threading, time\nctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)"


@pytest.mark.parametrize("landlock", ["1", "0"])
@pytest.mark.parametrize(
    "cell",
    [
        "while True: pass",
        "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
        "import time\ntime.sleep(600)",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "import os, time\nos.close(3)\nwhile True: time.sleep(1)",
        f"import threading, time\nthreading.Thread(target=lambda: [time.sleep(0.01) for _ in iter(int, 1)]).start()\n{ENDS_MAIN}",
    ],
    ids=["loop", "regex", "sleep", "deaf", "stopped", "wire-closed", "main-thread-ended"],
)
def test_a_host_killed_leaves_no_session_no_template_and_no_zygote_behind(cell, landlock, gone):
    host = subprocess.Popen([sys.executable, "-c", HOST, cell, landlock], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in host.stdout.readline().split()]
    assert len(set(pids)) == 6
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize("ending", ["pass", "import os\nos._exit(0)"])
def test_a_host_that_ends_by_itself_leaves_no_process_behind(ending, gone):
    host = subprocess.run(
        [sys.executable, "-c", HOST, ending, "1"], capture_output=True, text=True, timeout=60, check=True
    )
    assert host.stderr == ""
    assert all(gone(int(pid)) for pid in host.stdout.split())


@pytest.fixture
def own() -> JailFactory:
    """A jail that a test may damage."""
    factory = JailFactory()
    yield factory
    factory.close()


def _victim(factory, repl, which):
    return {"session": repl._worker.pid, "template": repl._worker._template.pid, "zygote": factory._zygote.pid}[which]


@pytest.mark.parametrize("which", ["session", "template", "zygote"])
def test_a_process_killed_between_cells_is_replaced_at_the_next_start(own, which, gone):
    text = context("abc")
    repl = own.start(text, [], ReplLimits())
    assert repl.execute("x = 1\nx", nothing)["stdout"] == "1\n"
    session, victim = repl._worker.pid, _victim(own, repl, which)
    os.kill(victim, signal.SIGKILL)
    assert gone(victim) and gone(session)
    assert not repl.alive
    result = repl.execute("x", nothing)
    assert result["killed"] and "SIGKILL" in result["error"] and "\n" not in result["error"]
    turn = Turn(
        number=1, thought="", code="x = 1\nx", output="1\n", calls={}, digest="", error=None, killed=False, seconds=0.0
    )
    healed, _ = replay(lambda: own.start(text, [], ReplLimits()), [turn], lambda index: nothing)
    assert healed.execute("x, context", nothing)["stdout"] == "(1, 'abc')\n"
    healed.close()
    repl.close()


@pytest.mark.parametrize("which", ["template", "zygote"])
def test_a_start_right_after_a_kill_finds_the_replacement(own, which):
    for _ in range(10):
        repl = own.start(None, [], ReplLimits())
        with contextlib.suppress(ProcessLookupError):  # on a busy machine the one killed before may still be told
            os.kill(_victim(own, repl, which), signal.SIGKILL)
        fresh = own.start(None, [], ReplLimits())  # at once: what was killed may not have been collected yet
        repl.close()
        fresh.close()


@pytest.mark.parametrize("which", ["session", "template", "zygote"])
def test_a_process_killed_while_a_cell_runs_is_one_line_and_replaced(own, which):
    repl = own.start(None, ["die", "wait"], ReplLimits())
    asked = []

    def door(name, args, kwargs):
        if name == "die":
            os.kill(_victim(own, repl, which), signal.SIGKILL)
            return None
        asked.append(Future())
        return asked[-1]

    result = repl.execute("die()\nwait()", door)
    assert result["killed"] and "\n" not in result["error"]
    assert all(one.cancelled() for one in asked)
    fresh = own.start(None, [], ReplLimits())
    assert fresh.execute("1", nothing)["stdout"] == "1\n"
    fresh.close()
    repl.close()


def test_one_of_many_killed_does_not_disturb_the_others(own):
    repls = [own.start(None, ["meet"], ReplLimits()) for _ in range(4)]
    together = threading.Barrier(4)

    def run(n):
        def meet(name, args, kwargs):
            together.wait(60)
            if n == 0 and args[0] == 3:
                os.kill(repls[1]._worker.pid, signal.SIGKILL)
                together.abort()

        def calm(name, args, kwargs):
            try:
                meet(name, args, kwargs)
            except threading.BrokenBarrierError:
                return

        return repls[n].execute("for i in range(8): meet(i)\nprint('end')", calm)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert [result["killed"] for n, result in enumerate(results) if n != 1] == [False] * 3
    assert [result["stdout"] for n, result in enumerate(results) if n != 1] == ["end\n"] * 3
    assert not repls[1].alive or results[1]["stdout"] == "end\n"
    for repl in repls:
        repl.close()


def test_many_threads_start_sessions_while_processes_are_being_killed(own):
    stop, failures = threading.Event(), []

    def vandal():
        killed = 0
        while not stop.is_set() and killed < 6:
            zygote = own._zygote
            pids = [slot.template.pid for slot in list(own._held.values()) if slot.template is not None]
            for pid in pids[:1] if killed % 3 else [zygote.pid] if zygote else []:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

    def work(n):
        done = 0
        for _ in range(400):
            if done == 5:
                break
            try:
                repl = own.start(context(f"text {n % 2}"), [], ReplLimits())
            except Exception as error:  # noqa: BLE001 - counted and shown
                failures.append(error)
                continue
            result = repl.execute("context", nothing)
            repl.close()
            if not result["killed"]:
                assert result["stdout"] == f"'text {n % 2}'\n"
                done += 1
        return done

    thread = threading.Thread(target=vandal)
    thread.start()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(4)))
    stop.set()
    thread.join()
    assert done == [5] * 4
    assert failures == []


def test_a_closed_jail_leaves_no_process(gone):
    factory = JailFactory()
    repl = factory.start(context("abc"), [], ReplLimits())
    pids = [repl._worker.pid, repl._worker._template.pid, factory._zygote.pid]
    factory.close()
    assert repl.execute("context", nothing)["stdout"] == "'abc'\n"
    repl.close()
    del repl
    assert all(gone(pid) for pid in pids)


def test_a_forgotten_jail_leaves_no_process(gone):
    factory = JailFactory()
    repl = factory.start(None, [], ReplLimits())
    pids = [repl._worker.pid, repl._worker._template.pid, factory._zygote.pid]
    del repl, factory
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize("landlock", [True, False])
def test_two_jails_of_one_host_know_nothing_of_each_other(landlock):
    one, two = JailFactory(landlock=landlock), JailFactory(landlock=landlock)
    first, second = one.start(None, [], ReplLimits()), two.start(None, [], ReplLimits())
    code = f"import os\ntry: os.kill({second._worker.pid}, 9)\nexcept PermissionError as e: print('DENIED', e.errno)"
    assert first.execute(code, nothing)["stdout"] == "DENIED 1\n"
    assert second.execute("1", nothing)["stdout"] == "1\n"
    for repl in (first, second):
        repl.close()
    one.close()
    two.close()


def test_the_status_of_a_session_says_that_it_is_locked(jail):
    repl = jail.start(None, [], ReplLimits())
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{repl._worker.pid}/status").read_text().splitlines() if ":" in line
    )
    assert status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1"
    assert all(int(status[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    for thread in Path(f"/proc/{repl._worker.pid}/task").iterdir():
        assert "Seccomp:\t2" in (thread / "status").read_text()
    if os.getuid() == 0:
        assert status["Uid"].split()[0] != "0"
    repl.close()
