"""grep and search find what Python's re finds, as exact spans of whole lines, and always come back."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_rlm.errors import InvalidInput, PatternError
from langgraph_rlm.text.search import LONG_LINE, LONGEST_HIT, WINDOW, Hits, grep_documents, search_documents

SAME_IN_BOTH = "ab1_ é😀\n\r\x00\tÄß東٣\xa0"
"""Characters whose classes Python and Unicode agree on; Python's \\w lacks marks, and its \\d knows older digits."""
TEXT = st.text(SAME_IN_BOTH, max_size=60) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PATTERNS = [
    r"\w+", r"\W", r"\d", r"\D+", r"[^\W_]+", r"[^\W\d_]+", r"[\w.-]+", r"[\s\S]", r"[^\d]", r"[\W\d]", r"a|b",
    r"a\s", r"\S+", r"(?i)Ä", r"[^\S\n]+", r"^.", r"(?s).", r"a{,2}b", r"\u00e9", r"[]a]+", r"[a\]b]", r"(?P<x>a)b?",
    r"\x61", r"[\b1]", r"(?#why)b", r"[é東]",
]  # fmt: skip


def grep(text: str, pattern: str, **options: object) -> Hits:
    options = {"max_matches": 10_000, "deadline": None} | options
    return grep_documents([("d", text.encode())], pattern, **options)  # type: ignore[arg-type]


def spans(hits: Hits) -> list[tuple[int, int]]:
    return [tuple(hit["metadata"]["match"]) for hit in hits]


@given(st.text(SAME_IN_BOTH, max_size=60), st.sampled_from(PATTERNS))
@example("a\x85b\xa0c\u3000d\x1ce", r"\S+")
@example("x \n\x0b\x0c", r"[^\S\n]+")
def test_grep_finds_what_python_finds(text: str, pattern: str) -> None:
    assert spans(grep(text, pattern)) == [match.span() for match in re.finditer(pattern, text, re.M)]


@given(TEXT, st.sampled_from([r"a", r"\S+", r"b\n", r"[é😀]"]), st.integers(0, 2), st.integers(0, 2))
def test_a_hit_is_the_whole_lines_of_its_match(text: str, pattern: str, before: int, after: int) -> None:
    for hit in grep(text, pattern, before=before, after=after):
        start, end = hit["start"], hit["end"]
        first, last = hit["metadata"]["match"]
        assert hit["text"] == text[start:end]
        assert start <= first <= last <= end
        assert hit["line"] == text.count("\n", 0, start) + 1
        assert hit["metadata"]["match_line"] == text.count("\n", 0, first) + 1
        assert start == 0 or text[start - 1] == "\n"
        assert end == len(text) or text[end : end + 1] == "\n" or text[end : end + 2] == "\r\n" or text[end - 1] == "\n"
        match_line_start = text.rfind("\n", 0, first) + 1
        assert text.count("\n", start, match_line_start) == min(before, text.count("\n", 0, match_line_start))


@given(TEXT, st.text("ab1é😀\n", min_size=1, max_size=3))
def test_search_finds_every_place_of_a_plain_string(text: str, wanted: str) -> None:
    hits = search_documents([("d", text.encode())], wanted, max_matches=1000, deadline=None)
    assert spans(hits) == [match.span() for match in re.finditer(re.escape(wanted), text)]
    assert {hit["source"] for hit in hits} <= {"search"}


@given(TEXT, st.sampled_from(["", "x*", "$", "^", r"\b", r"\B", "a|", "(?m)^$", r"\z"]))
def test_empty_matches_end_and_stand_between_characters(text: str, pattern: str) -> None:
    hits = grep(text, pattern)
    assert spans(hits) == sorted(set(spans(hits)))
    assert len(hits) <= len(text) + 1
    assert all(hit["text"] == text[hit["start"] : hit["end"]] for hit in hits)


def test_characters_that_re2_alone_would_miss_are_words() -> None:
    assert [hit["metadata"]["match"] for hit in grep("été ३ नमस्ते", r"\w+")] == [[0, 3], [4, 5], [6, 12]]
    assert spans(grep("१२3", r"\d+")) == [(0, 3)]


def test_line_ends_of_either_kind_are_ends_of_lines() -> None:
    text = "one\r\ntwo\r\n\r\nthree\none"
    assert spans(grep(text, "one$")) == [(0, 3), (18, 21)]
    assert [hit["text"] for hit in grep(text, "two")] == ["two"]
    assert [hit["text"] for hit in grep(text, "two", before=1, after=2)] == ["one\r\ntwo\r\n\r\nthree"]
    assert [hit["line"] for hit in grep(text, "^t")] == [2, 4]


def test_a_long_line_gives_a_window_of_the_match() -> None:
    text = "x\n" + "é" * 1000 + "needle" + "😀" * 1000 + "\ny"
    (hit,) = grep(text, "needle", before=3, after=3)
    assert hit["text"] == "é" * WINDOW + "needle" + "😀" * WINDOW == text[hit["start"] : hit["end"]]
    assert (hit["line"], hit["metadata"]["match"]) == (2, [1002, 1008])


def test_a_line_of_500_characters_is_whole_and_one_of_501_is_not() -> None:
    for length, shown in ((LONG_LINE, LONG_LINE), (LONG_LINE + 1, WINDOW + 1)):
        text = "a" + "b" * (length - 1)
        assert len(grep(text, "a")[0]["text"]) == shown


def test_a_huge_match_is_shown_by_its_beginning() -> None:
    text = "é" * 50_000
    (hit,) = grep(text, r"(?s).+")
    assert hit["text"] == text[:LONGEST_HIT]
    assert hit["metadata"]["match"] == [0, 50_000]


def test_a_search_that_stops_says_so() -> None:
    some = grep("a\n" * 5, "a", max_matches=3)
    assert (len(some), some.seen, some.complete) == (3, 4, False)
    every = grep("a\n" * 3, "a", max_matches=3)
    assert (len(every), every.seen, every.complete) == (3, 3, True)


def test_hits_of_several_documents_are_ranked_in_order() -> None:
    hits = grep_documents([("a", b"x"), ("b", b""), ("c", memoryview(b"y x"))], "x")
    assert [(hit["doc_id"], hit["rank"], hit["score"]) for hit in hits] == [("a", 0, 1.0), ("c", 1, 1.0)]


def test_the_deadline_ends_a_search_between_matches() -> None:
    started = time.monotonic()
    hits = grep("a" * 3_000_000, "a", max_matches=10_000_000, deadline=0.1)
    assert time.monotonic() - started < 2
    assert not hits.complete and hits


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(a|aa)+$", r"(.*a){12}b", r"([a-z]+)*=", r"(x+x+)+y"])
def test_patterns_that_make_backtracking_engines_hang_finish(pattern: str) -> None:
    started = time.monotonic()
    grep("a" * 200_000 + "!", pattern)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"a(?=b)", "lookahead"),
        (r"(?<!a)b", "negative lookbehind"),
        (r"(a)\1", "backreferences"),
        (r"(?P<a>x)(?P=a)", "backreferences"),
        (r"a++", "Possessive"),
        (r"(?>a)", "Atomic"),
        (r"[a", "missing ]"),
        (r"(a", "missing )"),
        (r"a{2000}", "1000"),
        (r"[^\Wa]", "Write the wanted characters"),
        ("a\ud800", "surrogate"),
        (r"\C", "any character"),
        ("a\\", "trailing"),
    ],
)
def test_a_refused_pattern_says_what_to_write(pattern: str, says: str) -> None:
    with pytest.raises(PatternError, match=re.escape(says)):
        grep("aaa", pattern)


@pytest.mark.parametrize("options", [{"max_matches": 0}, {"before": -1}, {"after": 1.5}, {"max_matches": True}])
def test_options_out_of_range_are_refused_by_name(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        grep("a", "a", **options)


def test_an_empty_search_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not empty"):
        search_documents([("d", b"x")], "")


@given(st.text("[]()^$\\wWdDsSb{},1-_aé|?*+:", max_size=12), TEXT)
def test_any_pattern_either_works_or_is_refused(pattern: str, text: str) -> None:
    try:
        hits = grep(text, pattern)
    except PatternError:
        return
    assert all(hit["text"] == text[hit["start"] : hit["end"]] for hit in hits)


def test_the_hits_of_a_search_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langgraph_rlm.text.search.MOST_CHARS", 10_000)
    hits = grep("x" * 99 + "\n" + ("a" * 99 + "\n") * 1_000, "a+", before=10)
    assert 10_000 <= sum(len(hit["text"]) for hit in hits) < 12_000
    assert not hits.complete


def test_a_pattern_has_a_longest_length() -> None:
    with pytest.raises(PatternError, match="too long"):
        grep("a", "[[:" * 10_000)
