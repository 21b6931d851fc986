"""What models cost: by the user's own prices, else by the public lists."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, Required

from typing_extensions import TypedDict

from langgraph_rlm.errors import InvalidInput


class Price(TypedDict, total=False):
    """What a model costs, in USD per million tokens. ``cached`` (input read from a prompt cache) is ``input`` when missing."""

    input: Required[float]
    output: Required[float]
    cached: float


Prices = Mapping[str, Price]
"""Prices by model name; they come before the public price lists."""


def price_usd(
    model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0, prices: Prices | None = None
) -> float | None:
    """USD for these tokens: by ``prices``, else by the public lists of ``genai-prices``; None for an unknown model.

    Args:
        model: its name, with or without the provider: ``"gpt-5-mini"``, ``"openai:gpt-5-mini"``.
        input_tokens: all input tokens, the cached ones included.
        output_tokens: output tokens.
        cached_tokens: the part of the input that was read from the provider's prompt cache.
        prices: the user's own.

    Example:
        >>> price_usd("mine", 1_000_000, 0, prices={"mine": {"input": 0.5, "output": 1.5}})
        0.5
    """
    provider, _, name = model.rpartition(":")
    own = None if prices is None else prices.get(model) or prices.get(name)
    if own is not None:
        cached = cached_tokens * own.get("cached", own["input"])
        return ((input_tokens - cached_tokens) * own["input"] + cached + output_tokens * own["output"]) / 1e6
    rates = _rates(provider, name, max(0, input_tokens - 1) // _TIER * _TIER + 1)
    if rates is None:
        return None
    fixed, read, written, cached_read = rates
    return fixed + (input_tokens - cached_tokens) * read + cached_tokens * cached_read + output_tokens * written


_TIER = 1_000
"""Prices change, if at all, at multiples of so many input tokens."""


@functools.lru_cache(maxsize=4_096)
def _rates(provider: str, name: str, input_tokens: int) -> tuple[float, float, float, float] | None:
    """USD of a call, of one input, output and cached token, for prompts of about this size; a look-up takes a while."""
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    def price(read: int, written: int, cached: int) -> float:
        tokens = Tokens(input_tokens=read, output_tokens=written, cache_read_tokens=cached or None)
        return float(calc_price(tokens, model_ref=name, provider_id=provider or None).total_price)

    try:
        fixed, prompt = price(0, 0, 0), price(input_tokens, 0, 0)
    except LookupError:
        return None
    written, cached = price(input_tokens, 1_000_000, 0), price(input_tokens, 0, input_tokens)
    return fixed, (prompt - fixed) / input_tokens, (written - prompt) / 1e6, (cached - fixed) / input_tokens


def checked_prices(prices: Prices | None) -> Prices | None:
    """The prices, checked.

    Raises:
        InvalidInput: a price without input or output, an unknown key, or an amount that is no number from 0 on.
    """
    for model, price in (prices or {}).items():
        known = isinstance(price, Mapping) and {"input", "output"} <= set(price) <= {"input", "output", "cached"}
        if not known or not all(_is_price(amount) for amount in price.values()):
            raise InvalidInput(
                f"prices[{model!r}]: expected {{'input': USD, 'output': USD}} per million tokens (and 'cached' if you "
                f"like), got {price!r}"
            )
    return prices


def _is_price(amount: Any) -> bool:
    return isinstance(amount, int | float) and not isinstance(amount, bool) and 0 <= amount < math.inf
