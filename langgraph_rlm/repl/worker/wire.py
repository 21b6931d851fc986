"""The cell's end of the wire: frames to the host, and calls that many threads of a cell may make at once.

A frame is a 4-byte big-endian length and a msgpack list. Nobody owns the reading end: a thread that waits reads for
all until its own message is there, then another that waits takes over. So a lone call needs no second thread.
"""

from __future__ import annotations

import os
from _socket import socket
from _thread import allocate_lock, get_ident
from os import _exit
from typing import Any

import msgpack

from .alarm import Alarm
from .names import CallError, Hits
from .values import argument

HITS = 1
"""Extension type of a list of hits: ``[hits, seen, complete]``."""
FAILED = 2
"""Extension type of a failed call: ``[category, message, retryable]``."""

_CHUNK = 1 << 18
"""Bytes read at once: about what a socket holds."""
_NEXT_CELL = 0
"""Stands for the next cell among the ids of calls, which begin with 1."""
_ERRORS: dict[str, type[Exception]] = {
    "TypeError": TypeError,
    "ValueError": ValueError,
    "KeyError": KeyError,
    "TimeoutError": TimeoutError,
}


def extension(code: int, data: bytes) -> Any:
    """The value of the cell that an extension type of the host stands for."""
    parts = unpack(data)
    return Hits(*parts) if code == HITS else CallError(*parts)


def unpack(data: bytes) -> Any:
    """One message of the host, which is trusted."""
    return msgpack.unpackb(data, ext_hook=extension, strict_map_key=False)


def pack(message: list[Any]) -> bytes:
    """A message as msgpack. A lone surrogate, which UTF-8 cannot hold, is written as its escape."""
    packed: bytes = msgpack.packb(message, unicode_errors="backslashreplace")
    return packed


class _Waiter:
    __slots__ = ("bell", "message")

    def __init__(self) -> None:
        self.bell = allocate_lock()
        self.bell.acquire()
        self.message: list[Any] | None = None

    def ring(self) -> None:
        if self.bell.locked():
            self.bell.release()


class Wire:
    """Sends frames, and hands what arrives to the thread that waits for it.

    Args:
        sock: the connection to the host.
        received: bytes that were read from it already.
        frame_bytes: largest frame that the host takes.
        alarm: kept off the main thread while it is in here, or a frame could be torn.
    """

    def __init__(self, sock: socket, received: bytearray, frame_bytes: int, alarm: Alarm) -> None:
        self._sock = sock
        self._buffer = received
        self._frame_bytes = frame_bytes
        self._alarm = alarm
        self._main = get_ident()
        self._pid = os.getpid()
        self._sending = allocate_lock()
        self._reading = allocate_lock()
        self._mutex = allocate_lock()
        self._waiters: dict[int, _Waiter] = {}
        self._last_id = 0
        self._cell_runs = False

    def next_cell(self, outcome: list[Any]) -> list[Any]:
        """Report what came of a cell (or of the start) and wait for the next one."""
        waiter = self._expect(_NEXT_CELL)
        with self._sending:
            self._cell_runs = False
            self._send(outcome)
        message = self._collect(_NEXT_CELL, waiter)
        self._cell_runs = True
        return message

    def fits(self, message: list[Any]) -> bool:
        """Whether the host takes it as one frame."""
        return len(pack(message)) <= self._frame_bytes

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the host and wait for its value."""
        if os.getpid() != self._pid:
            raise RuntimeError(f"{name}() can be called from threads of a cell, not from processes that it started")
        listed = [argument(value, f"{name}() argument {at}") for at, value in enumerate(args, 1)]
        named = {key: argument(value, f"{name}() argument {key!r}") for key, value in kwargs.items()}
        if get_ident() != self._main:
            return self._call(name, listed, named)
        self._alarm.hold()
        try:
            return self._call(name, listed, named)
        finally:
            self._alarm.let_go()

    def _call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        with self._mutex:
            self._last_id += 1
            number = self._last_id
        frame = pack(["call", number, name, args, kwargs])
        if len(frame) > self._frame_bytes:
            raise ValueError(
                f"the arguments of {name}() are {len(frame):,} bytes, more than the {self._frame_bytes:,} that one "
                "call may carry; pass less at a time"
            )
        waiter = self._expect(number)
        with self._sending:
            runs = self._cell_runs
            if runs:
                self._write(frame)
        if not runs:
            with self._mutex:
                del self._waiters[number]
            raise RuntimeError(f"{name}() was called by a thread that outlived its cell; join threads in their cell")
        _, _, kind, value = self._collect(number, waiter)
        if kind == "ok":
            return value
        raise _ERRORS.get(kind, RuntimeError)(value)

    def _send(self, message: list[Any]) -> None:
        self._write(pack(message))

    def _write(self, frame: bytes) -> None:
        try:
            self._sock.sendall(len(frame).to_bytes(4, "big") + frame)
        except OSError:
            _exit(0)  # the host is gone

    def _expect(self, key: int) -> _Waiter:
        waiter = _Waiter()
        with self._mutex:
            self._waiters[key] = waiter
        return waiter

    def _collect(self, key: int, waiter: _Waiter) -> list[Any]:
        while waiter.message is None:
            if self._reading.acquire(False):
                try:
                    while waiter.message is None:
                        self._deliver(self._read())
                finally:
                    self._reading.release()
            else:
                waiter.bell.acquire()
        with self._mutex:
            del self._waiters[key]
            for other in self._waiters.values():
                if other.message is None:
                    other.ring()  # it reads now, unless a newcomer does
                    break
        return waiter.message

    def _deliver(self, message: list[Any]) -> None:
        key = message[1] if message[0] == "reply" else _NEXT_CELL
        with self._mutex:
            waiter = self._waiters.get(key)
            if waiter is not None:
                waiter.message = message
                waiter.ring()

    def _read(self) -> list[Any]:
        buffer = self._buffer
        need = 4
        while True:
            if len(buffer) >= 4:
                need = 4 + int.from_bytes(buffer[:4], "big")
                if len(buffer) >= need:
                    break
            try:
                chunk = self._sock.recv(_CHUNK)
            except OSError:
                chunk = b""
            if not chunk:
                _exit(0)  # the host is gone
            buffer += chunk
        body = bytes(buffer[4:need])
        del buffer[:need]
        message: list[Any] = unpack(body)
        return message
