"""What host and reader say to each other: a request with a file's bytes, and the parts of its text."""

from __future__ import annotations

import socket
import struct

REQUEST = struct.Struct("!4sdQQ")
"""Kind of the file, seconds of processor time, bytes of memory, bytes of the file; these follow."""
REPLY = struct.Struct("!cIQ")
"""Kind of the reply, number of the page, bytes of UTF-8; these follow."""
PART, TITLE, DONE, FAILED = b"p", b"t", b"d", b"f"
_PIECE = 1 << 20  # bytes asked for at once: what is read is bounded by what came, not by what was announced


def received(sock: socket.socket, size: int) -> bytes:
    """So many bytes.

    Raises:
        EOFError: the other side has ended.
    """
    pieces, left = [], size
    while left:
        piece = sock.recv(min(left, _PIECE))
        if not piece:
            raise EOFError
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
