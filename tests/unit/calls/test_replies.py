"""Replies of models: cut, refused, filtered, empty, in the words of each provider."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langgraph_rlm.calls.replies import Answer, read_reply


def said(content: Any = "Item 1, item", most_tokens: int = 100, *, kwargs: Any = None, **metadata: Any) -> Answer:
    return read_reply(AIMessage(content, response_metadata=metadata, additional_kwargs=kwargs or {}), most_tokens)


@pytest.mark.parametrize(
    "metadata",
    [
        {"finish_reason": "length"},
        {"stop_reason": "max_tokens"},
        {"stopReason": "max_tokens"},
        {"done_reason": "length"},
        {"finish_reason": "MAX_TOKENS"},
        {"finish_reason": "FinishReason.MAX_TOKENS"},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        {"finish_reason": "model_length"},
        {"stop_reason": "model_context_window_exceeded"},
    ],
)
def test_a_reply_that_was_cut_off_says_so_whoever_the_provider_is(metadata: dict[str, Any]) -> None:
    answer = said(**metadata)
    assert answer.cut
    assert answer.marked().endswith("[the answer was cut off here, at its output cap]")
    assert said("", **metadata).missing == "the output cap was reached before there was an answer"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"finish_reason": "stop"},
        {"stop_reason": "end_turn"},
        {"done_reason": "stop"},
        {"status": "completed", "incomplete_details": None},
        {"finish_reason": None},
    ],
)
def test_a_whole_reply_is_no_part(metadata: dict[str, Any]) -> None:
    assert said("all", **metadata) == Answer("all")


@pytest.mark.parametrize(
    "metadata",
    [
        {"finish_reason": "content_filter"},
        {"finish_reason": "SAFETY"},
        {"stop_reason": "refusal"},
        {"stopReason": "guardrail_intervened"},
        {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        {"prompt_feedback": {"block_reason": "OTHER"}},
    ],
)
def test_what_a_filter_withholds_is_no_answer(metadata: dict[str, Any]) -> None:
    answer = said("", **metadata)
    assert answer.refusal is not None
    assert (answer.missing or "").startswith("the model gave no answer: ")
    assert "[the answer ends here: " in said("a part", **metadata).marked()


@pytest.mark.parametrize(
    ("content", "kwargs"),
    [
        ("", {"refusal": "I can't help with that."}),
        ([{"type": "refusal", "refusal": "I can't help with that."}], None),
        ([{"type": "non_standard", "value": {"type": "refusal", "refusal": "I can't help with that."}}], None),
    ],
)
def test_the_words_of_a_refusal_are_told(content: Any, kwargs: Any) -> None:
    assert "it refused (I can't help with that.)" in str(said(content, kwargs=kwargs).missing)


@pytest.mark.parametrize(
    ("content", "kwargs"),
    [
        ("", {"reasoning_content": "The contract says …"}),
        ([{"type": "thinking", "thinking": "The contract says …"}], None),
        ([{"type": "reasoning", "summary": []}], None),
        ("<think>The contract says …</think>", None),
    ],
)
def test_reasoning_is_no_answer(content: Any, kwargs: Any) -> None:
    answer = said(content, kwargs=kwargs)
    assert answer.text == ""
    assert answer.missing == "the reply holds reasoning only, and no answer"


def test_a_reply_is_bounded_by_what_it_was_allowed_to_be() -> None:
    answer = said("x" * 30_000_000, most_tokens=1_000)
    assert answer.cut
    assert len(answer.text) == 100_000


def test_half_a_surrogate_pair_is_mended_and_whole_characters_are_kept() -> None:
    assert said("a\ud800b 😀 é").text == "a\ufffdb 😀 é"


def test_an_answer_comes_back_from_the_memo_as_it_was_and_from_an_earlier_release() -> None:
    answer = Answer("", False, "it refused", True)
    assert Answer.of_record(answer.as_record()) == answer
    assert Answer.of_record({"text": "a", "cut": True}) == Answer("a", True)
