"""Zygote, templates and sessions: what they share, how they heal, and that none is left behind."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langgraph_rlm.errors import ReplError
from langgraph_rlm.repl import ReplContext, ReplLimits
from langgraph_rlm.repl.jail import JailFactory, available

pytestmark = pytest.mark.skipif(available() is not None, reason="no jail here")
LIMITS = ReplLimits()


def no_calls(name, args, kwargs):
    raise AssertionError(name)


def text(size, letter="x", digest=""):
    data = (letter * size).encode()
    return ReplContext("text", [], [len(data)], data, digest)


def shows(repl, code):
    result = repl.execute(code, no_calls)
    assert result["error"] is None, result["error"]
    return result["stdout"].rstrip("\n")


def pss(pid):
    """Megabytes of a process, each page divided by the number of processes that share it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


can_measure = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at the memory of what is not dumpable")


@pytest.fixture
def own():
    """A factory of its own, whose processes can be killed."""
    factory = JailFactory()
    yield factory
    factory.close()


def template_of(repl):
    return repl._worker._template


# --- healing ------------------------------------------------------------------------------------------------------


def test_a_killed_session_is_told_of_in_one_line_and_the_next_one_starts(own):
    repl = own.start(None, [], LIMITS)
    os.kill(repl._worker.pid, signal.SIGKILL)
    result = repl.execute("1", no_calls)
    assert result["killed"] and "SIGKILL" in result["error"] and "\n" not in result["error"]
    assert not repl.alive
    assert shows(own.start(None, [], LIMITS), "1") == "1"


@pytest.mark.parametrize("who", ["template", "zygote"])
def test_a_killed_parent_takes_its_sessions_along_and_the_next_start_has_another(own, gone, who):
    context = text(1000)
    repl = own.start(context, [], LIMITS)
    template, zygote = template_of(repl).pid, own._zygote.pid
    os.kill(template if who == "template" else zygote, signal.SIGKILL)
    assert gone(repl._worker.pid) and gone(template)
    result = repl.execute("1", no_calls)
    assert result["killed"] and "\n" not in result["error"] and not repl.alive
    again = own.start(context, [], LIMITS)
    assert shows(again, "len(context)") == "1000"
    assert template_of(again).pid != template and (own._zygote.pid == zygote) == (who == "template")


def test_parents_killed_while_many_threads_start_sessions_are_replaced(own):
    stop = threading.Event()

    def kill():
        while not stop.wait(0.05):
            if own._zygote is not None:
                own._zygote._process.kill()
                stop.wait(0.3)

    def work(number):
        for _ in range(5):
            try:
                repl = own.start(text(100 + number % 2), [], LIMITS)
            except ReplError:
                continue
            assert repl.execute("len(context)", no_calls)["stdout"] in (f"{100 + number % 2}\n", "")
            repl.close()
        return True

    killer = threading.Thread(target=kill)
    killer.start()
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    stop.set()
    killer.join()
    assert shows(own.start(None, [], LIMITS), "1") == "1"


# --- leaving nothing ----------------------------------------------------------------------------------------------

HOST = """
import sys
from langgraph_rlm.repl import ReplContext, ReplLimits
from langgraph_rlm.repl.jail import JailFactory
factory = JailFactory()
idle = factory.start(None, [], ReplLimits())
repl = factory.start(ReplContext("text", [], [1], b"x"), ["tell"], ReplLimits())
pids = [one._worker.pid for one in (idle, repl)] + [one._worker._template.pid for one in (idle, repl)]
def tell(name, args, kwargs):
    print(factory._zygote.pid, *pids, flush=True)
repl.execute("tell()\\n" + sys.argv[1], tell)
"""


@pytest.mark.parametrize("cell", ["while True: pass", "import time\ntime.sleep(600)", "import signal\nsignal.pause()"])
def test_a_host_killed_in_a_cell_leaves_no_process_behind(cell, gone):
    host = subprocess.Popen([sys.executable, "-c", HOST, cell], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in host.stdout.readline().split()]
    assert len(set(pids)) == 5
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    assert all(gone(pid) for pid in pids)


def test_a_host_that_ends_by_itself_leaves_no_process_behind(gone):
    host = subprocess.run([sys.executable, "-c", HOST, "pass"], capture_output=True, text=True, timeout=60, check=True)
    assert host.stderr == ""
    assert all(gone(int(pid)) for pid in host.stdout.split())


def test_a_closed_factory_ends_what_nobody_uses_and_leaves_what_is_in_use(own, gone):
    used, unused = own.start(text(10), [], LIMITS), own.start(text(20), [], LIMITS)
    zygote, idle = own._zygote.pid, template_of(unused).pid
    unused.close()
    own.close()
    gc.collect()
    assert gone(idle)
    assert shows(used, "len(context)") == "10"
    session = used._worker.pid
    used.close()
    gc.collect()
    assert gone(session) and gone(zygote)
    with pytest.raises(ReplError, match="closed"):
        own.start(None, [], LIMITS)


def test_a_repl_lives_on_when_the_thread_that_asked_for_it_and_the_factory_are_gone(gone):
    started = []
    thread = threading.Thread(target=lambda: started.append(JailFactory().start(None, [], LIMITS)))
    thread.start()
    thread.join()
    assert shows(started[0], "x = 1\nx") == "1"
    pid = started[0]._worker.pid
    del started[:]
    gc.collect()
    assert gone(pid)


def test_templates_used_longest_ago_and_idle_ones_are_ended(gone):
    factory = JailFactory(templates=2, idle_seconds=1000.0)
    pids = []
    for size in (10, 20, 30):
        repl = factory.start(text(size), [], LIMITS)
        pids.append(template_of(repl).pid)
        repl.close()
    del repl
    gc.collect()
    assert gone(pids[0])
    factory._idle_seconds = 0.0
    time.sleep(0.01)
    factory.start(None, [], LIMITS).close()
    gc.collect()
    assert gone(pids[1]) and gone(pids[2])
    factory.close()


def test_closed_repls_leave_no_descriptor_behind(own):
    own.start(None, [], LIMITS).close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        repl = own.start(None, [], LIMITS)
        shows(repl, "1")
        repl.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    own.close()
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) < before


def test_a_forked_copy_of_the_host_leaves_the_repl_alone_and_can_start_its_own():
    code = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from langgraph_rlm.repl import ReplLimits
from langgraph_rlm.repl.jail import JailFactory
none = lambda *a: None
factory = JailFactory()
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


# --- sharing ------------------------------------------------------------------------------------------------------


def test_sessions_on_one_context_have_one_template_and_others_have_others(own):
    data = b"x" * 1000
    one, same = (own.start(ReplContext("text", [], [1000], data), [], LIMITS) for _ in range(2))
    view = own.start(ReplContext("text", [], [1000], memoryview(data)), [], LIMITS)
    parts = own.start(ReplContext("list", [], [400, 600], data), [], LIMITS)
    assert template_of(one) is template_of(same) is template_of(view)
    assert template_of(parts) is not template_of(one) and shows(parts, "len(context)") == "2"
    named = [own.start(text(10, letter, "sha256:a"), [], LIMITS) for letter in "xx"]
    assert template_of(named[0]) is template_of(named[1])


def test_a_buffer_that_its_owner_writes_to_is_told_apart_by_its_content(own):
    buffer = bytearray(b"abc")
    first = own.start(ReplContext("text", [], [3], memoryview(buffer)), [], LIMITS)
    buffer[:] = b"xyz"
    second = own.start(ReplContext("text", [], [3], memoryview(buffer)), [], LIMITS)
    assert (shows(first, "context"), shows(second, "context")) == ("'abc'", "'xyz'")


@can_measure
@pytest.mark.parametrize("letter", ["x", "é"])
def test_fifty_sessions_on_one_text_cost_one_copy(own, letter):
    context = text(64 << 20, letter)
    repls = [own.start(context, [], LIMITS) for _ in range(50)]
    for repl in repls:
        assert shows(repl, "sum(1 for at in range(0, len(context), 4096) if context[at])") == str(16 << 10)
    total = sum(pss(repl._worker.pid) for repl in repls) + pss(template_of(repls[0]).pid) + pss(own._zygote.pid)
    assert total < 1.3 * 64 + 5 * 50
    for repl in repls:
        repl.close()


@can_measure
def test_a_million_lines_looked_at_stay_one_copy(own):
    lines = [f"line {number} of a long text\n".encode() for number in range(1_000_000)]
    context = ReplContext("list", [], [len(line) for line in lines], b"".join(lines))
    repls = [own.start(context, [], LIMITS) for _ in range(3)]
    for repl in repls:
        assert shows(repl, "sum(map(len, context))") == str(len(context.data))
    one = pss(template_of(repls[0]).pid)
    private = [pss(repl._worker.pid) - one for repl in repls]
    assert max(private) < 6  # of 30 MB of text


def test_parallel_sessions_on_one_context_share_no_variables_and_no_output(own):
    context = text(1000)

    def work(number):
        repl = own.start(context, [], LIMITS)
        for step in range(5):
            code = f"seen = globals().get('seen', []) + [{number}]\nprint({number}, len(seen), set(seen))"
            assert shows(repl, code) == f"{number} {step + 1} {{{number}}}"
        repl.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(24)))


# --- what it is given ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_numpy():
    factory = JailFactory(modules=["numpy"])
    yield factory
    factory.close()


def test_modules_of_the_user_are_loaded_for_cells_and_others_are_not(with_numpy):
    repl = with_numpy.start(None, [], LIMITS)
    assert shows(repl, "import numpy as np\nint((np.arange(10) @ np.arange(10)))") == "285"
    assert "No module named 'yaml'" in repl.execute("import yaml", no_calls)["error"]
    assert "beside them: numpy; nothing else" in with_numpy.notes[0]


@pytest.mark.parametrize("draw", ["np.random.rand()", "np.random.default_rng().random()"])
def test_numpy_draws_the_same_numbers_in_every_session(with_numpy, draw):
    one, two = (with_numpy.start(None, [], LIMITS) for _ in range(2))
    first, second = shows(one, f"{draw}, {draw}"), shows(two, f"{draw}, {draw}")
    assert first == second and 0 <= eval(first)[0] < 1 and eval(first)[0] != eval(first)[1]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("round(abs(np.fft.fft([1, 2, 3])[0]), 1)", "np.float64(6.0)"),
        ("np.linalg.det(np.eye(2)), np.polynomial.Polynomial([1, 2])(3)", "(np.float64(1.0), np.float64(7.0))"),
        ("np.ma.masked_equal([1, 2], 2).sum(), np.char.upper(np.array(['a'])).tolist()", "(np.int64(1), ['A'])"),
    ],
)
def test_submodules_of_a_package_are_there(with_numpy, code, shown):
    assert shows(with_numpy.start(None, [], LIMITS), code) == shown


def test_numbers_of_numpy_are_submitted_and_passed_on_as_numbers(with_numpy):
    repl = with_numpy.start(None, ["echo"], LIMITS)
    values = "[np.int64(5), np.arange(3), np.float64(1.5), np.bool_(True), {'n': np.float32('nan')}]"
    assert repl.execute(f"FINAL({values})", no_calls)["final"] == [5, [0, 1, 2], 1.5, True, {"n": "nan"}]
    passed = []
    repl.execute("echo(np.int64(5), k=np.arange(3))", lambda name, args, kwargs: passed.append((args, kwargs)))
    assert passed == [([5], {"k": [0, 1, 2]})]


def test_a_package_is_loaded_with_what_it_imports_only_when_used(tmp_path, monkeypatch):
    """As pandas does when it prints a frame; and whatever is odd among its submodules is left out."""
    files = {
        "lazy_outer/__init__.py": "import lazy_inner\ndef use():\n    from lazy_outer.deep import leaf\n    return leaf.X",
        "lazy_outer/deep/__init__.py": "",
        "lazy_outer/deep/leaf.py": "import sys\nprint('noise ' * 50_000)\nsys.stderr.write('noise ' * 50_000)\nX = 7",
        "lazy_outer/ends.py": "raise SystemExit(3)",
        "lazy_outer/broken.py": "import not_installed_anywhere",
        "lazy_outer/tests/__init__.py": "import os\nos.abort()",
        "lazy_inner/__init__.py": "def use():\n    import lazy_inner.late\n    return lazy_inner.late.Y",
        "lazy_inner/late.py": "Y = 8",
    }
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    factory = JailFactory(modules=["lazy_outer"])
    repl = factory.start(None, [], LIMITS)
    assert shows(repl, "import lazy_outer, lazy_inner\nlazy_outer.use(), lazy_inner.use()") == "(7, 8)"
    assert "ModuleNotFoundError" in repl.execute("import lazy_outer.broken", no_calls)["error"]
    factory.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "code", "shown"),
    [
        ("pandas", "print(pd.DataFrame({'a': [1, 2]}))", "   a\n0  1\n1  2"),
        ("pandas", "len(pd.DataFrame({'a': [1, 2]}).sample(1)), pd.read_csv(io.StringIO('a\\n1')).to_json()",
         '(1, \'{"a":{"0":1}}\')'),
        ("sympy", "x = sympy.symbols('x')\nsympy.solve(x**2 - 4, x), sympy.integrate(2*x, x)", "([-2, 2], x**2)"),
    ],
)  # fmt: skip
def test_large_packages_work_as_a_whole(module, code, shown):
    pytest.importorskip(module)
    factory = JailFactory(modules=[module])
    assert shows(factory.start(None, [], LIMITS), code) == shown
    factory.close()


def test_a_module_that_cannot_be_loaded_is_named_at_the_start():
    factory = JailFactory(modules=["json", "no_such_module"])
    with pytest.raises(ReplError, match="no_such_module: ModuleNotFoundError"):
        factory.start(None, [], LIMITS)
    factory.close()


def test_a_python_that_cannot_be_started_is_named(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ReplError, match="/nowhere/python"):
        JailFactory().start(None, [], LIMITS)


def test_an_import_that_is_not_possible_says_why_and_can_be_caught(jailed):
    s = jailed()
    error = s.run("import numpy")["error"]
    assert "ModuleNotFoundError: No module named 'numpy' here" in error and "standard library" in error
    assert s.shows("try:\n    import pandas\nexcept ImportError as e:\n    print(e.name)") == "pandas"
    assert s.shows("import sys\nsys.path, sys.executable, sys.orig_argv, sys.argv") == "([], '', [''], [''])"


def test_every_listed_module_can_be_imported(jailed):
    from langgraph_rlm.repl.worker.jail.imports import STANDARD

    s = jailed()
    for name in STANDARD:
        s.shows(f"import {name}")


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("import inspect\ndef f(x):\n    return x\nprint(inspect.getsource(f))", "def f(x):\n    return x"),
        ("import secrets, os, uuid\nlen(os.urandom(8)) + len(secrets.token_hex(4)) + len(str(uuid.uuid4()))", "52"),
        ("import datetime\ndatetime.datetime.strptime('2026-11-21', '%Y-%m-%d').date().isoformat()", "'2026-11-21'"),
        ("'é'.encode('cp1252') + 'é'.encode('utf-16-le')", r"b'\xe9\xe9\x00'"),
        ("import traceback\ntry: int('x')\nexcept ValueError: print(traceback.format_exc().splitlines()[-1])",
         "ValueError: invalid literal for int() with base 10: 'x'"),
        ("import sqlite3\nsqlite3.connect(':memory:').execute('select 1 + 1').fetchone()", "(2,)"),
        ("import os\nr, w = os.pipe()\nos.write(w, b'x')\nos.read(r, 1), os.getcwd()", "(b'x', '/')"),
        ("import logging\nlogging.warning('seen')", "WARNING:root:seen"),
        ("import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)", "(0.0, 0.0)"),
        ("import asyncio\nasync def f(): await asyncio.sleep(0.01); return 5\nasyncio.run(f())", "5"),
        ("import time\ntime.strftime('%Y', time.gmtime(0)), time.localtime(0).tm_year in (1969, 1970)",
         "('1970', True)"),
    ],
)  # fmt: skip
def test_what_needs_no_files_works(jailed, code, shown):
    assert jailed().shows(code) == shown


def test_used_up_processor_time_ends_the_session_and_says_so(jailed):
    s = jailed(limits={"cpu_seconds": 1})
    result = s.run("while True: pass")
    assert result["killed"] and "SIGXCPU" in result["error"] and "processor time" in result["error"]


def test_threads_are_counted(jailed):
    s = jailed(limits={"memory_bytes": 4 << 30})
    code = (
        "import threading\nthreading.stack_size(64 << 10)\ndone = threading.Event()\nstarted = 0\n"
        "try:\n    while started < 5000:\n        threading.Thread(target=done.wait, daemon=True).start()\n"
        "        started += 1\nexcept RuntimeError as e:\n    print(e)\ndone.set()\nstarted"
    )
    shown = s.shows(code).splitlines()
    assert shown[0] == "can't start new thread" and 64 < int(shown[1]) < 5000


@pytest.mark.parametrize("landlock", [True, False])
def test_with_and_without_landlock_files_and_sockets_are_closed(landlock):
    factory = JailFactory(landlock=landlock)
    repl = factory.start(None, [], LIMITS)
    assert "PermissionError" in repl.execute("open('/etc/passwd')", no_calls)["error"]
    assert "PermissionError" in repl.execute("import socket\nsocket.socket()", no_calls)["error"]
    factory.close()
