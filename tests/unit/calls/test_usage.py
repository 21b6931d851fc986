"""What a server reports as usage: taken where it can be true, estimated where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.usage import MOST_TOKENS, Spent, spent_by, was_truncated
from langgraph_rlm.limits import Limits


def spent(reported: Any, *, text: str = "x" * 400, prompt_tokens: int = 1_000, **metadata: Any) -> Spent:
    reply = AIMessage(text, response_metadata=metadata)
    reply.usage_metadata = reported
    return spent_by(reply, prompt_tokens, "gpt-4o-mini", Budget(Limits()))


def test_a_true_report_is_taken_as_it_is() -> None:
    found = spent({"input_tokens": 900, "output_tokens": 80, "input_token_details": {"cache_read": 400}})
    assert (found.usage["input_tokens"], found.usage["cached_tokens"], found.usage["output_tokens"]) == (900, 400, 80)
    assert not found.estimated


@pytest.mark.parametrize(
    "wrong", [-1, -(10**9), 10**30, float("nan"), float("inf"), 1.5, "900", True, None, [900], {}, 0, 1], ids=repr
)
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_count_that_cannot_be_true_is_estimated(name: str, wrong: Any) -> None:
    found = spent({"input_tokens": 900, "output_tokens": 80} | {name: wrong})
    assert found.estimated
    assert found.usage[name] == {"input_tokens": 1_000, "output_tokens": 101}[name]  # type: ignore[literal-required]


@pytest.mark.parametrize("cached", [-1, 901, float("nan"), "4", True, 2.0])
def test_cached_tokens_that_cannot_be_are_none(cached: Any) -> None:
    found = spent({"input_tokens": 900, "output_tokens": 80, "input_token_details": {"cache_read": cached}})
    assert found.usage["cached_tokens"] == 0
    assert found.estimated


@pytest.mark.parametrize("reported", [None, {}, [1], "usage", 5])
def test_no_report_is_estimated(reported: Any) -> None:
    found = spent(reported)
    assert (found.usage["input_tokens"], found.usage["output_tokens"], found.estimated) == (1_000, 101, True)


@pytest.mark.parametrize("cost", [float("nan"), -1.0, "0.1", True, 10**9])
def test_a_cost_that_cannot_be_is_computed_from_the_price(cost: Any) -> None:
    honest = spent({"input_tokens": 900, "output_tokens": 80})
    assert (
        spent({"input_tokens": 900, "output_tokens": 80}, cost_usd=cost).usage["cost_usd"] == honest.usage["cost_usd"]
    )


_ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)


@given(_ANYTHING, _ANYTHING, _ANYTHING, st.text(max_size=2_000), st.integers(1, 10**6))
def test_whatever_is_reported_counts_are_whole_and_no_less_than_the_text_can_be(
    tokens_in: Any, tokens_out: Any, cached: Any, text: str, prompt_tokens: int
) -> None:
    reported = {"input_tokens": tokens_in, "output_tokens": tokens_out, "input_token_details": {"cache_read": cached}}
    usage = spent(reported, text=text, prompt_tokens=prompt_tokens).usage
    for count in (usage["input_tokens"], usage["output_tokens"], usage["cached_tokens"]):
        assert type(count) is int
        assert 0 <= count <= MOST_TOKENS
    assert usage["cached_tokens"] <= usage["input_tokens"]
    assert usage["input_tokens"] * 32 + 32 >= prompt_tokens
    assert usage["cost_usd"] is not None
    assert usage["cost_usd"] >= 0


def test_a_server_that_reads_a_third_of_the_prompt_has_cut_it() -> None:
    assert was_truncated(4_096, 20_000)
    assert not was_truncated(9_000, 20_000)
    assert not was_truncated(10, 500)
    assert not was_truncated(None, 20_000)
