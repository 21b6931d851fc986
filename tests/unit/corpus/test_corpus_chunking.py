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
