"""Builds block indexes of contexts, at once or in the background, and keeps them beside the contexts' files."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from langgraph_rlm.errors import ContextStoreError
from langgraph_rlm.text.blocks import BlockIndex
from langgraph_rlm.text.plan import Plan
from langgraph_rlm.text.stored import Stored

LEAST_BYTES = 1 << 22
"""Of contexts whose index is looked for in a file; smaller ones are searched as fast without."""
INDEXED_BYTES = 100_000_000
"""Of contexts that get an index by themselves."""
SEARCHES_BEFORE_INDEX = 3
"""Of such a context, before its index is built in the background."""

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
        self._ended = threading.Event()

    def load(self, digest: str, stored: Stored) -> None:
        """Use the index that lies beside the context's file, if there is one; looked for once."""
        if stored.index_sought or len(stored.data) < LEAST_BYTES:
            return
        stored.index_sought = True
        if stored.blocks is None and self._path_of is not None:
            found = BlockIndex.read(self._path_of(digest), digest, len(stored.data))
            if found is not None:
                stored.indexed_by(found)

    def build(self, digest: str, stored: Stored, on_progress: Callable[[int, int], object] | None = None) -> None:
        """Give a context its index: the one beside its file, or a new one.

        Raises:
            ContextStoreError: it cannot be written; it is there in memory all the same.
        """
        with self._one_at_a_time:
            if stored.blocks is not None:
                return
            path, total = self._path_of(digest) if self._path_of is not None else None, len(stored.data)
            known = None if path is None else BlockIndex.read(path, digest, total, whole=True)
            made = known or BlockIndex.of(
                stored.data, None if on_progress is None else lambda done: on_progress(done, total)
            )
            stored.indexed_by(made)
            if path is not None and known is None:
                stored.indexed_by(_kept(made, path, digest, total))

    def wants(self, stored: Stored) -> bool:
        """Whether a context is large enough for an index, and has none."""
        return len(stored.data) >= INDEXED_BYTES and stored.blocks is None

    def note(self, digest: str, stored: Stored, plan: Plan) -> None:
        """Start to build an index that is wanted in the background, when the context is searched again and again.

        Args:
            digest: of the context.
            stored: the context.
            plan: of what was searched for just now.
        """
        if plan.indexed is None:
            return
        searches = stored.searches = stored.searches + 1
        if searches == SEARCHES_BEFORE_INDEX and not self._ended.is_set():
            threading.Thread(target=self._quietly, args=(digest, stored), name="rlm-index", daemon=True).start()

    def close(self) -> None:
        """End what is being built in the background."""
        self._ended.set()

    def _quietly(self, digest: str, stored: Stored) -> None:
        try:
            self.build(digest, stored, self._check)
        except _Ended:
            pass
        except ContextStoreError as error:
            _log.warning("%s", error)
        except Exception:  # noqa: BLE001 - nobody waits for this thread
            _log.exception("no search index of context sha256:%s… was built; searches go on without it", digest[:12])

    def _check(self, _done: int, _total: int) -> None:
        if self._ended.is_set():
            raise _Ended


def _kept(index: BlockIndex, path: Path, digest: str, size: int) -> BlockIndex:
    """Write an index; the one in the file takes its place, which costs no memory."""
    try:
        index.write(path, digest)
    except OSError as error:
        raise ContextStoreError(
            f"the search index of context sha256:{digest[:12]}… cannot be written to {path.parent}: "
            f"{error.strerror or error}. Searches work without the file; free some room, or check the permissions"
        ) from error
    return BlockIndex.read(path, digest, size) or index
