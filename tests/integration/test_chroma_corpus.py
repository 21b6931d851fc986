"""A corpus on embedded Chroma: complete after every interruption, refused when it does not fit, searchable every way."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langgraph_rlm.integrations.chroma import ChromaIndex

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.filters import beyond_stores, matches
from langgraph_rlm.corpus.ingest import adding
from langgraph_rlm.corpus.ingest.reports import AddProgress
from langgraph_rlm.errors import (
    CorpusError,
    DocumentMissing,
    EmptyCorpus,
    IndexMismatch,
    InvalidFilter,
    InvalidInput,
    MissingDependency,
    PatternError,
    StoreUnavailable,
)

FRUITS = ["apple", "banana", "cherry", "damson", "elderberry", "fig", "grape", "hazelnut"]


def document(number: int, version: int = 0, **metadata: Any) -> Document:
    fruit = FRUITS[number % len(FRUITS)]
    text = "\n".join(f"line {line} of {fruit} number {number} ü version {version}" for line in range(30 + 20 * version))
    return Document(text, id=f"doc{number}.txt", metadata={"number": number, "fruit": fruit, **metadata})


DOCUMENTS = [document(number) for number in range(12)]


class Meaning(DeterministicFakeEmbedding):
    """Embeddings that are not lexical."""

    size: int = 16
    model: str = "meaning-1"


@pytest.fixture
def open_corpus(tmp_path: Path) -> Iterator[Callable[..., Corpus]]:
    opened: list[Corpus] = []

    def open_one(name: str = "index", **options: Any) -> Corpus:
        opened.append(Corpus.open(f"chroma:{tmp_path / name}", **options))
        return opened[-1]

    yield open_one
    for corpus in opened:
        corpus.close()


@pytest.fixture
def corpus(open_corpus: Callable[..., Corpus]) -> Corpus:
    made = open_corpus()
    made.add(DOCUMENTS)
    return made


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 6)


def content(corpus: Corpus) -> dict[str, Any]:
    """Everything in a corpus, from all of its stores."""
    collection = corpus._vectors()._collection  # type: ignore[attr-defined]
    stored = collection.get(include=["documents", "metadatas", "embeddings"])
    vectors = {
        id_: (text, json.dumps(metadata, sort_keys=True), [round(float(value), 4) for value in vector])
        for id_, text, metadata, vector in zip(
            stored["ids"], stored["documents"], stored["metadatas"], stored["embeddings"], strict=True
        )
    }
    words = sorted(tuple(found)[:5] for found in corpus._words.search("line", 1000))
    assert len(words) == corpus._words.count() == len(vectors) == corpus.chunk_count()
    rows = {row.doc_id: (row.digest, row.chars, row.chunks, row.indexed, row.state) for row in corpus._catalog.rows()}
    texts = {doc_id: corpus.read(doc_id) for doc_id in rows}
    return {"vectors": vectors, "words": words, "rows": rows, "texts": texts}


# --- adding ---------------------------------------------------------------------------------------------------------


def test_adding_reports_what_it_did(open_corpus: Callable[..., Corpus]) -> None:
    corpus = open_corpus()
    told: list[AddProgress] = []
    first = corpus.add(DOCUMENTS, on_progress=told.append)
    assert (first.new, first.changed, first.unchanged, first.chunks) == (12, 0, 0, corpus.chunk_count())
    assert (told[-1].documents, told[-1].total, told[-1].chunks) == (12, 12, first.chunks)
    version = corpus.version
    again = corpus.add(iter(DOCUMENTS), on_progress=told.append)
    assert (again.new, again.changed, again.unchanged, again.chunks) == (0, 0, 12, 0)
    assert told[-1].total is None
    assert corpus.version == version


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0)])
def test_a_changed_document_replaces_the_old_one(open_corpus: Callable[..., Corpus], before: int, after: int) -> None:
    corpus, clean = open_corpus(), open_corpus("clean")
    corpus.add([document(0, before, old_key="x"), document(1)])
    version = corpus.version
    report = corpus.add([document(0, after), document(1)])
    assert (report.changed, report.unchanged) == (1, 1) and corpus.version != version
    clean.add([document(0, after), document(1)])
    assert content(corpus) == content(clean)


def test_a_change_of_metadata_alone_is_a_change(corpus: Corpus) -> None:
    assert corpus.add([document(0, extra="new")]).changed == 1
    assert [found["doc_id"] for found in corpus.list_documents({"extra": "new"})] == ["doc0.txt"]
    assert {hit["doc_id"] for hit in corpus.retrieve("line", mode="vector", where={"extra": "new"})} == {"doc0.txt"}


def test_prune_and_delete_remove_documents_everywhere(corpus: Corpus, open_corpus: Callable[..., Corpus]) -> None:
    assert corpus.add(DOCUMENTS[:6], prune=True).pruned == 6
    assert corpus.delete(["doc0.txt", "unknown"]) == 1
    clean = open_corpus("clean")
    clean.add(DOCUMENTS[1:6])
    assert content(corpus) == content(clean)
    with pytest.raises(InvalidInput, match="one str"):
        corpus.delete("doc1.txt")


def test_texts_without_chunks_are_kept(open_corpus: Callable[..., Corpus]) -> None:
    corpus = open_corpus()
    assert corpus.add([Document(" \n", id="blank"), Document("", id="empty")]).new == 2
    assert (corpus.count(), corpus.chunk_count(), corpus.read("blank")) == (2, 0, " \n")
    assert corpus.retrieve("x") == []
    assert corpus.add([Document("", id="empty")]).unchanged == 1


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (Document("x"), "no usable id"),
        (Document("x", id=" "), "no usable id"),
        (Document("x", id="context"), "stand for the context"),
        (Document("x", id="context/a"), "stand for the context"),
        (Document("x", id="doc0.txt"), "'doc0.txt'.*second"),
        (Document("x\ud800", id="n"), "'n'.*character 1"),
        (Document("x", id="n", metadata={"k": "\ud800"}), "'n'.*surrogate"),
        ("text", "expected LangChain Documents"),
    ],
)
def test_what_cannot_be_added_is_named_and_the_rest_stays(corpus: Corpus, bad: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        corpus.add([DOCUMENTS[0], bad])
    assert corpus.add(DOCUMENTS).unchanged == 12


# --- being interrupted ----------------------------------------------------------------------------------------------

OLD = [*(document(number, 1) for number in range(6)), document(20), document(21)]
NEW = [document(number) for number in range(12)]


_ONE_BY_ONE = threading.Lock()


class Interrupting:
    """Raises KeyboardInterrupt before or after the n-th call of any method that changes something."""

    METHODS = ("upsert", "delete", "add", "delete_document", "commit", "write_pending", "write_done", "write_deleted",
               "remove", "write")  # fmt: skip

    def __init__(self, inner: Any, clock: dict[str, int]) -> None:
        self._inner, self._clock = inner, clock

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in self.METHODS:
            return value

        def call(*args: Any, **options: Any) -> Any:
            for moment in ("before", "after"):
                with _ONE_BY_ONE:  # words are written in another thread
                    self._clock["left"] -= 1
                    if self._clock["left"] == -1:
                        raise KeyboardInterrupt(f"{moment} {name}")
                if moment == "before":
                    result = value(*args, **options)
            return result

        return call


@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_an_interrupted_add_is_completed_by_the_next(
    open_corpus: Callable[..., Corpus], small_batches: None, stride: int
) -> None:
    clean = open_corpus("clean")
    clean.add(NEW)
    expected = content(clean)
    for step in range(0, 1000, stride):
        name = f"step{step}"
        corpus = open_corpus(name)
        corpus.add(OLD)
        clock = {"left": step}
        real = corpus._catalog, corpus._words, corpus._vectors()
        corpus._catalog = Interrupting(corpus._catalog, clock)  # type: ignore[assignment]
        corpus._words = Interrupting(corpus._words, clock)  # type: ignore[assignment]
        corpus._index = Interrupting(corpus._index, clock)  # type: ignore[assignment]
        try:
            corpus.add(NEW, prune=True)
            finished = True
        except KeyboardInterrupt:
            finished = False
        corpus._catalog, corpus._words, corpus._index = real
        assert {hit["doc_id"] for hit in corpus.retrieve("line of apple", k=3)}
        for hit in corpus.retrieve("line version", k=20) + corpus.retrieve("line", k=20, mode="vector"):
            assert corpus.read(hit["doc_id"], hit["start"], hit["end"]) == hit["text"]
        corpus.add(NEW, prune=True)
        assert content(corpus) == expected, step
        corpus.close()
        if finished:
            return
    raise AssertionError("the add never came to its end")


def test_an_interrupted_document_is_finished_even_when_it_is_not_given_again(
    open_corpus: Callable[..., Corpus], small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, clean = open_corpus(), open_corpus("clean")
    corpus._vectors()

    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(corpus._index, "upsert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            corpus.add(NEW[:3])
    started = [found["doc_id"] for found in corpus.list_documents()]
    assert started
    report = corpus.add([document(30)])
    assert report.resumed == len(started)
    clean.add([one for one in NEW if one.id in started] + [document(30)])
    assert content(corpus) == content(clean)


def test_on_progress_may_interrupt(open_corpus: Callable[..., Corpus], small_batches: None) -> None:
    corpus, clean = open_corpus(), open_corpus("clean")

    def interrupt(progress: AddProgress) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            corpus.add(NEW, on_progress=interrupt)
    corpus.add(NEW)
    clean.add(NEW)
    assert content(corpus) == content(clean)


def test_failing_embeddings_leave_what_was_there(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(corpus)

    def fail(texts: list[str]) -> list[list[float]]:
        raise ConnectionError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(corpus._embeddings, "embed_documents", fail)
        with pytest.raises(ConnectionError):
            corpus.add([document(0, 1)])
    assert content(corpus) == before


KILLED = """
import os, signal, sys
sys.path[:0] = [sys.argv[2]]
from langgraph_rlm.corpus.ingest import adding
from langgraph_rlm.corpus.corpus import Corpus
from tests.integration.test_chroma_corpus import NEW
adding.BATCH_CHUNKS = 6
corpus = Corpus.open("chroma:" + sys.argv[1])
corpus._vectors()
upsert, calls = corpus._index.upsert, []
def kill(*args):
    upsert(*args)
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
corpus._index.upsert = kill
corpus.add(NEW)
"""


def test_a_killed_add_is_completed_by_the_next(open_corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "index"), root], capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    corpus, clean = open_corpus(), open_corpus("clean")
    assert 0 < corpus.count() < len(NEW)
    assert corpus.retrieve("apple")
    report = corpus.add(NEW)
    assert report.resumed > 0 and report.new > 0
    clean.add(NEW)
    assert content(corpus) == content(clean)


# --- opening --------------------------------------------------------------------------------------------------------


def test_a_corpus_is_found_again_with_everything_in_it(corpus: Corpus, open_corpus: Callable[..., Corpus]) -> None:
    before, version = content(corpus), corpus.version
    corpus.close()
    again = open_corpus(create=False)
    assert content(again) == before and again.version == version


def test_other_embeddings_are_refused_by_both_names(corpus: Corpus, open_corpus: Callable[..., Corpus]) -> None:
    with pytest.raises(IndexMismatch, match=r"'hashing-512' \(512 dimensions\).*'Meaning:meaning-1'"):
        open_corpus(embeddings=Meaning())


def test_vectors_of_another_length_are_refused_by_both_lengths(open_corpus: Callable[..., Corpus]) -> None:
    open_corpus(embeddings=Meaning(size=16)).add(DOCUMENTS)
    other = open_corpus(embeddings=Meaning(size=17))
    with pytest.raises(IndexMismatch, match=r"16 dimensions.*17"):
        other.retrieve("apple")
    with pytest.raises(IndexMismatch, match=r"16 dimensions.*17"):
        other.add([document(40)])
    assert other.count() == 12


def test_another_format_and_other_chunk_sizes_are_refused(
    corpus: Corpus, open_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    with pytest.raises(IndexMismatch, match=r"800 characters.*300"):
        open_corpus(chunk_size=300)
    manifest = tmp_path / "index" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 2', '"format_version": 99'))
    with pytest.raises(IndexMismatch, match=r"version 99.*reads 2"):
        open_corpus()
    manifest.write_text("{")
    with pytest.raises(CorpusError, match=r"manifest\.json"):
        open_corpus()


def test_an_empty_corpus_may_still_change_its_embeddings(open_corpus: Callable[..., Corpus]) -> None:
    open_corpus()
    corpus = open_corpus(embeddings=Meaning())
    corpus.add(DOCUMENTS)
    assert corpus.retrieve("apple", mode="vector")


def test_a_missing_corpus_says_how_to_make_it(open_corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"Corpus\.open.*add"):
        open_corpus("deep/er/index", create=False)
    assert not (tmp_path / "deep").exists()
    open_corpus("deep/er/index")
    assert (tmp_path / "deep" / "er" / "index" / "manifest.json").exists()


def test_a_directory_with_something_else_is_left_alone(open_corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "thesis.txt").write_text("x")
    with pytest.raises(CorpusError, match=r"thesis\.txt"):
        open_corpus()
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["thesis.txt"]


def test_a_closed_corpus_says_so(corpus: Corpus) -> None:
    with corpus:
        pass
    corpus.close()
    with pytest.raises(CorpusError, match="closed"):
        corpus.count()


# --- retrieving -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bm25", "vector", "hybrid"])
def test_every_mode_gives_exact_places(corpus: Corpus, mode: Any) -> None:
    hits = corpus.retrieve("line of cherry number 2", k=4, mode=mode)
    assert len(hits) == 4 and [hit["rank"] for hit in hits] == [0, 1, 2, 3]
    assert hits[0]["metadata"]["fruit"] == "cherry" and hits[0]["source"] == mode
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    for hit in hits:
        assert corpus.read(hit["doc_id"], hit["start"], hit["end"]) == hit["text"]
        assert corpus.read(hit["doc_id"], 0, hit["start"]).count("\n") + 1 == hit["line"]


def test_lexical_embeddings_have_no_say_in_hybrid(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str) -> list[float]:
        raise AssertionError("embedded")

    monkeypatch.setattr(corpus._embeddings, "embed_query", refuse)
    places = [
        [(hit["doc_id"], hit["start"]) for hit in corpus.retrieve("fig", mode=mode)] for mode in ("hybrid", "bm25")
    ]  # type: ignore[arg-type]
    assert places[0] == places[1] != []
    assert {hit["source"] for hit in corpus.retrieve("fig")} == {"hybrid"}


def test_other_embeddings_are_fused_with_words(open_corpus: Callable[..., Corpus]) -> None:
    corpus = open_corpus(embeddings=Meaning())
    corpus.add(DOCUMENTS)
    assert not corpus.lexical
    by_words = {(hit["doc_id"], hit["start"]) for hit in corpus.retrieve("grape", k=4, mode="bm25")}
    fused = [(hit["doc_id"], hit["start"]) for hit in corpus.retrieve("grape", k=20)]
    assert by_words <= set(fused) and len(fused) > len(by_words)


def test_several_queries_are_fused(corpus: Corpus) -> None:
    found = [hit["metadata"]["fruit"] for hit in corpus.retrieve(["banana", "damson"], k=4, mode="bm25")]
    assert set(found) == {"banana", "damson"}


@pytest.mark.parametrize("mode", ["bm25", "vector", "hybrid"])
@pytest.mark.parametrize(
    "where",
    [{"fruit": "apple"}, {"number": {"$gte": 5}, "fruit": {"$ne": "fig"}}, {"fruit": {"$gte": "f"}}, {"number": -1},
     {"$or": [{"number": {"$in": [1, 2]}}, {"fruit": "grape"}]}, {"number": {"$in": []}}, {"number": {"$nin": []}}],
)  # fmt: skip
def test_filters_hold_in_every_mode(corpus: Corpus, mode: Any, where: dict[str, Any]) -> None:
    allowed = {found["doc_id"] for found in corpus.list_documents(where)}
    assert allowed == {one.id for one in DOCUMENTS if matches(where, one.metadata)}
    hits = corpus.retrieve("line", k=100, mode=mode, where=where)
    assert {hit["doc_id"] for hit in hits} == allowed


def test_what_cannot_be_asked_is_refused(corpus: Corpus, open_corpus: Callable[..., Corpus]) -> None:
    for query in ("", "  ", [], ["a", ""], 7, b"a", "\ud800", ["a", "b\udfff"]):
        with pytest.raises(InvalidInput, match="query"):
            corpus.retrieve(query)  # type: ignore[arg-type]
    for k in (0, 1001, 2.0, True):
        with pytest.raises(InvalidInput, match="k must be"):
            corpus.retrieve("a", k=k)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="mode"):
        corpus.retrieve("a", mode="dense")  # type: ignore[arg-type]
    with pytest.raises(InvalidFilter, match="like"):
        corpus.retrieve("a", where={"a": {"$like": 1}})
    with pytest.raises(EmptyCorpus, match="no document"):
        open_corpus("empty").retrieve("a")


# --- grep, search and read ------------------------------------------------------------------------------------------


def test_grep_and_search_run_over_the_full_texts(corpus: Corpus) -> None:
    hits = corpus.grep(r"^line 7 of \w+", max_matches=100)
    assert [hit["doc_id"] for hit in hits] == sorted(one.id for one in DOCUMENTS if one.id)
    assert {hit["line"] for hit in hits} == {8} and hits.complete
    assert [hit["doc_id"] for hit in corpus.search("of apple", documents=["doc8.txt"], max_matches=1)] == ["doc8.txt"]
    assert {hit["doc_id"] for hit in corpus.grep("line 1 ", where={"fruit": "fig"})} == {"doc5.txt"}
    with pytest.raises(PatternError):
        corpus.grep("(")
    with pytest.raises(DocumentMissing, match=r"doc1\.txt"):
        corpus.grep("a", documents=["doc1.tx"])


def test_read_cuts_and_suggests(corpus: Corpus) -> None:
    assert corpus.read("doc0.txt", 5, 11) == "0 of a"
    assert corpus.read("doc0.txt", 10**9) == ""
    with pytest.raises(DocumentMissing, match=r"'doc11\.txt'"):
        corpus.read("doc11.text")
    with pytest.raises(InvalidInput, match="start"):
        corpus.read("doc0.txt", -1)


def test_totals_count_documents_and_characters(corpus: Corpus) -> None:
    assert corpus.count() == len(corpus.list_documents()) == 12
    assert corpus.total_chars() == sum(len(one.page_content) for one in DOCUMENTS)
    assert corpus.list_documents()[0] == {
        "doc_id": "doc0.txt",
        "chars": len(DOCUMENTS[0].page_content),
        "metadata": DOCUMENTS[0].metadata,
    }


def test_threads_that_ended_leave_no_connection(corpus: Corpus) -> None:
    for _ in range(20):
        thread = threading.Thread(target=corpus.count)
        thread.start()
        thread.join()
    gc.collect()
    assert len(corpus._catalog._database) <= 2


async def test_the_async_twins_give_the_same(corpus: Corpus) -> None:
    assert await corpus.aretrieve("apple", mode="vector") == corpus.retrieve("apple", mode="vector")
    assert await corpus.aretrieve(["apple", "fig"]) == corpus.retrieve(["apple", "fig"])
    assert await corpus.agrep("apple") == corpus.grep("apple")
    assert await corpus.asearch("apple") == corpus.search("apple")
    assert await corpus.aread("doc0.txt", 0, 5) == "line "
    assert await corpus.alist_documents({"number": 3}) == corpus.list_documents({"number": 3})
    assert (await corpus.aadd([document(50)])).new == 1
    assert await corpus.adelete(["doc50.txt"]) == 1
    assert len(await asyncio.gather(*(corpus.aretrieve("fig") for _ in range(20)))) == 20


def test_a_retriever_gives_documents(corpus: Corpus) -> None:
    (found,) = corpus.as_retriever(k=1, mode="bm25").invoke("cherry")
    assert found.metadata["fruit"] == "cherry" and found.metadata["doc_id"] in found.id
    assert len(corpus.as_retriever().invoke("cherry line", k=3)) == 3


# --- others at the same time ----------------------------------------------------------------------------------------


def test_many_threads_read_while_one_writes(corpus: Corpus) -> None:
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                for mode in ("bm25", "vector"):
                    for hit in corpus.retrieve("line of apple", k=5, mode=mode):  # type: ignore[arg-type]
                        assert hit["text"].startswith("line ") or hit["start"] > 0
                corpus.grep("apple")
                corpus.list_documents()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in (1, 0, 2):
            corpus.add([document(number, version) for number in range(12)])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures


def test_another_process_reads(corpus: Corpus, tmp_path: Path) -> None:
    code = (
        "import sys; from langgraph_rlm.corpus.corpus import Corpus; c = Corpus.open('chroma:' + sys.argv[1]);"
        "print(c.count(), *(c.retrieve('cherry line', k=1, mode=m)[0]['metadata']['fruit'] for m in ('bm25', 'vector')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "index")], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout.split() == ["12", "cherry", "cherry"], done.stderr


def test_a_second_writer_is_refused_and_may_write_later(corpus: Corpus, open_corpus: Callable[..., Corpus]) -> None:
    other = open_corpus()
    with corpus._writer.held(), pytest.raises(StoreUnavailable, match="being changed"):
        other.add([document(60)])
    assert other.add([document(60)]).new == 1
    assert corpus.count() == 13 and corpus.read("doc60.txt")


# --- Chroma itself --------------------------------------------------------------------------------------------------

VALUES = st.sampled_from([0, 1, 2, 1.0, 1.5, True, False, "a", "b", "1"])
NUMBERS = st.sampled_from([0, 1, 1.5, 2])
CONDITIONS = (
    VALUES
    | st.fixed_dictionaries({}, optional={"$eq": VALUES, "$ne": VALUES}).filter(bool)
    | st.fixed_dictionaries({}, optional={"$in": st.lists(VALUES, max_size=3), "$nin": st.lists(VALUES, max_size=3)}).filter(bool)
    | st.fixed_dictionaries({}, optional={"$gt": NUMBERS, "$gte": NUMBERS, "$lt": NUMBERS, "$lte": NUMBERS}).filter(bool)
)  # fmt: skip
FIELDS = st.dictionaries(st.sampled_from("xy"), CONDITIONS, max_size=2)
FILTERS = st.recursive(
    FIELDS, lambda inner: st.dictionaries(st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=2)), max_leaves=4
)  # fmt: skip
METADATAS = [
    {key: value for key, value in (("x", x), ("y", y)) if value is not None}
    for x in (None, 0, 1, 1.5, True, "a", "1")
    for y in (None, 2, False, "b")
]


@pytest.fixture(scope="module")
def records() -> Iterator[ChromaIndex]:
    index = ChromaIndex()
    ids = [f"00000000-0000-0000-0000-{number:012d}" for number in range(len(METADATAS))]
    reserved = [{"rlm_doc_id": f"d{number}"} for number in range(len(METADATAS))]
    metadatas = [{**metadata, **own} for metadata, own in zip(METADATAS, reserved, strict=True)]
    index.upsert(ids, [[1.0, float(number)] for number in range(len(ids))], ["text"] * len(ids), metadatas)
    yield index
    index.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(where=FILTERS)
def test_chroma_filters_as_the_catalog_does(records: ChromaIndex, where: dict[str, Any]) -> None:
    found = {one.metadata["rlm_doc_id"] for one in records.query([1.0, 1.0], 100, where)}
    assert found == {f"d{number}" for number, metadata in enumerate(METADATAS) if matches(where, metadata)}


def test_chroma_refuses_what_it_cannot_express(records: ChromaIndex) -> None:
    where = {"x": {"$gt": "a"}}
    assert beyond_stores(where)
    with pytest.raises(InvalidFilter, match="order texts"):
        records.query([1.0, 0.0], 1, where)


def test_chroma_records_can_be_looked_up_and_deleted() -> None:
    index = ChromaIndex()
    ids = [f"00000000-0000-0000-0000-{number:012d}" for number in range(2500)]
    index.upsert(ids, [[1.0, number / 2500] for number in range(2500)], ["t"] * 2500, [{"n": 1}] * 2500)
    unknown = "00000000-0000-0000-0001-000000000000"
    assert index.existing([*ids, unknown]) == set(ids)
    index.delete([*ids[:2400], unknown])
    assert index.count() == 100 and index.existing(ids) == set(ids[2400:])
    best = index.query([1.0, 1.0], 3)
    assert {found.id for found in best} <= set(ids[2400:]) and best[0].score > 0.99
    index.close()


def test_without_chromadb_the_extra_to_install_is_named(
    open_corpus: Callable[..., Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "chromadb", None)
    with pytest.raises(MissingDependency, match=r'pip install "langgraph-rlm\[chroma\]"'):
        open_corpus().add([document(0)])


def test_chroma_refuses_vectors_of_another_length(records: ChromaIndex) -> None:
    with pytest.raises(IndexMismatch, match="dimension"):
        records.query([1.0, 0.0, 0.0], 1)
    with pytest.raises(IndexMismatch, match="dimension"):
        records.upsert(["00000000-0000-0000-0000-000000000001"], [[1.0]], ["t"], [{"n": 1}])


def test_a_filter_is_exact_where_the_store_is_not(open_corpus: Callable[..., Corpus]) -> None:
    corpus = open_corpus()
    one, other = 1234567890123456788, 1234567890123456789  # one and the same float
    corpus.add(
        [Document(f"a secret of {tenant}", id=f"{tenant}.txt", metadata={"tenant": tenant}) for tenant in (one, other)]
    )
    for mode in ("vector", "bm25", "hybrid"):
        hits = corpus.retrieve("secret", mode=mode, where={"tenant": one})  # type: ignore[arg-type]
        assert [hit["doc_id"] for hit in hits] == [f"{one}.txt"]


@pytest.mark.parametrize(
    "bad",
    [
        Document("x", id="a\ud800"),
        Document("x", id="a" * 5_000),
    ],
    ids=["surrogate", "length"],
)
def test_ids_that_no_store_can_hold_are_refused(bad: Document, open_corpus: Callable[..., Corpus]) -> None:
    with pytest.raises(InvalidInput):
        open_corpus().add([bad])


def test_queries_have_a_size(open_corpus: Callable[..., Corpus]) -> None:
    corpus = open_corpus()
    corpus.add(DOCUMENTS[:1])
    for query in (["x"] * 101, "x" * 100_001):
        with pytest.raises(InvalidInput, match="queries"):
            corpus.retrieve(query)


def test_a_new_index_is_for_its_owner_only(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}"):
        assert (tmp_path / "index").stat().st_mode & 0o077 == 0


def test_an_index_with_links_is_refused_and_nothing_behind_them_is_changed(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}"):
        pass
    database, other = tmp_path / "index" / "documents.sqlite", tmp_path / "mine.sqlite"
    database.unlink()
    other.write_bytes(b"")
    database.symlink_to(other)
    with pytest.raises(CorpusError, match="links"):
        Corpus.open(f"chroma:{tmp_path / 'index'}")
    assert other.read_bytes() == b""


def test_a_forked_child_uses_connections_of_its_own(open_corpus: Callable[..., Corpus]) -> None:
    corpus = open_corpus()
    corpus.add(DOCUMENTS[:2])
    mine = corpus._catalog._database.connection()
    pid = os.fork()
    if pid == 0:
        own = corpus._catalog._database.connection()
        os._exit(0 if own is not mine and corpus.count() == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert corpus._catalog._database.connection() is mine


def test_a_forked_child_is_told_that_chroma_did_not_come_along(open_corpus: Callable[..., Corpus]) -> None:
    corpus = open_corpus()
    corpus.add(DOCUMENTS[:2])
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)  # it used to wait for ever
        try:
            corpus.retrieve("apple", mode="vector")
        except StoreUnavailable:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert corpus.retrieve("apple", mode="vector")
