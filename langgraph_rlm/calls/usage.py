"""What a call has used: the server's report where it can be true, an estimate from the text where it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage

from langgraph_rlm.budget import CHARS_PER_TOKEN, Budget
from langgraph_rlm.types import ModelUsage

MOST_TOKENS = 20_000_000
"""Of one call, in or out; the largest windows have ten million. A report of more is none."""
_MOST_CHARS_PER_TOKEN = 128
"""The longest tokens are runs of so many spaces. A report of fewer tokens than that makes of a text is none."""
_MOST_USD = 10_000.0
"""Of one call, where a model says what it cost."""
_SEEN = 3
"""Where a server has read less than this part of the estimate, it has cut the prompt: texts vary by half as much."""
_LEAST_SENT = 3_000
"""Tokens of a prompt, estimated, that are sure to be too many for a window of a few thousand."""


def estimated_tokens(text: str) -> int:
    """About as many tokens as a text has: four UTF-8 bytes each, which is near for English, code and Chinese alike."""
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) // CHARS_PER_TOKEN + 1


class Spent(NamedTuple):
    """What a call has used.

    Args:
        usage: of the call, priced.
        estimated: a count was not reported, or the report cannot be true.
        read: input tokens that the server says it has read; None where it does not say.
    """

    usage: ModelUsage
    estimated: bool
    read: int | None


def spent_by(reply: AIMessage, prompt_tokens: int, name: str, budget: Budget) -> Spent:
    """What a call has used.

    Args:
        reply: as the client gave it.
        prompt_tokens: of what was sent, estimated.
        name: of the model that has answered, for its price.
        budget: knows prices.
    """
    reported: Any = reply.usage_metadata
    reported = reported if isinstance(reported, Mapping) else {}
    written = estimated_tokens(reply.text)
    read_in, read_out = (
        _count(reported.get("input_tokens"), prompt_tokens),
        _count(reported.get("output_tokens"), written),
    )
    details = reported.get("input_token_details")
    told = details.get("cache_read") if isinstance(details, Mapping) else None
    tokens_in, tokens_out = prompt_tokens if read_in is None else read_in, written if read_out is None else read_out
    cached = 0 if told is None else told if _is_whole(told) and told <= tokens_in and read_in is not None else None
    cost = _own_cost(reply)
    if cost is None:
        cost = budget.price(name, tokens_in, tokens_out, cached or 0)
    usage = ModelUsage(
        calls=1, input_tokens=tokens_in, cached_tokens=cached or 0, output_tokens=tokens_out, cost_usd=cost
    )
    return Spent(usage, None in (read_in, read_out, cached), read_in)


def was_truncated(read: int | None, prompt_tokens: int) -> bool:
    """Whether a server has read so much less than was sent that it must have cut the prompt without a word."""
    return read is not None and prompt_tokens >= _LEAST_SENT and read * _SEEN < prompt_tokens


def _count(value: Any, estimate: int) -> int | None:
    """A reported number of tokens, None where it cannot be true."""
    least = estimate * CHARS_PER_TOKEN // _MOST_CHARS_PER_TOKEN
    return value if _is_whole(value) and least <= value <= MOST_TOKENS and (value or estimate <= 1) else None


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_TOKENS  # a bool is none


def _own_cost(reply: AIMessage) -> float | None:
    """What a model says that the call cost: it knows best."""
    cost: Any = reply.response_metadata.get("cost_usd")
    return (
        float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost <= _MOST_USD else None
    )
