"""HTTP clients for the models that are made from a name: no redirects, replies of bounded size, nothing read after the end.

A thread that reads a reply cannot be interrupted from outside. So each piece that arrives asks whether its call is still
wanted: when the run is over, or more has come than a reply can be, the connection is closed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

MOST_BODY_BYTES = 32_000_000
"""Of one reply; one of 128K tokens with their probabilities is a tenth of it."""


class ReplyTooLarge(ConnectionError):
    """A server sent more than a reply can be; the connection was closed."""


class CallEnded(ConnectionError):
    """Nobody waits for this reply any more; the connection was closed."""


class Watch:
    """Of one call: whether somebody waits for its reply. Travels to the call's thread in a context variable."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._token: Any = None

    def __enter__(self) -> Watch:
        self._token = _WATCH.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _WATCH.reset(self._token)
        self._over.set()

    def check(self, received: int) -> None:
        """Raise when the reply is too large, or not wanted any more."""
        if received > MOST_BODY_BYTES:
            raise ReplyTooLarge(f"the server sent more than {MOST_BODY_BYTES:,} bytes")
        if self._over.is_set():
            raise CallEnded("the call is over")


_WATCH: ContextVar[Watch | None] = ContextVar("rlm_watch", default=None)


def guarded_clients(model: Any) -> dict[str, Any] | None:
    """The clients to make a model of OpenAI's protocol with, by the names of its options; None for other models."""
    if not any(cls.__name__ == "BaseChatOpenAI" for cls in type(model).__mro__):
        return None
    import openai

    # Uncompressed: a small body may be any number of bytes when it is unpacked.
    given: dict[str, Any] = {"follow_redirects": False, "headers": {"Accept-Encoding": "identity"}}
    return {
        "http_client": openai.DefaultHttpxClient(**given, event_hooks={"response": [_guard]}),
        "http_async_client": openai.DefaultAsyncHttpxClient(**given, event_hooks={"response": [_aguard]}),
    }


def _check_plain(response: Any) -> None:
    coding = response.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise ReplyTooLarge(f"the server packs its reply ({coding[:40]}), although it was asked not to")


def _guard(response: Any) -> None:
    _check_plain(response)
    response.stream = _stream_of(response, "SyncByteStream", _Guarded)(response.stream)


async def _aguard(response: Any) -> None:
    _check_plain(response)
    response.stream = _stream_of(response, "AsyncByteStream", _AsyncGuarded)(response.stream)


def _stream_of(response: Any, base: str, guarded: type) -> type:
    """Our stream as a class of the library that this response is from: httpx or its successor, which check the type."""
    library = sys.modules[type(response).__module__.partition(".")[0]]
    return type(guarded.__name__, (guarded, getattr(library, base)), {})


class _Counted:
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._watch = _WATCH.get() or Watch()
        self._received = 0

    def _count(self, piece: bytes) -> bytes:
        self._received += len(piece)
        self._watch.check(self._received)
        return piece


class _Guarded(_Counted):
    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            yield self._count(piece)

    def close(self) -> None:
        self._stream.close()


class _AsyncGuarded(_Counted):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield self._count(piece)

    async def aclose(self) -> None:
        await self._stream.aclose()
