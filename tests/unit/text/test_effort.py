"""Whatever the pattern, a search ends with its time, and looking at a text by parts finds what is found at once."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langgraph_rlm.errors import PatternError
from langgraph_rlm.text import scan
from langgraph_rlm.text.clock import Clock
from langgraph_rlm.text.effort import Effort, bytes_at_once, effort_of
from langgraph_rlm.text.patterns import tokens
from langgraph_rlm.text.plan import Plan
from langgraph_rlm.text.search import count_documents, grep_documents


@pytest.mark.parametrize(
    ("pattern", "effort"),
    [
        ("", (0, 0)),
        ("abc", (3, 3)),
        (r"(?:ab){3}\d?x", (8, 8)),
        (r"(?P<n>a|bc){2,4}", (12, 12)),
        ("a+", (1, None)),
        ("(?:a*){5}", (5, None)),
        ("a{3,}b", (4, None)),
        ("(?:^){3,}b", (1, 1)),
        (r"(?i)\bx{,3}\b$", (4, 4)),
        (r"((a{10}){10}){10}", (1_000, 1_000)),
        (r"\Qa+b\E[^x]", (4, 4)),
        ("a??b", (2, 2)),
        ("()*a", (1, 1)),
    ],
)
def test_the_effort_of_a_pattern(pattern: str, effort: tuple[int, int | None]) -> None:
    assert effort_of(list(tokens(pattern))) == effort


@pytest.mark.parametrize(
    "pattern", [r"\pL{500}\pL{500}z", r"\w{1000}", r"((\w{10}){10}){10}", r"\b\w{300}\b", r"(?:\w{5}\d{9}){40}"]
)
def test_a_pattern_that_is_too_large_is_refused_before_it_is_compiled_whole(pattern: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(PatternError, match="too large"):
        Plan(pattern)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 2.0  # all of it takes more than that


def test_usual_patterns_are_looked_for_in_one_go() -> None:
    for pattern in (r"\w+", r"error.*timeout", r"\b[A-Z]{2,5}-\d+", r"[\w.+-]+@[\w-]+\.\w{2,}"):
        plan = Plan(pattern)
        at_once = bytes_at_once(plan.effort, plan.program, Clock(1.0))
        assert at_once is None or at_once >= 1 << 14, pattern
    assert bytes_at_once(Effort(1_000, None), 100_000, Clock(None)) is None


@pytest.fixture(scope="module", autouse=True)
def _few_bytes_at_once() -> Iterator[None]:
    """As for the largest programs, for patterns of any size, when there is a deadline."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "bytes_at_once", lambda effort, program, clock: None if clock.seconds is None else 5)
        patch.setattr(scan, "affordable", lambda *arguments: True)
        yield


PIECES = [
    "a", "b", "[ab]", "[^a]", r"\w", r"\d", ".", r"\b", r"\B", "^", "$", "é", "1", r"\s", r"\n", "(?:ab|a)", "(a|b1)", "*", "+", "?",
    "{2}", "{1,3}", "*?", "(?i)", "|", r"\z",
]  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(
    st.text("abAB1é- \n\r東", max_size=80),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join),
)
@example("ab " * 30, r"\b\w{2}\b")
@example("é" * 40 + "a", "é{3}a")
@example("ab" * 40, "(?:ab|a)")
@example("a\nb" * 20, r"a\sb")
@example("aaaa" * 20, "a{1,3}$")
@example("x" * 30 + "\n\nab\n", "^$")
def test_parts_of_a_text_hold_the_matches_of_all_of_it(text: str, pattern: str) -> None:
    documents = [("d", text.encode())]
    try:
        expected = grep_documents(documents, pattern, max_matches=1_000, deadline=None)
    except PatternError:
        return
    assert grep_documents(documents, pattern, max_matches=1_000, deadline=3_600.0) == expected
    assert count_documents(documents, pattern, deadline=3_600.0) == (expected.seen, True)


def test_what_there_is_no_time_for_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "affordable", lambda *arguments: False)
    found = grep_documents([("d", b"ab\n" * 3 + b"a" * 100 + b"b\n")], "a+b", max_matches=10, deadline=3_600.0)
    assert [hit["line"] for hit in found] == [1, 2, 3]
    assert not found.complete
    assert not count_documents([("d", b"a" * 100 + b"b")], "a+b", deadline=3_600.0).complete


def test_no_thread_of_a_search_goes_on_after_it() -> None:
    before = threading.active_count()
    found = grep_documents([("d", b"abc def " * 50_000)], r"(?:\w+\W+){10}zzz", deadline=0.1)
    assert threading.active_count() == before
    assert found == [] and found.seen == 0
