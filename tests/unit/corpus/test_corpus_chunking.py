"""Chunks are exact places and leave nothing out."""

from __future__ import annotations

import inspect
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.corpus.ingest.chunking import chunk_text
from langgraph_rlm.corpus.languages import language_of
from langgraph_rlm.errors import InvalidInput

TEXT = st.text("ab \n\r\té😀。#", max_size=300) | st.builds(
    lambda part, times: part * times, st.text("ab \n#é", min_size=1, max_size=6), st.integers(1, 80)
)
LANGUAGES = st.sampled_from([None, "python", "markdown", "html", "latex", "js", "rst", "cobol", "haskell"])


@given(TEXT, st.integers(1, 60), st.integers(0, 59), LANGUAGES)
def test_chunks_cover_the_text_within_their_sizes(text: str, size: int, overlap: int, language: str | None) -> None:
    overlap = min(overlap, size - 1)
    chunks = chunk_text(text, size=size, overlap=overlap, language=language)
    assert chunks == sorted(set(chunks))
    assert len({start for start, _ in chunks}) == len(chunks)
    covered: set[int] = set()
    for start, end in chunks:
        assert 0 <= start < end <= len(text)
        assert end - start <= size + overlap
        assert not text[start].isspace() or (overlap and text[start:end].strip())
        assert not text[end - 1].isspace()
        covered.update(range(start, end))
    assert all(at in covered or char.isspace() for at, char in enumerate(text))


@pytest.mark.parametrize("language", [None, "python"])
def test_source_code_is_covered(language: str | None) -> None:
    text = inspect.getsource(json) * 3
    chunks = chunk_text(text, language=language)
    assert len(chunks) > 20
    assert "".join(text.split()) == "".join(text[at] for at in sorted({at for chunk in chunks for at in range(*chunk)})
                                             if not text[at].isspace())  # fmt: skip


def test_a_short_text_is_one_chunk_and_blanks_are_none() -> None:
    assert chunk_text("  one line\n") == [(2, 10)]
    assert chunk_text("") == chunk_text(" \n\t") == []


def test_overlap_begins_at_a_line() -> None:
    text = "\n".join(f"line number {number} of the text" for number in range(200))
    chunks = chunk_text(text, size=300, overlap=100)
    for (_, before), (start, _) in itertools.pairwise(chunks):
        assert before > start and text[start - 1] == "\n"


def test_code_is_cut_between_functions() -> None:
    text = "\n\n".join(f"def function_{number}():\n    return {number}" for number in range(40))
    assert all(
        text[start:end].startswith("def ") for start, end in chunk_text(text, size=90, overlap=0, language="python")
    )


@pytest.mark.parametrize(
    ("name", "language"),
    [("a/b.py", "python"), ("README.md", "markdown"), ("x.TS", "ts"), ("notes.txt", None), ("Makefile", None),
     ("a.py/file", None), ("", None)],
)  # fmt: skip
def test_the_language_follows_from_the_suffix(name: str, language: str | None) -> None:
    assert language_of(name) == language


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 10), (10, -1), (True, 0), (1.5, 0)])
def test_sizes_that_make_no_chunks_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(InvalidInput, match="chunk"):
        chunk_text("text", size=size, overlap=overlap)


# --- headings ---------------------------------------------------------------------------------------------------------

PROSE = "Some words of a paragraph that goes on. " * 40
HEADED = {
    "a title and a long paragraph": (None, "Robert North Bradbury", f"Robert North Bradbury\n{PROSE}"),
    "a heading of Markdown": ("markdown", "## Notice period", f"# Terms\n\nShort.\n\n## Notice period\n\n{PROSE}"),
    "two headings, one below the other": ("markdown", "## Scope", f"{PROSE}\n\n# Terms\n\n## Scope\n\n{PROSE}"),
    "a heading that is underlined": (None, "Terms\n=====", f"{PROSE}\n\nTerms\n=====\n\n{PROSE}"),
    "a heading of HTML": ("html", "<h2>Scope</h2>", f"<p>{PROSE}</p>\n<h2>Scope</h2>\n<p>{PROSE}</p>"),
    "a caption without marks": (None, "Net sales by segment", f"{PROSE}\n\nNet sales by segment\n\n{PROSE}"),
    "a line that leads to a list": (None, "The reasons are:", f"{PROSE}\n\nThe reasons are:\n{PROSE}"),
    "in Windows' line ends": ("markdown", "## Scope", f"{PROSE}\r\n\r\n## Scope\r\n\r\n{PROSE}"),
    "in Japanese": (None, "通知期間", f"通知期間\n{'この契約は三か月前に通知する。' * 90}"),
}


@pytest.mark.parametrize("name", HEADED)
@pytest.mark.parametrize("size", [200, 800])
def test_a_heading_stands_with_the_text_below_it(name: str, size: int) -> None:
    language, heading, text = HEADED[name]
    holding = [
        text[start:end]
        for start, end in chunk_text(text, size=size, overlap=0, language=language)
        if heading in text[start:end]
    ]
    assert len(holding) == 1
    below = holding[0].partition(heading)[2].split()
    assert below and len("".join(below)) > size // 10


@given(
    st.lists(st.sampled_from(["# One", "## Two", "A line", "", PROSE, "short text."]), max_size=12),
    st.integers(60, 400),
)
def test_no_chunk_is_a_heading_alone_where_text_follows(lines: list[str], size: int) -> None:
    text = "\n".join([*lines, PROSE])
    if sum(len(line) for line in lines if line.startswith("#")) > size // 4:
        return  # more headings than a chunk has room for
    for start, end in chunk_text(text, size=size, overlap=0, language="markdown"):
        assert not all(line.startswith("#") for line in text[start:end].splitlines() if line.strip())


def test_headings_at_the_end_go_with_the_text_above_them() -> None:
    text = f"{PROSE}\n\n## Signatures"
    start, end = chunk_text(text, size=300, overlap=0, language="markdown")[-1]
    assert text[start:end].endswith("## Signatures") and "paragraph" in text[start:end]


def test_a_list_of_headings_is_cut_like_any_text() -> None:
    text = "\n".join(f"# Heading {number}" for number in range(300))
    chunks = chunk_text(text, size=200, overlap=0, language="markdown")
    assert len(chunks) > 20 and max(end - start for start, end in chunks) <= 200


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.py"])
def test_cutting_takes_time_linear_in_the_text(name: str) -> None:
    text = "\n\n# \nA line\n\n" * 60_000
    chunks = chunk_text(text, language=language_of(name))
    assert chunks[-1][1] == len(text.rstrip())
