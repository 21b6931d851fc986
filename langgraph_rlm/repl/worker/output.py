"""What a cell prints: kept in memory, the head and the tail of it, and never more than a few times the limit."""

from __future__ import annotations

import io
from _thread import allocate_lock


def clip(text: str, limit: int, *, tail: str = "", cut: int = 0) -> str:
    """The head and the tail of a text, and how many characters are missing between them.

    Args:
        text: the text, or its first ``limit`` characters at least.
        limit: characters of the result at most.
        tail: what follows ``text`` after ``cut`` characters that are gone already; then at least ``limit`` of them.
        cut: how many are gone.

    Example:
        >>> clip("a" * 50 + "b" * 50, 60)
        'aaaaaaaaaa\\n[... 80 characters cut ...]\\nbbbbbbbbbb'
    """
    total = len(text) + cut + len(tail)
    if total <= limit:
        return text + tail
    room = limit - 40  # for the line in the middle
    if room < 2:
        return (text + tail)[:limit]
    head, end = (text + tail)[: room // 2], (text + tail)[-(room // 2) :]
    return f"{head}\n[... {total - len(head) - len(end):,} characters cut ...]\n{end}"


class Output(io.TextIOBase):
    """stdout and stderr of cells, in the order of printing, from all threads.

    What a thread prints goes to the cell that runs at that moment; between two cells it is dropped.

    Args:
        limit: characters that one cell's output may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = False
        self._head: str | None = None
        self._pieces: list[str] = []
        self._size = 0
        self._cut = 0
        self._compacting = allocate_lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Always UTF-8."""
        return "utf-8"

    def writable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Does nothing: a cell that closes stdout must not silence the next one."""

    def begin(self) -> None:
        """A cell starts."""
        self._head, self._pieces, self._size, self._cut = None, [], 0, 0
        self._open = True

    def end(self) -> str:
        """The cell has ended; its output within the limit."""
        self._open = False
        tail = "".join(self._pieces)
        return (
            clip(tail, self._limit) if self._head is None else clip(self._head, self._limit, tail=tail, cut=self._cut)
        )

    def write(self, text: str) -> int:
        """Take a piece of output."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._open and text:
            self._pieces.append(text)
            self._size += len(text)
            if self._size > 4 * self._limit + 65_536 and self._compacting.acquire(False):
                try:
                    self._compact()
                finally:
                    self._compacting.release()
        return len(text)

    def _compact(self) -> None:
        pieces = self._pieces
        count = len(pieces)  # other threads may append meanwhile
        text = "".join(pieces[:count])
        if self._head is None:
            self._head, text = text[: self._limit], text[self._limit :]
        tail = text[-self._limit :] if self._limit else ""
        self._cut += len(text) - len(tail)
        pieces[:count] = [tail]
        self._size = len(tail)
