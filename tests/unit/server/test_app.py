"""Uploads over HTTP: what is taken, what is refused and why, and that nothing of a refused one stays."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langgraph_rlm import ContextStore
from langgraph_rlm.server import uploads
from langgraph_rlm.server.app import create_app
from langgraph_rlm.server.keys import Caller, Keys
from tests.serving import serving

TEXT = {"content-type": "text/plain; charset=utf-8"}


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContextStore]:
    made = ContextStore() if request.param == "memory" else ContextStore(tmp_path / "contexts")
    yield made
    made.close()


@pytest.fixture
def client(store: ContextStore) -> Iterator[httpx.Client]:
    with serving(create_app(store, most_upload_bytes=3_000_000)) as address, httpx.Client(base_url=address) as made:
        yield made


@pytest.mark.parametrize("text", ["one\ntwo\n", "né 🎈\n" * 200_000, "\ufeffwith a mark", "a\r\nb\0c"])
def test_a_text_is_taken_as_it_is(text: str, client: httpx.Client, store: ContextStore) -> None:
    response = client.post("/contexts", content=text.encode(), headers=TEXT)
    assert response.status_code == 201, response.text
    ref = response.json()
    assert store.read(ref) == text
    assert ref == store.put(text)
    shown = client.get(response.headers["location"]).json()
    assert (shown["chars"], shown["bytes"], shown["kind"]) == (len(text), len(text.encode()), "text")
    assert shown["preview"] == text[:500]


@pytest.mark.parametrize("given", ["a text", ["one", "two"], {"a.md": "one", "b.md": "two"}])
def test_json_is_a_text_a_list_or_texts_by_name(given: Any, client: httpx.Client, store: ContextStore) -> None:
    response = client.post("/contexts", json=given)
    assert response.json() == store.put(given)
    assert client.get(response.headers["location"]).json()["docs"] == (1 if isinstance(given, str) else 2)


def test_what_is_deleted_is_gone(client: httpx.Client) -> None:
    place = client.post("/contexts", content="a text", headers=TEXT).headers["location"]
    assert client.delete(place).status_code == 204
    assert client.get(place).status_code == client.delete(place).status_code == 404


def test_a_digest_is_compared(client: httpx.Client) -> None:
    body = b"a text\n" * 1_000
    right = base64.b64encode(hashlib.sha256(body).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(body[:-1]).digest()).decode()
    for digest, status in (
        (right, 201),
        (wrong, 400),
        ("%", 201),
        ("AAA", 400),
    ):  # one that is no digest of ours is none
        headers = {**TEXT, "content-digest": f"sha-256=:{digest}:"}
        assert client.post("/contexts", content=body, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b"", "text/plain", 422, "empty"),
        (b"abc\xff\xfe", "text/plain", 422, "no UTF-8"),
        (b"x" * (1 << 20) + "é".encode()[:1], "text/plain", 422, "no UTF-8"),
        (b'{"a": ', "application/json", 422, "no JSON"),
        (b"[" * 100_000, "application/json", 422, "no JSON"),
        (b'{"a": {"b": 1}}', "application/json", 422, "expected a str"),
        (b"5", "application/json", 422, "context: expected"),
        (b"[]", "application/json", 422, "empty"),
        (b'"\\ud800"', "application/json", 422, "surrogate"),
        (b'{"context_ref": "sha256:' + b"0" * 64 + b'"}', "application/json", 422, "reference already"),
        (b"%PDF-1.7", "application/pdf", 415, "text/plain"),
        (b"x" * 3_000_001, "text/plain", 413, "3,000,000 bytes"),
    ],
)
def test_what_is_no_context_is_refused_with_the_reason(
    body: bytes, kind: str, status: int, says: str, client: httpx.Client
) -> None:
    response = client.post("/contexts", content=body, headers={"content-type": kind})
    assert response.status_code == status, response.text
    assert says in response.json()["detail"]


def test_a_body_of_unknown_length_is_bounded_too(client: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 100_000

    with contextlib.suppress(httpx.WriteError, httpx.ReadError):  # the server may close while the client still writes
        assert client.post("/contexts", content=pieces(), headers=TEXT).status_code == 413
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("ref", ["sha256:" + "0" * 64, "sha256:zz", "..%2f..%2fetc%2fpasswd", "%00"])
def test_an_unknown_reference_is_no_500(ref: str, client: httpx.Client) -> None:
    for method in ("GET", "DELETE"):
        assert client.request(method, f"/contexts/{ref}").status_code in (404, 422)


def test_nothing_of_a_truncated_upload_stays(tmp_path: Path) -> None:
    store = ContextStore(tmp_path / "contexts")
    with serving(create_app(store)) as address:
        host, port = httpx.URL(address).host, httpx.URL(address).port
        assert port is not None
        with socket.create_connection((host, port)) as half:
            half.sendall(
                b"POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nhalf"
            )
        assert httpx.get(f"{address}/health").json() == {"status": "ok"}
        assert [path for path in (tmp_path / "contexts").iterdir() if path.suffix == ".ctx"] == []


def test_slow_uploads_are_given_up_and_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "IDLE_SECONDS", 0.3)
    with serving(create_app(ContextStore())) as address:
        host, port = httpx.URL(address).host, httpx.URL(address).port
        assert port is not None
        slow = [socket.create_connection((host, port)) for _ in range(300)]
        try:
            for one in slow:
                one.sendall(
                    b"POST /contexts HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nx"
                )
            assert httpx.get(f"{address}/health", timeout=10).json() == {"status": "ok"}
            answers = [one.recv(1_000)[9:12] for one in slow]
        finally:
            for one in slow:
                one.close()
        assert set(answers) == {b"408", b"429"}  # 32 have a place, the others are told to come again
        assert httpx.post(f"{address}/contexts", content="x", headers=TEXT).status_code == 201


def test_two_who_remove_the_same_are_told_the_truth(client: httpx.Client) -> None:
    place = client.post("/contexts", content="a text" * 1_000, headers=TEXT).headers["location"]
    statuses = list[int]()
    threads = [threading.Thread(target=lambda: statuses.append(client.delete(place).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {204, 404, 409}
    assert client.get(place).status_code == 404


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2_000))
def test_any_bytes_are_a_context_or_a_422(body: bytes) -> None:
    from starlette.testclient import TestClient

    response = TestClient(create_app(ContextStore())).post("/contexts", content=body, headers=TEXT)
    try:
        expected = 201 if body.decode() else 422
    except UnicodeDecodeError:
        expected = 422
    assert response.status_code == expected
    assert json.loads(response.content)


def test_keys_are_asked_for_everywhere_but_for_health() -> None:
    keys = Keys({"a-long-key-of-anna": Caller("anna")})
    with serving(create_app(ContextStore(), keys=keys)) as address, httpx.Client(base_url=address) as client:
        assert client.post("/contexts", content="x", headers=TEXT).status_code == 401
        assert client.get("/health").status_code == 200
        headers = {**TEXT, "x-api-key": "a-long-key-of-anna"}
        assert client.post("/contexts", content="x", headers=headers).status_code == 201
