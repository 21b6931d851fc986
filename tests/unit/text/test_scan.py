"""Blocks, threads, required strings and boundaries change nothing of what is found: it is what Python's re finds."""

from __future__ import annotations

import re
from contextlib import nullcontext
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_rlm.errors import PatternError
from langgraph_rlm.text import plan as planning
from langgraph_rlm.text import scan as scanning
from langgraph_rlm.text.clock import Clock
from langgraph_rlm.text.literals import literals_of
from langgraph_rlm.text.plan import Plan, plan_of
from langgraph_rlm.text.scan import line_end, scan
from langgraph_rlm.text.search import count_documents

TINY = {"_FIRST": 6, "_BLOCK": 6, "_STRING_BLOCK": 5, "_ALONE": 10, "_LINE": 3, "_NEAR": 2, "_LARGEST": 9}
"""So that a few characters make many blocks."""
ALPHABET = "ab-1_ éÄ東😀'.\n"
TEXTS = st.text(ALPHABET, max_size=80) | st.text("ab-1 \n", max_size=80) | st.text("abABsſKkS-", max_size=40)
WORDS = [
    r"\b", "a", r"\B", r"\w+", "-", "é+", "[ab]+", "(?:a|b)", "(?:é|b-)", ".*", ".+?", "'", "1", r"[^a\n]", r"\d+", "b?", "(", ")",
    "|",
]  # fmt: skip


def spans(pattern: str, text: str, tiny: bool = False) -> list[tuple[int, int]]:
    data = text.encode()
    with patch.multiple(scanning, **TINY) if tiny else nullcontext():
        found = [span for some in scan(plan_of(pattern), data, Clock(None)) for span in some]
    return [(len(data[:start].decode()), len(data[:end].decode())) for start, end in found]


def naive(pattern: str, text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(pattern, text, re.MULTILINE)]


PATTERNS = [
    "ab", "a|b-|é", "(?:ab|a|b)", "naïve|é", r"a.*b", r"[ab]-\d", r"\w+-\w", r"é.+", r"^a", r"b$", r"^\w+$", r".+",
    r"a\s+b", r"\n", r"b\na", r"[^a]b", r"(?s)a.b", r"\S+", "(?i)sk", "(?i)aB-", "[a-z]-1", "[a-z]-[0-9]", "\U0001f600",
]  # fmt: skip


FOLDED = [
    "(?i)abb", "(?i)ask", "(?i)sak|bbb", r"(?i)ab\*ab", "(?i)abé|kab", "(?i)a.*bks", r"(?i)\babs\b", r"(?i)skab\b.*ask", "(?i)aßb|abs",
    "(?i)bb", "(?i)abb|BA|b", "(?i)bab|ABBAB", "(?i)^kas$", r"(?i)[ab]*kka\d?", "(?i)b-a|a b", r"(?i)a\*\*b", r"(?i)\*abs", r"(?i)\*a\*a",
]  # fmt: skip
FOLDABLE = st.lists(
    st.sampled_from([*"abABsſKkS-*\n\n ßé", "aſK", "*aB*aB", "\na*", "BKS", "Abb"]), max_size=40
).map("".join)  # fmt: skip


@given(FOLDABLE, st.sampled_from(FOLDED), st.booleans())
@example("x\naB*ab*AB", r"(?i)ab\*ab", True)
@example("x\na*a*a", r"(?i)\*a\*a", False)
@example("aſK", "(?i)ask", True)
def test_case_changes_nothing_where_it_is_ignored(text: str, pattern: str, tiny: bool) -> None:
    with patch.object(planning, "_PIECE", 5) if tiny else nullcontext():
        assert spans(pattern, text, tiny) == naive(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "strings"),
    [
        ("(?i)Error", (b"error",)), ("(?i)warn|Error", (b"warn", b"error")), ("(?i)task", None), ("(?i)error 404", None),
        ("(?i)e.", None), ("(?i:error)", None), ("error", (b"error",)), ("(?i)größe", None),
    ],
)  # fmt: skip
def test_letters_alone_are_found_whatever_their_case(pattern: str, strings: tuple[bytes, ...] | None) -> None:
    exact = plan_of(pattern).exact
    assert (None if exact is None else exact.strings) == strings


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        ("(?i)Error.*Timeout", {b"timeout"}), ("(?i)error:|WARNING:", {b"error:", b"warning:"}), ("(?i)ab", None), ("error", None),
        ("(?i)task", {b"task", *planning._LOOK_LIKE_K_OR_S}), ("(?i)größere", {b"ere"}), (r"(?i)a\*bcd", {b"bcd"}),
        (r"(?i)error\s", None), ("(?i:error)", None), ("(?i:error) in file", None), ("(?i)éé", None),
    ],
)  # fmt: skip
def test_what_a_match_holds_up_to_case_is_known(pattern: str, known: set[bytes] | None) -> None:
    folded = plan_of(pattern).folded
    assert (None if folded is None else set(folded.strings)) == known


@given(TEXTS, st.sampled_from(PATTERNS), st.booleans())
@example("a" * 7 + "\n", "a+", True)
def test_the_matches_are_those_of_python(text: str, pattern: str, tiny: bool) -> None:
    assert spans(pattern, text, tiny) == naive(pattern, text)


BOUNDED = [
    r"\ba", r"a\b", r"\bab\b", r"\b(?:a|é)\b", r"\b\w+\b", r"\b\w+-\w+\b", r"\Ba", r"a\B", r"\b-", r"-\b", r"\b(?:é|-)\w",
    r"a\b.*\bb", r"\ba\b|\bé\b", r"(?i)\bÄ\b", r"a\b\s+\bb", r"\b.\b", r"\B.", r".\B", r"\bé*a", r"(?:\ba\b-?)+", r"^\b.+\b$",
    r"\b[^ ]\b", r"é\b-", r"é\ba", r"\b\b1", r"\B-\B", r"\b[^\n]{2}\b", r"\b\W+\b", r"a\b[ \t]*\bb",
]  # fmt: skip


@given(TEXTS, st.sampled_from(BOUNDED), st.booleans())
@example("ÉAB AB", r"\bAB", True)
@example("été", r"\bété\b", True)
@example("a a a", r"\ba\b", True)
@example("éa", r"\bé*a", True)
def test_words_end_where_they_end_in_all_of_unicode(text: str, pattern: str, tiny: bool) -> None:
    assert spans(pattern, text, tiny) == naive(pattern, text)


@given(TEXTS.filter(bool), st.sampled_from([r"\b", r"\B", r"\b|\B"]), st.booleans())
def test_boundaries_alone_are_all_found(text: str, pattern: str, tiny: bool) -> None:
    assert spans(pattern, text, tiny) == naive(pattern, text)


@given(TEXTS.filter(bool), st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), st.booleans())
def test_a_pattern_with_boundaries_is_exact_or_refused(text: str, parts: list[str], tiny: bool) -> None:
    pattern = "".join(parts)
    try:
        expected = naive(pattern, text)
        found = spans(pattern, text, tiny)
    except (re.error, PatternError):
        return
    if re.compile(pattern).match("") or any(start == end for start, end in expected):
        return  # where empty matches stand beside others, engines differ
    assert found == expected


@given(TEXTS, st.sampled_from([*PATTERNS, *BOUNDED]))
def test_the_count_is_the_number_of_matches(text: str, pattern: str) -> None:
    assert count_documents([("a", text.encode()), ("b", b"")], pattern) == (len(naive(pattern, text)), True)


@given(TEXTS, st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
def test_every_match_holds_what_is_required(text: str, parts: list[str]) -> None:
    pattern = "".join(parts)
    try:
        matches = [match.group().encode() for match in re.finditer(pattern, text, re.MULTILINE)]
    except re.error:
        return
    known = literals_of(pattern, most=64)
    if known.required is not None:
        strings, before = known.required
        for match in matches:
            places = [found.start() for one in strings for found in re.finditer(re.escape(one), match)]
            assert any(place and match[place - 1] in before for place in places) if before is not None else places
    if known.exact is not None:
        assert set(matches) <= set(known.exact)


@given(TEXTS, st.integers(0, 90))
def test_a_line_ends_behind_its_line_feed(text: str, at: int) -> None:
    data = text.encode()
    end = line_end(data, at)
    assert end == len(data) or (end >= at and data[end - 1 : end] == b"\n")
    assert b"\n" not in data[max(at, 1) : end - 1]


@pytest.mark.parametrize(
    ("pattern", "crosses"),
    [
        ("a.b", False), (r"a\sb", True), ("[^a]", True), ("[^a\n]", False), (r"\W", True), ("(?s).", True), ("a\nb", True),
        (r"\x0a", True), (r"[\s\S]", True), (r"\D", True), (r"[^\W\d]", False), ("^a$", False), (r"\p{Lu}+", False),
        (r"[ \t]*", False), (r"\Qa.\E", False), (r"[[:space:]]", True), (r"\012", True),
    ],
)  # fmt: skip
def test_it_is_known_which_patterns_stay_within_a_line(pattern: str, crosses: bool) -> None:
    assert Plan(pattern).crosses_lines == crosses


def test_a_boundary_that_cannot_be_found_is_refused_with_what_to_write() -> None:
    text = "é" * 700_000
    with pytest.raises(PatternError, match=r"\(\?:\^\|\\W\)"):
        spans(r"a\b[\s\S]*\bb", text)
    assert spans(r"a\b[\s\S]*\bb", "a \n b" * 200_000) == [(0, 1_000_000)], "in ASCII all of them are"


def test_a_large_text_is_found_in_two_threads_as_in_one() -> None:
    text = "".join(f"line {number} of error {number % 7}\n" for number in range(100_000))
    pattern = r"(?i)ERROR [35]$"
    expected = naive(pattern, text)
    assert spans(pattern, text) == expected
    with patch.object(scanning, "_processors", lambda: 1):
        assert spans(pattern, text) == expected
