"""The host's end of the wire: what a hostile worker sends is a value, a :class:`Violation`, or nothing.

A frame is a 4-byte big-endian length and one msgpack list. Hits and failed calls go to the cell as extension types;
from the cell come plain JSON-like values only. Nothing is ever unpickled.
"""

from __future__ import annotations

from typing import Any

import msgpack

from langgraph_rlm.repl.base import FailedCall, HitList
from langgraph_rlm.repl.worker.clock import MOST_TIMES
from langgraph_rlm.repl.worker.wire import FAILED, HITS

_CHECKED = 1 << 20
"""Frames above this many bytes are decoded with a count of their elements."""
ELEMENTS = 2_000_000
"""Of one frame: some hundred megabytes of Python objects; a frame of 64 MB of empty lists would be gigabytes."""
DEPTH = 128
"""Levels of a value; the worker sends at most 100, and Python recurses safely to 1,000."""

Message = list[Any]


class Violation(Exception):
    """The worker has sent what its side of the protocol never sends; the message says what."""


def encode(message: Message | dict[str, Any]) -> bytes:
    """A frame with its length.

    Raises:
        TypeError, ValueError, OverflowError: a value that msgpack cannot hold.
    """
    body = _pack(message)
    return len(body).to_bytes(4, "big") + body


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, default=_extension, unicode_errors="backslashreplace")
    return packed


def _extension(value: Any) -> msgpack.ExtType:
    if isinstance(value, HitList):
        return msgpack.ExtType(HITS, _pack([list(value.hits), value.seen, value.complete]))
    if isinstance(value, FailedCall):
        return msgpack.ExtType(FAILED, _pack([value.category, value.message, value.retryable]))
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent to a cell")


class Frames:
    """Cuts a stream of bytes into messages.

    Args:
        limit: bytes of the largest frame; a longer one is refused when its length is read.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Add what was received."""
        self._buffer += chunk

    def next(self) -> Message | None:
        """The next whole message, or None until more has arrived.

        Raises:
            Violation: it is too long, or no message.
        """
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        size = int.from_bytes(buffer[:4], "big")
        if size > self._limit:
            raise Violation(f"a frame of {size:,} bytes, more than the {self._limit:,} allowed")
        if len(buffer) < 4 + size:
            return None
        body = bytes(buffer[4 : 4 + size])
        del buffer[: 4 + size]
        return check(decode(body))


def decode(body: bytes) -> Any:
    """The msgpack value of a frame's body, with no extension types, no binary data and str keys only.

    Raises:
        Violation: anything else, or so many elements that they would fill the host's memory.
    """
    count = 0

    def counted(container: Any) -> Any:
        nonlocal count
        count += len(container) + 1
        if count > ELEMENTS:
            raise Violation(f"a frame of more than {ELEMENTS:,} elements")
        return container

    hooks = {"list_hook": counted, "object_hook": counted} if len(body) > _CHECKED else {}
    try:
        return msgpack.unpackb(body, ext_hook=_refuse, max_array_len=ELEMENTS, max_map_len=ELEMENTS, **hooks)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Violation(f"a frame that is not valid msgpack ({type(error).__name__})") from None


def _refuse(code: int, _data: bytes) -> Any:
    raise Violation(f"an extension type ({code})")


def check(message: Any) -> Message:
    """The message, if it is one of a worker's.

    Those are ``["ready"]``, ``["failed", reason]``, ``["call", id, name, args, kwargs]`` and
    ``["done", number, stdout, error, final, times]``.

    Raises:
        Violation: it is none of them.
    """
    match message:
        case ["call", int(), str(), list() as args, dict() as kwargs]:
            _plain(args)
            _plain(kwargs)
        case ["done", int(), str(), str() | None, final, list() as times]:
            _plain(final)
            if len(times) > MOST_TIMES or not all(type(at) is int and 0 <= at < 1 << 63 for at in times):
                raise Violation("times that are none")
        case ["ready"] | ["failed", str()]:
            pass
        case _:
            raise Violation("a message of no known shape")
    return message


def _plain(value: Any, depth: int = 0) -> None:
    if value is None or isinstance(value, (str, int, float)):
        return
    if depth >= DEPTH:
        raise Violation(f"a value nested more than {DEPTH} deep")
    if isinstance(value, list):
        for item in value:
            _plain(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Violation(f"a key of type {type(key).__name__}")
            _plain(item, depth + 1)
    else:
        raise Violation(f"a value of type {type(value).__name__}")
