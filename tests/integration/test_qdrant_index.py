"""Qdrant in memory, in files and behind a server passes what every index has to pass, and says what goes wrong.

`QDRANT_URL` (and `QDRANT_API_KEY`) run the server's tests on a real one as well.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm.conformance import id_of, metadata, text, vector
from langgraph_rlm.corpus.index import Address
from langgraph_rlm.errors import (
    CollectionMissing,
    CorpusError,
    InvalidFilter,
    InvalidInput,
    StoreAuthenticationFailed,
    StoreUnavailable,
)
from langgraph_rlm.testing import IndexConformance
from tests.loopback import free_port
from tests.qdrant_grpc_server import QdrantGrpcServer
from tests.qdrant_server import QdrantServer

REAL = os.environ.get("QDRANT_URL")


class TestInMemory(IndexConformance):
    persistent = False

    @pytest.fixture
    def opener(self) -> Callable[[], QdrantIndex]:
        return QdrantIndex

    def drop(self, index: Any) -> None:
        index._client.delete_collection(index.place.collection)


class TestInFiles(TestInMemory):
    persistent = True

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[[], QdrantIndex]:
        return lambda: QdrantIndex(tmp_path / "qdrant")


@pytest.fixture
def server() -> Iterator[QdrantServer]:
    with QdrantServer() as started:
        yield started


def address(server: QdrantServer, collection: str = "papers") -> Address:
    return Address("", "127.0.0.1", server.port, collection)


class TestOnAServer(TestInMemory):
    persistent = True

    @pytest.fixture
    def opener(self, server: QdrantServer) -> Callable[[], QdrantIndex]:
        return lambda: QdrantIndex(address=address(server))


class TestOverGrpc(TestInMemory):
    persistent = True

    @pytest.fixture
    def opener(self) -> Iterator[Callable[[], QdrantIndex]]:
        with QdrantGrpcServer() as server:
            yield lambda: QdrantIndex(address=Address("grpc", "127.0.0.1", server.port, "papers"))


@pytest.mark.skipif(REAL is None, reason="QDRANT_URL is not set")
@pytest.mark.enable_socket
class TestOnARealServer(TestInMemory):
    persistent = True

    @pytest.fixture
    def opener(self) -> Iterator[Callable[[], QdrantIndex]]:
        parts = urlsplit(REAL or "")
        where = Address(parts.scheme, parts.hostname or "", parts.port, f"conformance-{uuid.uuid4().hex}")
        yield lambda: QdrantIndex(address=where)
        index = QdrantIndex(address=where)
        index._client.delete_collection(where.collection)
        index.close()


def filled(index: QdrantIndex, numbers: range = range(5)) -> QdrantIndex:
    index.upsert(list(map(id_of, numbers)), list(map(vector, numbers)), list(map(text, numbers)),
                 list(map(metadata, numbers)))  # fmt: skip
    return index


def test_a_server_that_is_down_is_named_at_the_start_and_later() -> None:
    with pytest.raises(StoreUnavailable, match=r"qdrant at 127\.0\.0\.1:\d+, collection 'papers', opening.*Start"):
        QdrantIndex(address=Address("", "127.0.0.1", free_port(), "papers"))
    with QdrantServer() as server:
        index = filled(QdrantIndex(address=address(server)))
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1.*'papers', searching"):
        index.query(vector(1), 1)
    index.close()


def test_a_grpc_server_that_is_down_is_named() -> None:
    with pytest.raises(StoreUnavailable, match=r"qdrant at 127\.0\.0\.1:\d+.*opening"):
        QdrantIndex(address=Address("grpc", "127.0.0.1", free_port(), "papers"))


def test_a_wrong_or_missing_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QDRANT_API_KEY", raising=False)
    with QdrantServer(api_key="right") as server:
        for key in (None, "wrong"):
            with pytest.raises(StoreAuthenticationFailed, match=r"qdrant at .*QDRANT_API_KEY") as raised:
                QdrantIndex(address=address(server), api_key=key)
            assert "wrong" not in str(raised.value)
        monkeypatch.setenv("QDRANT_API_KEY", "right")
        with pytest.warns(UserWarning, match="insecure"):
            filled(QdrantIndex(address=address(server))).close()


@pytest.mark.parametrize(("status", "kind"), [(500, StoreUnavailable), (429, StoreUnavailable), (400, CorpusError),
                                              (404, CorpusError), (401, StoreAuthenticationFailed)])  # fmt: skip
def test_what_a_server_refuses_has_a_kind(server: QdrantServer, status: int, kind: type[Exception]) -> None:
    index = filled(QdrantIndex(address=address(server)))
    server.planned.extend([status] * 3)
    with pytest.raises(kind, match=r"qdrant at .*'papers', searching"):
        index.query(vector(1), 1)
    index.close()


def test_a_404_is_a_missing_collection_only_when_the_server_says_so(server: QdrantServer) -> None:
    index = filled(QdrantIndex(address=address(server)))
    server.planned.extend([404] * 3)
    with pytest.raises(CorpusError, match=r"404 planned 404\. Check the address") as raised:
        index.query(vector(1), 1)
    assert not isinstance(raised.value, CollectionMissing)
    assert (raised.value.store, raised.value.collection) == ("qdrant", "papers")
    server.planned.clear()
    index._client.delete_collection("papers")
    with pytest.raises(CollectionMissing, match=r"corpus\.add"):
        index.query(vector(1), 1)
    index.close()


def test_an_unknown_transport_is_refused_before_a_key_goes_out_in_the_clear() -> None:
    with pytest.raises(InvalidInput, match=r"qdrant speaks no 'htps' \(did you mean 'https'\?\).*qdrant\+grpc"):
        QdrantIndex(address=Address("htps", "127.0.0.1", 1, "papers"), api_key="secret")


def test_an_older_server_is_not_asked_for_what_it_lacks() -> None:
    with QdrantServer(version="1.17.3") as server:
        index = filled(QdrantIndex(address=address(server)))
        assert index.capabilities == frozenset()
        assert index.query(vector(3), 1)[0].id == id_of(3)
        index.close()


def test_a_directory_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    index = QdrantIndex(tmp_path)
    with pytest.raises(StoreUnavailable, match=r"another process or object.*server"):
        QdrantIndex(tmp_path)
    index.close()


def test_a_field_name_that_no_path_can_hold_is_refused() -> None:
    index = filled(QdrantIndex())
    with pytest.raises(InvalidFilter, match="quotation mark"):
        index.query(vector(1), 1, {'a"b': 1})
    index.close()


def test_large_batches_are_cut_by_their_bytes(server: QdrantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QdrantIndex, "most_bytes", 4000)
    index = filled(QdrantIndex(address=address(server)), range(40))
    writes = [path for method, path in server.requests if (method, path) == ("PUT", "/collections/papers/points")]
    assert len(writes) > 4 and index.count() == 40
    index.close()


def test_the_tenant_has_an_index_of_its_own(server: QdrantServer) -> None:
    filled(QdrantIndex(address=address(server))).close()
    assert server.requests.count(("PUT", "/collections/papers/index")) == 3
