"""One writer at a time for a corpus' directory, across threads and processes."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from langgraph_rlm.errors import CorpusError, StoreUnavailable


class WriterLock:
    """Threads wait for each other; another process, or another object for the same directory, is refused at once.

    The kernel lets go of the lock when a process ends, however it ends.

    Args:
        path: the file to lock; made when it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            StoreUnavailable: someone else writes.
            CorpusError: the file cannot be written.
        """
        with self._threads, self._opened() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreUnavailable(
                    f"the corpus in {self._path.parent} is being changed by another process or object: wait until it "
                    "has finished"
                ) from None
            yield

    def _opened(self) -> BinaryIO:
        try:
            return self._path.open("ab")
        except OSError as error:
            raise CorpusError(
                f"{self._path}, the lock of the corpus, cannot be written ({error.strerror or error}): see that the directory "
                "may be written and that this is a file; one that is damaged may be removed"
            ) from error
