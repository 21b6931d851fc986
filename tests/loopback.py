"""What the loopback servers of vector stores share: JSON over HTTP/1.1, failures on demand, a clean stop."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Refusal(Exception):
    """Answered with this status and body instead."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


class JsonServer:
    """Answers each request by :meth:`answer`, in threads.

    ``planned`` holds statuses that the next requests get instead, by order; 0 lets one through. ``requests`` are the
    method and path of each request that came.
    """

    def __init__(self, port: int = 0) -> None:
        self.planned: deque[int] = deque()
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.owner = self
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and break the connections that are open. Harmless when it is stopped already."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        self._http.break_connections()

    def answer(self, method: str, path: str, query: dict[str, str], headers: Any, body: Any) -> Any:
        """The body of the answer; raises Refusal."""
        raise NotImplementedError

    def refusal(self, status: int) -> Any:
        """The body of a planned failure."""
        return {"message": f"planned {status}"}

    def reply(self, method: str, target: str, headers: Any, raw: bytes) -> tuple[int, Any, dict[str, str]]:
        parts = urlsplit(target)
        with self._lock:
            self.requests.append((method, parts.path))
            planned = self.planned.popleft() if self.planned else 0
        if planned:
            return planned, self.refusal(planned), {}
        try:
            body = json.loads(raw) if raw else None
            return 200, self.answer(method, parts.path, dict(parse_qsl(parts.query)), headers, body), {}
        except Refusal as refusal:
            return refusal.status, refusal.body, refusal.headers


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    owner: JsonServer

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        for request in list(self._open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no failure of a test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one flush for head and body, or Nagle costs 40 ms a request
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body, headers = self.server.owner.reply(self.command, self.path, self.headers, raw)
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Not to the terminal."""
