"""A reader's reply: prose, quotes and their places; and whether the text supports it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.graphs.grading import grade_by_rules
from langgraph_rlm.graphs.reading import Reading, parse_reading, whole_documents
from langgraph_rlm.types import Hit


def hit(doc_id: str, text: str, start: int = 0, line: int = 1) -> Hit:
    return Hit(
        doc_id=doc_id, start=start, end=start + len(text), text=text, score=1.0, rank=0, line=line, source="bm25", metadata={}
    )  # fmt: skip


HITS = [hit("a", "Anna lives\nin Paris.", start=100, line=7), hit("b", 'He said "no" and left in 1999.')]


@pytest.mark.parametrize(
    "line",
    [
        '[1] "in Paris."',
        '- [1] "in Paris."',
        '* [1]: "in Paris."',
        "  [1] “in Paris.”",
        "[1] «in Paris.»",
        "[1]. 'in Paris.'",
    ],
)
def test_quotes_are_read_in_all_their_dress(line: str) -> None:
    reading = parse_reading(f"Paris [1].\nQUOTES\n{line}", HITS)
    assert reading.answer == "Paris [1]."
    assert [(c["doc_id"], c["start"], c["end"], c["line"]) for c in reading.citations] == [("a", 111, 120, 8)]


@pytest.mark.parametrize("title", ["QUOTES", "QUOTES:", "**QUOTES**", "## QUOTES"])
def test_the_line_before_the_quotes_may_be_decorated(title: str) -> None:
    reading = parse_reading(f'No [2].\n\n{title}\n[2] "He said "no""', HITS)
    assert reading.answer == "No [2]."
    assert [c["quote"] for c in reading.citations] == ['He said "no"']


def test_a_passage_that_is_marked_but_not_quoted_is_cited_itself() -> None:
    reading = parse_reading("In 1999 [2].", HITS)
    assert [(c["doc_id"], c["quote"]) for c in reading.citations] == [("b", HITS[1]["text"])]


@pytest.mark.parametrize("text", ["Yes [3].", "Yes [0].", 'Yes.\nQUOTES\n[9] "in Paris."', "Yes [99999]."])
def test_numbers_of_passages_that_do_not_exist_cite_nothing(text: str) -> None:
    assert parse_reading(text, HITS).citations == []


def test_the_same_quote_twice_is_one_citation() -> None:
    assert len(parse_reading('P [1].\nQUOTES\n[1] "in Paris."\n[1] "in Paris."', HITS).citations) == 1


@pytest.mark.parametrize("text", ["NOT IN THE PASSAGES", "Not in the passages: no age.", "NOT IN THE PASSAGES."])
def test_what_is_not_in_the_passages_is_not_found(text: str) -> None:
    reading = parse_reading(text, HITS)
    assert not reading.found
    assert reading.answer.startswith("The passages do not hold the answer")
    assert not grade_by_rules("?", reading, HITS)["supported"]


@given(st.text())
def test_no_reply_breaks_the_reader_and_verified_quotes_are_in_the_text(text: str) -> None:
    reading = parse_reading(text, HITS)
    texts = {one["doc_id"]: (one["text"], one["start"]) for one in HITS}
    for citation in reading.citations:
        if citation["verified"]:
            whole, first = texts[citation["doc_id"]]
            assert whole[citation["start"] - first : citation["end"] - first] == citation["quote"]
    grade_by_rules(text, reading, HITS)


@given(st.integers(0, 200), st.integers(1, 60))
def test_any_piece_of_a_passage_is_found_at_its_place(start: int, size: int) -> None:
    text = "".join(f"word{i} " for i in range(40)).strip()
    quote = text[start : start + size].strip()
    if quote:
        [citation] = parse_reading(f'A.\nQUOTES\n[1] "{quote}"', [hit("d", text, start=50)]).citations
        assert citation["verified"]
        assert text[citation["start"] - 50 : citation["end"] - 50] == quote


@pytest.mark.parametrize(
    ("answer", "supported"),
    [
        ("1999 it was", True),
        ("In 1,999 cases", True),
        ("About 2000", False),
        ("99", False),
        ("Version v2 of it", True),
        ("[2] says so", True),
    ],
)
def test_numbers_of_an_answer_must_stand_in_the_passages(answer: str, supported: bool) -> None:
    cited = parse_reading('x\nQUOTES\n[2] "in 1999"', HITS).citations
    assert grade_by_rules("When?", Reading(answer, cited, True), HITS)["supported"] is supported


def test_numbers_of_the_question_may_be_repeated() -> None:
    cited = parse_reading('x\nQUOTES\n[2] "in 1999"', HITS).citations
    assert grade_by_rules("Is 42 right?", Reading("42 is right", cited, True), HITS)["supported"]


def test_a_name_in_code_that_no_passage_mentions_is_not_supported() -> None:
    cited = parse_reading('x\nQUOTES\n[2] "in 1999"', HITS).citations
    grade = grade_by_rules("What does `frobnicate` do?", Reading("It works", cited, True), HITS)
    assert not grade["supported"]
    assert "frobnicate" in grade["reasons"][0]


def test_whole_documents_are_hits_over_all_of_their_text() -> None:
    [first, second] = whole_documents([("a", "xy"), ("b", "")], "context")
    assert (first["start"], first["end"], first["text"], first["rank"]) == (0, 2, "xy", 0)
    assert (second["end"], second["rank"]) == (0, 1)


LONG = 100_000


@pytest.mark.parametrize(
    "reply",
    [
        "\n" * LONG,
        "#\n" * LONG,
        "x\nQUOTES\n[1]" + " " * LONG + "x",
        "x\nQUOTES\n" + ('[1] "' + "a " * 398 + 'b"\n') * 125,
        "x\nQUOTES\n" + "".join(f'[1] "q{i}"\n' for i in range(10_000)),
    ],
    ids=["newlines", "marks", "blanks", "repeated words", "many quotes"],
)
def test_a_long_reply_takes_no_time(reply: str) -> None:
    parse_reading(reply, [hit("d", "a " * LONG)])  # quadratic time would be minutes


def test_a_quote_may_begin_and_end_in_a_word_and_straighten_the_blanks() -> None:
    reading = parse_reading('x [1]\nQUOTES\n[1] "na lives in  Par"', HITS)
    assert [(c["quote"], c["start"], c["end"], c["verified"]) for c in reading.citations] == [
        ("na lives\nin Par", 102, 117, True)
    ]


@pytest.mark.parametrize(
    "said",
    [
        "**NOT IN THE PASSAGES**",
        '"NOT IN THE PASSAGES"',
        "> `NOT IN THE PASSAGES`: the fee",
        "After reading all of them: NOT IN THE PASSAGES.",
        "I do not know.",
        "The passages do not contain the answer.",
    ],
)
def test_however_it_is_said_that_nothing_was_found_it_is_not_found_and_our_mark_is_not_shown(said: str) -> None:
    reading = parse_reading(said, [hit("a", "The fee is 3.")])
    assert not reading.found
    assert "NOT IN THE PASSAGES" not in reading.answer


@pytest.mark.parametrize(
    "said",
    [
        "The passages do not mention a fee for members [1].",
        "The fee is 3 [1]; that of members is NOT IN THE PASSAGES.",
        'It does not matter, the fee is fixed.\nQUOTES:\n[1] "The fee is 3."',
    ],
)
def test_what_is_cited_is_an_answer_even_where_something_is_missing(said: str) -> None:
    reading = parse_reading(said, [hit("a", "The fee is 3.")])
    assert reading.found
    assert "NOT IN THE PASSAGES" not in reading.answer
