"""Submitting the answer: FINAL, FINAL_VAR and `answer`."""

import pytest


@pytest.mark.parametrize(
    ("value", "final"),
    [
        ("'a'", "a"),
        ("0", 0),
        ("False", False),
        ("1.5", 1.5),
        ("[1, (2, None)]", [1, [2, None]]),
        ("{'a': {2, 1}, 3: 4}", {"a": [1, 2], "3": 4}),
        ("{1, 'a'}", ["a", 1]),
        ("range(3)", [0, 1, 2]),
        ("(c for c in 'ab')", ["a", "b"]),
        ("2 ** 70", str(2**70)),
        ("[2 ** 64 - 1, -2 ** 63]", [2**64 - 1, -(2**63)]),
        ("__import__('decimal').Decimal('1.10')", "1.10"),
        ("__import__('pathlib').PurePosixPath('a/b')", "a/b"),
        ("[CallError('timeout', 'late')]", ["CallError('timeout', 'late')"]),
        ("float('nan')", "nan"),
        (
            "{'mean': float('nan'), 'most': [float('inf'), -float('inf'), 1.5]}",
            {"mean": "nan", "most": ["inf", "-inf", 1.5]},
        ),
    ],
)
def test_final_submits_values_as_json_like_data(session, value, final):
    result = session().run(f"FINAL({value})")
    assert result["error"] is None
    assert result["final"] == final and type(result["final"]) is type(final)


def test_a_dataclass_is_submitted_as_its_str(session):
    code = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nFINAL(P(1))"
    assert session().run(code)["final"] == "P(x=1)"


@pytest.mark.parametrize("value", ["None", "''", "' \\n'", "CallError('timeout', 'late')", "loop"])
def test_what_is_no_answer_cannot_be_submitted(session, value):
    result = session().run(f"loop = []\nloop.append(loop)\nFINAL({value})")
    assert "ValueError" in result["error"] and result["final"] is None


def test_the_last_of_several_counts_and_the_cell_runs_on(session):
    result = session().run("FINAL(1)\nFINAL(2)\nprint('after')")
    assert (result["final"], result["stdout"]) == (2, "after\n")


def test_what_a_cell_submitted_before_it_raised_is_not_taken_and_not_remembered(session):
    s = session()
    for code in ("FINAL(1)\n1 / 0", "answer['content'] = 'x'\nanswer['ready'] = True\n1 / 0"):
        result = s.run(code)
        assert result["final"] is None
        assert result["error"].endswith("The answer submitted in this cell was not taken, because the cell raised.")
        assert s.run("1")["final"] is None


def test_answer_is_submitted_when_it_is_ready(session):
    s = session()
    assert s.run("answer['content'] = {'a': (1,)}")["final"] is None
    assert s.run("answer['ready'] = True")["final"] == {"a": [1]}
    assert s.run("answer")["final"] is None


@pytest.mark.parametrize("content", ["None", "''"])
@pytest.mark.parametrize(
    "submit", ["answer['ready'] = True", "FINAL(answer)", "FINAL_VAR('answer')", "FINAL_VAR(answer)"]
)
def test_an_answer_without_content_is_an_error(session, content, submit):
    result = session().run(f"answer['content'] = {content}\n{submit}")
    assert 'ValueError: answer["content"] is empty' in result["error"] and result["final"] is None


@pytest.mark.parametrize("submit", ["FINAL(answer)", "FINAL_VAR('answer')", "FINAL_VAR(answer)"])
def test_the_given_answer_is_submitted_by_its_content(session, submit):
    s = session()
    s.run("answer['content'] = [1]")
    assert s.run(submit)["final"] == [1]


@pytest.mark.parametrize("value", ["'green'", "5", "['a']", "{'a': 1}", "{'content': 'c', 'ready': False}"])
@pytest.mark.parametrize("submit", ["FINAL(answer)", "FINAL_VAR('answer')", "FINAL_VAR(answer)"])
def test_a_variable_called_answer_is_one_as_any_other(session, value, submit):
    s = session()
    result = s.run(f"answer = {value}")
    assert (result["final"], result["stdout"], result["error"]) == (None, "", None)
    assert s.shows(f"answer == {value}") == "True"
    assert s.run(submit)["final"] == eval(value)
    assert s.shows(f"answer == {value}") == "True"


def test_ready_works_on_the_given_answer_only_and_that_is_told(session):
    s = session()
    result = s.run("answer = {'content': 'whole', 'ready': True}")
    assert result["final"] is None and "answer is a variable of your own now" in result["stdout"]
    assert s.shows("answer['ready']").startswith("True")
    assert "own now" not in s.run("FINAL(answer['content'])")["stdout"]


def test_the_given_answer_works_under_another_name(session):
    s = session()
    s.run("given = answer\nanswer = 'mine'")
    assert s.run("given['content'] = 'x'\ngiven['ready'] = True")["final"] == "x"
    assert s.shows("answer") == "'mine'"


# --- a cell that submits and leaves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("submit", ["FINAL('green')", "answer['content'] = 'green'\nanswer['ready'] = True"])
@pytest.mark.parametrize(
    "leave",
    ["exit()", "quit()", "exit(0)", "quit(None)", "import sys\nsys.exit()", "import sys; sys.exit(0)", "raise SystemExit",
     "raise SystemExit(0)", "import os\nos._exit(0)"],
)  # fmt: skip
def test_an_answer_stands_when_its_cell_then_leaves(session, submit, leave):
    s = session()
    result = s.run(f"kept = 1\n{submit}\n{leave}\nprint('not reached')")
    assert (result["final"], result["error"], result["stdout"]) == ("green", None, "")
    assert s.shows("kept") == "1"


def test_leaving_with_an_error_or_without_an_answer_is_an_error(session):
    s = session()
    for code in ("FINAL('x')\nexit(3)", "exit()", "quit('done')"):
        result = s.run(code)
        assert "SystemExit" in result["error"] and result["final"] is None and not result["killed"]
    assert "is empty" in s.run("answer['ready'] = True\nexit()")["error"]


def test_exit_and_quit_may_be_variables(session):
    s = session()
    assert s.run("exit = quit = 5")["stdout"] == ""
    assert s.shows("exit + quit") == "10"


# --- the words of others --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["SUBMIT(answer='x')", "final_answer('x')", "def f(): final_answer('x')\nf()"])
def test_functions_that_submit_elsewhere_are_answered_with_the_one_here(session, code):
    error = session().run(code)["error"]
    assert "NameError" in error and error.endswith("FINAL_VAR('name') for a variable.")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("local_grep('a')", "Here it is called grep."),
        ("query_lm('a')", "Here it is called llm_query."),
        ("llm_batch(['a'])", "Here it is called llm_query_batched."),
        ("gerp('a')", "Did you mean grep?"),
        ("materialize_context('doc', 'doc.txt')", "it is the variable `context` already."),
    ],
)
def test_functions_that_are_called_otherwise_elsewhere_are_answered_with_their_names_here(session, code, says):
    there = dict.fromkeys(("grep", "llm_query", "llm_query_batched"), lambda text: text)
    error = session(**there).run(code)["error"]
    assert "NameError" in error and error.endswith(says)


def test_of_a_function_that_this_run_does_not_have_nothing_is_said(session):
    assert "called here" not in session().run("local_grep('a')")["error"]


@pytest.mark.parametrize("text", ['FINAL("one\ntwo")', "FINAL('one\ntwo')", 'x = 1\nFINAL(f"one {x}\ntwo")'])
def test_a_string_over_several_lines_is_answered_with_triple_quotes(session, text):
    error = session().run(text)["error"]
    assert "SyntaxError" in error and 'FINAL("""…""")' in error.splitlines()[-1]


def test_final_goes_before_answer(session):
    assert session().run("answer['content'] = 1\nanswer['ready'] = True\nFINAL(2)")["final"] == 2


def test_final_var_takes_a_name_or_whatever_is_no_string(session):
    s = session()
    assert s.run("result = [1]\nFINAL_VAR('result')")["final"] == [1]
    assert s.run("FINAL_VAR(result)")["final"] == [1]


def test_final_var_of_an_unknown_name_suggests_close_ones(session):
    s = session(grep=lambda: None)
    assert "did you mean 'results'?" in s.run("results = 1\nFINAL_VAR('result')")["error"]
    assert "SHOW_VARS()" in s.run("FINAL_VAR('zzzz')")["error"]


def test_an_answer_too_large_for_a_message_is_an_error_and_the_session_lives(session):
    s = session(limits={"frame_bytes": 50_000})
    result = s.run("FINAL('x' * 60_000)")
    assert result["final"] is None and "larger than a message" in result["error"]
    assert s.run("FINAL('x' * 40_000)")["final"] == "x" * 40_000
