"""Which inputs are contexts, and what a size asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

import langgraph_rlm
from langgraph_rlm import ContextStore, SmartRouter, advise, detect_context_fields
from langgraph_rlm.errors import InvalidInput


def names(inputs: dict[str, Any], **options: Any) -> list[str]:
    return [field.name for field in detect_context_fields(inputs, **options)]


# --- advice -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "window", "route", "says"),
    [
        (0, None, "direct", "needs no recursion"),
        (99_999, None, "direct", "about 99,999 tokens"),
        (100_000, None, None, "133,334 tokens or more"),
        (500_000, None, None, "by a model with a window of"),
        (500_001, None, "rlm", "more than any prompt should hold"),
        (90_000, 128_000, "direct", "fits the model's window of 128,000"),
        (96_000, 128_000, "direct", "fits"),
        (96_001, 128_000, "rlm", "does not fit the model's window of 128,000"),
        (300_000, 1_000_000, "direct", "fits"),
        (500_001, 2_000_000, "rlm", "more than any prompt"),
        (9_000, 10_000, "rlm", "does not fit"),
    ],
)
def test_a_size_is_read_at_once_or_recursively(tokens: int, window: int | None, route: str | None, says: str) -> None:
    advice = advise(tokens * 4 + 3, window)
    assert (advice.route, advice.tokens) == (route, tokens)
    assert says in " ".join(advice.reasons)
    assert 0 < advice.confidence <= 1


@given(st.integers(400_000, 2_000_000))
def test_the_window_that_is_named_is_the_smallest_that_is_enough(size: int) -> None:
    (reason,) = advise(size).reasons
    need = int(reason.split("window of ")[1].split()[0].replace(",", ""))
    assert advise(size, need).route == "direct"
    assert advise(size, need - 2).route == "rlm"


@given(st.integers(0, 10_000_000), st.integers(1, 3_000_000))
def test_the_router_gives_the_same_answer(size: int, window: int) -> None:
    decision = SmartRouter(window=window).decide("What is said?", context={"context_ref": "r", "chars": size})
    advice = advise(size, window)
    assert (decision["route"], decision["confidence"]) == (advice.route, advice.confidence)
    assert decision["reasons"][0] == advice.reasons[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((-1,), "size"),
        ((1.5,), "size"),
        ((True,), "size"),
        (("text",), "size"),
        ((1, 0), "window"),
        ((1, "2"), "window"),
    ],
)
def test_sizes_that_are_none_are_refused(arguments: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        advise(*arguments)


# --- detection --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("é" * 100, "text"),
        (["é" * 50, "", "b" * 50], "list"),
        (("a" * 50, "b" * 50), "list"),
        ({"one": "a" * 40, "two": "b" * 60}, "fields"),
        ([Document("a" * 30), Document("b" * 70)], "documents"),
    ],
)
def test_a_context_is_known_by_its_size(value: Any, kind: str) -> None:
    (field,) = detect_context_fields({"question": "Why?", "data": value}, threshold_chars=100)
    assert (field.name, field.kind, field.chars, field.tokens) == ("data", kind, 100, 25)
    assert "100 characters" in field.reason
    assert detect_context_fields({"data": value}, threshold_chars=101) == []


def test_four_million_characters_are_the_threshold() -> None:
    assert names({"small": "x" * 3_999_999, "large": "x" * 4_000_000}) == ["large"]


def test_what_does_not_fit_the_window_is_a_context() -> None:
    inputs = {"question": "Why?", "short": "x" * 3_000, "long": "x" * 5_000}
    assert names(inputs) == []
    (field,) = detect_context_fields(inputs, window_tokens=1_000)
    assert (field.name, field.tokens) == ("long", 1_250)
    assert "window of 1,000" in field.reason


@pytest.mark.parametrize(
    "value",
    [None, 7, 1e9, b"x" * 200, bytearray(200), ["a" * 200, 5], {"a": "b" * 200, "c": 1}, [HumanMessage("x" * 200)],
     [Document("a" * 200), "b"], Document("a" * 200), range(200), {"context_ref": "r"}, {"context_ref": "r", "chars": "9"}],
)  # fmt: skip
def test_what_holds_no_text_is_no_context(value: Any) -> None:
    assert names({"value": value}, threshold_chars=1) == []
    with pytest.raises(InvalidInput, match=r"'value': the schema calls it a context"):
        detect_context_fields({"value": value}, schema=[{"name": "value", "type": "context"}])


def test_a_schema_goes_before_the_size() -> None:
    inputs = {"prompt": "x" * 200, "notes": "short", "rest": "y" * 200}
    schema = [
        {"name": "notes", "type": "context"},
        {"name": "prompt", "type": "text"},
        {"name": "absent", "type": "context"},
    ]
    fields = detect_context_fields(inputs, threshold_chars=100, schema=schema)
    assert [field.name for field in fields] == ["notes", "rest"]
    assert fields[0].reason == "the schema says so"


def test_a_reference_is_a_context_already() -> None:
    ref = ContextStore().put(["a", "b"])
    (field,) = detect_context_fields({"context": ref})
    assert (field.kind, field.chars) == ("list", 2)
    assert "reference" in field.reason


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"threshold_chars": 0}, "threshold_chars"),
        ({"threshold_chars": True}, "threshold_chars"),
        ({"window_tokens": 0}, "window_tokens"),
        ({"schema": [{"name": "a"}]}, r"schema\[0\].*expected"),
        ({"schema": ["a"]}, r"schema\[0\].*expected"),
        ({"schema": [{"name": "a", "type": "context"}, {"name": "a", "type": "text"}]}, r"schema\[1\]: a second"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(options: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        detect_context_fields({"a": "text"}, **options)


def test_inputs_are_a_mapping() -> None:
    with pytest.raises(InvalidInput, match="got list"):
        detect_context_fields(["text"])  # type: ignore[arg-type]


@given(
    st.dictionaries(st.text(max_size=3), st.one_of(st.text(), st.lists(st.text()), st.integers())),
    st.integers(1, 30),
)
def test_detection_is_a_sum_and_a_comparison(inputs: dict[str, Any], threshold: int) -> None:
    sizes = {name: len(value if isinstance(value, str) else "".join(value)) for name, value in inputs.items()
             if not isinstance(value, int)}  # fmt: skip
    assert names(inputs, threshold_chars=threshold) == [name for name, size in sizes.items() if size >= threshold]


def test_both_are_public() -> None:
    assert {"advise", "detect_context_fields"} <= set(langgraph_rlm.__all__)
