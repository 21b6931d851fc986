"""What servers say of a request that is too large: known in the words of each of them."""

from __future__ import annotations

import pytest

from langgraph_rlm.calls.windows import Refusal, read_refusal

STATED = [
    # (words, window, prompt)
    (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (1000 in the messages, 4000 "
        "in the completion). Please reduce the length of the messages or completion.",
        4096,
        1000,
    ),
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 4096 tokens and "
        "your request has 27 input tokens (8192 > 4096 - 27). None",
        4096,
        27,
    ),
    (
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please reduce the "
        "length of the input messages.",
        4096,
        5000,
    ),
    ("The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that", 4096, 5000),
    ("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", 4096, 5000),
    (
        "{'code': 400, 'message': 'the request exceeds the available context size. try increasing the context size or enable "
        "context shift', 'type': 'exceed_context_size_error', 'n_prompt_tokens': 5000, 'n_ctx': 4096}",
        4096,
        5000,
    ),
    (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of "
        "only 4096 tokens, which is not enough.",
        4096,
        5000,
    ),
    ("Reached context length of 4096 tokens with this model", 4096, None),
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100 "
        "`max_new_tokens`",
        4096,
        5000,
    ),
    ("Input validation error: `inputs` must have less than 4095 tokens. Given: 5000", 4095, 5000),
    ("maximum context length is 128,000 tokens. However, your messages resulted in 130,000 tokens.", 128_000, 130_000),
    ("prompt is too long: 210000 tokens > 200000 maximum", 200_000, 210_000),
    ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease", 200_000, 190_000),
    ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576, 1_200_000),
    ("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum", 32_768, 40_000),
    ("The prompt is too long: 5000, model maximum context length: 4096", 4096, 5000),
    ("This model's maximum prompt length is 131072 but the request contains 200000 tokens.", 131_072, 200_000),
    ("too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000", 4081, None),
    ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", 4096, 5000),
    (
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 "
        "tokens: 4000 tokens from the input messages and 1000 tokens for the completion.",
        4096,
        4000,
    ),
    ("This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens (4000 of text input", 8192, 4000),
]  # fmt: skip
UNSTATED = [
    "the request exceeds the available context size, try increasing it",
    "input length exceeds maximum context length",
    "the input length exceeds the context length",
    "prompt too long; exceeded max context length by 904 tokens",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Input is too long for requested model.",
    "Please reduce the length of the messages or completion.",
    "litellm.ContextWindowExceededError: no",
    "context_length_exceeded",
]
CAPS = [
    ("max_tokens is too large: 50000. This model supports at most 16384 completion tokens", 16_384),
    ("max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for it", 64_000),
    ("max_tokens must be less than or equal to 8192", 8192),
    ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
]
OTHERS = [
    "Rate limit reached for requests. Please try again later.",
    "The model does not exist or you do not have access to it.",
    "You exceeded your current quota, please check your plan and billing details.",
    "Invalid value for 'temperature': the maximum is 2",
    "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29000, Requested 4000",
    "",
]


@pytest.mark.parametrize(("words", "window", "prompt"), STATED)
def test_the_window_and_the_prompt_that_a_server_states_are_read(words: str, window: int, prompt: int | None) -> None:
    assert read_refusal(words) == Refusal(window, prompt, None)


@pytest.mark.parametrize("words", UNSTATED)
def test_a_request_that_is_too_large_is_known_without_a_number(words: str) -> None:
    assert read_refusal(words) == Refusal(None, None, None)


@pytest.mark.parametrize(("words", "most"), CAPS)
def test_a_bound_of_the_answer_alone_is_read(words: str, most: int) -> None:
    assert read_refusal(words) == Refusal(most_output=most)


@pytest.mark.parametrize("words", OTHERS)
def test_other_refusals_are_none_of_a_window(words: str) -> None:
    assert read_refusal(words) is None
