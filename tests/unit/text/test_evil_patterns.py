"""Patterns that hang engines that backtrack end here, and within the deadline, on the texts that are made for them."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from langgraph_rlm.text.search import count_documents, grep_documents
from langgraph_rlm.text.store import ContextStore

EXPONENTIAL = [
    "(a+)+b", "(a|a)*b", "(a|aa)+b$", "(.*a){20}b", "(x+x+)+y", "(a?){200}a{200}b", "^(([a-z])+.)+[A-Z]([a-z])+$", r"(\w+\s?)*\d{3}!",
    r"\b(\w+)+\b.*\bzzz\b", "(a*)*b", ".*.*.*=.*", r"(?:\w+\W+){10}zzz", "(?i)(k|s)+ſ$", "[a-q][^u-z]{13}x", "(a|b|ab)*c", ".{1,500}y",
]  # fmt: skip
"""An engine that backtracks takes the age of the universe for each."""
QUADRATIC = [".*[^A-Z]|[A-Z]", r"\w*!|\w", "[A-Z]*?x|A", ".*[a-z]|.", "(?:A*B)|A"]
"""Every match looks at all of the text to its end, so that all matches together take hours in any engine."""
TEXTS = {"a": "a", "x and a": "xa ", "two bytes": "aé"}
GENEROUS = 60.0
"""Seconds; even the slowest of them takes some hundredths of that."""
MB = 1_000_000


def documents(unit: str, size: int) -> list[tuple[str, bytes]]:
    data = unit.encode()
    return [("d", data * (size // len(data)))]


@pytest.mark.parametrize("unit", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("pattern", EXPONENTIAL)
def test_an_evil_pattern_is_looked_for_to_the_end_of_the_text(pattern: str, unit: str) -> None:
    assert count_documents(documents(unit, 30_000), pattern, deadline=GENEROUS).complete
    assert grep_documents(documents(unit, 30_000), pattern, deadline=GENEROUS, max_matches=MB).complete


def ends(pattern: str, size: int) -> None:
    """All matches would take hours: who comes back has looked at the clock."""
    text = documents("A", size)
    started = time.monotonic()
    hits = grep_documents(text, pattern, deadline=0.2, max_matches=100 * MB)
    counted = count_documents(text, pattern, deadline=0.2)
    assert not hits.complete
    assert not counted.complete
    assert 0 < len(hits) < size
    assert 0 < counted.matches < size
    assert time.monotonic() - started < GENEROUS


@pytest.mark.parametrize("pattern", QUADRATIC)
def test_a_pattern_whose_matches_take_hours_ends_with_the_deadline(pattern: str) -> None:
    ends(pattern, 4 * MB)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", QUADRATIC)
def test_a_pattern_whose_matches_take_hours_ends_with_the_deadline_in_a_line_of_100_mb(pattern: str) -> None:
    ends(pattern, 100 * MB)


def in_one_line(size: int) -> None:
    """Nothing takes more than one look at the line, however long it is."""
    store = ContextStore()
    ref = store.put("a" * size + "b")
    assert store.count_matches(ref, "b$", deadline=GENEROUS) == (1, True)
    hits = store.grep(ref, "[b-d]$", before=2, after=2, deadline=GENEROUS)
    assert [hit["metadata"] for hit in hits] == [{"match": [size, size + 1], "match_line": 1}]
    assert len(hits[0]["text"]) == 201
    assert store.grep(ref, "a", max_matches=5).seen == 6
    assert not store.grep(ref, "(a|a)*?c|a", max_matches=100 * MB, deadline=0.1).complete
    assert store.lines(ref, 1, 1)[-2:] == "ab"
    for pattern in EXPONENTIAL:
        found = store.grep(ref, pattern, deadline=GENEROUS, max_matches=3)
        assert len(found) <= 3
    store.close()


def test_a_text_of_one_long_line_is_searched() -> None:
    in_one_line(4 * MB)


@pytest.mark.slow
def test_a_text_of_one_line_of_100_mb_is_searched() -> None:
    in_one_line(100 * MB)


def test_a_line_full_of_what_a_match_must_hold_fills_no_memory() -> None:
    """Each place of the required string would be a few objects."""
    text = documents("aé", 12 * MB)
    tracemalloc.start()
    try:
        hits = grep_documents(text, r"\w?é-?", max_matches=3, deadline=GENEROUS)
        sparse = grep_documents([("d", b"a" * (12 * MB) + text[0][1])], r"\w?é-?", max_matches=3, deadline=GENEROUS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert hits.seen == sparse.seen == 4
    assert peak < 60 * MB


@pytest.mark.parametrize("deadline", [0.0, 0.05])
def test_other_characters_change_nothing_of_that(deadline: float) -> None:
    hits: Any = grep_documents(documents("Aé", 4 * MB), r"\w*!|\w", deadline=deadline, max_matches=100 * MB)
    assert not hits.complete
