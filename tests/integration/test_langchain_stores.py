"""Stores and retrievers that a user has already are searched as they are, and say what they cannot do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph_rlm.integrations.langchain import wrap
from qdrant_client import QdrantClient, models

from langgraph_rlm import create_rag
from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.embeddings import HashingEmbeddings
from langgraph_rlm.errors import DocumentMissing, InvalidFilter, InvalidInput
from tests.pinecone_server import PineconeServer
from tests.support import scripted

DOCUMENTS = [
    Document(f"Tree {number} bears {fruit}.\nIts code is K-{number:03d}.", id=f"tree{number}", metadata={"n": number})
    for number, fruit in enumerate(["apples", "pears", "figs", "plums", "cherries"])
]


@pytest.fixture
def store() -> InMemoryVectorStore:
    made = InMemoryVectorStore(HashingEmbeddings())
    made.add_documents(DOCUMENTS)
    return made


class Shy(BaseRetriever):
    """Gives documents and nothing else."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [DOCUMENTS[3], DOCUMENTS[1], Document("without an id", metadata={"source": "s.txt"})]


async def test_a_vector_store_keeps_its_order(store: InMemoryVectorStore) -> None:
    corpus = Corpus.open(store)
    expected = [one.id for one in store.similarity_search("tree with plums", k=4)]
    hits = corpus.retrieve("tree with plums", k=4, mode="vector")
    assert [hit["doc_id"] for hit in hits] == expected and [hit["rank"] for hit in hits] == [0, 1, 2, 3]
    assert hits == await corpus.aretrieve("tree with plums", k=4, mode="vector")
    assert corpus.retrieve("plums", k=2)[0]["doc_id"] == "tree3"
    assert corpus.retrieve("figs", k=1, mode="bm25")[0]["doc_id"] == "tree2"
    assert corpus.retrieve(["figs", "pears"], k=2, mode="vector", diversity=0.5)


def test_a_filter_of_the_stores_own_goes_with_every_search(store: InMemoryVectorStore) -> None:
    chosen = lambda document: document.metadata["n"] > 2  # noqa: E731 - the dialect of this class
    with pytest.raises(InvalidFilter, match="expected a dict"):
        Corpus.open(store).retrieve("tree", k=5, mode="vector", where=chosen)  # type: ignore[arg-type]
    narrow = wrap(store, filter=chosen)
    assert {hit["doc_id"] for hit in narrow.retrieve("tree", mode="vector")} == {"tree3", "tree4"}
    with pytest.raises(InvalidInput, match="not available"):
        narrow.grep("apples")  # what the filter hides stays hidden
    assert narrow.retrieve("tree", mode="vector", where={"n": 1}) == []
    assert [hit["doc_id"] for hit in narrow.retrieve("tree", mode="vector", where={"n": 4})] == ["tree4"]


def test_texts_are_found_where_the_class_allows_it(store: InMemoryVectorStore) -> None:
    corpus = Corpus.open(store)
    (hit,) = corpus.grep(r"K-00[3-9]", max_matches=1)
    assert (hit["doc_id"], hit["line"]) == ("tree3", 2)
    assert [one["doc_id"] for one in corpus.list_documents({"n": {"$lt": 2}})] == ["tree0", "tree1"]
    assert corpus.read("tree1", 0, 6) == "Tree 1" and corpus.count() == 5
    assert corpus.search("bears figs")[0]["doc_id"] == "tree2"
    with pytest.raises(DocumentMissing, match="tree1"):
        corpus.read("tree1x")
    store.add_documents([Document("new", id="new")])
    assert corpus.count() == 6


def test_a_retriever_says_what_it_cannot_do() -> None:
    corpus = Corpus.open(Shy())
    hits = corpus.retrieve("anything", k=3)
    assert [hit["doc_id"] for hit in hits][:2] == ["tree3", "tree1"]
    assert hits[2]["doc_id"].startswith("s.txt#") and corpus.read(hits[2]["doc_id"]) == "without an id"
    for refused in (lambda: corpus.grep("x"), lambda: corpus.retrieve("x", mode="bm25"), corpus.list_documents):
        with pytest.raises(InvalidInput, match=r"Shy does not give its texts away.*vector_retrieve.*mirror"):
            refused()
    with pytest.raises(InvalidFilter, match="Shy takes no filter"):
        corpus.retrieve("x", where={"n": 1})
    for change in (lambda: corpus.add(DOCUMENTS), lambda: corpus.delete(["a"]), corpus.forget):
        with pytest.raises(InvalidInput, match="somebody else has filled"):
            change()


def test_a_mirror_gives_the_texts() -> None:
    corpus = wrap(Shy(), mirror=DOCUMENTS)
    assert corpus.grep("K-004")[0]["doc_id"] == "tree4"
    assert {hit["doc_id"] for hit in corpus.retrieve("cherries", k=5)} >= {"tree4", "tree3"}


def test_texts_of_stores_that_look_like_qdrant_chroma_and_pinecone() -> None:
    client = QdrantClient(":memory:")
    client.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    payload = {"page_content": "from qdrant", "metadata": {"n": 1}}
    client.upsert("c", [models.PointStruct(id=7, vector=[1.0, 0.0], payload=payload)])
    search: Any = lambda query, k, **options: []  # noqa: E731
    qdrant = SimpleNamespace(client=client, collection_name="c", similarity_search=search)
    assert [hit["metadata"]["match"] for hit in wrap(qdrant).grep("qdrant")] == [[5, 11]]

    pages = [{"ids": ["a"], "documents": ["from chroma"], "metadatas": [None]}]
    chroma = SimpleNamespace(_collection=None, get=lambda **options: pages[0], similarity_search=search)
    assert wrap(chroma).grep("chroma")[0]["doc_id"] == "a"

    from pinecone import Pinecone

    with PineconeServer() as server:
        server.create("papers", 2)
        index = Pinecone(api_key="key", host=server.url).index(host=server.url)
        index.upsert(vectors=[{"id": "p", "values": [1.0, 0.0], "metadata": {"text": "from pinecone"}}], namespace="n")
        pinecone = SimpleNamespace(index=index, _text_key="text", _namespace="n", similarity_search=search)
        assert wrap(pinecone).grep("pinecone")[0]["doc_id"] == "p"
        index.close()


def test_something_else_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="got int"):
        Corpus.open(7)
    with pytest.raises(InvalidInput, match="directory="):
        Corpus.open(Shy(), directory="x")


async def test_a_graph_runs_over_it(store: InMemoryVectorStore) -> None:
    graph = create_rag(scripted(lambda messages: "Tree 3 bears plums."), corpus=Corpus.open(store))
    assert "plums" in (await graph.ainvoke({"question": "Which tree bears plums?"}))["answer"]
