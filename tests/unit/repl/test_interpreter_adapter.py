"""Interpreters of dspy's shape as REPLs, tested with a small one of that shape."""

import ast
import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from langgraph_rlm.errors import InvalidInput, ReplError
from langgraph_rlm.graphs.rlm import create_rlm
from langgraph_rlm.repl import FailedCall, HitList, InterpreterFactory, InterpreterRepl, ReplContext, ReplLimits
from langgraph_rlm.testing import ScriptedModel


class Submitted:
    def __init__(self, output: Any) -> None:
        self.output = output


class CodeError(RuntimeError):
    pass


class Interpreter:
    """Of the shape, in the process of the tests: a value or what was printed comes back, an error is raised."""

    def __init__(self) -> None:
        self.tools: dict[str, Callable[..., Any]] = {}
        self.space: dict[str, Any] = {}
        self.ended = threading.Event()

    def start(self) -> None:
        self.space = {"sleep_until_shutdown": self.ended.wait, "Submitted": Submitted}

    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        if self.ended.is_set():
            raise CodeError("the interpreter has been shut down")
        self.space |= self.tools | (variables or {})
        body = ast.parse(code)
        last = body.body.pop() if body.body and isinstance(body.body[-1], ast.Expr) else None
        printed, value = io.StringIO(), None
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(body, "<code>", "exec"), self.space)
                if isinstance(last, ast.Expr):
                    value = eval(compile(ast.Expression(last.value), "<code>", "eval"), self.space)
            except Exception as error:  # noqa: BLE001 - whatever the code raises
                raise CodeError(f"{type(error).__name__}: {error}") from None
        if self.ended.is_set():
            raise CodeError("the interpreter has been shut down")
        submitted = [one for one in self.space.values() if isinstance(one, Submitted)]
        return submitted[0] if submitted else value if value is not None else printed.getvalue() or None

    def shutdown(self) -> None:
        self.ended.set()


Answers = Callable[..., Any]


@pytest.fixture
def started() -> Iterator[Callable[..., InterpreterRepl]]:
    repls: list[InterpreterRepl] = []

    def start(
        *functions: str, context: ReplContext | None = None, variables: dict[str, Any] | None = None, **limits: Any
    ) -> InterpreterRepl:
        repls.append(InterpreterFactory(Interpreter).start(context, functions, ReplLimits(**limits), variables))
        return repls[-1]

    yield start
    for repl in repls:
        repl.close()


def echo(_name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    return [args, kwargs]


def test_state_stays_and_the_last_value_is_shown_after_what_was_printed(
    started: Callable[..., InterpreterRepl],
) -> None:
    repl = started()
    assert repl.execute("x = 2\nprint('a')\nx", echo)["stdout"] == "a\n2\n"
    assert repl.execute("kept = 5\n1 / 0", echo)["error"] == "ZeroDivisionError: division by zero"
    assert repl.execute("kept + x", echo)["stdout"] == "7\n"


def test_context_and_variables_arrive(started: Callable[..., InterpreterRepl]) -> None:
    context = ReplContext("fields", ["a", "é"], [1, 2], "xé".encode())
    repl = started(context=context, variables={"n": [1]})
    assert repl.execute("context, n", echo)["stdout"] == "({'a': 'x', 'é': 'é'}, [1])\n"


def test_calls_go_to_the_host_and_values_come_back(started: Callable[..., InterpreterRepl]) -> None:
    repl = started("ask")
    assert repl.execute("ask(1, (2, None), in_='é')", echo)["stdout"] == "[[1, [2, None]], {'in_': 'é'}]\n"
    future: Future[Any] = Future()
    threading.Timer(0.1, future.set_result, [{"a": 1}]).start()
    assert repl.execute("ask()", lambda *_: future)["stdout"] == "{'a': 1}\n"


def test_hits_and_failures_are_told_apart_from_data(started: Callable[..., InterpreterRepl]) -> None:
    value = [HitList([{"text": "a"}], 9, False), FailedCall("timeout", "late", True)]
    shown = started("ask").execute("h, e = ask()\nh, searched, e, bool(e)", lambda *_: value)["stdout"]
    assert shown == "([{'text': 'a'}], {'seen': 9, 'complete': False}, CallError('timeout', 'late'), False)\n"


@pytest.mark.parametrize(
    ("error", "shown"), [(KeyError("k"), "KeyError: 'k'"), (OSError("disk"), "RuntimeError: disk")]
)
def test_an_exception_of_the_host_keeps_its_kind(
    started: Callable[..., InterpreterRepl], error: Exception, shown: str
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    assert started("ask").execute("ask()", fail)["error"] == shown


@pytest.mark.parametrize(
    ("code", "final"),
    [
        ("FINAL({'a': {2, 1}})", {"a": [1, 2]}),
        ("x = [1]\nFINAL_VAR('x')", [1]),
        ("answer['content'] = 'c'\nanswer['ready'] = True", "c"),
        ("mine = Submitted('own way')", "own way"),
    ],
)
def test_answers_are_submitted(started: Callable[..., InterpreterRepl], code: str, final: Any) -> None:
    assert started().execute(code, echo)["final"] == final


def test_an_answer_of_a_cell_that_raised_is_not_taken(started: Callable[..., InterpreterRepl]) -> None:
    result = started().execute("FINAL(1)\n1 / 0", echo)
    assert result["final"] is None and "was not taken" in (result["error"] or "")


def test_overwritten_functions_come_back_with_a_note(started: Callable[..., InterpreterRepl]) -> None:
    repl = started("ask")
    assert "[ask is a function of this REPL" in repl.execute("ask = 1", echo)["stdout"]
    assert repl.execute("ask()", echo)["error"] is None


def test_a_cell_that_runs_too_long_is_ended_by_shutdown(started: Callable[..., InterpreterRepl]) -> None:
    repl = started(cell_timeout=0.1)
    result = repl.execute("sleep_until_shutdown()", echo)
    assert result["killed"] and "longer than 0.1 s" in (result["error"] or "") and not repl.alive
    with pytest.raises(ReplError, match="ended"):
        repl.execute("1", echo)


def test_waiting_for_a_call_costs_no_time(started: Callable[..., InterpreterRepl]) -> None:
    future: Future[Any] = Future()
    threading.Timer(0.5, future.set_result, ["late"]).start()
    assert started("ask", cell_timeout=0.2).execute("ask()", lambda *_: future)["stdout"] == "'late'\n"


def test_what_is_no_exception_unwinds_the_cell_and_reaches_the_caller(
    started: Callable[..., InterpreterRepl],
) -> None:
    class Pause(BaseException):
        pass

    def pause(*_: Any) -> Any:
        raise Pause("approval")

    repl = started("ask")
    with pytest.raises(Pause):
        repl.execute("try: ask()\nexcept Exception: pass", pause)
    assert not repl.alive


def test_closing_from_another_thread_ends_a_cell_that_waits(started: Callable[..., InterpreterRepl]) -> None:
    repl = started("ask")
    future: Future[Any] = Future()
    threading.Timer(0.1, repl.close).start()
    result = repl.execute("ask()", lambda *_: future)
    assert result["killed"] and "closed" in (result["error"] or "") and future.cancelled()


def test_output_is_clipped(started: Callable[..., InterpreterRepl]) -> None:
    assert len(started(output_chars=200).execute("'x' * 10_000", echo)["stdout"]) <= 200


@pytest.mark.parametrize("name", ["FINAL", "searched", "rlm_host", "_rlm_x"])
def test_names_that_are_ours_are_refused(started: Callable[..., InterpreterRepl], name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be the name"):
        started(name)


def test_an_interpreter_that_does_not_start_is_a_repl_error() -> None:
    class Broken(Interpreter):
        def start(self) -> None:
            raise CodeError("no runtime")

    with pytest.raises(ReplError, match="no runtime"):
        InterpreterFactory(Broken).start(None, [], ReplLimits())


def test_a_graph_runs_on_it_and_its_prompt_has_the_notes() -> None:
    model = ScriptedModel(["```repl\nFINAL(context.upper())\n```"])
    factory = InterpreterFactory(Interpreter, notes=["THIS IS A SMALL ONE."])
    assert create_rlm(model, sandbox=factory).invoke({"question": "q", "context": "abc"})["answer"] == "ABC"
    assert "THIS IS A SMALL ONE." in str(model.requests[0][0].content)
