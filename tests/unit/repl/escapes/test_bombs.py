"""What eats memory, time, threads, output or the session itself costs that session only, and one line says what happened."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from langgraph_rlm.repl import ReplLimits

SMALL = {"memory_bytes": 400 << 20}
SHORT = {"cell_timeout": 0.3, "grace": 0.5, **SMALL}
PATIENT = {"cell_timeout": 30.0, **SMALL}


@dataclass(frozen=True)
class Bomb:
    """A cell, what the session may end with, and what the model is told."""

    name: str
    code: str
    says: str | None = None
    killed: bool | None = None
    limits: dict[str, Any] = field(default_factory=dict)

    @property
    def all_limits(self) -> dict[str, Any]:
        """Little time where nothing else ends it."""
        return {**(SHORT if self.says in (None, "TimeoutError", "killed") else PATIENT), **self.limits}


_C_LOOP = "import itertools\nsum(itertools.repeat(0))"
_ENDLESS_C = "import collections, itertools\ncollections.deque(itertools.repeat(0), maxlen=0)"
_EVIL = "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')"
_DEEP = "def f(): return f()\n"

BOMBS = [
    Bomb("a_string_larger_than_memory", "'x' * 10**12", "MemoryError", False),
    Bomb("a_string_larger_than_the_limit", "'x' * (900 << 20)", "MemoryError", False),
    Bomb("a_list_that_grows", "kept = []\nwhile True: kept.append('x' * (1 << 20))", "MemoryError", False),
    Bomb("a_list_of_many_small_things", "kept = []\nwhile True: kept.append([0])", None, None, {"cell_timeout": 20.0}),
    Bomb("memory_mapped_piece_by_piece", "import mmap\nkept = []\nwhile True: kept.append(mmap.mmap(-1, 16 << 20))", "", False),
    Bomb("memory_of_the_c_library", "import ctypes\nm = ctypes.CDLL(None).malloc\nm.restype = ctypes.c_void_p\n"
         "assert not m(ctypes.c_size_t(1 << 40))\nraise MemoryError('refused')", "refused", False),
    Bomb("memory_moved_about", "import mmap\nm = mmap.mmap(-1, 4096)\nm.resize(1 << 33)", "", False),
    Bomb("a_number_as_text", "str(1 << 60_000)", "ValueError", False),
    Bomb("a_number_as_text_without_a_limit", "import sys\nsys.set_int_max_str_digits(0)\nstr(1 << 60_000_000)"),
    Bomb("a_power", "9 ** 9 ** 9 ** 9"),
    Bomb("a_shift", "1 << (1 << 62)", "", False),
    Bomb("a_format", "f'{1:{10**9}}'", "", None),
    Bomb("nested_repetition", "x = ['x' * 1000]\nwhile True: x = x * 1000", "MemoryError", False),
    Bomb("an_endless_loop", "while True: pass", "TimeoutError", False),
    Bomb("an_endless_loop_in_c", _ENDLESS_C, None, None),
    Bomb("an_endless_sum", _C_LOOP, None, None),
    Bomb("a_regex", _EVIL, "TimeoutError", False),
    Bomb("a_regex_in_a_thread", f"import threading\nt = threading.Thread(target=lambda: exec({_EVIL!r}))\nt.start()\nt.join()", None, None),
    Bomb("a_long_sleep", "import time\ntime.sleep(10**6)", "TimeoutError", False),
    Bomb("a_lock_that_nobody_opens", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()", "TimeoutError", False),
    Bomb("deaf_to_the_alarm", "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass", "killed", True),
    Bomb("deaf_to_all_signals", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
         "killed", True),
    Bomb("an_alarm_of_ones_own", "import signal\nsignal.signal(14, lambda *a: None)\nwhile True: pass", "killed", True),
    Bomb("a_loop_that_swallows_everything", "while True:\n    try:\n        while True: pass\n    except BaseException: pass"),
    Bomb("a_recursion", f"{_DEEP}f()", "RecursionError", False),
    Bomb("a_recursion_without_a_limit", f"import sys\nsys.setrecursionlimit(10**9)\n{_DEEP}f()", None, None),
    Bomb("a_recursion_in_c", "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)", None, None),
    Bomb("a_recursion_in_a_comparison", "class A:\n    def __eq__(s, o): return s == o\nA() == A()", "RecursionError", False),
    Bomb("a_thread_bomb", "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
         None, None),
    Bomb("a_raw_thread_bomb", "import _thread, time\nwhile True: _thread.start_new_thread(time.sleep, (600,))", None, None),
    Bomb("threads_that_make_threads", "import threading\ndef f():\n    while True: threading.Thread(target=f).start()\nf()", None, None),
    Bomb("a_fork_bomb", "import os\nwhile True: os.fork()", "PermissionError", False),
    Bomb("descriptors", "import os\nwhile True: os.pipe()", "Too many open files", False),
    Bomb("copies_of_descriptors", "import os\nwhile True: os.dup(0)", "Too many open files", False),
    Bomb("sockets", "import socket\nkept = []\nwhile True: kept.append(socket.socketpair())", "Too many open files", False),
    Bomb("full_pipes", "import os\nkept = []\nfor _ in range(20):\n    r, w = os.pipe()\n    os.set_blocking(w, False)\n"
         "    try:\n        while True: os.write(w, b'x' * 65536)\n    except BlockingIOError: pass\nraise KeyError('full')", "full", False),
    Bomb("a_segfault", "import ctypes\nctypes.string_at(0)", "SIGSEGV", True),
    Bomb("a_jump_into_nothing", "import ctypes\nctypes.CFUNCTYPE(None)(1)()", "SIG", True),
    Bomb("a_broken_object", "import ctypes\nx = [1]\nctypes.memset(id(x), 255, 64)\nprint(x)\ndel x", None, True),
    Bomb("an_exit", "import os\nos._exit(0)", "exit status 0", True),
    Bomb("an_abort", "import os\nos.abort()", "SIGABRT", True),
    Bomb("a_kill", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL", True),
    Bomb("a_stop", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "killed", True),
    Bomb("the_main_thread_ends", "import ctypes, os\nctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)",
         None, True),
    Bomb("the_main_thread_ends_and_another_runs", "import ctypes, os, threading\n"
         "def f():\n    while True: pass\nthreading.Thread(target=f).start()\n"
         "ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)", None, True),
    Bomb("all_descriptors_closed", "import os\nos.closerange(0, 64)", None, True),
    Bomb("much_output", "for i in range(10**9): print('x' * 1000)", "TimeoutError", False),
    Bomb("one_huge_output", "print('x' * (100 << 20))\n1 / 0", "ZeroDivisionError", False),
    Bomb("a_huge_value", "'x' * (50 << 20)", None, False),
    Bomb("a_huge_error", "raise ValueError('x' * (50 << 20))", "ValueError", False),
    Bomb("a_huge_traceback", "raise ExceptionGroup('g', [ValueError('x' * 1000)] * 100_000)", None, None, {"cell_timeout": 20.0}),
    Bomb("an_error_that_cannot_be_shown", "class E(Exception):\n    def __str__(s):\n        while True: pass\nraise E", None, None),
    Bomb("a_value_that_cannot_be_shown", "class E:\n    def __repr__(s):\n        while True: pass\nE()", "TimeoutError", False),
    Bomb("a_huge_answer", "FINAL('x' * (200 << 20))", None, None, {"memory_bytes": 2 << 30, "cell_timeout": 20.0}),
    Bomb("a_deep_answer", "x = []\nfor _ in range(10**5): x = [x]\nFINAL(x)", "nested", False),
    Bomb("an_answer_that_contains_itself", "x = {}\nx['x'] = x\nFINAL(x)", "itself", False),
    Bomb("a_frame_of_two_gigabytes", r"import os, time" "\n" r"os.write(3, b'\x7f\xff\xff\xff')" "\ntime.sleep(5)", "disturbed", True),
    Bomb("a_byte_out_of_band_on_the_wire", "import socket, time\nw = socket.socket(1, 1, 0, 3)\nw.send(b'x', socket.MSG_OOB)\nprint(1)",
         None, None),
    Bomb("a_bomb_of_compression", "import zlib\nbomb = zlib.compress(b'0' * (1 << 28))\n[zlib.decompress(bomb) for _ in range(9)]", None, None,
         {"cell_timeout": 20.0}),
    Bomb("a_bomb_of_entities", "import xml.etree.ElementTree as E\ndtd = ''.join(f'<!ENTITY a{i} \"' + f'&a{i-1};' * 10 + '\">' for i in range(1, 12))\n"
         "E.fromstring(f'<!DOCTYPE r [<!ENTITY a0 \"xxxxxxxxxx\">{dtd}]><r>&a11;</r>')", None, None),
    Bomb("a_bomb_of_source", "exec('(' * 10**5)", None, None),
    Bomb("a_bomb_of_constants", "exec('x = ' + '((((1,) * 999,) * 999,) * 999,) * 999')", None, None),
    Bomb("broken_builtins", "import builtins\nbuiltins.len = builtins.print = builtins.repr = builtins.isinstance = None\n1 / 0", None, None),
    Bomb("no_modules", "import sys\nsys.modules.clear()\n1 / 0", None, None),
    Bomb("no_stdout", "import sys\nsys.stdout = sys.stderr = None\nprint('lost')\n1 / 0", "ZeroDivisionError", False),
    Bomb("a_tracer_that_never_ends", "import sys\nsys.settrace(lambda *a: [1 for _ in iter(int, 1)])\ndef f(): pass\nf()", None, None),
    Bomb("a_garbage_collector_that_never_ends", "import gc\ndef f(*a):\n    while True: pass\ngc.callbacks.append(f)\ngc.collect()", None, None),
    Bomb("a_finalizer_that_never_ends", "class A:\n    def __del__(s):\n        while True: pass\nA()\n1", None, None),
    Bomb("an_audit_hook_that_refuses", "import sys\ndef f(*a): raise ValueError('no')\nsys.addaudithook(f)\n1 / 0", None, None),
    Bomb("patient_switching_of_threads", "import sys, threading\nsys.setswitchinterval(10**6)\n"
         "def f():\n    while True: pass\nthreading.Thread(target=f, daemon=True).start()\nwhile True: pass", None, None),
]  # fmt: skip


CORE = {
    *(
        "a_string_larger_than_memory",
        "a_list_that_grows",
        "memory_mapped_piece_by_piece",
        "a_number_as_text",
        "a_power",
    ),
    *("an_endless_loop", "an_endless_loop_in_c", "a_regex", "deaf_to_the_alarm", "deaf_to_all_signals", "a_recursion"),
    *("a_recursion_without_a_limit", "a_thread_bomb", "a_fork_bomb", "descriptors", "a_segfault", "an_exit", "a_stop"),
    *(
        "the_main_thread_ends_and_another_runs",
        "all_descriptors_closed",
        "much_output",
        "a_huge_value",
        "a_deep_answer",
    ),
    *("a_frame_of_two_gigabytes", "broken_builtins", "no_modules", "no_stdout"),
}


def _params(core: set[str]) -> list[object]:
    return [pytest.param(b, id=b.name, marks=() if b.name in core else pytest.mark.slow) for b in BOMBS]


def nothing(name: str, args: list[Any], kwargs: dict[str, Any]) -> int:
    return 0


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize("bomb", _params(CORE))
def test_a_bomb_costs_its_own_session_only(jail, bomb: Bomb, gone):
    neighbour = jail.start(None, ["tell"], ReplLimits())
    neighbour.execute("kept = 41", nothing)
    template = neighbour._worker._template.pid
    repl = jail.start(None, ["tell"], ReplLimits(**bomb.all_limits))
    pid = repl._worker.pid
    try:
        result = repl.execute(bomb.code, nothing)
        if bomb.killed is not None:
            assert result["killed"] is bomb.killed, result["error"]
        if bomb.says is not None:
            assert result["error"] and bomb.says in result["error"], result
        assert len(result["stdout"]) <= 8_000 and len(result["error"] or "") <= 8_300
        if result["killed"]:
            assert result["error"] and "\n" not in result["error"] and result["final"] is None
            assert not repl.alive
        assert neighbour.execute("kept + 1", nothing)["stdout"] == "42\n"
        fresh = jail.start(None, [], ReplLimits())
        assert fresh.execute("1", nothing)["stdout"] == "1\n"
        assert fresh._worker._template.pid == template, "the template did not survive"
        fresh.close()
    finally:
        repl.close()
        neighbour.close()
    assert gone(pid)


@pytest.mark.slow
@pytest.mark.parametrize("landlock", [True, False], ids=["landlock", "seccomp-only"])
@pytest.mark.parametrize("bomb", _params(CORE))
def test_a_bomb_of_an_unprivileged_user_leaves_its_host_at_work(host, bomb: Bomb, landlock: bool):
    seen = host("nobody", landlock).ask("jail", bomb.code, limits=bomb.all_limits)
    assert seen["changes"] == []
    if bomb.killed is not None:
        assert seen["killed"] is bomb.killed, seen["error"]
    if bomb.says is not None:
        assert seen["error"] and bomb.says in seen["error"], seen
    if seen["killed"]:
        assert seen["error"] and "\n" not in seen["error"]
    assert host("nobody", landlock).ask("jail", "print(1)")["stdout"] == "1\n"


SESSION_LIVES_ON = [
    bomb for bomb in BOMBS if bomb.killed is False and bomb.name not in ("no_stdout",) and "threads" not in bomb.name
]


@pytest.mark.parametrize("bomb", [pytest.param(b, id=b.name, marks=pytest.mark.slow) for b in SESSION_LIVES_ON])
def test_what_a_session_had_before_a_bomb_it_survives_is_still_there(jail, bomb: Bomb):
    repl = jail.start(None, ["tell"], ReplLimits(**bomb.all_limits))
    repl.execute("before = 'as it was'", nothing)
    repl.execute(bomb.code, nothing)
    assert repl.execute("kept = None\nbefore", nothing)["stdout"] == "'as it was'\n"
    repl.close()


@pytest.mark.parametrize(("user", "landlock"), [("self", True), ("nobody", False)])
def test_a_host_killed_in_a_cell_leaves_no_process_whoever_its_user_is(host, gone, user: str, landlock: bool):
    playing = host(user, landlock)
    playing.ask("jail", "1")
    outcome: list[object] = []

    def ask() -> None:
        try:
            outcome.append(playing.ask("jail", "while True: pass", limits={"cell_timeout": 600.0}))
        except AssertionError as error:
            outcome.append(error)

    victim, thread = playing.pid, threading.Thread(target=ask)
    thread.start()
    for _ in range(500):  # the victim of the stage, the zygote, the template, the session
        children = _descendants(victim)
        if len(children) >= 4 and max(_processor_ticks(pid) for pid in children) > 20:
            break
        time.sleep(0.02)
    os.kill(victim, signal.SIGKILL)
    thread.join(60)
    assert isinstance(outcome[0], AssertionError)
    assert len(children) >= 4 and all(gone(pid) for pid in children)


def _descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    found: list[int] = []
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        children = [child for child, parent in parents.items() if parent == one]
        found += children
        waiting += children
    return found


def _processor_ticks(pid: int) -> int:
    try:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    except OSError:
        return 0


def test_processor_time_of_all_cells_together_has_a_limit(jail):
    repl = jail.start(None, [], ReplLimits(cpu_seconds=1, cell_timeout=30.0))
    result = repl.execute("while True: pass", nothing)
    assert result["killed"] and "SIGXCPU" in result["error"] and "\n" not in result["error"]
    repl.close()


def test_a_crash_leaves_no_core_file(jail):
    before = set(Path("/").iterdir()) | set(Path.cwd().iterdir())
    repl = jail.start(None, [], ReplLimits())
    assert repl.execute("import os\nos.abort()", nothing)["killed"]
    assert set(Path("/").iterdir()) | set(Path.cwd().iterdir()) == before
    repl.close()


def test_a_thousand_calls_at_once_are_bounded(jail):
    repl = jail.start(None, ["ask"], ReplLimits(cell_timeout=10.0))
    code = (
        "import os\nbody = b'\\x95\\xa4call\\xce%s\\xa3ask\\x90\\x80'\n"
        "for n in range(6000):\n    f = body % n.to_bytes(4, 'big')\n    os.write(3, len(f).to_bytes(4, 'big') + f)\n"
        "import time\ntime.sleep(30)"
    )
    asked: list[Future[Any]] = []

    def ask(name: str, args: list[Any], kwargs: dict[str, Any]) -> Future[Any]:
        asked.append(Future())
        return asked[-1]

    result = repl.execute(code, ask)
    assert result["killed"] and "calls at once" in result["error"]
    assert all(one.cancelled() for one in asked) and len(asked) <= 4096
    repl.close()


def test_a_cell_that_forges_its_own_end_gains_nothing(jail):
    repl = jail.start(None, [], ReplLimits(cell_timeout=1.0))
    code = (
        "import os\nf = b'\\x95\\xa4done\\x01\\xa6forged\\xc0\\xc0'\nos.write(3, len(f).to_bytes(4, 'big') + f)\nx = 1"
    )
    result = repl.execute(code, nothing)
    assert result["stdout"] in ("forged", "") and len(result["digest"]) == 64
    following = repl.execute("2", nothing) if repl.alive else None
    assert following is None or following["stdout"] in ("2\n", "")
    repl.close()


def test_closed_sessions_leave_no_descriptor_and_no_process_behind(jail, gone):
    pids = []
    for _ in range(2):
        repl = jail.start(None, [], ReplLimits())
        pids.append(repl._worker.pid)
        repl.close()
    assert all(gone(pid) for pid in pids)
    before = _descriptors()
    for _ in range(5):
        repl = jail.start(None, [], ReplLimits())
        pids.append(repl._worker.pid)
        repl.execute("import os\nos._exit(1)", nothing)
        repl.close()
    assert all(gone(pid) for pid in pids)
    assert _descriptors() <= before
