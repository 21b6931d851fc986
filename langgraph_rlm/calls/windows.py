"""What servers say when a request does not fit their model's window: recognised, and the window that they state."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_MOST_CHARS = 4_000
_MOST_TOKENS = 100_000_000
_LEAST_WINDOW = 64
"""Tokens; a smaller number in such a text is none of a window."""

_N = r"(\d[\d,_]{0,11}\d|\d)"
"""A whole number, also with separators between its thousands."""

# OpenAI and what speaks its protocol, vLLM, SGLang, TGI, llama.cpp, Ollama, LM Studio, Anthropic, Gemini, Bedrock, Mistral,
# Cohere, xAI, Fireworks, OpenRouter, LiteLLM.
_SIGNS = re.compile(
    r"context_length_exceeded|ContextWindowExceeded|exceed_context_size|string_above_max_length|model_max_prompt_tokens"
    r"|(?:maximum|max\.?|model(?:'s)?|available|the|limited|supported) context (?:length|size|window)"
    r"|context (?:length|size|window|limit) (?:of only|exceeded|is exceeded|overflow|of \d)"
    r"|exceeds? (?:the |its |this |maximum |max |model(?:'s)? )*(?:context|input) (?:length|size|window|limit)"
    r"|exceed context limit"
    r"|maximum (?:prompt|model|input|sequence) length"
    r"|prompt (?:is )?too long|prompt too long|input (?:is )?too long|too many (?:input )?tokens: total"
    r"|inputs?`? (?:must have less than|tokens \+ `?max_new_tokens)"
    r"|input token count .{0,60}exceeds the maximum"
    r"|tokens? to keep from the initial prompt|context the overflows"
    r"|too large for model with \d|longer than the (?:model|maximum)|reduce the length of the (?:messages|input|prompt)",
    re.IGNORECASE,
)
_WINDOWS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"context (?:length|size|window)(?: of only| of| is|:| \()+ ?{_N}",
        rf"\"?n_ctx'?\"?: {_N}",
        rf"maximum (?:prompt|model|input|sequence) length(?: of| is|:) {_N}",
        rf"must (?:be <=|have less than|be less than or equal to) {_N}",
        rf"exceed context limit: [\d,]{{1,12}} \+ [\d,]{{1,12}} > {_N}",
        rf"prompt is too long: [\d,]{{1,12}} tokens > {_N}",
        rf"exceeds the maximum number of tokens allowed \({_N}\)",
        rf"too large for model with {_N}",
        rf"total number of tokens .{{0,40}}cannot exceed {_N}",
        rf"context (?:length|size|window) \({_N}",
    )
)
_PROMPTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\"?n_prompt_tokens'?\"?: {_N}",
        rf"\({_N} (?:in the (?:messages|input|prompt)|of text input)",
        rf"(?:request|prompt|input) (?:has|contains|contains at least|\(length) {_N}(?: input tokens| tokens|\)| characters)?",
        rf"(?:messages|input) (?:has )?resulted in {_N}",
        rf"request \({_N} tokens\)",
        rf"Given: {_N}",
        rf"exceed context limit: {_N}",
        rf"prompt is too long: {_N}",
        rf"input token count \({_N}\)",
        rf"keep the first {_N} tokens",
        rf"{_N} tokens from the input",
        rf"the input \({_N} tokens\)",
    )
)
_CAPS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"supports at most {_N} completion tokens",
        rf"max_tokens: [\d,]{{1,12}} > {_N}",
        rf"range of `?max_(?:completion_|output_|new_)?tokens`? is \[\d, ?{_N}\]",
        rf"max(?:imum)?[ _](?:completion_|output_|output |new_)?tokens.{{0,40}}(?:less than or equal to|at most|must be <=|not exceed|range .{{0,8}}\[1,) ?{_N}",
    )
)


class Refusal(NamedTuple):
    """What a server says of a request that is too large.

    Args:
        window: tokens that fit a request, as it states; None where it does not.
        prompt: tokens of the prompt, as it has counted; None where it does not say.
        most_output: tokens that it lets an answer have; None where it does not say.
    """

    window: int | None = None
    prompt: int | None = None
    most_output: int | None = None


def read_refusal(text: str) -> Refusal | None:
    """What a server says of a request that is too large for its model; None when the text is about something else.

    Example:
        >>> read_refusal("This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens.")
        Refusal(window=4096, prompt=5000, most_output=None)
    """
    text = text[:_MOST_CHARS]
    most_output = _first(_CAPS, text)
    if _SIGNS.search(text) is None:
        return None if most_output is None else Refusal(most_output=most_output)
    window = _first(_WINDOWS, text, _LEAST_WINDOW)
    return Refusal(window, _first(_PROMPTS, text), most_output if window is None else None)


def _first(patterns: tuple[re.Pattern[str], ...], text: str, least: int = 1) -> int | None:
    for pattern in patterns:
        for match in pattern.finditer(text):
            number: Any = int(re.sub(r"\D", "", match[1]))
            if least <= number <= _MOST_TOKENS:
                return int(number)
    return None
