"""A port to listen at, and an ASGI app behind it."""

from __future__ import annotations

import ipaddress
import socket
from importlib import import_module
from typing import Any

from langgraph_rlm.cli.cleaning import one_line
from langgraph_rlm.errors import MissingDependency, RLMError

BACKLOG = 2048
"""Connections that wait to be accepted: uvicorn's own; the kernel has a bound of its own (``somaxconn``)."""
HEADER_SECONDS = 10.0
"""A connection without any request is closed after as long; uvicorn itself would keep it for ever."""
FAREWELL_SECONDS = 5
"""How long requests may go on after Ctrl-C or SIGTERM."""


def listening_at(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is one that is free.

    Raises:
        RLMError: the port is in use, or the address is none of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        reason = error.strerror or error
        raise RLMError(f"cannot listen at {one_line(host)}:{port}: {reason}. Take another port or address") from error
    return listening


def serve_app(app: Any, listening: socket.socket) -> None:
    """Serve an app until Ctrl-C or SIGTERM; blocks.

    Raises:
        MissingDependency: uvicorn is not installed.
    """
    try:
        uvicorn: Any = import_module("uvicorn")
    except ImportError as missing:
        raise MissingDependency("serving over HTTP needs uvicorn. Run: pip install uvicorn") from missing
    protocol = _impatient(import_module("uvicorn.protocols.http.h11_impl").H11Protocol)
    config = uvicorn.Config(app, http=protocol, log_level="warning", timeout_graceful_shutdown=FAREWELL_SECONDS)
    uvicorn.Server(config).run(sockets=[listening])


def _impatient(protocol: Any) -> Any:
    """A protocol of uvicorn's that does not wait for clients that send no request, or send it by and by."""

    class Impatient(protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(HEADER_SECONDS, self._close_without_request)

        def _close_without_request(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    return Impatient


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
