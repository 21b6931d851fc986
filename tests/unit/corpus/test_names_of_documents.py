"""Documents are found by what they are called, not only by what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from langgraph_rlm.corpus import Corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    made = Corpus.open(f"chroma:{tmp_path / 'index'}")
    made.add(
        [
            Document(id="text/textwrap.py", page_content="def dedent(text):\n    pass\n"),
            Document(id="html/blocks.py", page_content="def dedent(block):\n    pass\n"),
            Document(id="7", page_content="It was written in one winter.", metadata={"title": "The Glass Harbour"}),
            Document(id="8", page_content="It was written in one summer.", metadata={"title": "Salt"}),
        ]
    )
    return made


def test_a_document_is_found_by_the_words_of_its_id(corpus: Corpus) -> None:
    assert corpus.retrieve("what does textwrap.dedent do", k=1)[0]["doc_id"] == "text/textwrap.py"


def test_a_document_is_found_by_its_title(corpus: Corpus) -> None:
    assert corpus.retrieve("when was the glass harbour written", k=1)[0]["doc_id"] == "7"


def test_the_name_is_not_part_of_the_hit(corpus: Corpus) -> None:
    hit = corpus.retrieve("glass harbour", k=1)[0]
    assert hit["text"] == "It was written in one winter." == corpus.read("7", hit["start"], hit["end"])
    corpus.close()
