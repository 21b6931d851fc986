"""The reader's process: takes one file after the other from its socket, each with bounds of time and memory of its own."""

from __future__ import annotations

import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .frames import DONE, FAILED, PART, REPLY, REQUEST, TITLE, received

_REASON_CHARS = 200
"""Of a parser's words: one sentence for a list of skipped files."""


def main(arguments: list[str]) -> None:
    """Serve until the host hangs up.

    Args:
        arguments: the descriptor of the socket, and where the host finds packages.
    """
    handle, *path = arguments
    sys.path[:] = path
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process, in whatever library it is
    with socket.socket(fileno=int(handle)) as sock:
        while _serve(sock):
            pass


def _serve(sock: socket.socket) -> bool:
    """Read one file; False when there is none, or nothing more should be read in this process."""
    try:
        kind, seconds, memory, size = REQUEST.unpack(received(sock, REQUEST.size))
        data = received(sock, size)
    except (EOFError, ConnectionError):
        return False
    again = True
    try:
        read = _reader(kind.rstrip(b"\0").decode())
        resource.setrlimit(resource.RLIMIT_AS, (memory, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, seconds)
        for what, number, text in read(data):
            _send(sock, what, number, text)
        _send(sock, DONE, 0, "")
    except MemoryError:
        again = False
        data = b""
        _send(sock, FAILED, 0, "reading it takes too much memory")
    except RecursionError:
        _send(sock, FAILED, 0, "it is nested too deeply")
    except Exception as error:  # noqa: BLE001  # whatever a parser raises on a file is a fault of the file
        _send(sock, FAILED, 0, " ".join(str(error).split())[:_REASON_CHARS] or type(error).__name__)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return again


def _send(sock: socket.socket, kind: bytes, number: int, text: str) -> None:
    payload = text.encode("utf-8", "replace")
    sock.sendall(REPLY.pack(kind, number, len(payload)))
    sock.sendall(payload)


def _reader(kind: str) -> Any:
    """What reads this kind, imported before the limits begin."""
    if kind == "pdf":
        from .pdf import pdf_pages

        def pages(data: bytes) -> Iterator[tuple[bytes, int, str]]:
            for number, text in pdf_pages(data):
                yield PART, number, text

        return pages
    if kind == "ipyn":
        from .notebook import notebook_text

        return lambda data: iter([(PART, 0, notebook_text(data))])
    if kind == "mail":
        from .mail import mail_text

        return _titled(mail_text)
    if kind != "html":
        raise ValueError(f"nothing here reads {kind!r}")
    from .html import html_text

    return _titled(html_text)


def _titled(read: Callable[[bytes], tuple[str, str]]) -> Any:
    """A reader of a whole text that has a title."""

    def page(data: bytes) -> Iterator[tuple[bytes, int, str]]:
        text, title = read(data)
        yield TITLE, 0, title
        yield PART, 0, text

    return page
