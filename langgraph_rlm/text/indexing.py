"""Builds block indexes of contexts, at once or in the background, and keeps them beside the contexts' files."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from langgraph_rlm.errors import ContextStoreError
from langgraph_rlm.text.blocks import BlockIndex
from langgraph_rlm.text.stored import Stored

_log = logging.getLogger(__name__)


class _Ended(Exception):
    """The store was closed meanwhile."""


class IndexBuilder:
    """Builds the indexes of one store, one at a time.

    Args:
        path_of: the file of a context's index, from its digest; None keeps indexes in memory.
    """

    def __init__(self, path_of: Callable[[str], Path] | None) -> None:
        self._path_of = path_of
        self._one_at_a_time = threading.Lock()
        self._started: set[str] = set()
        self._ended = threading.Event()

    def build(self, digest: str, stored: Stored, on_progress: Callable[[int, int], object] | None = None) -> None:
        """Give a context its index: the one beside its file, or a new one.

        Raises:
            ContextStoreError: it cannot be written; it is there in memory all the same.
        """
        with self._one_at_a_time:
            if stored.blocks is not None:
                return
            path = self._path_of(digest) if self._path_of is not None else None
            known = None if path is None else BlockIndex.read(path, digest)
            total = len(stored.data)
            stored.blocks = known or BlockIndex.of(
                stored.data, None if on_progress is None else lambda done: on_progress(done, total)
            )
            for doc_id in stored.ids() if len(stored.sizes) == 1 else ():
                if (document := stored.document(doc_id)) is not None:
                    document.place_of(0)  # so that no search has to count lines and characters first
            if path is None or known is not None:
                return
            try:
                stored.blocks.write(path, digest)
            except OSError as error:
                raise ContextStoreError(
                    f"the search index of context sha256:{digest[:12]}… cannot be written to {path.parent}: "
                    f"{error.strerror or error}. Searches work without the file; free some room, or check the permissions"
                ) from error

    def start(self, digest: str, stored: Stored) -> None:
        """Build in the background; harmless when that has begun."""
        if digest in self._started or self._ended.is_set():
            return
        self._started.add(digest)
        threading.Thread(target=self._quietly, args=(digest, stored), name="rlm-index", daemon=True).start()

    def close(self) -> None:
        """End what is being built in the background."""
        self._ended.set()

    def _quietly(self, digest: str, stored: Stored) -> None:
        with contextlib.suppress(_Ended):
            try:
                self.build(digest, stored, self._check)
            except ContextStoreError as error:
                _log.warning("%s", error)

    def _check(self, _done: int, _total: int) -> None:
        if self._ended.is_set():
            raise _Ended
