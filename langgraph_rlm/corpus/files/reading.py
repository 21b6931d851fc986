"""Reads hostile kinds of files in a process with bounds of time, memory and output.

Parsers of HTML and PDF are written for files that are what they say. On others they take minutes for a few kilobytes, all of
the memory, or end the process. So they run in one of their own: a fresh Python without this one's environment, that reads one
file after the other, is killed at a bound and started again for the next.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from langgraph_rlm.corpus.files import readers
from langgraph_rlm.corpus.files.readers.frames import DONE, FAILED, PART, REPLY, REQUEST, TITLE, received

# As modules of a package of another name they run from the byte code that the host has cached.
_BOOT = """\
import sys
package = type(sys)('fileside')
package.__path__ = [sys.argv[1]]
sys.modules['fileside'] = package
from fileside.main import main
main(sys.argv[2:])
"""
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}
_PLAIN_MEMORY = 1 << 30
"""Bytes of address space; Python with pypdf maps some 300 MB before it reads anything."""
_MEMORY_TIMES = 16
"""Bytes besides for each byte of a file: a parsed page takes five to ten times its text."""
_PLAIN_TEXT = 64 << 20
"""Bytes of text for any file: a page that is generated may be all of that."""
_TEXT_TIMES = 16
"""Bytes of text for each byte of a file; the text of a PDF is packed to a fifth."""
_SLOWER = 4.0
"""Times the processor's seconds, and …"""
_START_SECONDS = 30.0
"""… seconds besides, that it may take by the clock: a machine may be busy, and a parser be imported for the first time."""


class Kind(NamedTuple):
    """How files of a kind are read."""

    name: str
    """For the process, at most four bytes."""
    seconds: float
    """Of processor time for any file, and …"""
    seconds_per_mb: float
    """… besides for each million bytes: ten times what usual files take."""
    needs: str
    """The package that reads it."""
    advice: str
    """Told where that is missing."""


KINDS = {
    ".html": Kind("html", 0.8, 3.0, "selectolax", "HTML files need selectolax: pip install selectolax"),
    ".htm": Kind("html", 0.8, 3.0, "selectolax", "HTML files need selectolax: pip install selectolax"),
    ".eml": Kind("mail", 0.8, 3.0, "email", ""),
    ".ipynb": Kind("ipyn", 0.8, 3.0, "json", ""),
    ".pdf": Kind("pdf", 0.8, 50.0, "pypdf", 'PDF files need pypdf: pip install "langgraph-rlm[pdf]"'),
}
"""By suffix. A page of HTML takes some 0.2 seconds a million bytes on a slow core, a page of PDF 0.02 to 0.2."""


class NotRead(Exception):
    """Why a file could not be read."""


class Parsed(NamedTuple):
    """The text of a file."""

    parts: list[tuple[int, str]]
    """Number, from 1 for the pages of a PDF and 0 for a whole text, and text; only those with text."""
    title: str


class FileReader:
    """Reads files in a process that is started with the first one. From any thread, one file at a time; close it.

    Example:
        >>> with FileReader() as reader:
        ...     reader.read(".html", b"<title>Tea</title><p>is hot").parts
        [(0, 'is hot\\n')]
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._owner = 0

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read(self, suffix: str, data: bytes) -> Parsed:
        """The text of a file.

        Args:
            suffix: one of ``KINDS``.
            data: the file.

        Raises:
            NotRead: it is not what its name says, or reading it takes more time, memory or text than its size allows.
        """
        kind = KINDS[suffix]
        if importlib.util.find_spec(kind.needs) is None:
            raise NotRead(kind.advice)
        seconds = kind.seconds + kind.seconds_per_mb * len(data) / 1e6
        done = False
        with self._lock:
            try:
                parsed = self._asked(kind, data, seconds)
                done = True
            except (OSError, EOFError) as error:
                raise NotRead(self._why(error, seconds)) from None
            except NotRead as error:
                done = error.args[1:] == (True,)  # it goes on with the next file
                raise NotRead(error.args[0]) from None
            finally:
                if not done:
                    self._end()
        return parsed

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _asked(self, kind: Kind, data: bytes, seconds: float) -> Parsed:
        sock = self._connected()
        deadline = time.monotonic() + _START_SECONDS + _SLOWER * seconds
        memory = _PLAIN_MEMORY + _MEMORY_TIMES * len(data)
        sock.settimeout(deadline - time.monotonic())
        sock.sendall(REQUEST.pack(kind.name.encode(), seconds, memory, len(data)))
        sock.sendall(data)
        left = most = _PLAIN_TEXT + _TEXT_TIMES * len(data)
        parsed = Parsed([], "")
        while True:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            what, number, size = REPLY.unpack(received(sock, REPLY.size))
            left -= size
            if left < 0:
                raise NotRead(f"its text has more than {most:,} bytes")
            text = received(sock, size).decode("utf-8", "replace")
            if what == PART:
                parsed.parts.append((number, text))
            elif what == TITLE:
                parsed = parsed._replace(title=text)
            elif what == DONE:
                return parsed
            elif what == FAILED:
                raise NotRead(f"no {kind.name.upper()} that can be read ({text})", True)
            else:
                raise NotRead("its reader answers what nobody asked for")

    def _connected(self) -> socket.socket:
        """The host's end of the wire; a copy of this process that was forked starts a reader of its own."""
        if self._sock is not None and self._owner == os.getpid() and self._process is not None:
            if self._process.poll() is None:
                return self._sock
            self._end()
        if self._sock is not None:
            self._sock.close()
        ours, theirs = socket.socketpair()
        with theirs:
            folder = str(Path(readers.__file__).parent)
            packages = [str(Path(entry).absolute()) for entry in sys.path if entry]
            command = [sys.executable, "-s", "-P", "-B", "-S", "-c", _BOOT, folder, str(theirs.fileno()), *packages]
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=_ENVIRONMENT,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for the host
                )
            except OSError:
                ours.close()
                raise
        self._sock, self._owner = ours, os.getpid()
        return ours

    def _why(self, error: BaseException, seconds: float) -> str:
        """What became of a process that does not answer."""
        process = self._process
        if process is None or isinstance(error, TimeoutError):
            return "reading it takes too long" if process is not None else f"its reader cannot be started: {error}"
        try:
            status = process.wait(_SLOWER)
        except subprocess.TimeoutExpired:
            return "its reader does not answer"
        if status == -signal.SIGPROF:
            return f"reading it takes more than {seconds:.1f} seconds"
        return "its reader ended: the file is damaged, or made to do harm"

    def _end(self) -> None:
        process, sock, self._process, self._sock = self._process, self._sock, None, None
        if sock is not None:
            sock.close()
        if process is not None and self._owner == os.getpid():
            process.kill()
            with contextlib.suppress(OSError):
                process.wait()
