"""A chunk knows the headings that it stands under: they find it, come with its hits and are told to the reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langgraph_rlm import Corpus
from langgraph_rlm.corpus.names.headings import headings_of, paths_at
from langgraph_rlm.graphs.packing import cost_of, name_of

WORDS = "An employee and the employer agree on this in writing. " * 40
HANDBOOK = f"# Handbook\n\n## Leave\n\n{WORDS}Sixteen weeks are paid.\n\n## Travel\n\nTrains first.\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as opened:
        opened.add([Document(HANDBOOK, id="h.md"), Document("Nothing of the kind.", id="n.txt")])
        yield opened


def test_a_hit_tells_the_headings_that_it_stands_under(corpus: Corpus) -> None:
    (hit,) = corpus.retrieve("sixteen weeks", k=1)
    assert "## Leave" not in hit["text"]
    assert hit["metadata"]["rlm_headings"][:2] == ["Handbook", "Leave"]
    assert name_of(hit) == "h.md, under Handbook > Leave"
    assert cost_of(hit) > cost_of({**hit, "metadata": {}})


def test_a_text_without_headings_tells_none(corpus: Corpus) -> None:
    (hit,) = corpus.retrieve("nothing of the kind", k=1)
    assert "rlm_headings" not in hit["metadata"] and name_of(hit) == "n.txt"


def test_a_section_that_goes_on_is_found_by_its_heading(corpus: Corpus) -> None:
    hits = corpus.retrieve("leave: sixteen", k=1)
    assert "Sixteen weeks" in hits[0]["text"]


def test_headings_of_a_document_that_changes_are_of_its_new_text(corpus: Corpus) -> None:
    corpus.add([Document(HANDBOOK.replace("Leave", "Absence"), id="h.md")])
    (hit,) = corpus.retrieve("sixteen weeks", k=1)
    assert hit["metadata"]["rlm_headings"] == ["Handbook", "Absence"]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("# A\n\n### B\n\n## C\n\nx", "markdown", ("A", "C")),
        ("# A\n\n```\n# no heading\n```\nx", "markdown", ("A",)),
        ("A\n===\n\nB\n---\n\nx", "rst", ("A", "B")),
        ("<title>T</title><h1>A <i>b</i></h1><p>x", "html", ("T", "A b")),
        ("Parental leave\nIt is 16 weeks. x", None, ("Parental leave",)),
        ("It is a sentence.\nx", None, ()),
        ("# no heading of code\nx", "python", ()),
        ("# `code` and [a link](http://x.y)\nx", "markdown", ("code and a link",)),
        ("# A\n\n# A\n\n## A\n\nx", "markdown", ("A",)),
    ],
)
def test_headings_are_known_by_what_marks_them(text: str, language: str | None, expected: tuple[str, ...]) -> None:
    (path,) = paths_at(headings_of(text, language), [text.rindex("x")])
    assert path == expected


def test_a_short_chunk_brings_its_neighbours(tmp_path: Path) -> None:
    text = f"{WORDS}\n\nThe ferry leaves at nine.\n\n{WORDS}"
    with Corpus.open(f"chroma:{tmp_path / 'short'}", chunk_size=400, chunk_overlap=0) as corpus:
        corpus.add([Document(text, id="ferry.txt")])
        (hit,) = corpus.retrieve("ferry", k=1)
        start = text.index("The ferry")
        assert hit["start"] < start and hit["end"] > start + 100
        assert hit["text"] == text[hit["start"] : hit["end"]]
        (long,) = corpus.retrieve("employer", k=1)
        assert long["end"] - long["start"] <= 400
