"""Keys in the texts of errors are replaced, and nothing else is."""

from __future__ import annotations

import pytest

from langgraph_rlm.redaction import HIDDEN, redacted


@pytest.mark.parametrize(
    "text",
    [
        "invalid header Authorization: Bearer SECRET123",
        "authorization: basic SECRET123==",
        "{'x-api-key': 'SECRET123'}",
        '{"api_key": "SECRET123", "model": "m"}',
        "GET https://host/v1/models?key=SECRET123&alt=json failed",
        "GET https://host/v1?api-version=1&sig=SECRET123",
        "https://user:SECRET123@host/v1 refused",
        "Incorrect API key provided: sk-SECRET123abcdef.",
        "bad token sk-proj-SECRET123_abc-def",
        "no access with hf_SECRET123abcdefgh",
        "AKIASECRET1234567890 is no user",
        "AIzaSECRET1234567890abcdefgh is no key",
        "jwt eyJSECRET123abc.eyJabcdefghij.c2ln rejected",
        "ocp-apim-subscription-key: SECRET123",
        "client_secret=SECRET123&grant_type=x",
    ],
)
def test_a_key_is_replaced_wherever_servers_and_clients_quote_it(text: str) -> None:
    shown = redacted(text)
    assert "SECRET" not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 4096 tokens (max_tokens: 8192).",
        "Rate limit reached for gpt-4o-mini in organization org-1 on tokens per min: Limit 3, Used 3",
        "model 'sk' has no key; set the API key and the base URL",
        "https://host:8000/v1/chat/completions?stream=true gave 500",
        "line one\n\tline two",
    ],
)
def test_what_is_no_key_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_key_that_is_known_is_replaced_in_any_text_and_words_in_place_of_a_key_are_not() -> None:
    assert redacted("no user moon-river-77 in moon-river-77x", ["moon-river-77"]) == "no user [key] in [key]x"
    for placeholder in ("EMPTY", "ollama", "not-needed", "lm-studio", ""):
        assert redacted(f"model {placeholder} not found", [placeholder]) == f"model {placeholder} not found"


def test_nothing_is_left_that_a_terminal_obeys() -> None:
    assert redacted("\x1b]0;pwn\x07\x1b[2Jred\u202e \ud800") == "]0;pwn[2Jred "
