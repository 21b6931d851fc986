"""Monty: the gaps it is said to have, and what differs from a process by design."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from langgraph_rlm.errors import InvalidInput, MissingDependency, ReplError
from langgraph_rlm.graphs.rlm import create_rlm
from langgraph_rlm.repl import FailedCall, HitList, MontyFactory, MontyRepl, ReplContext, ReplLimits, replay
from langgraph_rlm.testing import ScriptedModel
from langgraph_rlm.types import Turn

pytest.importorskip("pydantic_monty", reason='Monty is not installed: pip install "langgraph-rlm[monty]"')


def fails(_name: str, _args: list[Any], _kwargs: dict[str, Any]) -> Any:
    raise AssertionError("no call was expected")


@pytest.fixture
def started() -> Any:
    repls: list[MontyRepl] = []

    def start(*functions: str, context: ReplContext | None = None, **limits: Any) -> MontyRepl:
        repls.append(MontyFactory().start(context, functions, ReplLimits(**limits)))
        return repls[-1]

    yield start
    for repl in repls:
        repl.close()


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    yield 1",
        "x = 1\ndel x",
        "class A: pass\nclass B(A): pass",
        "class E(Exception): pass",
        "class A:\n    @property\n    def x(self): return 1",
        "class A:\n    @staticmethod\n    def x(): return 1",
        "class A:\n    @classmethod\n    def x(cls): return 1",
        "class A:\n    def __len__(self): return 1\nlen(A())",
        "class A:\n    def __lt__(self, other): return True\nsorted([A(), A()])",
        "class A:\n    def __bool__(self): return False\nassert not A()",
        "try: pass\nexcept* ValueError: pass",
        "type X = int",
        "globals()",
        "vars()",
        "dir()",
        "callable(len)",
        "input()",
        "__import__('re')",
        "str.maketrans('a', 'b')",
        "ValueError('a', 'b')",
        *(
            f"import {name}"
            for name in [
                "statistics",
                "heapq",
                "string",
                "textwrap",
                "difflib",
                "enum",
                "io",
                "operator",
                "contextlib",
                "threading",
                "concurrent.futures",
            ]
        ),
        "import re\nre.sub('a', lambda m: 'b', 'a')",
        r"import re" + "\n" + r"re.search(r'(?<=a)b\1?', 'ab')",
        "open('/etc/passwd')",
        "import os\nos.environ",
    ],
)
def test_each_gap_that_the_notes_name_is_one(started: Callable[..., MontyRepl], code: str) -> None:
    repl = started()
    result = repl.execute(code, fails)
    assert result["error"] and not result["killed"]
    assert repl.execute("1", fails)["stdout"] == "1\n"


@pytest.mark.parametrize(
    "module",
    [
        "asyncio",
        "base64",
        "bisect",
        "collections",
        "copy",
        "csv",
        "dataclasses",
        "datetime",
        "decimal",
        "functools",
        "hashlib",
        "itertools",
        "json",
        "math",
        "random",
        "re",
        "sys",
        "time",
        "typing",
        "unicodedata",
    ],
)
def test_each_module_that_the_notes_promise_is_there(started: Callable[..., MontyRepl], module: str) -> None:
    assert module in " ".join(MontyFactory.notes)
    assert started().execute(f"import {module}", fails)["error"] is None


def test_hits_are_plain_lists_and_searched_tells_the_rest(started: Callable[..., MontyRepl]) -> None:
    repl = started("grep")
    answer = {"a": [HitList([{"text": "é"}], 9, False), FailedCall("timeout", "late", True)]}
    shown = repl.execute("a = grep()['a']\na, searched, isinstance(a[1], CallError)", lambda *_: answer)
    assert shown["stdout"] == (
        "([[{'text': 'é'}], CallError('timeout', 'late')], {'seen': 9, 'complete': False}, True)\n"
    )


@pytest.mark.parametrize("loop", ["while True: pass", "try:\n    while True: pass\nexcept TimeoutError: pass"])
def test_a_cell_that_runs_too_long_ends_the_session_in_one_line(started: Callable[..., MontyRepl], loop: str) -> None:
    repl = started(cell_timeout=0.2)
    result = repl.execute(f"print('lost')\n{loop}", fails)
    assert result["killed"] and result["stdout"] == "" and not repl.alive
    assert "longer than 0.2 s" in result["error"] and "\n" not in result["error"]
    with pytest.raises(ReplError, match="ended"):
        repl.execute("1", fails)


def test_waiting_for_a_call_costs_no_time(started: Callable[..., MontyRepl]) -> None:
    future: Future[Any] = Future()
    threading.Timer(0.6, future.set_result, ["late"]).start()
    assert started("ask", cell_timeout=0.2).execute("ask()", lambda *_: future)["stdout"] == "'late'\n"


def test_a_session_is_rebuilt_by_replay_with_the_same_output(started: Callable[..., MontyRepl]) -> None:
    def turn(repl: MontyRepl, code: str) -> Turn:
        result = repl.execute(code, lambda *_: 7)
        return Turn(
            number=1, thought="", code=code, output=result["stdout"], error=result["error"], digest=result["digest"],
            seconds=0.0, killed=result["killed"], calls={},
        )  # fmt: skip

    first = started("ask", cell_timeout=0.3)
    cells = ["import random\nx = [random.random(), ask()]\nx, {'b', 'a'}", "1 / 0", "while True: pass"]
    turns = [turn(first, code) for code in cells]
    again, differing = replay(lambda: started("ask"), turns, lambda _: lambda *_: 7)
    assert not first.alive and differing == []
    assert again.execute("x[1]", fails)["stdout"] == "7\n"


@pytest.mark.parametrize(
    "code",
    [
        "_rlm_host('call', 'other', [], {})",
        "_rlm_host('call', 'ask', [{1}], {})",
        "_rlm_host('anything')",
        "a = [1]\nfor i in range(60): a = [a, a]\n_rlm_host('call', 'ask', a, {})",
        "a = [1]\nfor i in range(60): a = [a, a]\n_rlm_host('final', a)",
    ],
)
def test_what_the_prelude_would_never_send_ends_the_session(started: Callable[..., MontyRepl], code: str) -> None:
    repl = started("ask")
    result = repl.execute(code, fails)
    assert result["killed"] and "disturbed the connection" in result["error"] and not repl.alive


def test_a_value_that_shares_itself_without_end_is_stopped_by_the_sessions_own_limits(
    started: Callable[..., MontyRepl],
) -> None:
    result = started(cell_timeout=1.0, memory_bytes=100 << 20).execute(
        "a = [1]\nfor i in range(60): a = [a, a]\nFINAL(a)", fails
    )
    assert result["final"] is None and result["error"]


def test_builtins_that_a_cell_overwrites_do_not_break_what_is_ours(started: Callable[..., MontyRepl]) -> None:
    repl = started("ask")
    repl.execute("isinstance = list = type = repr = print = str = len = 5", fails)
    assert repl.execute("x = ask((1, 2))\nFINAL({'x': x})", lambda _name, args, _kwargs: args)["final"] == {
        "x": [[1, 2]]
    }


@pytest.mark.parametrize("kind", ["text", "list", "fields"])
def test_a_context_is_sent_in_pieces(
    started: Callable[..., MontyRepl], monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setattr("langgraph_rlm.repl.interpreters.monty._PIECE", 7)
    parts = ["añb", "", "cdefghijkl", "m🦜"] if kind != "text" else ["añb🦜" * 10]
    data = [part.encode() for part in parts]
    names = [str(at) for at in range(len(parts))] if kind == "fields" else []
    context = ReplContext(kind, names, [len(one) for one in data], b"".join(data))
    expected: Any = {"text": "".join(parts), "list": parts, "fields": dict(zip(names, parts, strict=False))}[kind]
    assert started(context=context).execute("context", fails)["stdout"] == f"{expected!r}\n"


@pytest.mark.parametrize("name", ["searched", "_rlm_host"])
def test_names_of_the_prelude_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be the name"):
        MontyFactory().start(None, [name], ReplLimits())


def test_a_worker_that_dies_is_one_plain_line(started: Callable[..., MontyRepl]) -> None:
    repl = started("die")
    pid = repl._session.worker_pid
    result = repl.execute("die()\nwhile True: pass", lambda *_: os.kill(pid, 9))
    assert result["killed"] and "crash" in result["error"] and "\n" not in result["error"]


def test_the_system_prompt_names_the_gaps() -> None:
    model = ScriptedModel(["```repl\nFINAL('done')\n```"])
    graph = create_rlm(model, sandbox=MontyFactory())
    assert graph.invoke({"question": "q", "context": "c"})["answer"] == "done"
    system = str(model.requests[0][0].content)
    assert all(note in system for note in MontyFactory.notes)


def test_without_the_package_the_error_holds_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydantic_monty", None)
    with pytest.raises(MissingDependency, match=r"pip install \"langgraph-rlm\[monty\]\""):
        MontyFactory()
