"""A snippet shows the words that were asked for, at the right places, and cuts neither words nor characters."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.text.bm25 import BM25Index
from langgraph_rlm.text.characters import spaced
from langgraph_rlm.text.words import Words

PLAIN = BM25Index()
CODE = BM25Index(words=Words(code=True))
STEMMED = BM25Index(words=Words(language="english", stem=True))
FILLER = "Nothing of interest is said in this sentence. " * 20


def marked(text: str, query: str, chars: int = 200, index: BM25Index = PLAIN) -> list[str]:
    return [text[start:end] for start, end in index.snippet(text, query, chars).spans]


def test_the_window_with_most_of_the_words_is_shown() -> None:
    text = f"{FILLER}apple apple apple. {FILLER}An apple and a pear. {FILLER}"
    found = PLAIN.snippet(text, "apple pear", 60)
    assert "An apple and a pear." in found.text and found.end - found.start <= 60
    assert [text[start:end] for start, end in found.spans] == ["apple", "pear"]
    assert text[found.start : found.end] == found.text


def test_it_begins_and_ends_between_words() -> None:
    text = f"{FILLER}the red apple fell. {FILLER}"
    for chars in range(20, 120, 7):
        found = PLAIN.snippet(text, "apple", chars)
        assert f" {found.text} " in text and "apple" in found.text and len(found.text) <= chars


def test_without_a_match_it_is_the_beginning() -> None:
    found = PLAIN.snippet(FILLER, "apple", 30)
    assert found == (0, 30, "Nothing of interest is said in", [])
    assert PLAIN.snippet("", "apple") == (0, 0, "", [])
    assert PLAIN.snippet("short", "") == (0, 5, "short", [])


def test_common_words_are_marked_only_alone() -> None:
    assert marked("the apple of the tree", "the apple") == ["apple"]
    assert marked("the apple of the tree", "of the") == ["the", "of", "the"]


def test_other_forms_are_marked_when_words_are_stemmed() -> None:
    assert marked("He retried; retries fail.", "retry", index=STEMMED) == ["retried", "retries"]
    assert marked("He retried; retries fail.", "retry") == []


def test_parts_of_identifiers_are_marked() -> None:
    text = "call self.getUserName(user_id, max-depth)"
    assert marked(text, "user", index=CODE) == ["User", "user"]
    assert marked(text, "get_user_name", index=CODE) == ["getUserName", "user"]
    assert marked(text, "depth", index=CODE) == ["depth"]
    assert marked(text, "self.get_user_name", index=CODE) == ["self.getUserName", "user"]
    assert marked(text, "user") == ["user"]


def test_scripts_without_blanks_are_marked_together_and_cut_between_characters() -> None:
    text = "大阪城は大きい。" * 30 + "東京タワーは赤い。" + "大阪城は大きい。" * 30
    found = PLAIN.snippet(text, "東京", 20)
    assert [text[start:end] for start, end in found.spans] == ["東京"] and 15 <= len(found.text) <= 20


@pytest.mark.parametrize(
    "letter", ["👩\u200d👩\u200d👧", "👍🏽", "❤\ufe0f", "e\u0301", "🇩🇪", "🏴\U000e0067\U000e0062\U000e007f", "กำ"]
)
def test_what_readers_see_as_one_character_is_not_cut(letter: str) -> None:
    text = letter * 40 + " apple " + letter * 40
    for chars in range(6, 60):
        found = PLAIN.snippet(text, "apple", chars)
        assert found.text.replace(letter, "").strip() == "apple" and len(found.text) <= chars, chars
        assert [text[start:end] for start, end in found.spans] == ["apple"]


def test_places_are_right_behind_emoji_and_accents() -> None:
    text = "😀 cafe\u0301 👩\u200d👩\u200d👧 İstanbul straße"
    assert marked(text, "cafe\u0301 straße istanbul") == ["cafe\u0301", "straße"]
    assert marked(text, "İstanbul") == ["İstanbul"]


def test_a_word_longer_than_the_window_is_cut() -> None:
    text = "x " + "a" * 70 + " y"
    found = PLAIN.snippet(text, "a" * 70, 10)
    assert found.text == "a" * 10 and found.spans == [(2, 12)]
    assert PLAIN.snippet("b" * 500, "a", 10).text == "b" * 10


@pytest.mark.parametrize("chars", [0, -1, 1.5, True, "9"])
def test_a_size_that_makes_no_sense_is_refused(chars: object) -> None:
    with pytest.raises(InvalidInput, match="chars must be"):
        PLAIN.snippet("text", "text", chars)  # type: ignore[arg-type]


LETTERS = st.text(alphabet=st.sampled_from("aBc1_-. \n東\u0301\u200d😀🇩é"), max_size=120)


@given(LETTERS, LETTERS, st.integers(1, 60), st.sampled_from([PLAIN, CODE, STEMMED]))
@example("a" * 79, "a" * 79, 1, PLAIN)
@example("aB " * 30, "a", 7, CODE)
def test_whatever_the_text_a_snippet_is_a_piece_of_it(text: str, query: str, chars: int, index: BM25Index) -> None:
    found = index.snippet(text, query, chars)
    assert 0 <= found.start <= found.end <= len(text) and text[found.start : found.end] == found.text
    assert len(found.text) <= chars and (found.text or not text)
    before = found.start
    for start, end in found.spans:
        assert before <= start < end <= found.end
        before = end + 1
    asked = set(spaced(query.lower()).split())
    if index is PLAIN:  # every place that is marked was asked for, and a match is never missed altogether
        words = {word for start, end in found.spans for word in spaced(text[start:end].lower()).split()}
        if all(len(word) <= chars for word in spaced(text).split()):
            assert words <= asked
        known = {word for word in asked - {"a"} if len(word.encode()) < 80}
        if known & set(spaced(text.lower()).split()):
            assert found.spans
