"""Qdrant's real engine, where its wheel is there, passes the suite too, and answers as the client's local mode does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm.conformance import id_of
from langgraph_rlm.corpus.filters import matches
from langgraph_rlm.corpus.index import Address, VectorIndex
from langgraph_rlm.testing import IndexConformance
from tests.integration.test_chroma_corpus import FILTERS, METADATAS
from tests.qdrant_server import QdrantServer

pytest.importorskip("qdrant_edge", reason="qdrant-edge-py has no wheel for this system")
from tests.qdrant_engine import EngineClient

WORDS = ("red", "grey", "fox", "Fox", "foxes", "dog-house", "ü", "日本", "x1", "the", "")
QUERIES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), min_size=5, max_size=5)
LITERALS = st.lists(st.text("redfoxFüs -日本", min_size=1, max_size=5), min_size=1, max_size=3)
FEW = 6  # collections cost; each is asked several times
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=8)


def index_on(server: QdrantServer) -> QdrantIndex:
    return QdrantIndex(address=Address("", "127.0.0.1", server.port, "papers"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantServer]:
    engine = EngineClient(tmp_path)
    with QdrantServer(memory=engine) as started:
        yield started
    engine.close()


class TestOnTheRealEngine(IndexConformance):
    @pytest.fixture
    def opener(self, server: QdrantServer) -> Callable[[], VectorIndex]:
        return lambda: index_on(server)

    def drop(self, index: Any) -> None:
        index._client.delete_collection(index.place.collection)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    """One that lives longer; each example has a collection of its own."""
    client = EngineClient(tmp_path_factory.mktemp("engine"))
    with QdrantServer(memory=client) as started:
        yield started
    client.close()


@pytest.fixture(scope="module")
def documents(engine: QdrantServer) -> Iterator[QdrantIndex]:
    index = QdrantIndex(address=Address("", "127.0.0.1", engine.port, "documents"))
    numbers = range(len(METADATAS))
    index.upsert(list(map(id_of, numbers)), [[1.0, float(number)] for number in numbers], ["text"] * len(METADATAS),
                 [{**metadata, "rlm_doc_id": f"d{number}"} for number, metadata in enumerate(METADATAS)])  # fmt: skip
    yield index
    index.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(where=FILTERS)
def test_the_engine_filters_as_the_catalog_does(documents: QdrantIndex, where: dict[str, Any]) -> None:
    expected = sorted(f"d{number}" for number, metadata in enumerate(METADATAS) if matches(where, metadata))
    assert sorted(one.metadata["rlm_doc_id"] for one in documents.query([1.0, 1.0], 100, where)) == expected
    assert sorted(one.metadata["rlm_doc_id"] for one in documents.scroll(where)) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=FEW, deadline=None)
@given(texts=TEXTS, asked=st.lists(LITERALS, min_size=5, max_size=5))
def test_the_engine_and_the_local_mode_look_up_the_same_strings(
    engine: QdrantServer, texts: list[str], asked: list[list[str]]
) -> None:
    for index in both(engine, texts):
        for literals in asked:
            holding = {id_of(at) for at, text in enumerate(texts) if any(literal in text for literal in literals)}
            assert {record.id for record in index.candidates(literals)} == holding
        index.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=FEW, deadline=None)
@given(texts=TEXTS, queries=QUERIES)
def test_the_engine_and_the_local_mode_rank_words_alike(
    engine: QdrantServer, texts: list[str], queries: list[str]
) -> None:
    scores = []
    for index in both(engine, texts):
        found = [{one.id: one.score for one in index.bm25(query, 20)} for query in queries]
        scores.append([pytest.approx(one, rel=1e-3) for one in found] if scores else found)
        index.close()
    assert scores[0] == scores[1]


def both(engine: QdrantServer, texts: list[str]) -> Iterator[QdrantIndex]:
    if engine.memory.collection_exists("papers"):
        engine.memory.delete_collection("papers")
    for index in (index_on(engine), QdrantIndex()):
        ids = [id_of(at) for at in range(len(texts))]
        index.upsert(ids, [[1.0, float(at)] for at in range(len(texts))], texts, [{} for _ in texts])
        yield index
