"""An index that an earlier release has cut is cut anew by its next change, pays for changed chunks alone, and may be interrupted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document

from langgraph_rlm import Corpus
from langgraph_rlm.corpus.ingest import adding
from tests.fixtures.write import PaidEmbeddings

BODY = "He directed films in the West, and his sons acted in them. " * 40
DOCUMENTS = [
    *(Document(f"Director {number}\n{BODY}He died in {1900 + number}.", id=f"d{number}") for number in range(3)),
    Document("A short text.", id="short"),
]


def cut_before(text: str, **_: object) -> list[tuple[int, int]]:
    """As the release before did: the title alone, then the text."""
    title, body = text.find("\n"), len(text)
    return (
        [(0, body)] if title < 0 else [(0, title), *((at, min(body, at + 800)) for at in range(title + 1, body, 800))]
    )


TITLE = (0, len("Director 1"))
"""Of the chunk that is a title alone."""


class Stopped(Exception):
    pass


class Embeddings(PaidEmbeddings):
    """Counts the texts, and stops before one that holds some words."""

    def __init__(self, stop_at: str | None = None) -> None:
        super().__init__()
        self.stop_at = stop_at

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.stop_at is not None and any(self.stop_at in text for text in texts):
            raise Stopped
        return super().embed_documents(texts)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An index as the release before left it."""
    index = tmp_path / "index"
    with monkeypatch.context() as earlier:
        earlier.setattr(adding, "chunk_text", cut_before)
        earlier.setattr(adding, "FORMAT_VERSION", 1)
        with Corpus.open(f"chroma:{index}", Embeddings()) as corpus:
            corpus.add(DOCUMENTS)
    assert TITLE in spans(index)["d1"]
    manifest = json.loads((index / "manifest.json").read_text("utf-8"))
    (index / "manifest.json").write_text(json.dumps(manifest | {"format_version": 1}), "utf-8")
    yield index


def vectors(index: Path) -> int:
    connection = sqlite3.connect(index / "vectors.sqlite")
    [(count,)] = connection.execute("SELECT count(*) FROM vectors")
    connection.close()
    return int(count)


def spans(index: Path) -> dict[str, list[tuple[int, int]]]:
    connection = sqlite3.connect(index / "documents.sqlite")
    found = connection.execute("SELECT doc_id, spans FROM documents").fetchall()
    connection.close()
    return {
        name: [tuple(one[:2]) for one in np.frombuffer(packed, np.int64).reshape(-1, 5).tolist()]
        for name, packed in found
    }


@pytest.mark.filterwarnings("ignore:the index in:UserWarning")
def test_the_next_change_brings_titles_back_to_their_texts(old: Path) -> None:
    embeddings = Embeddings()
    with Corpus.open(f"chroma:{old}", embeddings) as corpus:
        assert corpus.retrieve("Director 1", k=1)[0]["doc_id"] == "d1"  # it is searched as it is
        corpus.add([])
        assert 0 < embeddings.texts < corpus.chunk_count()  # what did not change is not paid for again
        assert TITLE not in spans(old)["d1"]
        for mode in ("bm25", "vector", "hop"):
            hits = corpus.retrieve("Director 1", k=10, mode=mode)  # type: ignore[arg-type]
            assert {"d0", "d1", "d2"} <= {hit["doc_id"] for hit in hits}
        assert corpus.add(DOCUMENTS).unchanged == len(DOCUMENTS)
    assert json.loads((old / "manifest.json").read_text("utf-8"))["format_version"] == 2
    texts = {text.page_content[start:end] for text in DOCUMENTS for start, end in spans(old)[str(text.id)]}
    assert vectors(old) == len(texts)  # none of chunks that are no more


@pytest.mark.filterwarnings("ignore:the index in:UserWarning")
def test_cutting_anew_goes_on_where_it_was_interrupted(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 2)  # a batch for each document
    with Corpus.open(f"chroma:{old}", Embeddings(stop_at="Director 1")) as corpus, pytest.raises(Stopped):
        corpus.add([])
    with Corpus.open(f"chroma:{old}", Embeddings()) as corpus:
        found = {hit["doc_id"] for hit in corpus.retrieve("Director films West", k=50)}
        assert found >= {"d0", "d1", "d2"}  # half of it is cut anew, and all of it is found
        corpus.delete([])
        assert all(TITLE not in spans(old)[name] for name in ("d0", "d1", "d2"))
        assert corpus.add(DOCUMENTS).unchanged == len(DOCUMENTS)
