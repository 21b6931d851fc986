"""Standard output and error that survive a reader who leaves: ``| head`` is no failure."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any


class ReaderGone(BaseException):
    """Nobody reads standard output any more. No ``OSError``: libraries would end the process with a code of theirs."""


class _Pipe(io.FileIO):
    """A descriptor of the process, written to until all is out, also when it does not block.

    Args:
        descriptor: 1 or 2.
        leaves: what to do when nobody reads: raise :class:`ReaderGone`, or else drop what is written.
    """

    def __init__(self, descriptor: int, *, leaves: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._leaves = leaves

    def write(self, data: Any) -> int:
        """Write some of ``data``; see ``FileIO.write``."""
        try:
            while (written := super().write(data)) is None:  # a full pipe that another process made non-blocking
                select.select([], [self.fileno()], [])
            return written
        except BrokenPipeError:
            silence(self.fileno())
            if self._leaves:
                raise ReaderGone from None
            return len(memoryview(data).cast("B"))


def silence(descriptor: int) -> None:
    """Send what is still written to a descriptor nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def install() -> None:
    """Put such streams in the place of ``sys.stdout`` and ``sys.stderr``; what the encoding lacks is written as ``?``.

    A closed standard error loses notes and nothing else, a closed standard output ends the command (:class:`ReaderGone`).
    """
    for name, leaves in (("stdout", True), ("stderr", False)):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):  # closed by the caller (`>&-`), or somebody else's
            continue
        stream.flush()
        pipe = _Pipe(stream.fileno(), leaves=leaves)
        setattr(
            sys,
            name,
            io.TextIOWrapper(
                io.BufferedWriter(pipe), stream.encoding, errors="replace", line_buffering=stream.line_buffering
            ),
        )
