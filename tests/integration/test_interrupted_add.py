"""An add that is interrupted at any of its steps is completed by the next one, over every store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.index import VectorIndex
from langgraph_rlm.corpus.ingest import adding
from tests.integration.test_chroma_corpus import NEW, OLD, Interrupting
from tests.integration.test_corpus_on_stores import Meaning, new_index, opened

__all__ = ["new_index", "opened"]  # fixtures


def content(corpus: Corpus) -> dict[str, Any]:
    """Everything in a corpus, from all of its stores."""
    records = {record.id: record for record in corpus._vectors().scroll()}
    words = sorted(tuple(found)[:5] for found in corpus._words.search("line", 1000))
    assert len(words) == corpus._words.count() == len(records) == corpus.chunk_count() == corpus._vectors().count()
    rows = {row.doc_id: (row.digest, row.chars, row.chunks, row.indexed, row.state) for row in corpus._catalog.rows()}
    texts = {doc_id: corpus.read(doc_id) for doc_id in rows}
    return {"records": records, "words": words, "rows": rows, "texts": texts, "names": list(corpus.names())}


def interrupted_at(step: int, corpus: Corpus) -> bool:
    """Add NEW in the place of OLD, up to a step; whether it came so far."""
    clock = {"left": step}
    real = corpus._catalog, corpus._words, corpus._vectors(), corpus._names
    corpus._catalog, corpus._words, corpus._index, corpus._names = (Interrupting(one, clock) for one in real)  # type: ignore[assignment]
    try:
        corpus.add(NEW, prune=True)
    except KeyboardInterrupt:
        return True
    finally:
        corpus._catalog, corpus._words, corpus._index, corpus._names = real
    return False


@pytest.mark.parametrize("parts", [2_000, 2], ids=["documents whole", "documents in parts"])
@pytest.mark.parametrize("stride", [41, pytest.param(1, marks=pytest.mark.slow)])
def test_an_add_interrupted_at_any_step_is_completed_by_the_next(
    new_index: Callable[[], VectorIndex], opened: Callable[..., Corpus], tmp_path: Path, stride: int,
    parts: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 6)
    monkeypatch.setattr(adding, "MOST_AT_ONCE", parts)
    index, expected = new_index(), None
    for step in [1000, *range(0, 1000, stride)]:  # the first is not interrupted: so it has to be
        corpus = opened(index, Meaning(), directory=tmp_path / str(step))
        monkeypatch.setattr(index, "close", lambda: None)  # it is opened again for the next step
        corpus.add(OLD)
        interrupted = interrupted_at(step, corpus)
        for hit in corpus.retrieve("line version", k=20) + corpus.retrieve("line", k=20, mode="vector"):
            assert corpus.read(hit["doc_id"], hit["start"], hit["end"]) == hit["text"]
        corpus.add(NEW, prune=True)
        expected = expected or content(corpus)
        assert content(corpus) == expected, step
        corpus.delete([row.doc_id for row in corpus._catalog.rows()])
        assert index.count() == 0
        corpus.close()
        if not interrupted and step != 1000:
            return
    raise AssertionError("the add never came to its end")
