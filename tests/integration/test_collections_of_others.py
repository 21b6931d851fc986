"""Collections that LangChain's own classes have filled: one filter, one set of hits, documents that are sources, all graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_chroma import Chroma
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_postgres import PGVector
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from qdrant_client import QdrantClient, models

from langgraph_rlm import (
    Corpus,
    ExtractiveModel,
    HashingEmbeddings,
    SmartRouter,
    create_rag,
    create_rlm,
    create_smart_rag,
)
from langgraph_rlm.corpus.filters import matches
from tests.support import Ask, cell, scripted, text_of

TEXTS = [f"Pump P-{n} of the {'red' if n % 2 else 'blue'} team failed with code E{n}." for n in range(12)]
METADATA: list[dict[str, Any]] = [
    {"source": f"log{n // 3}.md", "team": "red" if n % 2 else "blue", "n": n, "half": n / 2, "late": n > 8}
    for n in range(12)
]
METADATA[5].pop("team")
KINDS = ("memory", "faiss", "chroma", "qdrant", "qdrant-hybrid", "qdrant-sparse", "postgres", "unknown")


class Words(SparseEmbeddings):
    """A sparse vector of the words of a text."""

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> SparseVector:
        indices = sorted({sum(map(ord, word)) * 31 + len(word) for word in text.lower().split()})
        return SparseVector(indices=indices, values=[1.0] * len(indices))


class Unknown(VectorStore):
    """A class that nobody knows: it searches, and nothing else."""

    def __init__(self, inner: InMemoryVectorStore) -> None:
        self._inner = inner

    def similarity_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        assert not options
        return self._inner.similarity_search(query, k=k)

    @classmethod
    def from_texts(cls, *given: Any, **options: Any) -> Any:
        raise NotImplementedError


def qdrant(mode: RetrievalMode) -> QdrantVectorStore:
    client = QdrantClient(":memory:")
    client.create_collection(
        "c",
        vectors_config={"": models.VectorParams(size=512, distance=models.Distance.COSINE)},
        sparse_vectors_config={"words": models.SparseVectorParams()},
    )
    return QdrantVectorStore(
        client, "c", embedding=HashingEmbeddings(), sparse_embedding=Words(), sparse_vector_name="words",
        retrieval_mode=mode,
    )  # fmt: skip


def made(kind: str, postgres_url: Callable[[], str]) -> VectorStore:
    embeddings = HashingEmbeddings()
    match kind:
        case "faiss":
            return FAISS.from_texts(["seed"], embeddings, ids=["seed"])
        case "chroma":
            return Chroma("others", embeddings, persist_directory=mkdtemp())
        case "qdrant":
            return qdrant(RetrievalMode.DENSE)
        case "qdrant-hybrid":
            return qdrant(RetrievalMode.HYBRID)
        case "qdrant-sparse":
            return qdrant(RetrievalMode.SPARSE)
        case "postgres":
            url = postgres_url().replace("postgresql://", "postgresql+psycopg://")
            return PGVector(embeddings, connection=url, collection_name="others", pre_delete_collection=True)
    return InMemoryVectorStore(embeddings)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    found = made(kind, lambda: request.getfixturevalue("postgres_url"))
    documents = [Document(text, metadata=dict(metadata)) for text, metadata in zip(TEXTS, METADATA, strict=True)]
    found.add_documents(documents)
    if isinstance(found, FAISS):
        found.delete(["seed"])
    yield Unknown(found) if kind == "unknown" and isinstance(found, InMemoryVectorStore) else found
    if isinstance(found, Chroma):
        found.delete_collection()
    if isinstance(found, PGVector):
        found._engine.dispose()


scalars = st.one_of(
    st.sampled_from(["red", "blue", "log1.md", "x"]),
    st.integers(-1, 12),
    st.sampled_from([0.5, 2.5, 3.0]),
    st.booleans(),
)
conditions = st.one_of(
    scalars,
    st.builds(lambda op, value: {op: value}, st.sampled_from(["$eq", "$ne"]), scalars),
    st.builds(lambda op, value: {op: value}, st.sampled_from(["$in", "$nin"]), st.lists(scalars, max_size=3)),
    st.builds(
        lambda op, value: {op: value},
        st.sampled_from(["$gt", "$gte", "$lt", "$lte"]),
        st.one_of(st.integers(-1, 12), st.sampled_from(["blue", "m"])),
    ),
)
fields = st.sampled_from(["team", "n", "half", "late", "source", "nobody", "odd name"])
filters = st.recursive(
    st.dictionaries(fields, conditions, min_size=1, max_size=2),
    lambda inner: st.builds(
        lambda op, parts: {op: parts}, st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters)
def test_one_filter_finds_the_same_in_every_store(where: dict[str, Any], store: VectorStore) -> None:
    corpus = Corpus.open(store)
    expected = {text for text, metadata in zip(TEXTS, METADATA, strict=True) if matches(where, metadata)}
    for mode in ("vector", "bm25") if corpus.lists_texts else ("vector",):
        assert {hit["text"] for hit in corpus.retrieve("Pump team failed code", 20, mode, where)} == expected, mode
    if corpus.lists_texts:
        assert {hit["text"] for hit in corpus.grep("Pump", where=where, max_matches=50)} >= expected


async def test_a_source_is_a_document_and_a_hit_is_its_text(kind: str, store: VectorStore) -> None:
    corpus = Corpus.open(store)
    for mode in ("vector", "hybrid", "bm25") if corpus.lists_texts else ("vector", "hybrid"):
        hits = await corpus.aretrieve("Pump P-7 code E7", 12, mode)
        assert len({hit["text"] for hit in hits}) == len(hits)
        assert hits == corpus.retrieve("Pump P-7 code E7", 12, mode)
        for hit in hits:
            assert corpus.read(hit["doc_id"], hit["start"], hit["end"]) == hit["text"]
            assert "_id" not in hit["metadata"]
    if not corpus.lists_texts:
        assert hits[0]["doc_id"].startswith("log")
        return
    assert {hit["doc_id"] for hit in hits} == {f"log{n}.md" for n in range(4)}
    assert [one["doc_id"] for one in corpus.list_documents()] == [f"log{n}.md" for n in range(4)]
    assert corpus.list_documents(limit=1)[0]["metadata"]["source"] == "log0.md"
    assert corpus.totals().documents == 4 and corpus.chunk_count() == 12
    text = corpus.read("log1.md")
    assert sorted(text.split("\n")) == sorted(TEXTS[3:6])
    assert Corpus.open(store).grep("E4")[0]["doc_id"] == "log1.md"
    red = {"team": "red"}
    assert corpus.read("log1.md", where=red).split() == TEXTS[3].split()  # the others read as blanks
    assert corpus.holds("log1.md", red) and not corpus.holds("log1.md", {"team": "green"})
    ungrouped = Corpus.open(store, group_by=None)
    assert len(ungrouped.list_documents()) == 12
    hit = ungrouped.retrieve("Pump P-7", 1, "vector")[0]
    assert Corpus.open(store, group_by=None).read(hit["doc_id"]) == hit["text"]


async def test_all_graphs_answer_over_it(store: VectorStore, ask: Ask) -> None:
    corpus, question = Corpus.open(store), {"question": "Which pump failed with code E7?"}
    for make in (create_rag, create_rlm, create_smart_rag):
        found = await ask(make(ExtractiveModel(), corpus=corpus), question)  # type: ignore[operator]
        assert "P-7" in found["answer"], make.__name__
        narrow = {"configurable": {"rlm": {"where": {"team": "blue"}}}}
        blue = await ask(make(ExtractiveModel(), corpus=corpus), question, narrow)  # type: ignore[operator]
        assert "P-7" not in blue["answer"], make.__name__
    assert SmartRouter(corpus=corpus).decide("Which pump failed with code E7?")["route"] in ("rag", "direct")


async def test_cells_get_the_functions_that_the_store_allows(kind: str, store: VectorStore, ask: Ask) -> None:
    steps = cell("hits = vector_retrieve('Pump P-7 code E7')", "cite(hits[0])", "FINAL(read(hits[0]['doc_id'])[:4])")
    model = scripted([steps])
    graph = create_rlm(model, corpus=Corpus.open(store), strategy="director")
    found = await ask(graph, {"question": "What is in the log?"})
    assert found["answer"] == "Pump" and found["citations"][0]["verified"]
    told = text_of(model.requests[0])
    for name in ("grep", "count", "list_documents", "bm25_search", "hybrid_search"):
        assert (f"`{name}(" in told) == (kind != "unknown"), name
    assert "`vector_retrieve(" in told and "`read(" in told and "`hop_search(" not in told


def test_chunks_are_joined_without_doubling_what_they_share(tmp_path: Path) -> None:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    text = "\n".join(f"Line {n}: " + " ".join(f"word{n * i % 97}" for i in range(1, 12)) for n in range(1, 200))
    for index in (True, False):
        splitter = RecursiveCharacterTextSplitter(chunk_size=500, chunk_overlap=150, add_start_index=index)
        chunks = splitter.split_documents([Document(text, metadata={"source": "book.txt"})])
        store = qdrant(RetrievalMode.DENSE)  # lists points in the order of their random ids
        store.add_documents(chunks)
        corpus = Corpus.open(store)
        assert corpus.read("book.txt").split() == text.split()
        hit = corpus.retrieve("Line 77", 1, "bm25")[0]
        assert corpus.read("book.txt", hit["start"], hit["end"]) == hit["text"]
        assert hit["line"] == corpus.read("book.txt", 0, hit["start"]).count("\n") + 1
        assert corpus.count_matches(r"Line \d+:").matches == 199
