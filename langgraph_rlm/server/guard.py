"""What stands before every surface: how large a request may be, how many runs at once, and runs whose client has gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from langgraph_rlm.server.keys import Caller
from langgraph_rlm.server.tenants import caller_of_request

MOST_RUNS = 64
"""At once in one process: each may have ``max_concurrency`` (32) model calls in flight."""
MOST_RUNS_OF_ONE = 16
"""Of one tenant: a quarter of all."""
MOST_REQUEST_BYTES = 20_000_000
"""Of a request that is no upload: it is read into memory. Larger texts are uploaded first."""
RETRY_AFTER_SECONDS = 5
"""Told to a client that is refused: about as long as a short recursive run takes."""


class Guard:
    """ASGI middleware for the paths that start runs; everything else passes.

    A request that is too large is answered by 413, one run too many by 429 with ``Retry-After``. When the client of a
    request that has had no answer yet is gone, its run is cancelled.

    Args:
        app: what is guarded.
        runs: whether a path starts runs.
        most_runs: at once.
        most_runs_of_one: of one tenant.
        most_bytes: of a request.
    """

    def __init__(
        self,
        app: Any,
        runs: Callable[[str], bool],
        *,
        most_runs: int = MOST_RUNS,
        most_runs_of_one: int = MOST_RUNS_OF_ONE,
        most_bytes: int = MOST_REQUEST_BYTES,
    ) -> None:
        self._app, self._runs = app, runs
        self._most, self._most_of_one, self._most_bytes = most_runs, most_runs_of_one, most_bytes
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST" or not self._runs(scope["path"]):
            await self._app(scope, receive, send)
            return
        with self._place(caller_of_request(scope)) as has_place:
            if has_place:
                await _Request(scope, receive, send, self._most_bytes).served(self._app)
            else:
                told = "too many runs at once: try again later"
                await refuse(send, 429, told, [(b"retry-after", str(RETRY_AFTER_SECONDS).encode())])

    @contextmanager
    def _place(self, caller: Caller) -> Iterator[bool]:
        if self._running.total() >= self._most or self._running[caller.tenant] >= self._most_of_one:
            yield False
            return
        self._running[caller.tenant] += 1
        try:
            yield True
        finally:
            self._running[caller.tenant] -= 1
            if not self._running[caller.tenant]:
                del self._running[caller.tenant]


class _TooLarge(Exception):
    """The body of a request is."""


class _Request:
    """One request that starts a run."""

    def __init__(self, scope: Any, receive: Any, send: Any, most_bytes: int) -> None:
        self._scope, self._receive, self._send, self._most_bytes = scope, receive, send, most_bytes
        self._size = 0
        self._answering = False
        self._after_body: asyncio.Task[Any] | None = None
        self._work: asyncio.Task[None] | None = None
        self._gone = False

    async def served(self, app: Any) -> None:
        """Let the app answer, and cancel it when nobody waits for the answer any more."""
        self._work = asyncio.create_task(app(self._scope, self._received, self._sent))
        try:
            await self._work
        except _TooLarge:
            if not self._answering:
                await refuse(
                    self._send, 413, f"the request is larger than {self._most_bytes:,} bytes: upload the context first"
                )
        except asyncio.CancelledError:
            self._work.cancel()
            if not self._gone:
                raise
        finally:
            if self._after_body is not None:
                self._after_body.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._after_body

    async def _received(self) -> Any:
        if self._after_body is not None:
            return await asyncio.shield(self._after_body)
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._most_bytes:
            raise _TooLarge
        if message["type"] == "http.request" and not message.get("more_body"):
            self._after_body = asyncio.create_task(self._until_gone())
        return message

    async def _until_gone(self) -> Any:
        message = await self._receive()  # behind the body nothing else can come
        if not self._answering and self._work is not None:  # a stream ends by itself
            self._gone = True
            self._work.cancel()
        return message

    async def _sent(self, message: Any) -> None:
        self._answering = True
        await self._send(message)


async def refuse(send: Any, status: int, detail: str, headers: Any = ()) -> None:
    """Answer a request without any framework."""
    body = json.dumps({"detail": detail}).encode()
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", b"application/json"), *headers],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
