"""What an add asks the catalog, the store and the words, and how ids of chunks are made."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.catalog import Catalog, NewRow
from langgraph_rlm.corpus.ingest import adding
from langgraph_rlm.corpus.ingest.adding import chunk_id
from langgraph_rlm.corpus.ingest.reports import AddProgress
from langgraph_rlm.errors import InvalidInput, StoreUnavailable
from langgraph_rlm.text import ContextStore


def documents(count: int, told: str = "") -> list[Document]:
    return [Document(f"text {number} of many{told}", id=f"d{number}.txt") for number in range(count)]


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus.open(QdrantIndex(), directory=tmp_path / "corpus") as made:
        yield made


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(0, 10**6))
def test_the_id_of_a_chunk_is_the_uuid_of_document_and_number(doc_id: str, number: int) -> None:
    namespace = uuid.UUID("6c5b3f0e-51c5-4c1c-9d0e-3a7c2f0b8e21")
    assert chunk_id(doc_id, number) == str(uuid.uuid5(namespace, f"{doc_id}\x00{number}"))


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[int]:
    calls: list[int] = []
    real = getattr(owner, name)

    def call(*args: Any) -> Any:
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(owner, name, call)
    return calls


def test_unchanged_documents_are_looked_up_many_at_a_time(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.add(documents(250))
    calls = counted(monkeypatch, corpus._catalog, "rows_of")
    assert corpus.add(iter(documents(250))).unchanged == 250
    assert len(calls) == 3


def test_long_documents_are_not_held_back_until_there_are_many(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "LOOKED_UP_CHARS", 50)
    calls = counted(monkeypatch, corpus._catalog, "rows_of")
    corpus.add(documents(9))  # 14 characters each: four make 56
    assert len(calls) == 3


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
@settings(max_examples=20, deadline=None)
@given(kept=st.sets(st.integers(0, 11)), changed=st.sets(st.integers(0, 11)))
def test_however_many_are_looked_up_together_each_is_new_changed_or_unchanged(
    tmp_path_factory: pytest.TempPathFactory, at_once: int, kept: set[int], changed: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch, Catalogued(tmp_path_factory.mktemp("looked")) as adder:
        patch.setattr(adding, "LOOKED_UP_AT_ONCE", at_once)
        old, new = documents(12), documents(12, " again")
        adder.put([old[number] for number in kept])
        given_now = [new[number] if number in changed else old[number] for number in range(12)]
        kinds = ["unchanged" if job is None else "changed" if job.known else "new" for job in adder.jobs(given_now)]
    assert kinds == [
        "new" if number not in kept else "changed" if number in changed else "unchanged" for number in range(12)
    ]


class Catalogued:
    """An adder over a catalog alone."""

    def __init__(self, folder: Path) -> None:
        self._catalog = Catalog(folder / "documents.sqlite")
        manifest: Any = type("Sizes", (), {"chunk_size": 800, "chunk_overlap": 200})
        nothing: Any = None
        self._adder = adding.Adder(self._catalog, nothing, nothing, nothing, manifest, nothing, nothing)

    def __enter__(self) -> Catalogued:
        return self

    def __exit__(self, *_: object) -> None:
        self._catalog.close()

    def put(self, given: list[Document]) -> None:
        rows = [job.row for job in self.jobs(given) if job is not None]
        self._catalog.write_pending(rows)
        self._catalog.write_done(row.doc_id for row in rows)

    def jobs(self, given: list[Document]) -> list[Any]:
        return list(self._adder._jobs(given, set()))


def test_progress_counts_what_was_dealt_with_not_what_was_read(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 4)
    told: list[AddProgress] = []
    corpus.add(iter(documents(10)), on_progress=told.append)
    assert [(one.documents, one.chunks) for one in told] == [(4, 4), (8, 8), (10, 10)]


def test_words_are_written_while_the_store_writes(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    written, index = threading.Event(), corpus._vectors()
    commit, upsert = corpus._words.commit, index.upsert

    def committed(**options: Any) -> None:
        commit(**options)
        written.set()

    def upserted(*batch: Any) -> None:
        assert written.wait(30), "the words wait for the store"
        upsert(*batch)

    monkeypatch.setattr(corpus._words, "commit", committed)
    monkeypatch.setattr(index, "upsert", upserted)
    corpus.add(documents(3))
    assert index.count() == corpus._words.count() == 3


@pytest.mark.parametrize("error", [StoreUnavailable("down"), KeyboardInterrupt()], ids=repr)
def test_words_that_were_faster_than_a_store_that_failed_do_no_harm(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    corpus.add(documents(3))

    def fails(*batch: Any) -> None:
        raise error

    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(corpus._vectors(), "upsert", fails)
        corpus.add(documents(5, " again"))
    hits = corpus.retrieve("again", k=10, mode="bm25")
    assert all(hit["text"] == corpus.read(hit["doc_id"], hit["start"], hit["end"]) for hit in hits)
    assert corpus.add(documents(5, " again")).resumed == 5
    assert corpus._vectors().count() == corpus._words.count() == corpus.chunk_count() == 5


def test_a_document_that_cannot_be_added_is_named_whatever_came_before_it(corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match=r"'d0\.txt': a second document"):
        corpus.add([*documents(3), *documents(1)])


def test_a_catalog_is_empty_when_all_its_documents_are_deleted_or_over(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "documents.sqlite")
    assert catalog.is_empty()
    catalog.write_pending(NewRow(name, "d", "text", {}, [(0, 4)]) for name in ("a", "b"))
    assert not catalog.is_empty()
    catalog.write_deleted(["a"])
    assert not catalog.is_empty()
    catalog.write_expiry(["b"], 1.0)
    assert catalog.is_empty()
    catalog.close()


def test_a_query_does_not_count_the_documents(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.add(documents(3))
    statements: list[str] = []
    corpus._catalog._database.connection().set_trace_callback(statements.append)
    assert corpus.retrieve("many", mode="bm25")
    assert statements and not [one for one in statements if "count(" in one or "sum(" in one]


# --- parts of one file --------------------------------------------------------------------------------------------


def pages(count: int, told: str = "") -> list[Document]:
    """As LangChain's loaders give them: one source, no id."""
    return [
        Document(f"page {number} of many{told}", metadata={"source": "report.pdf", "page": number})
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("metadata", "doc_id"),
    [
        ({"page": 0}, "a#page=0"),
        ({"page_number": 7}, "a#page=7"),
        ({"page": "xiv"}, "a#page=xiv"),
        ({"row": 12}, "a#row=12"),
        ({"seq_num": 1}, "a#row=1"),
        ({"start_index": 0}, "a#start=0"),
        ({"page": 3, "start_index": 800, "total_pages": 9}, "a#page=3&start=800"),
        ({"page": True}, "a"),
        ({"page": "x" * 60}, "a"),
        ({"page": "two\nlines"}, "a"),
        ({"title": "t"}, "a"),
    ],
)
def test_an_id_is_made_of_the_source_and_the_place_in_it(metadata: dict[str, Any], doc_id: str, corpus: Corpus) -> None:
    corpus.add([Document("text", metadata={"source": "a", **metadata})])
    assert [one["doc_id"] for one in corpus.list_documents()] == [doc_id]
    own = Document("text", id="own", metadata={"source": "a", **metadata})
    corpus.add([own], prune=True)
    assert [one["doc_id"] for one in corpus.list_documents()] == ["own"]


def test_pages_of_one_file_stay_beside_each_other_together_and_one_by_one(corpus: Corpus) -> None:
    assert corpus.add(pages(5)).new == 5
    for page in pages(5, " again"):
        report = corpus.add([page])
        assert (report.new, report.changed, report.replaced) == (0, 1, 1)
    assert len(corpus) == 5 and corpus.read("report.pdf#page=3") == "page 3 of many again"
    assert corpus.retrieve("page 3", k=1, mode="bm25")[0]["metadata"]["source"] == "report.pdf"


def test_chunks_that_cannot_be_told_apart_are_refused_with_a_way_out(corpus: Corpus) -> None:
    chunks = [Document(text, metadata={"source": "report.pdf", "page": 0}) for text in ("one", "two")]
    with pytest.raises(InvalidInput, match=r"report\.pdf#page=0.*id=.*add_start_index=True"):
        corpus.add(chunks)
    for number, chunk in enumerate(chunks):
        chunk.metadata["start_index"] = number
    assert corpus.add(chunks).new == 2


def test_pages_replace_the_one_that_was_kept_under_the_bare_source(corpus: Corpus) -> None:
    corpus.add([Document("page 4 of many", id="report.pdf", metadata={"source": "report.pdf", "page": 4})])
    report = corpus.add(pages(5))
    assert (report.new, report.superseded, report.replaced, report.pruned) == (5, 1, 1, 0)
    assert sorted(one["doc_id"] for one in corpus.list_documents()) == [f"report.pdf#page={n}" for n in range(5)]
    assert corpus._vectors().count() == corpus._words.count() == 5
    assert corpus.add(pages(5)).unchanged == 5


def test_an_add_that_was_cut_short_still_replaces_the_bare_source_later(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.add([Document("page 4 of many", id="report.pdf", metadata={"source": "report.pdf", "page": 4})])

    def killed(self: Any, batch: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(adding.Adder, "delete", killed)
        corpus.add(pages(5))
    assert len(corpus) == 6
    report = corpus.add(pages(5))
    assert (report.unchanged, report.superseded) == (5, 1) and len(corpus) == 5


def test_a_whole_document_beside_its_parts_stays(corpus: Corpus) -> None:
    corpus.add([Document("all of it", id="report.pdf", metadata={"source": "report.pdf"})])
    assert corpus.add(pages(2)).superseded == 0
    assert len(corpus) == 3


def test_pages_of_one_file_are_a_context_too() -> None:
    store = ContextStore()
    assert store.documents(store.put(pages(2))) == ["report.pdf#page=0", "report.pdf#page=1"]


def test_a_long_document_is_written_in_parts_and_tells_how_far_it_is(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 3)
    monkeypatch.setattr(adding, "MOST_AT_ONCE", 4)
    embedded: list[int] = []
    real = adding.embed

    def embed(texts: list[str], *rest: Any) -> Any:
        embedded.append(len(texts))
        return real(texts, *rest)

    monkeypatch.setattr(adding, "embed", embed)
    text = "".join(f"line {number} says something of its own\n" for number in range(300))
    told: list[AddProgress] = []
    report = corpus.add([Document(text, id="long.txt"), Document("short", id="short.txt")], on_progress=told.append)
    assert report.chunks == corpus.chunk_count() > 8
    assert max(embedded) == 4 and sum(embedded) == report.chunks
    assert [at.documents for at in told[:2]] == [0, 0] and told[-1].documents == 2
    assert [at.chars for at in told] == sorted(at.chars for at in told) and told[-1].chars >= len(text) + 5
    assert all(corpus.read(h["doc_id"], h["start"], h["end"]) == h["text"] for h in corpus.retrieve("line 299", 50))
    told.clear()
    assert corpus.add([Document(text, id="long.txt")], on_progress=told.append).unchanged == 1
    assert told[-1].chars == len(text)
