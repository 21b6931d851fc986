"""ReplConformance: the tests that every sandbox has to pass, ours and third parties' alike. Needs pytest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from langgraph_rlm.errors import InvalidInput, ReplError
from langgraph_rlm.repl import FailedCall, HitList, Repl, ReplContext, ReplFactory, ReplLimits, replay
from langgraph_rlm.types import CellResult, Turn

CONTEXTS: Mapping[str, tuple[ReplContext | None, Any]] = {
    "none": (None, ""),
    "empty": (ReplContext("text", [], [0], b""), ""),
    "text": (ReplContext("text", [], [17], "çé 漢字 🍒".encode().ljust(17)), "çé 漢字 🍒".encode().ljust(17).decode()),
    "list": (ReplContext("list", [], [2, 0, 1], "éa".encode()), ["é", "", "a"]),
    "fields": (ReplContext("fields", ["a", "ü b"], [1, 3], "x漢".encode()), {"a": "x", "ü b": "漢"}),
    "documents": (ReplContext("documents", ["d/1"], [4], b"text"), {"d/1": "text"}),
}
"""Each kind of context, and what cells see of it."""


class Session:
    """A REPL, and the functions of its host.

    Args:
        repl: started by the factory under test.
        functions: what cells may call, as Python functions.
    """

    def __init__(self, repl: Repl, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.repl = repl
        self._functions = functions

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """An ``OnCall``."""
        return self._functions[name](*args, **kwargs)

    def run(self, code: str) -> CellResult:
        """Run a cell."""
        return self.repl.execute(code, self.call)

    def shows(self, code: str) -> str:
        """What a cell shows that ends without an error."""
        result = self.run(code)
        assert result["error"] is None, result["error"]
        return result["stdout"].rstrip("\n")

    def fails(self, code: str) -> str:
        """The error of a cell that ends with one and leaves the session alive."""
        result = self.run(code)
        assert result["error"] and not result["killed"], result
        assert result["final"] is None and self.repl.alive
        return result["error"]


class ReplConformance:
    """Subclass it in a test module and override :meth:`factory`; pytest runs the rest.

    Cells of these tests are plain Python that small interpreters have too: no inheritance, no threads, no generators.

    Example:
        >>> import pytest
        >>> class TestInAContainer(ReplConformance):
        ...     @pytest.fixture(scope="class")
        ...     def factory(self):
        ...         factory = InAContainer()
        ...         yield factory
        ...         factory.close()
    """

    endless = "while True: pass"
    """A cell that never ends by itself."""
    failed_calls_are_false = True
    """Whether a ``CallError`` is false; the language of the cells may not let an object decide that."""

    @pytest.fixture
    def factory(self) -> ReplFactory:
        """The factory under test; close it where it is made."""
        raise NotImplementedError("override the fixture `factory`")

    @pytest.fixture
    def start(self, factory: ReplFactory) -> Iterator[Callable[..., Session]]:
        """Starts sessions: ``start(context, limits={…}, variables={…}, name=function, …)``; all are closed in the end."""
        with ExitStack() as closing:

            def started(
                context: ReplContext | None = None,
                limits: Mapping[str, Any] | None = None,
                variables: Mapping[str, Any] | None = None,
                **functions: Callable[..., Any],
            ) -> Session:
                repl = factory.start(context, list(functions), ReplLimits(**(limits or {})), variables)
                closing.callback(repl.close)
                return Session(repl, functions)

            yield started

    # --- the factory ------------------------------------------------------------------------------------------------

    def test_it_says_every_method_of_the_seam(self, factory: ReplFactory, start: Callable[..., Session]) -> None:
        assert isinstance(factory, ReplFactory) and isinstance(start().repl, Repl)
        context = CONTEXTS["text"][0]
        notes = [*factory.notes, *factory.notes_for(None), *factory.notes_for(context)]
        assert all(isinstance(note, str) and note.strip() for note in notes)

    def test_warming_up_is_harmless(self, factory: ReplFactory, start: Callable[..., Session]) -> None:
        factory.warm()
        factory.warm()
        assert start().shows("1 + 1") == "2"

    @pytest.mark.parametrize(
        "name", ["answer", "context", "original_context", "FINAL", "CallError", "a b", "class", ""]
    )
    def test_names_that_cells_could_not_use_are_refused(self, factory: ReplFactory, name: str) -> None:
        with pytest.raises(InvalidInput):
            factory.start(None, [name], ReplLimits())
        with pytest.raises(InvalidInput):
            factory.start(None, [], ReplLimits(), {name: 1})

    def test_a_variable_that_cannot_be_sent_is_refused(self, factory: ReplFactory) -> None:
        with pytest.raises(InvalidInput):
            factory.start(None, [], ReplLimits(), {"x": object()})

    def test_sessions_share_nothing_and_run_side_by_side(self, start: Callable[..., Session]) -> None:
        sessions = [start() for _ in range(3)]

        def work(number: int) -> list[str]:
            sessions[number].run(f"x = {number}")
            return [sessions[number].shows("x = x + 10\nx") for _ in range(3)]

        with ThreadPoolExecutor(3) as threads:
            shown = list(threads.map(work, range(3)))
        assert shown == [[str(number + 10 * step) for step in (1, 2, 3)] for number in range(3)]

    # --- what cells find --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", CONTEXTS)
    def test_the_context_arrives(self, start: Callable[..., Session], kind: str) -> None:
        given, seen = CONTEXTS[kind]
        assert start(given).shows(f"context == {seen!r}, type(context).__name__") == f"(True, {type(seen).__name__!r})"

    def test_variables_arrive_and_stay(self, start: Callable[..., Session]) -> None:
        session = start(variables={"rows": [{"a": [1, None, 1.5, True, "é"]}]})
        assert session.shows("rows") == str([{"a": [1, None, 1.5, True, "é"]}])
        session.run("rows = rows + [2]\nmine = 'kept'")
        assert session.shows("len(rows), mine") == "(2, 'kept')"

    def test_usual_modules_need_no_import(self, start: Callable[..., Session]) -> None:
        shown = start().shows(
            "json.loads('[1]'), re.findall('a+', 'baa'), math.floor(1.5), collections.Counter('aab')['a']"
        )
        assert shown == "([1], ['aa'], 1, 2)"

    def test_a_context_with_another_value_is_told_and_can_be_had_back(self, start: Callable[..., Session]) -> None:
        session = start(CONTEXTS["list"][0])
        assert "original_context" in session.shows("context = 'mine'")
        assert "original_context" not in session.shows("len(context)")
        assert session.shows("context = original_context\nlen(context)") == "3"

    def test_functions_that_a_cell_overwrites_come_back_and_that_is_told(self, start: Callable[..., Session]) -> None:
        session = start(grep=lambda pattern: f"host {pattern}")
        shown = session.shows("grep = FINAL = None")
        assert "grep" in shown and "FINAL" in shown
        assert session.shows("grep('x')") == "'host x'"
        assert session.run("FINAL(1)")["final"] == 1

    # --- what cells show --------------------------------------------------------------------------------------------

    def test_a_function_named_as_models_name_variables_gives_way_to_one(self, start: Callable[..., Session]) -> None:
        session = start(count=lambda text: len(text), count_matches=lambda text: len(text))
        assert session.shows("count('abc')") == "3"
        result = session.run("count = 7\ncount")
        assert result["stdout"].strip() == "7" and "not kept" not in result["stdout"]
        assert session.shows("count + count_matches('ab')") == "9"
        assert session.run("FINAL(count)")["final"] == 7

    def test_what_is_printed_is_shown_and_then_the_value_of_the_last_expression(
        self, start: Callable[..., Session]
    ) -> None:
        session = start()
        assert session.run("print('é', 1)\n'a' + 'b'")["stdout"] == "é 1\n'ab'\n"
        assert session.run("x = 1")["stdout"] == ""
        assert session.run("None")["stdout"] == ""

    def test_output_is_bounded(self, start: Callable[..., Session]) -> None:
        shown = start(limits={"output_chars": 300}).run("for i in range(2_000): print(i)")["stdout"]
        assert len(shown) <= 300 and shown.startswith("0\n1\n") and "1999" in shown

    def test_an_error_is_told_and_variables_stay(self, start: Callable[..., Session]) -> None:
        session = start()
        assert "ZeroDivisionError" in session.fails("kept = 5\n1 / 0")
        assert "SyntaxError" in session.fails("kept = = 6")
        assert "nowhere" in session.fails("nowhere")
        assert session.shows("kept") == "5"

    def test_equal_cells_have_equal_digests_in_every_session(self, start: Callable[..., Session]) -> None:
        cells = ["x = [1]\nprint(x)", "x + [2]", "1 / 0"]
        one, two = start(), start()
        digests = [one.run(code)["digest"] for code in cells]
        assert digests == [two.run(code)["digest"] for code in cells] and len(set(digests)) == 3

    # --- calls ------------------------------------------------------------------------------------------------------

    def test_arguments_and_results_keep_their_types(self, start: Callable[..., Session]) -> None:
        seen: list[Any] = []

        def echo(*args: Any, **kwargs: Any) -> Any:
            seen.append((args, kwargs))
            return {"list": list(args), "more": kwargs, "é": [None, True, 1.5, "漢"]}

        session = start(echo=echo)
        assert session.shows("r = echo(1, (2, 'a'), in_={'k': [None]})\nr['list'], r['more'], r['é']") == (
            "([1, [2, 'a']], {'in_': {'k': [None]}}, [None, True, 1.5, '漢'])"
        )
        assert seen == [((1, [2, "a"]), {"in_": {"k": [None]}})]

    def test_a_future_is_waited_for(self, start: Callable[..., Session]) -> None:
        future: Future[Any] = Future()
        threading.Timer(0.05, future.set_result, [{"a": 1}]).start()
        assert start(ask=lambda: future).shows("ask()") == "{'a': 1}"

    @pytest.mark.parametrize(
        ("error", "kind"),
        [(TypeError("t"), "TypeError"), (ValueError("v"), "ValueError"), (KeyError("k"), "KeyError"),
         (TimeoutError("late"), "TimeoutError"), (OSError("disk"), "RuntimeError")],
    )  # fmt: skip
    def test_a_mistake_of_a_call_can_be_caught_by_its_kind(
        self, start: Callable[..., Session], error: Exception, kind: str
    ) -> None:
        def fail() -> Any:
            raise error

        session = start(fail=fail)
        assert kind in session.fails("fail()")
        assert session.shows(f"try: fail()\nexcept {kind} as e: print('caught')") == "caught"

    def test_hits_and_failed_calls_are_values(self, start: Callable[..., Session]) -> None:
        value = [HitList([{"text": "a"}], 9, False), FailedCall("timeout", "it was late", True), "plain"]
        session = start(ask=lambda: value)
        shown = session.shows(
            "h, e, p = ask()\nh[0]['text'], len(h), isinstance(e, CallError), e.category, e.retryable, p"
        )
        assert shown == "('a', 1, True, 'timeout', True, 'plain')"
        assert "it was late" in session.shows("e")
        assert session.shows("bool(e)") == str(not self.failed_calls_are_false)
        assert "timeout" in session.fails("ask(e)") and "timeout" in session.fails("FINAL(e)")

    def test_what_is_too_large_for_a_message_is_an_error_of_the_cell(self, start: Callable[..., Session]) -> None:
        session = start(limits={"frame_bytes": 100_000}, big=lambda: "x" * 200_000, take=len)
        assert "ValueError" in session.fails("big()")
        assert "ValueError" in session.fails("take('x' * 200_000)")
        assert "ValueError" in session.fails("FINAL('x' * 200_000)")
        assert session.shows("take('x' * 1_000)") == "1000"

    def test_what_is_no_exception_unwinds_the_cell_past_its_own_handlers(self, start: Callable[..., Session]) -> None:
        class Pause(BaseException):
            pass

        def pause() -> Any:
            raise Pause("approval")

        session = start(pause=pause)
        with pytest.raises(Pause):
            session.run("try: pause()\nexcept Exception: pass\nwhile True: pause()")
        assert not session.repl.alive

    # --- answers ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("code", "final"),
        [
            ("FINAL('a')", "a"),
            ("FINAL(0)", 0),
            ("FINAL({'a': (1, None), 2: {3}})", {"a": [1, None], "2": [3]}),
            ("FINAL([float('nan'), float('inf'), 2 ** 70])", ["nan", "inf", str(2**70)]),
            ("rows = [1]\nFINAL_VAR('rows')", [1]),
            ("text = 'green'\nFINAL_VAR(text)", "green"),
            ("FINAL(1)\nFINAL(2)", 2),
            ("answer['content'] = ['c']\nanswer['ready'] = True", ["c"]),
            ("answer['content'] = 'c'\nFINAL(answer)", "c"),
            ("answer = {'content': '', 'ready': False}\nFINAL(answer)", {"content": "", "ready": False}),
            ("answer = 'green'\nFINAL_VAR('answer')", "green"),
            ("FINAL('green')\nexit()", "green"),
            ("FINAL('green')\nquit(0)", "green"),
            ("FINAL('green')\nraise SystemExit", "green"),
            ("FINAL('green')\nimport sys\nsys.exit()", "green"),
            ("answer['content'] = 'green'\nanswer['ready'] = True\nexit()", "green"),
        ],
    )
    def test_an_answer_is_submitted(self, start: Callable[..., Session], code: str, final: Any) -> None:
        session = start()
        result = session.run(code)
        assert (result["error"], result["final"]) == (None, final) and type(result["final"]) is type(final)
        assert session.run("1")["final"] is None

    @pytest.mark.parametrize(
        "code",
        ["FINAL(None)", "FINAL('')", "FINAL(answer)", "answer['ready'] = True", "FINAL_VAR('nowhere')", "FINAL(1)\n1 / 0",
         "FINAL('x')\nexit(3)", "SUBMIT('x')", "final_answer('x')", 'FINAL("one\ntwo")'],
    )  # fmt: skip
    def test_what_is_no_answer_is_an_error(self, start: Callable[..., Session], code: str) -> None:
        session = start()
        session.fails(code)
        assert session.run("FINAL('now')")["final"] == "now"

    def test_ready_counts_on_the_answer_that_was_given_only(self, start: Callable[..., Session]) -> None:
        session = start()
        result = session.run("answer = {'content': 'c', 'ready': True}")
        assert (result["error"], result["final"]) == (None, None) and "FINAL" in result["stdout"]
        assert session.shows("answer == {'content': 'c', 'ready': True}").startswith("True")

    # --- the end ----------------------------------------------------------------------------------------------------

    def test_a_cell_that_never_ends_is_ended(self, start: Callable[..., Session]) -> None:
        session = start(limits={"cell_timeout": 0.3, "grace": 0.5})
        result = session.run(self.endless)
        assert result["error"] and result["final"] is None
        assert session.repl.alive is not result["killed"]

    def test_waiting_for_a_call_costs_a_cell_no_time(self, start: Callable[..., Session]) -> None:
        future: Future[Any] = Future()
        threading.Timer(1.0, future.set_result, ["late"]).start()
        assert start(limits={"cell_timeout": 0.5}, ask=lambda: future).shows("ask()") == "'late'"

    def test_a_closed_repl_says_so(self, start: Callable[..., Session]) -> None:
        session = start()
        assert session.repl.alive
        session.repl.close()
        session.repl.close()
        assert not session.repl.alive
        with pytest.raises(ReplError):
            session.run("1")

    def test_closing_from_another_thread_ends_a_cell_that_waits(self, start: Callable[..., Session]) -> None:
        future: Future[Any] = Future()
        asked = threading.Event()

        def ask() -> Any:
            asked.set()
            return future

        session = start(ask=ask)
        with ThreadPoolExecutor(1) as threads:
            result = threads.submit(session.run, "ask()")
            assert asked.wait(30)
            session.repl.close()
            assert result.result(30)["killed"]
        assert future.cancelled() and not session.repl.alive

    def test_a_session_is_rebuilt_by_running_its_cells_again(self, start: Callable[..., Session]) -> None:
        codes = ["x = [ask(1)]", "1 / 0", "x = x + [ask(2)]\nprint(x)"]
        first = start(ask=lambda n: n * 10)
        turns = [self._turn(number, code, first.run(code)) for number, code in enumerate(codes)]
        again = start(ask=lambda n: n * 10)
        repl, differing = replay(lambda: again.repl, turns, lambda index: again.call)
        assert differing == [] and repl is again.repl
        assert again.shows("x") == "[10, 20]"

    def _turn(self, number: int, code: str, result: CellResult) -> Turn:
        return Turn(
            number=number, thought="", code=code, output=result["stdout"], error=result["error"],
            digest=result["digest"], seconds=0.0, killed=result["killed"], calls={}, times=result["times"],
        )  # fmt: skip
