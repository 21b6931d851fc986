"""Packing: what fits, in whole sentences, each text once, the best in any case."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.graphs.packing import (
    LEAST_TOKENS,
    MOST_SENTENCE,
    arranged,
    cost_of,
    merged,
    packed,
    sentences_of,
    shortened,
)
from langgraph_rlm.types import Hit

TEXTS = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from(["One two three. ", "Vier! ", "五。", "a line\n", "x" * 700, "no end ", "Dr. No said: “Yes.” "]), max_size=40).map(
        "".join
    ),
)  # fmt: skip


def hit(doc_id: str, start: int, text: str, rank: int = 0, line: int = 1) -> Hit:
    """A hit with this text."""
    place: dict[str, Any] = {"doc_id": doc_id, "start": start, "end": start + len(text), "text": text, "line": line}
    return Hit(**place, score=1.0 / (rank + 1), rank=rank, source="bm25", metadata={})  # type: ignore[typeddict-item]


@st.composite
def found(draw: st.DrawFn) -> tuple[dict[str, str], list[Hit]]:
    """Documents, and hits in them that may overlap."""
    documents = {
        name: draw(TEXTS) * draw(st.integers(1, 4)) for name in draw(st.sets(st.sampled_from("abc"), min_size=1))
    }
    hits = []
    for rank in range(draw(st.integers(0, 8))):
        name = draw(st.sampled_from(sorted(documents)))
        start = draw(st.integers(0, len(documents[name])))
        end = draw(st.integers(start, min(len(documents[name]), start + 1_500)))
        text = documents[name][start:end]
        hits.append(hit(name, start, text, rank, line=documents[name].count("\n", 0, start) + 1))
    return documents, hits


@given(found(), st.integers(0, 3_000))
def test_the_budget_is_never_exceeded(given: tuple[dict[str, str], list[Hit]], tokens: int) -> None:
    _, hits = given
    assert sum(map(cost_of, packed(hits, tokens, "one two"))) <= tokens


@given(found(), st.integers(0, 3_000))
def test_what_is_packed_stands_in_the_documents_where_it_says(
    given: tuple[dict[str, str], list[Hit]], tokens: int
) -> None:
    documents, hits = given
    for one in packed(hits, tokens, "no end"):
        assert documents[one["doc_id"]][one["start"] : one["end"]] == one["text"]
        assert one["line"] == documents[one["doc_id"]].count("\n", 0, one["start"]) + 1


@given(found(), st.integers(LEAST_TOKENS, 3_000))
def test_the_best_hit_is_never_lost(given: tuple[dict[str, str], list[Hit]], tokens: int) -> None:
    _, hits = given
    with_words = [one for one in hits if one["text"].strip()]
    if with_words:
        best, first = with_words[0], packed(hits, tokens, "Vier")[0]
        assert first["doc_id"] == best["doc_id"]
        assert first["start"] < best["end"] and best["start"] < first["end"]


@given(found(), st.integers(0, 3_000))
def test_no_character_of_a_document_is_shown_twice(given: tuple[dict[str, str], list[Hit]], tokens: int) -> None:
    _, hits = given
    shown = [(one["doc_id"], at) for one in packed(hits, tokens) for at in range(one["start"], one["end"])]
    assert len(shown) == len(set(shown))


@given(found())
def test_with_room_for_all_nothing_is_lost(given: tuple[dict[str, str], list[Hit]]) -> None:
    _, hits = given
    shown = {(one["doc_id"], at) for one in packed(hits, 10**9) for at in range(one["start"], one["end"])}
    texts = {" ".join(one["text"].split()) for one in packed(hits, 10**9)}
    for one in hits:
        there = {(one["doc_id"], at) for at in range(one["start"], one["end"])} <= shown
        plain = " ".join(one["text"].split())
        assert there or not plain or any(plain in text for text in texts)


@given(TEXTS, st.integers(0, 600))
def test_no_sentence_is_cut(text: str, tokens: int) -> None:
    bounds = {at for span in sentences_of(text) for at in span}
    short = shortened(hit("d", 0, text), tokens, "three")
    if short is not None:
        assert {short["start"], short["end"]} <= bounds


@given(TEXTS)
def test_sentences_cover_the_text_in_their_order(text: str) -> None:
    spans = sentences_of(text)
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(0 < end - start <= MOST_SENTENCE for start, end in spans)


def test_a_long_hit_is_shortened_around_what_was_asked_for() -> None:
    text = "Nothing here. " * 200 + "The notice period is three months. " + "Nothing there. " * 200
    (short,) = packed([hit("d", 100, text)], 120, "How long is the notice period?")
    assert "The notice period is three months." in short["text"]
    assert short["text"].endswith(". ") and text[short["start"] - 100 :].startswith(short["text"])


def test_hits_that_overlap_or_touch_become_one_in_the_place_of_the_better() -> None:
    assert merged([hit("a", 5, "fghij", 0), hit("b", 0, "other", 1), hit("a", 0, "abcdefg", 2)]) == [
        hit("a", 0, "abcdefghij", 0),
        hit("b", 0, "other", 1),
    ]
    assert [one["text"] for one in merged([hit("a", 0, "abc", 0), hit("a", 3, "def", 1)])] == ["abcdef"]
    assert [one["text"] for one in merged([hit("a", 0, "abcdef", 0), hit("a", 2, "cd", 1)])] == ["abcdef"]


def test_hits_of_two_versions_of_a_document_stay_apart() -> None:
    versions = [hit("a", 0, "abcdef", 0), hit("a", 3, "XYZ", 1)]
    assert merged(versions) == versions


def test_a_text_that_stands_in_two_documents_is_shown_once() -> None:
    assert [one["doc_id"] for one in packed([hit("a", 0, "same text", 0), hit("b", 7, "same  text", 1)], 10_000)] == [
        "a"
    ]


def test_the_best_stand_first_and_last() -> None:
    assert [one["rank"] for one in arranged([hit("d", 0, "x", rank) for rank in range(6)])] == [0, 2, 4, 5, 3, 1]
    assert arranged([]) == []
