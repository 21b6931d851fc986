"""Submitting the answer: FINAL, FINAL_VAR and `answer`."""

import pytest


@pytest.mark.parametrize(
    ("value", "final"),
    [
        ("'a'", "a"),
        ("''", ""),
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
    ],
)
def test_final_submits_values_as_json_like_data(session, value, final):
    result = session().run(f"FINAL({value})")
    assert result["error"] is None
    assert result["final"] == final and type(result["final"]) is type(final)


def test_a_dataclass_is_submitted_as_its_str(session):
    code = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nFINAL(P(1))"
    assert session().run(code)["final"] == "P(x=1)"


@pytest.mark.parametrize("value", ["None", "CallError('timeout', 'late')", "loop"])
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
    assert s.run("answer = {'content': 'whole', 'ready': True}")["final"] == "whole"


def test_an_answer_without_content_is_an_error(session):
    assert "is None" in session().run("answer['content'] = None\nanswer['ready'] = True")["error"]


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
