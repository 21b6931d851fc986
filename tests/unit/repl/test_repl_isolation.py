"""What a cell's process knows of the host, and that neither outlives or hurts the other."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from langgraph_rlm.errors import ReplError
from langgraph_rlm.repl import ProcessFactory, ReplLimits, spawn

LIMITS = ReplLimits()


def no_calls(name, args, kwargs):
    raise AssertionError(name)


def test_the_environment_of_the_host_is_not_in_the_process(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-host")
    factory = ProcessFactory(spare=0)
    repl = factory.start(None, [], LIMITS)
    code = (
        "import os\nprint(sorted(os.environ))\n"
        "print(open('/proc/self/environ').read().split(chr(0)))\n"
        "print('sk-secret' in open('/proc/self/cmdline').read())"
    )
    assert repl.execute(code, no_calls)["stdout"].splitlines() == [
        str(sorted(spawn.ENVIRONMENT)),
        str([f"{name}={value}" for name, value in spawn.ENVIRONMENT.items()] + [""]),
        "False",
    ]
    repl.close()
    factory.close()


def test_no_descriptor_of_the_host_is_inherited(tmp_path):
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        factory = ProcessFactory(spare=0)
        repl = factory.start(None, [], LIMITS)
        code = (
            "import os\nseen = {}\n"
            "for fd in range(64):\n    try: seen[fd] = os.readlink(f'/proc/self/fd/{fd}').partition(':')[0]\n"
            "    except OSError: pass\nsorted(seen.values())"
        )
        shown = repl.execute(code, no_calls)["stdout"]
        repl.close()
        factory.close()
    assert shown == "['/dev/null', '/dev/null', '/dev/null', 'socket']\n"


def test_cells_see_the_standard_library_only(session):
    s = session()
    for name in ("msgpack", "langgraph_rlm", "pytest", "cellside"):
        assert "ModuleNotFoundError" in s.run(f"import {name}")["error"]
    code = "import sys\n[p for p in sys.path if 'site-packages' in p], sys.argv, __name__"
    assert s.shows(code) == "([], [''], '__main__')"


def test_a_process_is_the_head_of_its_own_session_and_works_in_the_root(plain_session):
    assert (
        plain_session().shows("import os\nos.getsid(0) == os.getpgid(0) == os.getpid(), os.getcwd()") == "(True, '/')"
    )


HOST = """
import sys
from langgraph_rlm.repl import ProcessFactory, ReplLimits
factory = ProcessFactory(spare=1)
repl = factory.start(None, ["tell"], ReplLimits())
factory.warm()
spare = factory._spawner()._spares[0].pid
def tell(name, args, kwargs):
    print(args[0], spare, flush=True)
repl.execute("import os\\ntell(os.getpid())\\n" + sys.argv[1], tell)
"""


@pytest.mark.parametrize(
    "cell",
    ["while True: pass", "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')", "import time\ntime.sleep(600)"],
)
def test_a_host_killed_in_a_cell_leaves_no_process_behind(cell, gone):
    host = subprocess.Popen([sys.executable, "-c", HOST, cell], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in host.stdout.readline().split()]
    assert len(pids) == 2
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    assert all(gone(pid) for pid in pids)


def test_a_host_that_ends_by_itself_leaves_no_process_behind(gone):
    host = subprocess.run([sys.executable, "-c", HOST, "pass"], capture_output=True, text=True, timeout=60, check=True)
    assert host.stderr == ""
    assert all(gone(int(pid)) for pid in host.stdout.split())


def test_a_repl_lives_on_when_the_thread_that_asked_for_it_and_the_factory_are_gone(gone):
    started = []

    def start():
        started.append(ProcessFactory(spare=0).start(None, [], LIMITS))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert started[0].execute("x = 1\nx", no_calls)["stdout"] == "1\n"
    pid = int(started[0].execute("import os\nos.getpid()", no_calls)["stdout"])
    del started[:]  # nobody closes it
    assert gone(pid)


def test_a_forked_copy_of_the_host_leaves_the_repl_alone_and_can_start_its_own():
    code = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from langgraph_rlm.repl import ProcessFactory, ReplLimits
none = lambda *a: None
factory = ProcessFactory(spare=1)
repl = factory.start(None, [], ReplLimits())
repl.execute("x = 1", none)
pid = os.fork()
if pid == 0:
    assert factory.start(None, [], ReplLimits()).execute("2", none)["stdout"] == "2\\n"
    repl.close()
    raise SystemExit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert repl.execute("x", none)["stdout"] == "1\\n"
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_a_process_that_fails_at_its_start_says_why(monkeypatch):
    monkeypatch.setattr(spawn, "_BOOT", "raise SystemError('no luck')")
    factory = ProcessFactory(spare=0)
    with pytest.raises(ReplError, match="SystemError: no luck"):
        factory.start(None, [], LIMITS)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ReplError, match="/nowhere/python"):
        factory.start(None, [], LIMITS)
    factory.close()


def test_spares_are_used_replaced_and_ended(gone):
    factory = ProcessFactory(spare=2)
    factory.warm()
    spares = [worker.pid for worker in factory._spawner()._spares]
    assert len(spares) == 2
    repl = factory.start(None, [], LIMITS)
    assert int(repl.execute("import os\nos.getpid()", no_calls)["stdout"]) in spares
    factory.warm()
    left = [worker.pid for worker in factory._spawner()._spares]
    assert len(left) == 2
    factory.close()
    factory.close()
    assert all(gone(pid) for pid in left)
    assert repl.execute("1", no_calls)["stdout"] == "1\n"
    repl.close()
    with pytest.raises(ReplError, match="closed"):
        factory.start(None, [], LIMITS)


def test_a_spare_that_died_is_not_used():
    factory = ProcessFactory(spare=1)
    factory.warm()
    os.kill(factory._spawner()._spares[0].pid, signal.SIGKILL)
    repl = factory.start(None, [], LIMITS)
    assert repl.execute("1", no_calls)["stdout"] == "1\n"
    repl.close()
    factory.close()


def test_closed_repls_leave_no_descriptor_behind():
    factory = ProcessFactory(spare=0)
    factory.start(None, [], LIMITS).close()
    factory._spawner().settle()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        factory.start(None, [], LIMITS).close()
    factory._spawner().settle()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    factory.close()


def test_many_threads_use_their_own_sessions_side_by_side(factory):
    seen = {}

    def work(number):
        repl = factory.start(None, ["ask"], LIMITS)
        total = 0
        for _ in range(20):
            shown = repl.execute(f"n = globals().get('n', 0) + ask({number})\nn", lambda name, args, kwargs: args[0])
            total = int(shown["stdout"])
        repl.close()
        seen[number] = total

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: 20 * number for number in range(6)}


def test_a_second_thread_is_refused_while_a_cell_runs(session):
    s = session(again=lambda: s.run("1"))
    assert "RuntimeError: this REPL is running another cell" in s.run("again()")["error"]
