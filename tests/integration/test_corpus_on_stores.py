"""A corpus behaves the same over every store: same hits, same errors, complete after being killed or emptied."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langgraph_rlm.integrations.chroma import ChromaIndex
from langgraph_rlm.integrations.pinecone import PineconeIndex
from langgraph_rlm.integrations.qdrant import QdrantIndex
from pydantic import Field

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.index import Address, VectorIndex
from langgraph_rlm.corpus.ingest import adding, vectors
from langgraph_rlm.errors import (
    CollectionMissing,
    DocumentMissing,
    IndexMismatch,
    InvalidFilter,
    InvalidInput,
    StoreUnavailable,
)
from tests.integration.test_chroma_corpus import DOCUMENTS, NEW, document
from tests.pinecone_documents import FULL_TEXT
from tests.pinecone_server import PineconeServer
from tests.qdrant_server import QdrantServer


class Meaning(DeterministicFakeEmbedding):
    """Embeddings that are not lexical, and count what they are paid for."""

    size: int = 16
    model: str = "meaning-1"
    texts: list[str] = Field(default_factory=list)
    refusals: list[Any] = Field(default_factory=list)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.refusals:
            raise self.refusals.pop(0)
        self.texts.extend(texts)
        return super().embed_documents(texts)


@pytest.fixture(params=["chroma", "qdrant", "qdrant server", "pinecone", "pinecone documents"])
def new_index(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], VectorIndex]]:
    """Opens the same collection each time."""
    if request.param.startswith("pinecone"):
        with PineconeServer() as server:
            server.create("papers", 16, {"body": FULL_TEXT} if request.param == "pinecone documents" else None)
            yield lambda: PineconeIndex("papers", "all", api_key="key", host=server.url)
    elif request.param == "qdrant server":
        with QdrantServer() as rest:
            yield lambda: QdrantIndex(address=Address("", "127.0.0.1", rest.port, "papers"))
    else:
        index: Any = ChromaIndex() if request.param == "chroma" else QdrantIndex()
        monkeypatch.setattr(index, "close", lambda: None)  # memory goes when it is closed
        yield lambda: index


@pytest.fixture
def opened() -> Iterator[Callable[..., Corpus]]:
    corpora: list[Corpus] = []

    def open_one(*args: Any, **options: Any) -> Corpus:
        corpora.append(Corpus.open(*args, **options))
        return corpora[-1]

    yield open_one
    for corpus in corpora:
        corpus.close()


def places(hits: Sequence[Any]) -> list[tuple[str, int]]:
    return [(hit["doc_id"], hit["start"]) for hit in hits]


def drop(index: Any) -> None:
    if isinstance(index, PineconeIndex):
        index.delete([record.id for record in index.scroll()])
    else:
        index._client.delete_collection(index.place.collection)


# --- the same everywhere --------------------------------------------------------------------------------------------


async def test_the_same_hits_from_every_store(
    new_index: Callable[[], VectorIndex], opened: Callable[..., Corpus], tmp_path: Path
) -> None:
    corpus = opened(new_index(), Meaning(), directory=tmp_path / "one")
    reference = opened(f"chroma:{tmp_path / 'reference'}", Meaning())
    for one in (corpus, reference):
        assert one.add(DOCUMENTS).new == 12
        assert one.add(DOCUMENTS).unchanged == 12
    for mode in ("vector", "bm25", "hybrid"):
        for where in (
            None,
            {"fruit": {"$in": ["apple", "fig"]}},
            {"number": {"$gte": 3, "$lt": 9}},
            {"fruit": {"$gte": "f"}},
        ):
            expected = reference.retrieve("line 7 of cherry", k=10, mode=mode, where=where)  # type: ignore[arg-type]
            assert places(corpus.retrieve("line 7 of cherry", k=10, mode=mode, where=where)) == places(expected)  # type: ignore[arg-type]
    assert corpus.grep(r"line 7 of \w+", where={"fruit": "fig"}) == reference.grep(
        r"line 7 of \w+", where={"fruit": "fig"}
    )
    assert await corpus.aretrieve("fig", mode="vector") == corpus.retrieve("fig", mode="vector")
    assert corpus.delete(["doc5.txt"]) == 1
    assert "doc5.txt" not in {hit["doc_id"] for hit in corpus.retrieve("line", k=100, mode="vector")}


def test_a_store_that_was_emptied_is_noticed_and_filled_again(
    new_index: Callable[[], VectorIndex], opened: Callable[..., Corpus], tmp_path: Path
) -> None:
    embeddings = Meaning()
    index = new_index()
    corpus = opened(index, embeddings, directory=tmp_path / "one")
    corpus.add(DOCUMENTS)
    before = places(corpus.retrieve("line", k=20, mode="vector"))
    drop(index)
    if "lag" not in index.capabilities:
        with pytest.raises(CollectionMissing, match=r"corpus\.add"):
            corpus.retrieve("line", mode="vector")
    paid = len(embeddings.texts)
    assert corpus.add([]).resumed == 12
    assert places(corpus.retrieve("line", k=20, mode="vector")) == before
    assert len(embeddings.texts) == paid  # vectors that were paid for are kept


def test_other_embeddings_are_refused_by_the_store_too(
    new_index: Callable[[], VectorIndex], opened: Callable[..., Corpus], tmp_path: Path
) -> None:
    opened(new_index(), Meaning(), directory=tmp_path / "one").add(DOCUMENTS[:2])
    other = opened(new_index(), Meaning(model="meaning-2"), directory=tmp_path / "two")
    with pytest.raises(IndexMismatch, match="meaning-2"):
        other.add(DOCUMENTS[:2])
    assert other.count() == 0


# --- tenants --------------------------------------------------------------------------------------------------------

HOSTILE: list[dict[str, Any]] = [
    {},
    {"rlm_tenant": "acme"},
    {"rlm_tenant": {"$in": ["acme", "globex"]}},
    {"rlm_tenant": {"$ne": "globex"}},
    {"rlm_tenant": {"$nin": []}},
    {"$or": [{"rlm_tenant": "acme"}, {"rlm_tenant": {"$ne": "acme"}}]},
    {"$or": [{"absent": {"$ne": 1}}, {"rlm_tenant": "acme"}]},
    {"$and": [{"$or": [{"rlm_tenant": "acme"}, {"secret": True}]}]},
    {"secret": True},
    {"rlm_doc_id": "plan.txt"},
]


def test_a_tenant_never_reads_another_whatever_the_filter(
    new_index: Callable[[], VectorIndex], opened: Callable[..., Corpus], tmp_path: Path
) -> None:
    acme, globex = (
        opened(new_index(), Meaning(), directory=tmp_path / "all", tenant=tenant) for tenant in ("acme", "globex")
    )
    for tenant, corpus in (("acme", acme), ("globex", globex)):
        corpus.add([Document(f"the plan of {tenant}: dig", id="plan.txt", metadata={"secret": tenant == "acme"})])
    attached = opened(new_index(), Meaning(), tenant="globex")
    for where in HOSTILE:
        for mode in ("vector", "bm25", "hybrid"):
            for corpus in (globex, attached):
                hits = corpus.retrieve("the plan of acme", k=50, mode=mode, where=where)  # type: ignore[arg-type]
                assert not any("acme" in hit["text"] for hit in hits), (where, mode)
                assert not any("rlm_tenant" in hit["metadata"] for hit in hits)
        assert not globex.grep("acme", where=where) and not attached.grep("acme", where=where)
        assert all("acme" not in str(one) for one in globex.list_documents(where))
    assert acme.read("plan.txt") != globex.read("plan.txt") == attached.read("plan.txt")
    assert globex.delete(["plan.txt"]) == 1
    assert acme.retrieve("plan", mode="vector")[0]["text"] == "the plan of acme: dig"
    assert acme.forget() == 1
    assert list(attached._source.parts()) == []


def test_tenants_of_a_path_have_folders_of_their_own(opened: Callable[..., Corpus], tmp_path: Path) -> None:
    names = ["a", "A", "../a", "..", "a/b", "ü" * 100, "x" * 200]
    for name in names:
        opened(f"chroma:{tmp_path / 'all'}", tenant=name).add([Document(f"of {name}", id="d")])
    assert len(list((tmp_path / "all").iterdir())) == len(names) and list(tmp_path.iterdir()) == [tmp_path / "all"]
    for name in names:
        assert opened(f"chroma:{tmp_path / 'all'}", tenant=name).read("d") == f"of {name}"
    for bad in ("", " ", "x" * 201, 7):
        with pytest.raises(InvalidInput, match="tenant"):
            Corpus.open(f"chroma:{tmp_path / 'all'}", tenant=bad)  # type: ignore[arg-type]


# --- the life of documents ------------------------------------------------------------------------------------------


def test_documents_end_and_are_gone_everywhere(
    opened: Callable[..., Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = opened(f"qdrant:{tmp_path / 'index'}", ttl=100)
    corpus.add(DOCUMENTS[:2])
    corpus.add([DOCUMENTS[2]], ttl=1000)
    now = __import__("time").time()
    monkeypatch.setattr("time.time", lambda: now + 500)
    for mode in ("vector", "bm25"):
        assert {hit["doc_id"] for hit in corpus.retrieve("line", k=50, mode=mode)} == {"doc2.txt"}  # type: ignore[arg-type]
    assert [one["doc_id"] for one in corpus.list_documents()] == ["doc2.txt"] and corpus.count() == 1
    assert not corpus.grep("apple")
    with pytest.raises(DocumentMissing):
        corpus.read("doc0.txt")
    held = corpus._vectors().count()
    assert corpus.purge() == 2 and corpus._vectors().count() < held
    assert corpus.add(DOCUMENTS[:1]).new == 1
    assert corpus.count() == 2
    monkeypatch.setattr("time.time", lambda: now + 550)
    corpus.add(DOCUMENTS[:1], ttl=10_000)  # unchanged, and given more time
    monkeypatch.setattr("time.time", lambda: now + 2000)
    assert [one["doc_id"] for one in corpus.list_documents()] == ["doc0.txt"]
    for bad in (0, -1, "1", True):
        with pytest.raises(InvalidInput, match="ttl"):
            corpus.add([], ttl=bad)  # type: ignore[arg-type]


def test_forgetting_leaves_nothing(opened: Callable[..., Corpus], tmp_path: Path) -> None:
    corpus = opened(f"chroma:{tmp_path / 'index'}", Meaning())
    corpus.add(DOCUMENTS)
    assert corpus.forget() == 12
    assert list(tmp_path.iterdir()) == []


# --- what is done with hits -----------------------------------------------------------------------------------------


@pytest.fixture
def corpus(opened: Callable[..., Corpus], tmp_path: Path) -> Corpus:
    made = opened(f"chroma:{tmp_path / 'index'}")
    made.add(DOCUMENTS)
    return made


def test_a_hit_can_bring_its_neighbours(corpus: Corpus) -> None:
    long = Document("\n".join(f"paragraph {n} " + "of many words " * 40 for n in range(12)), id="long.txt")
    corpus.add([long])
    (alone,) = corpus.retrieve("paragraph 5", k=1, mode="bm25", where=None)
    (wide,) = corpus.retrieve("paragraph 5", k=1, mode="bm25", neighbours=1)
    assert wide["start"] < alone["start"] < alone["end"] < wide["end"]
    assert wide["text"] == corpus.read("long.txt", wide["start"], wide["end"]) and alone["text"] in wide["text"]
    assert wide["line"] == corpus.read("long.txt", 0, wide["start"]).count("\n") + 1
    everything = corpus.retrieve("paragraph", k=5, mode="bm25", neighbours=50)
    assert [hit["text"] for hit in everything if hit["doc_id"] == "long.txt"] == [long.page_content.rstrip()]
    for bad in (-1, 51, True, 1.5):
        with pytest.raises(InvalidInput, match="neighbours"):
            corpus.retrieve("x", neighbours=bad)  # type: ignore[arg-type]


def test_diversity_brings_other_documents_forward(corpus: Corpus) -> None:
    same = [Document(f"the red fox jumps over the dog, copy {n}", id=f"copy{n}") for n in range(8)]
    corpus.add([*same, Document("a fox sleeps in the winter forest", id="other")])
    plain = [hit["doc_id"] for hit in corpus.retrieve("red fox", k=3, mode="bm25")]
    varied = corpus.retrieve("red fox", k=3, mode="bm25", diversity=0.7)
    assert "other" not in plain and "other" in [hit["doc_id"] for hit in varied]
    assert varied[0]["doc_id"] == plain[0] and [hit["rank"] for hit in varied] == [0, 1, 2]
    with pytest.raises(InvalidInput, match="diversity"):
        corpus.retrieve("x", diversity=2)


class Longest:
    """As LangChain's BaseDocumentCompressor."""

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> list[Document]:
        return sorted(documents, key=lambda document: -document.metadata["number"])[:2]


async def test_a_reranker_has_the_last_word(opened: Callable[..., Corpus], tmp_path: Path) -> None:
    opened(f"chroma:{tmp_path / 'index'}").add(DOCUMENTS)
    compressor = opened(f"chroma:{tmp_path / 'index'}", reranker=Longest())
    hits = compressor.retrieve("line", k=5, mode="bm25")
    assert len(hits) == 2 and [hit["rank"] for hit in hits] == [0, 1]
    assert hits == await compressor.aretrieve("line", k=5, mode="bm25")
    function = opened(f"chroma:{tmp_path / 'index'}", reranker=lambda query, texts: list(range(len(texts))))
    plain = opened(f"chroma:{tmp_path / 'index'}").retrieve("line", k=20, mode="bm25")
    assert places(function.retrieve("line", k=5, mode="bm25")) == places(plain[::-1])[:5]
    assert function.as_retriever(k=2, mode="bm25").invoke("line")[0].metadata["score"] == 7.0
    broken = opened(f"chroma:{tmp_path / 'index'}", reranker=lambda query, texts: [1.0])
    with pytest.raises(InvalidInput, match=r"20 texts.*1 scores"):
        broken.retrieve("line", k=5, mode="bm25")


# --- embeddings -----------------------------------------------------------------------------------------------------


def test_only_what_changed_is_embedded_again(opened: Callable[..., Corpus], tmp_path: Path) -> None:
    embeddings = Meaning()
    corpus = opened(f"chroma:{tmp_path / 'index'}", embeddings)
    text = "\n".join(f"line {n} " + "word " * 100 for n in range(40))
    corpus.add([Document(text, id="a")])
    paid = len(embeddings.texts)
    assert paid == corpus.chunk_count()
    corpus.add([Document(text + "\none more line", id="a")])
    assert 0 < len(embeddings.texts) - paid <= 2
    corpus.add([Document(text, id="a", metadata={"new": True})])
    assert len(embeddings.texts) - paid <= 2


class TooMany(Exception):
    status_code = 429


def test_a_rate_limit_is_waited_for(
    opened: Callable[..., Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    embeddings = Meaning(refusals=[TooMany(), TooMany()])
    corpus = opened(f"chroma:{tmp_path / 'index'}", embeddings)
    assert corpus.add(DOCUMENTS[:2]).new == 2
    assert len(waits) == 2 and waits[0] < waits[1] + 2
    embeddings.refusals.append(ConnectionError("another kind"))
    with pytest.raises(ConnectionError):
        corpus.add(DOCUMENTS)
    embeddings.refusals.extend([TooMany()] * vectors.ATTEMPTS)
    with pytest.raises(TooMany):
        corpus.add(DOCUMENTS)


async def test_searching_texts_leaves_the_loop_free(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    texts = corpus._catalog.texts
    monkeypatch.setattr(
        corpus._catalog, "texts", lambda *args: threads.append(threading.current_thread()) or texts(*args)
    )
    await corpus.asearch("apple")
    await corpus.agrep("apple")
    assert len(threads) == 2 and threading.main_thread() not in threads


# --- without a directory --------------------------------------------------------------------------------------------


def test_what_others_have_filled_is_searched_and_read(
    new_index: Callable[[], VectorIndex], opened: Callable[..., Corpus], tmp_path: Path
) -> None:
    full = opened(new_index(), Meaning(), directory=tmp_path / "one")
    full.add(DOCUMENTS)
    attached = opened(new_index(), Meaning())
    assert places(attached.retrieve("line", k=10, mode="vector")) == places(full.retrieve("line", k=10, mode="vector"))
    assert attached.count() == 12 and attached.read("doc3.txt") == DOCUMENTS[3].page_content
    assert attached.retrieve("cherry", k=1, mode="bm25")[0]["metadata"]["fruit"] == "cherry"
    assert attached.retrieve("cherry", k=3)
    for pattern in (
        r"line 7 of \w+",
        "number 1[01] ü",
        "(?i)APPLE NUMBER 0",
        "line 2[0-9] of (fig|grape)",
        "none has this",
    ):
        assert attached.grep(pattern, max_matches=100) == full.grep(pattern, max_matches=100)
        where = {"fruit": {"$in": ["apple", "fig"]}}
        assert attached.grep(pattern, where=where) == full.grep(pattern, where=where)
    assert attached.search("of apple") == full.search("of apple")
    with pytest.raises(InvalidInput, match="directory="):
        attached.add(DOCUMENTS)
    with pytest.raises(DocumentMissing, match=r"doc1\.txt"):
        attached.read("doc1.tx")


# --- being interrupted ----------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
sys.path[:0] = [sys.argv[2]]
from langgraph_rlm.corpus.ingest import adding
from langgraph_rlm.corpus.corpus import Corpus
from tests.integration.test_chroma_corpus import NEW
adding.BATCH_CHUNKS = 6
corpus = Corpus.open(sys.argv[1], directory=None if "://" not in sys.argv[1] else sys.argv[3])
index = corpus._vectors()
upsert, calls = index.upsert, []
def kill(*args):
    upsert(*args)
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
index.upsert = kill
corpus.add(NEW)
"""


@contextmanager
def reachable(store: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path | None]]:
    """What to open a corpus with, also in another process; and its directory, where the spec does not name it."""
    if store.endswith("path"):
        yield f"{store.removesuffix(' path')}:{directory}", None
    elif store == "qdrant server":
        with QdrantServer() as rest:
            yield f"qdrant://127.0.0.1:{rest.port}/papers", directory
    else:
        with PineconeServer() as server:
            server.create("papers", 512, {"body": FULL_TEXT} if store == "pinecone documents" else None)
            monkeypatch.setenv("PINECONE_API_KEY", "key")
            monkeypatch.setenv("PINECONE_CONTROLLER_HOST", server.url)
            yield "pinecone://papers/all", directory


@pytest.mark.parametrize("store", ["qdrant path", "qdrant server", "pinecone", "pinecone documents"])
def test_a_killed_add_is_completed_and_nothing_is_doubled(
    store: str, opened: Callable[..., Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reachable(store, tmp_path / "index", monkeypatch) as (spec, directory):
        root = str(Path(__file__).parents[2])
        done = subprocess.run([sys.executable, "-c", KILLED, spec, root, str(directory)], capture_output=True)
        assert done.returncode == -9, done.stderr.decode()
        corpus = opened(spec, directory=directory)
        assert 0 < corpus.count() < len(NEW)
        report = corpus.add(NEW)
        assert report.resumed > 0 and report.new > 0 and corpus.count() == len(NEW)
        assert corpus._vectors().count() == corpus.chunk_count() == corpus._words.count()
        corpus.close()


def test_a_server_that_goes_down_half_way_loses_nothing(
    opened: Callable[..., Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "BATCH_CHUNKS", 6)
    with QdrantServer() as server:
        corpus = opened(f"qdrant://127.0.0.1:{server.port}/papers", directory=tmp_path / "index")
        corpus.add(NEW[:3])
        server.planned.extend([0] * 3 + [503] * 50)
        with pytest.raises(StoreUnavailable, match=r"qdrant at 127\.0\.0\.1:\d+, collection 'papers'"):
            corpus.add(NEW)
        server.planned.clear()
        assert corpus.grep("apple") and corpus.retrieve("apple", mode="bm25")
        assert corpus.add(NEW).resumed > 0
        assert corpus._vectors().count() == corpus.chunk_count() and corpus.count() == len(NEW)
        corpus.close()


def test_metadata_that_a_store_cannot_keep_is_refused_and_the_rest_stays(
    opened: Callable[..., Corpus], tmp_path: Path
) -> None:
    with PineconeServer() as server:
        server.create("papers", 512)
        index = PineconeIndex("papers", "all", api_key="key", host=server.url)
        corpus = opened(index, directory=tmp_path / "one")
        corpus.add(DOCUMENTS[:2])
        with pytest.raises(InvalidInput, match=r"document 'big'.*bytes of metadata"):
            corpus.add([Document("x", id="big", metadata={"long": "x" * 50_000})])
        assert corpus.add(DOCUMENTS[:3]).new == 1  # nothing half-done was left
        corpus.close()


def test_a_spec_and_a_directory_fit_together(opened: Callable[..., Corpus], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="directory="):
        Corpus.open(f"chroma:{tmp_path / 'a'}", directory=tmp_path / "b")
    for bad in (
        "qdrant://host",
        "qdrant://host:port/c",
        "chroma://",
        "qdrant+grpc:path",
        "nothing:here",
        "qdrant://u@h/c",
    ):
        with pytest.raises(InvalidInput):
            Corpus.open(bad, directory=tmp_path / "c")
    assert document(1).id == "doc1.txt"


def test_whole_numbers_that_no_float_holds_find_their_document_alone(
    new_index: Callable[[], VectorIndex], opened: Callable[..., Corpus], tmp_path: Path
) -> None:
    user = 1146520190123450000
    corpus = opened(new_index(), Meaning(), directory=tmp_path / "one")
    corpus.add([Document(f"fox {at}", id=f"d{at}", metadata={"user": user + at}) for at in range(3)])
    attached = opened(new_index(), Meaning())
    for where, right in (({"user": user + 1}, ["d1"]), ({"user": {"$gt": user, "$lt": user + 2}}, ["d1"]),
                         ({"user": {"$in": [user + 1, 7]}}, ["d1"]), ({"user": {"$ne": user + 1}}, ["d0", "d2"])):  # fmt: skip
        for mode in ("vector", "bm25", "hybrid"):
            assert sorted(hit["doc_id"] for hit in corpus.retrieve("fox", mode=mode, where=where)) == right
        try:
            assert sorted(hit["doc_id"] for hit in attached.retrieve("fox", mode="vector", where=where)) == right
        except InvalidFilter as refused:
            assert str(user)[:-1] in str(refused) and "float64" in str(refused)
        assert sorted(one["doc_id"] for one in attached.list_documents(where)) == right
    assert sorted(one["metadata"]["user"] for one in attached.list_documents()) == [user, user + 1, user + 2]


@pytest.mark.parametrize("where", [{"team": "\ud800"}, {"\udfff": 1}, {"team": {"$nin": ["a", "\ud800"]}}], ids=ascii)
def test_a_lone_surrogate_in_a_filter_is_refused_own_and_attached(
    new_index: Callable[[], VectorIndex], opened: Callable[..., Corpus], tmp_path: Path, where: dict[str, Any]
) -> None:
    corpus = opened(new_index(), Meaning(), directory=tmp_path / "one")
    corpus.add([Document("fox", id="a", metadata={"team": "x"})])
    for one in (corpus, opened(new_index(), Meaning())):
        for mode in ("vector", "bm25", "hybrid"):
            with pytest.raises(InvalidFilter, match="surrogate"):
                one.retrieve("fox", mode=mode, where=where)
        for ask in (lambda one=one: one.grep("fox", where=where), lambda one=one: one.list_documents(where)):
            with pytest.raises(InvalidFilter, match="surrogate"):
                ask()
