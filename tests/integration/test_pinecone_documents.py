"""Indexes of documents with full text pass what every index has to pass, and rank by words in Pinecone.

`PINECONE_API_KEY` and `PINECONE_DOCUMENTS_INDEX` (a dense_vector of 8 dimensions, cosine, and a string with full-text
search) run the same on the real service.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph_rlm.integrations.pinecone import PineconeIndex

from langgraph_rlm.conformance import DIMENSION, id_of, metadata, text, vector
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.index import VectorIndex
from langgraph_rlm.errors import CollectionMissing, CorpusError, InvalidInput, StoreUnavailable
from langgraph_rlm.testing import IndexConformance
from tests.integration.test_corpus_on_stores import Meaning, places
from tests.pinecone_documents import FULL_TEXT, bm25
from tests.pinecone_server import PineconeServer

REAL = (os.environ.get("PINECONE_API_KEY"), os.environ.get("PINECONE_DOCUMENTS_INDEX"))


@pytest.fixture
def server() -> Iterator[PineconeServer]:
    with PineconeServer() as started:
        started.create("papers", DIMENSION, {"body": FULL_TEXT})
        yield started


def index_of(server: PineconeServer) -> PineconeIndex:
    return PineconeIndex("papers", "acme / ü", api_key="key", host=server.url)


class TestOnALoopbackServer(IndexConformance):
    survives_dropping = False  # indexes are made by their owners

    @pytest.fixture
    def opener(self, server: PineconeServer) -> Callable[[], VectorIndex]:
        return lambda: index_of(server)


class TestWithReadsThatLag(TestOnALoopbackServer):
    @pytest.fixture
    def opener(self, server: PineconeServer) -> Callable[[], VectorIndex]:
        server.lag = 3
        return lambda: index_of(server)


@pytest.mark.skipif(None in REAL, reason="PINECONE_API_KEY and PINECONE_DOCUMENTS_INDEX are not set")
@pytest.mark.enable_socket
class TestOnTheRealService(IndexConformance):
    survives_dropping = False

    @pytest.fixture
    def opener(self) -> Iterator[Callable[[], VectorIndex]]:
        namespace = f"conformance-{uuid.uuid4().hex}"
        yield lambda: PineconeIndex(REAL[1] or "", namespace)
        index = PineconeIndex(REAL[1] or "", namespace)
        index._index.documents.delete(delete_all=True, namespace=namespace)
        index.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinecone._internal.http_client._retry_sleep", lambda seconds: None)
    monkeypatch.setattr("pinecone._internal.bulk.core.STALL_COOLDOWN_SECONDS", 0.0)


def fill(index: PineconeIndex, numbers: range) -> None:
    index.upsert(list(map(id_of, numbers)), list(map(vector, numbers)), list(map(text, numbers)),
                 list(map(metadata, numbers)))  # fmt: skip


def test_an_index_is_what_its_schema_says(server: PineconeServer) -> None:
    documents = index_of(server)
    server.create("vectors", DIMENSION)
    vectors = PineconeIndex("vectors", "acme", api_key="key", host=server.url)
    assert documents.capabilities == {"lag", "bm25"} and vectors.capabilities == {"lag"}
    with pytest.raises(CorpusError, match=r"no ranking by words.*corpus\.retrieve"):
        vectors.bm25("word", 3)
    documents.close()
    vectors.close()


@pytest.mark.parametrize(
    ("fields", "dense"),
    [({"title": FULL_TEXT, "body": FULL_TEXT}, True), ({"other": {"type": "dense_vector", "dimension": 4,
      "metric": "cosine"}, "body": FULL_TEXT}, True), ({"body": FULL_TEXT}, False)],
)  # fmt: skip
def test_a_schema_that_leaves_a_choice_is_refused_by_its_fields(
    fields: dict[str, Any], dense: bool, server: PineconeServer
) -> None:
    server.create("papers", DIMENSION, fields)
    if not dense:
        del server.indexes["papers"]["schema"]["fields"]["embedding"]
    with pytest.raises(InvalidInput, match=r"index 'papers' has the fields .*'body'.*one dense_vector.*'rlm_text'"):
        index_of(server)


def test_of_several_texts_the_one_of_our_name_is_ours(server: PineconeServer) -> None:
    server.create("papers", DIMENSION, {"title": FULL_TEXT, "rlm_text": FULL_TEXT})
    index = index_of(server)
    fill(index, range(3))
    assert [record.text for record in index.get([id_of(2)])] == [text(2)]
    assert [one.id for one in index.bm25("wörd1", 2)] == [id_of(1)]
    index.close()


def test_names_that_pinecone_has_for_something_else_are_refused_before_anything_is_written(
    server: PineconeServer,
) -> None:
    index = index_of(server)
    for key in ("body", "embedding", "_id", "_mine", "$and"):
        with pytest.raises(InvalidInput, match=re.escape(f"metadata {key!r}")):
            index.check({key: "value"})
    with pytest.raises(InvalidInput, match=r"bytes of metadata.*40,000"):
        index.check({"long": "x" * 50_000})
    index.check({"title": "value"})
    index.close()


def test_vectors_are_not_read_where_they_are_not_wanted(server: PineconeServer) -> None:
    index = index_of(server)
    fill(index, range(3))
    sent: list[dict[str, Any]] = []
    post = index._index.documents._http.post

    def watched(path: str, **options: Any) -> Any:
        answer = post(path, **options)
        sent.append(answer.json())
        return answer

    index._index.documents._http.post = watched
    assert index.existing([id_of(1)]) == {id_of(1)}
    assert index.query(vector(1), 1)[0].id == id_of(1) == index.bm25("wörd1", 1)[0].id
    assert len(sent) == 3 and "embedding" not in str(sent) and "body" not in str(sent)
    index.close()


def test_what_did_not_arrive_is_sent_again_and_what_never_does_is_told(server: PineconeServer) -> None:
    index = index_of(server)
    server.failing_upserts.extend([503] * 4)
    fill(index, range(20))
    assert len(server.written["acme / ü"]) == 20
    server.failing_upserts.extend([503] * 500)
    with pytest.raises(StoreUnavailable, match=r"20 of 20 records did not arrive.*not sent twice"):
        fill(index, range(20, 40))
    server.failing_upserts.clear()
    server.failing_upserts.append(400)
    with pytest.raises(CorpusError, match="planned 400"):
        fill(index, range(3))
    index.close()


def test_an_index_that_is_gone_is_not_taken_for_a_new_namespace(server: PineconeServer) -> None:
    index = index_of(server)
    assert index.query(vector(1), 3) == [] == index.bm25("word", 3)  # nobody has written yet
    assert list(index.scroll()) == [] == list(index.scroll({"n": 1}))
    fill(index, range(3))
    server.planned.append(404)
    with pytest.raises(CollectionMissing, match=r"planned 404.*pc\.indexes\.create"):
        index.query(vector(1), 3)
    index.close()


def test_a_corpus_that_others_have_filled_is_ranked_by_words_in_pinecone(
    server: PineconeServer, tmp_path: Path
) -> None:
    server.create("papers", 16, {"body": FULL_TEXT})
    texts = {f"{n}.txt": f"the {word} fox, number {n}, jumps over the dog" for n, word in
             enumerate(("red", "grey", "white", "red red"))}  # fmt: skip
    with Corpus.open(index_of(server), Meaning(), directory=tmp_path / "one") as full:
        full.add(
            [Document(body, id=name, metadata={"even": not n % 2}) for n, (name, body) in enumerate(texts.items())]
        )
        attached = Corpus.open(index_of(server), Meaning())
        asked = len(server.requests)
        found = attached.retrieve("red fox", k=4, mode="bm25")
        assert not [path for _, path in server.requests[asked:] if path.endswith("/list")]  # no mirror was made
        scores = dict(zip(texts, bm25("red fox", list(texts.values())), strict=True))
        assert [hit["doc_id"] for hit in found] == sorted(scores, key=lambda name: -scores[name])
        assert found[0]["text"] == texts["3.txt"] and found[0]["score"] == pytest.approx(scores["3.txt"])
        even = attached.retrieve("red fox", k=4, mode="bm25", where={"even": True})
        assert [hit["doc_id"] for hit in even] == ["0.txt", "2.txt"]
        assert {hit["doc_id"] for hit in attached.retrieve("grey", k=4)} == set(texts)
        assert places(full.retrieve("grey", k=1, mode="bm25")) == places(attached.retrieve("grey", k=1, mode="bm25"))
        assert attached.grep("number 2") == full.grep("number 2") and attached.read("1.txt") == texts["1.txt"]
        tenant = Corpus.open(index_of(server), Meaning(), tenant="acme")
        assert tenant.retrieve("red fox", mode="bm25") == []
        for corpus in (attached, tenant):
            corpus.close()
