"""Answers against gold answers, citations against gold evidence, routes against labels."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from langgraph_rlm.evaluation import Evidence, Task
from langgraph_rlm.evaluation.metrics import (
    accuracy,
    choice_of,
    evidence_recall,
    has_number,
    items_of,
    macro_f1,
    numbers_in,
    token_f1,
    words_of,
)

words = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "12", "the"]), max_size=8).map(" ".join)
evidence = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.integers(1, 9)).map(
        lambda drawn: Evidence(drawn[0], drawn[1], drawn[1] + drawn[2])
    ),
    max_size=5,
)


def task(*answers: str, **options: Any) -> Task:
    return Task(id="1", question="?", collection="c", answers=answers, **options)


@pytest.mark.parametrize(
    ("match", "golds", "answer", "right"),
    [
        ("contains", ["16 weeks"], "Parental leave is 16 weeks [1].", 1.0),
        ("contains", ["16 weeks"], "Parental leave is 16 [1] weeks.", 1.0),
        ("contains", ["16 weeks"], "It was 16, and weeks passed.", 0.0),
        ("contains", ["16 weeks"], "Parental leave is 160 weeks.", 0.0),
        ("contains", ["The Harbour"], "harbour!", 1.0),
        ("contains", ["no"], "There is no doubt that they are.", 0.0),
        ("contains", ["no"], "No, they are not [2].", 1.0),
        ("contains", ["Tartu", "Dorpat"], "In Dorpat.", 1.0),
        ("exact", ["311"], "311 [1][2]", 1.0),
        ("exact", ["311"], "There are 311.", 0.0),
        ("all", ["12", "13"], "12 and 13", 1.0),
        ("all", ["12", "13"], "12 and 14", 0.0),
        ("set", ["1-2", "1-3"], "1-3; 1-2", 1.0),
        ("set", ["1-2", "1-3"], "1-3\n1-2\n", 1.0),
        ("set", ["1-2", "1-3"], "1-3; 1-2; 2-3", 0.0),
        ("set", ["1-2", "1-3"], "1-3", 0.0),
        ("choice", ["B"], "(B) because A is wrong", 1.0),
        ("choice", ["B"], "A or B", 0.0),
        ("number", ["1,496.5"], "Sales were $1,496.5 million [1].", 1.0),
        ("count", ["77"], "77", 1.0),
        ("count", ["77"], "Of 80 entries 3 are wrong [2].\nAnswer: 77 entries, not 80", 1.0),
        ("count", ["77"], "Of 80 entries it is 76 [2].", 0.75),
        ("count", ["77"], "**Answer**: 79", 0.75**2),
        ("count", ["77"], "Answer: none of the 77", 1.0),
        ("count", ["77"], "1,077", 0.0),
        ("count", ["1,077"], "1077", 1.0),
        ("count", ["0"], "Answer: -1", 0.75),
        ("count", ["77"], "77.5", 0.0),
        ("count", ["77"], "seventy-seven", 0.0),
        ("free", ["anything"], "anything", None),
    ],
)
def test_an_answer_is_compared_as_its_task_says(match: Any, golds: list[str], answer: str, right: float | None) -> None:
    assert accuracy(task(*golds, match=match), answer) == right


def test_saying_that_it_is_not_there_is_right_only_where_it_is_not() -> None:
    absent = "The passages do not hold the answer: nothing is said of it."
    assert accuracy(task(answerable=False), absent) == 1.0
    assert accuracy(task(answerable=False), "NOT IN THE PASSAGES") == 1.0
    assert accuracy(task("Insufficient information.", answerable=False), "Insufficient information") == 1.0
    assert accuracy(task(answerable=False), "It is 12.") == 0.0
    assert accuracy(task("12"), absent) == 0.0
    assert accuracy(task(), "anything") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,234.5 and 7", [1234.5, 7.0]),
        ("(12.6) million", [-12.6]),
        ("(22.2%)", [22.2]),
        ("−3, -4 and –5", [-3.0, -4.0, -5.0]),
        ("-$5 and $-6", [-5.0, -6.0]),
        ("from 2018-2019", [2018.0, 2019.0]),
        ("[12] says 3 [4]", [3.0]),
        ("FY2019 and Q3", []),
        ("1,23", [1.0]),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, found: list[float]) -> None:
    assert [number.value for number in numbers_in(text)][: len(found) or None] == found


@pytest.mark.parametrize(
    ("answer", "gold", "scale", "right"),
    [
        ("$1.5 billion", "1,500", "million", True),
        ("1,500", "1,500", "million", True),
        ("1,500,000,000", "1,500", "million", True),
        ("1,500 thousand", "1,500", "million", False),
        ("-22.22%", "-22.22", "percent", True),
        ("22.22%", "-22.22", "percent", False),
        ("there is none", "12", "", False),
        ("12 km", "12", "", True),
        ("12 m", "12", "", True),
    ],
)
def test_a_scale_that_is_named_has_to_fit(answer: str, gold: str, scale: str, right: bool) -> None:
    assert has_number(answer, gold, scale=scale) is right


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(0, 0.5))
def test_the_tolerance_is_relative_to_the_gold_number(said: float, gold: float, tolerance: float) -> None:
    told, wanted = f"{said:,.2f}", f"{gold:,.2f}"
    off = abs(round(said, 2) - round(gold, 2))
    allowed = abs(round(gold, 2)) * tolerance
    assume(not math.isclose(off, allowed, rel_tol=1e-6, abs_tol=1e-6))
    assert has_number(f"It is {told}.", wanted, tolerance) is (off < allowed or told == wanted)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 0.4), st.floats(0, 0.1))
def test_a_larger_tolerance_never_makes_an_answer_wrong(said: float, gold: float, one: float, more: float) -> None:
    told, wanted = f"{said:.3f}", f"{gold:.3f}"
    assert not has_number(told, wanted, one) or has_number(told, wanted, one + more)


@given(words, words)
def test_word_f1_is_that_of_the_words_paired_off(answer: str, gold: str) -> None:
    left = [word for word in gold.split() if word != "the"]
    said = [word for word in answer.split() if word != "the"]
    total, common = len(left) + len(said), 0
    for word in said:
        if word in left:
            left.remove(word)
            common += 1
    assert token_f1(answer, [gold]) == pytest.approx(2 * common / total if common else 0.0)


@given(words, st.lists(words, max_size=3))
def test_word_f1_takes_the_best_gold_answer(answer: str, golds: list[str]) -> None:
    assert token_f1(answer, golds) == max((token_f1(answer, [gold]) for gold in golds), default=0.0)


@given(st.lists(st.tuples(st.sampled_from("sc"), st.sampled_from("sc")), min_size=1))
def test_macro_f1_is_the_mean_of_each_label_s_f1(pairs: list[tuple[str, str]]) -> None:
    scores = []
    for label in {label for pair in pairs for label in pair}:
        hit = [pair for pair in pairs if pair == (label, label)]
        precision = len(hit) / max(1, sum(said == label for _, said in pairs))
        recall = len(hit) / max(1, sum(gold == label for gold, _ in pairs))
        scores.append(2 * precision * recall / (precision + recall) if hit else 0.0)
    assert macro_f1([g for g, _ in pairs], [s for _, s in pairs]) == pytest.approx(sum(scores) / len(scores))


@given(evidence, evidence)
def test_evidence_is_found_where_a_citation_shares_a_character_with_it(
    gold: list[Evidence], cited: list[Evidence]
) -> None:
    def places(span: Evidence) -> set[tuple[str, int]]:
        assert span.start is not None
        assert span.end is not None
        return {(span.doc_id, at) for at in range(span.start, span.end)}

    found = [any(places(one) & places(other) for other in cited) for one in gold]
    assert evidence_recall(gold, cited) == (sum(found) / len(gold) if gold else None)


def test_a_document_as_evidence_is_found_by_any_citation_of_it() -> None:
    assert evidence_recall([Evidence("a"), Evidence("b")], [Evidence("a", 3, 4)]) == 0.5


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("(C).", "C"),
        ("D: the last one", "D"),
        ("A company may not.", None),
        ("The correct answer is (B), not (A).", "B"),
        ("Both (A) and (B)", None),
        ("Answer: C", "C"),
        ("A is right", "A"),
        ("nothing fits", None),
    ],
)
def test_a_choice_is_the_letter_that_is_named(answer: str, letter: str | None) -> None:
    assert choice_of(answer) == letter


@given(st.text(max_size=40))
def test_any_text_can_be_compared(text: str) -> None:
    for match in ("exact", "contains", "all", "set", "choice", "number"):
        assert accuracy(task("12", match=match), text) in (0.0, 1.0)
    assert 0.0 <= (accuracy(task("12", match="count"), text) or 0.0) <= 1.0
    assert words_of(" ".join(words_of(text))) == words_of(text)
    assert all(items_of(text))
