"""What of a reply is shown while it is written: always the beginning of what the finished answer is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.calls.refusals import answers_nothing, may_refuse
from langgraph_rlm.calls.replies import read_reply
from langgraph_rlm.graphs.live import Live
from langgraph_rlm.graphs.reading import parse_reading
from langgraph_rlm.types import Hit
from tests.unit.calls.test_refusals import REFUSALS


class Told:
    """Stands for the message on its way to a UI."""

    heard = True

    def __init__(self) -> None:
        self.told = ""
        self.withdrawn: list[str] = []

    def write(self, piece: str) -> None:
        assert piece
        self.told += piece

    def withdraw(self) -> None:
        self.withdrawn.append(self.told)
        self.told = ""


def answer_of(reply: str) -> str:
    from langchain_core.messages import AIMessage

    hit = Hit(doc_id="a", start=0, end=5, text="Paris", score=1.0, rank=0, line=1, source="bm25", metadata={})
    return parse_reading(read_reply(AIMessage(reply), 4_096).marked(), [hit]).answer


def shown(pieces: list[str]) -> Told:
    told: Any = Told()
    live = Live(told)
    for piece in pieces:
        live.write(piece)
    return told


PARTS = st.sampled_from(
    ["Paris", " is", " the", "\n", "\n\n", " ", "QUOTES", "\nQUOTES\n", "**QUOTES**\n", "# QUO", "TES:\n", '[1] "Paris"', "[1]", "N", "NOT",
     "NOT IN", " IN THE PASSAGES", "NOT IN THE PASSAGES", "<b>", "<", "<think>", "x</think>", "[THINK]", "[T", "I'm sorry", ", but I can't", " help",
     "The", " question", "\r\n", "é", "😀", "\ud83d", "\ude00", "QUOTES are", "<answer>", "</answer>", "`<think>`", ".", "I", " am"]
)  # fmt: skip


@given(st.lists(PARTS, max_size=25))
def test_what_is_shown_is_the_beginning_of_the_answer_or_the_thought_was_not_marked(pieces: list[str]) -> None:
    told = shown(pieces)
    answer = answer_of("".join(pieces))
    if not answer.startswith(told.told):
        assert "</think>" in "".join(pieces), "only a tag that ends what never began tells too late"


@given(st.text("abc QUOTES[1]\n", max_size=80), st.integers(1, 7))
def test_whatever_the_pieces_the_same_is_shown_in_the_end(text: str, size: int) -> None:
    told = shown([text[at : at + size] for at in range(0, len(text), size)])
    assert shown(list(text)).told == told.told


def test_an_answer_is_shown_word_by_word() -> None:
    told: Any = Told()
    live = Live(told)
    seen = []
    for word in ["Anna ", "lives ", "in ", "Paris ", "[1].", "\n", "QUOTES\n", '[1] "x"']:
        live.write(word)
        seen.append(told.told)
    assert seen == ["Anna", "Anna lives", "Anna lives in", "Anna lives in Paris", *["Anna lives in Paris [1]."] * 4]


def test_a_call_that_is_tried_again_shows_what_is_the_same_once() -> None:
    told: Any = Told()
    live = Live(told)
    live.write("Anna lives in Rome.")
    live.restart()
    live.write("Anna lives in")
    assert (told.told, told.withdrawn) == ("Anna lives in Rome.", [])
    live.write(" Paris.")
    assert (told.told, told.withdrawn) == ("Anna lives in Paris.", ["Anna lives in Rome."])


@pytest.mark.parametrize("text", REFUSALS)
def test_no_refusal_is_begun_to_be_shown(text: str) -> None:
    assert answers_nothing(text) == "refusal"
    assert all(may_refuse(text[:size]) for size in range(1, len(text) + 1))
    assert shown(list(text)).told == ""


@pytest.mark.parametrize(
    "text", ["Revenue fell in 2020.", "In Paris.", "Es sind 16 Wochen.", "42", "The revenue rose."]
)
def test_an_answer_is_not_taken_for_the_beginning_of_a_refusal_for_long(text: str) -> None:
    assert len(shown(list(text)).told) >= len(text) - 1
