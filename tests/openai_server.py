"""A loopback server that speaks OpenAI's chat API, and fails in every way that the real one does."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI


@dataclass(frozen=True, kw_only=True)
class ServerReply:
    """What one request gets.

    Args:
        text: the answer.
        finish: why it ended, instead of ``stop``.
        tool_calls: ``(name, arguments)`` of the tools that the answer calls.
        usage: ``"auto"`` counts four characters as a token; a mapping is sent as it stands; None sends none.
        status: HTTP status; above 299 ``body`` is sent.
        headers: further HTTP headers.
        body: these bytes instead of an answer.
        hang: wait for ``OpenAIServer.release`` before the answer.
        reset_after: break the connection after this many pieces of a stream; 0 resets it before any answer.
    """

    text: str = ""
    finish: str = "stop"
    tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    usage: Mapping[str, Any] | str | None = "auto"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hang: bool = False
    reset_after: int | None = None


def with_window(window: int) -> Callable[[dict[str, Any]], str | ServerReply]:
    """A ``reply`` as vLLM gives it: requests that do not fit the window, prompt and answer together, are refused.

    Four characters are a token.
    """

    def reply(request: dict[str, Any]) -> str | ServerReply:
        prompt = len(json.dumps([message["content"] for message in request["messages"]])) // 4
        cap = request.get("max_completion_tokens") or request.get("max_tokens") or 0
        if prompt + cap <= window:
            return "ok"
        return failure(
            400,
            message=f"This model's maximum context length is {window} tokens. However, you requested {prompt + cap} tokens "
            f"({prompt} in the messages, {cap} in the completion). Please reduce the length of the messages or completion.",
        )

    return reply


MALFORMED = ServerReply(body=b'{"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"ind')
"""Status 200 and half of a JSON body."""
HANG = ServerReply(text="late", hang=True)
RESET = ServerReply(reset_after=0)

_ERRORS = {
    400: ("invalid_request_error", None, "The request cannot be served."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests. Please try again later."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


def failure(
    status: int, *, code: str | None = None, message: str | None = None, retry_after: float | None = None
) -> ServerReply:
    """An error as the API words it, e.g. ``failure(400, code="context_length_exceeded")``."""
    kind, usual_code, usual_message = _ERRORS.get(status, ("server_error", None, f"Status {status}."))
    error = {"message": message or usual_message, "type": kind, "param": None, "code": code or usual_code}
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return ServerReply(status=status, headers=headers, body=json.dumps({"error": error}).encode())


@dataclass(frozen=True)
class Request:
    """One request as it arrived. The key itself is not kept, only whether it was the right one."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    authorized: bool


class OpenAIServer:
    """Serves ``/v1/chat/completions`` and ``/v1/models`` on 127.0.0.1 until it is stopped.

    Answers come from ``reply``, a function of the request's JSON, unless ``plan`` holds something for the request.
    Assign ``reply`` and call ``plan`` at any time; requests are served in threads of their own.

    Example:
        >>> with OpenAIServer() as server:
        ...     server.reply = lambda request: request["messages"][-1]["content"].upper()
        ...     server.plan(429, "first answer")
        ...     model = server.chat_model()
    """

    key = "sk-loopback-0123456789"

    def __init__(self) -> None:
        self.reply: Callable[[dict[str, Any]], str | ServerReply] = lambda request: "ok"
        self.models = ["gpt-4o-mini"]
        self.root = f"/{uuid.uuid4().hex[:8]}"
        """Before all paths: clients are kept by address, and a later server may get the same port."""
        self._plan: deque[ServerReply] = deque()
        self._requests: list[Request] = []
        self._released = threading.Event()
        self._hanging = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.openai = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.02,), daemon=True, name="openai-server"
        )

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}{self.root}/v1"

    @property
    def requests(self) -> list[Request]:
        """Every request so far, oldest first."""
        with self._lock:
            return list(self._requests)

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The JSON of every chat request so far, oldest first."""
        return [request.body for request in self.requests if request.path.endswith("/chat/completions")]

    def plan(self, *replies: int | str | ServerReply) -> None:
        """Answer the next chat requests with these, one each: a status, a text or a ``ServerReply``."""
        for reply in replies:
            self._plan.append(
                failure(reply)
                if isinstance(reply, int)
                else ServerReply(text=reply)
                if isinstance(reply, str)
                else reply
            )

    def wait_for_hanging(self, requests: int = 1, timeout: float = 10.0) -> bool:
        """Block until this many more requests hang; False after ``timeout`` seconds."""
        return all(self._hanging.acquire(timeout=timeout) for _ in range(requests))

    def release(self) -> None:
        """Answer the requests that hang; from now on none does."""
        self._released.set()

    def chat_model(self, model: str = "gpt-4o-mini", **options: Any) -> ChatOpenAI:
        """A ``ChatOpenAI`` that asks this server, without retries of its own."""
        from langchain_openai import ChatOpenAI

        settings = {"base_url": self.base_url, "api_key": self.key, "max_retries": 0, "timeout": 10, **options}
        return ChatOpenAI(model=model, **settings)

    def start(self) -> OpenAIServer:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and close every connection."""
        self.release()
        self._http.shutdown()
        self._http.server_close()
        self._http.close_connections()
        self._thread.join(5)

    def __enter__(self) -> OpenAIServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- called by the handlers, each on its own thread -------------------------------------------------------------

    def record(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def reply_to(self, body: dict[str, Any]) -> ServerReply:
        with self._lock:
            planned = self._plan.popleft() if self._plan else None
        answer = self.reply(body) if planned is None else planned
        reply = ServerReply(text=answer) if isinstance(answer, str) else answer
        if reply.hang:
            self._hanging.release()
            self._released.wait()
        return reply


class _Http(ThreadingHTTPServer):
    """The HTTP server; knows its open connections, so that stopping leaves none behind."""

    openai: OpenAIServer
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == _ABORT:
            request.close()  # an orderly shutdown would send the end of the stream before the reset
        else:
            super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are part of the tests."""


_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER, 0 seconds: close() sends a reset


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _Http
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self._receive(None) and self._place == "/v1/models":
            models = [
                {"id": name, "object": "model", "created": 0, "owned_by": "loopback"} for name in self.openai.models
            ]
            self._send(200, json.dumps({"object": "list", "data": models}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._receive(body) or self._place != "/v1/chat/completions":
            return
        reply = self.openai.reply_to(body)
        if reply.reset_after == 0:
            self._reset()
        elif reply.body is not None:
            self._send(reply.status, reply.body, reply.headers)
        elif body.get("stream"):
            self._stream(_chunks(body, reply), reply)
        else:
            self._send(reply.status, json.dumps(_completion(body, reply)).encode(), reply.headers)

    @property
    def _place(self) -> str:
        """The path below the server's own root; as it is when it does not lie there."""
        return self.path.removeprefix(self.openai.root)

    @property
    def openai(self) -> OpenAIServer:
        return self.server.openai

    def _receive(self, body: Any) -> bool:
        """Record the request; a wrong key or path is answered here, and False returned."""
        authorized = self.headers.get("Authorization") == f"Bearer {self.openai.key}"
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() != "authorization"}
        self.openai.record(Request(self.command, self._place, headers, body, authorized))
        known = self._place in ("/v1/models", "/v1/chat/completions")
        if not (authorized and known):
            refused = failure(401) if not authorized else failure(404, message=f"Unknown request URL: {self._place}")
            self._send(refused.status, refused.body or b"")
        return authorized and known

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, chunks: Iterator[dict[str, Any]], reply: ServerReply) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, chunk in enumerate(chunks):
            if number == reply.reset_after:
                self.close_connection = True  # not a reset: it may overtake the pieces that were sent
                return
            self._event(json.dumps(chunk))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


def _usage(request: dict[str, Any], reply: ServerReply) -> dict[str, Any] | None:
    if reply.usage is None or isinstance(reply.usage, Mapping):
        return None if reply.usage is None else dict(reply.usage)
    read, written = len(json.dumps(request["messages"])) // 4 + 1, len(reply.text) // 4 + 1
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _tool_calls(reply: ServerReply) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for number, (name, arguments) in enumerate(reply.tool_calls)
    ]


def _completion(request: dict[str, Any], reply: ServerReply) -> dict[str, Any]:
    calls = _tool_calls(reply)
    message = {"role": "assistant", "content": reply.text, "refusal": None, **({"tool_calls": calls} if calls else {})}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if calls else reply.finish,
    }
    usage = _usage(request, reply)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [choice],
        **({} if usage is None else {"usage": usage}),
    }


def _chunks(request: dict[str, Any], reply: ServerReply) -> Iterator[dict[str, Any]]:
    """The pieces of a stream: role, words, tool calls, end, and the usage when the request wants it."""
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": request["model"]}
    calls = [{"index": index, **call} for index, call in enumerate(_tool_calls(reply))]
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\s*\S+\s*|\s+", reply.text)]
    deltas += [{"tool_calls": calls}] if calls else []  # type: ignore[dict-item]
    for delta in deltas:
        yield {**frame, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}
    end = "tool_calls" if calls else reply.finish
    yield {**frame, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": end}]}
    usage = _usage(request, reply)
    if usage is not None and (request.get("stream_options") or {}).get("include_usage"):
        yield {**frame, "choices": [], "usage": usage}
