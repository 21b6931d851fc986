"""Pinecone passes what every index has to pass, and says what goes wrong: the real SDK against a loopback server.

`PINECONE_API_KEY` and `PINECONE_INDEX` (of 8 dimensions, cosine) run the same on the real service.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langgraph_rlm.integrations import pinecone
from langgraph_rlm.integrations.pinecone import PineconeIndex

from langgraph_rlm.conformance import DIMENSION, id_of, metadata, text, vector
from langgraph_rlm.errors import (
    CollectionMissing,
    CorpusError,
    DimensionMismatch,
    InvalidInput,
    StoreAuthenticationFailed,
    StoreUnavailable,
)
from langgraph_rlm.testing import IndexConformance
from tests.pinecone_server import PineconeServer

REAL = (os.environ.get("PINECONE_API_KEY"), os.environ.get("PINECONE_INDEX"))


@pytest.fixture
def server() -> Iterator[PineconeServer]:
    with PineconeServer() as started:
        started.create("papers", DIMENSION)
        yield started


def index_of(server: PineconeServer, name: str = "papers", api_key: str = "key") -> PineconeIndex:
    return PineconeIndex(name, "acme", api_key=api_key, host=server.url)


class TestOnALoopbackServer(IndexConformance):
    survives_dropping = False  # indexes are made by their owners

    @pytest.fixture
    def opener(self, server: PineconeServer) -> Callable[[], PineconeIndex]:
        return lambda: index_of(server)


class TestWithReadsThatLag(TestOnALoopbackServer):
    @pytest.fixture
    def opener(self, server: PineconeServer) -> Callable[[], PineconeIndex]:
        server.lag = 3
        return lambda: index_of(server)


@pytest.mark.skipif(None in REAL, reason="PINECONE_API_KEY and PINECONE_INDEX are not set")
@pytest.mark.enable_socket
class TestOnTheRealService(IndexConformance):
    survives_dropping = False

    @pytest.fixture
    def opener(self) -> Iterator[Callable[[], PineconeIndex]]:
        namespace = f"conformance-{uuid.uuid4().hex}"
        yield lambda: PineconeIndex(REAL[1] or "", namespace)
        index = PineconeIndex(REAL[1] or "", namespace)
        index._index.delete(delete_all=True, namespace=namespace)
        index.close()


def fill(index: PineconeIndex, numbers: range, more: str = "") -> None:
    index.upsert(list(map(id_of, numbers)), list(map(vector, numbers)), [text(number) + more for number in numbers],
                 list(map(metadata, numbers)))  # fmt: skip


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK waits between attempts, and half a minute after an outage of a host, which is one for all tests."""
    monkeypatch.setattr("pinecone._internal.http_client._retry_sleep", lambda seconds: None)
    monkeypatch.setattr("pinecone._internal.bulk.core.STALL_COOLDOWN_SECONDS", 0.0)


def test_a_missing_index_says_how_one_is_made(server: PineconeServer) -> None:
    with pytest.raises(CollectionMissing, match=r"pinecone at index 'other'.*ServerlessSpec"):
        index_of(server, "other")


def test_a_wrong_or_missing_key_is_told(server: PineconeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    for key in ("wrong", ""):
        with pytest.raises(StoreAuthenticationFailed, match="PINECONE_API_KEY"):
            index_of(server, api_key=key)


def test_a_service_that_is_down_is_named() -> None:
    with PineconeServer() as server:
        server.create("papers", DIMENSION)
        index = index_of(server)
    with pytest.raises(StoreUnavailable, match=r"pinecone at index 'papers', collection 'acme', searching"):
        index.query(vector(1), 1)
    index.close()


def test_what_did_not_arrive_is_sent_again(server: PineconeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinecone, "MAX_BYTES", 10_000)
    index = index_of(server)
    server.failing_upserts.extend([0, 503, 503, 503, 503, 0, 503, 503, 503, 503])
    fill(index, range(60))
    assert len(server.written["acme"]) == 60
    assert not server.failing_upserts
    index.close()


def test_what_never_arrives_is_told_and_nothing_is_lost(
    server: PineconeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinecone, "MAX_BYTES", 10_000)
    index = index_of(server)
    server.failing_upserts.extend([0, *[503] * 500])
    with pytest.raises(StoreUnavailable, match=r"\d+ of 60 records did not arrive.*not sent twice"):
        fill(index, range(60))
    server.failing_upserts.clear()
    fill(index, range(60))
    assert len(server.written["acme"]) == 60
    index.close()


def test_a_request_refused_as_it_stands_is_not_sent_again(server: PineconeServer) -> None:
    index = index_of(server)
    server.failing_upserts.append(400)
    with pytest.raises(CorpusError, match="planned 400"):
        fill(index, range(3))
    assert not server.failing_upserts and server.upserts == []
    index.close()


def test_requests_stay_below_two_megabytes() -> None:
    with PineconeServer() as server:
        server.create("papers", 1536)
        index = index_of(server)
        number = 300
        values = [[float(at % 7) / 7 for at in range(1536)]] * number
        index.upsert(
            list(map(id_of, range(number))), values, ["text " * 160] * number, list(map(metadata, range(number)))
        )
        assert len(server.written["acme"]) == number
        assert max(size for _, size in server.upserts) < 2_000_000
        index.close()


def test_too_much_metadata_is_refused_before_anything_is_written(server: PineconeServer) -> None:
    index = index_of(server)
    with pytest.raises(InvalidInput, match=r"bytes of metadata.*40,000"):
        index.check({"long": "x" * 50_000})
    index.check({"short": "x"})
    index.close()


def test_a_text_that_does_not_fit_beside_its_metadata_stays_in_the_mirror(server: PineconeServer) -> None:
    index = index_of(server)
    index.upsert([id_of(1)], [vector(1)], ["é" * 30_000], [metadata(1)])
    (record,) = index.get([id_of(1)])
    assert record.text == "" and record.metadata == metadata(1)
    index.close()


def test_an_index_of_another_dimension_is_refused_by_both(server: PineconeServer) -> None:
    index = index_of(server)
    with pytest.raises(DimensionMismatch, match=r"8.*512"):
        index.claim("hashing-512", 512)
    index.close()


def test_a_location_without_a_namespace_is_refused(tmp_path: Any) -> None:
    for location in ("papers", "//papers"):
        with pytest.raises(InvalidInput, match="//"):
            PineconeIndex.open(location, tmp_path)
