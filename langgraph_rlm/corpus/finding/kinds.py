"""What kind of documents a question is asked about: how much of its scope is code."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

from langgraph_rlm.corpus.catalog import Catalog, Row
from langgraph_rlm.corpus.filters import Where
from langgraph_rlm.corpus.names.linking import style_of

MOST_KEPT = 32
"""Scopes at a time, one for each filter in use."""


class CodeShares:
    """How much of a scope is code, counted once for each state of the corpus.

    Args:
        catalog: the documents.
        passing: gives those that pass a filter.
    """

    def __init__(self, catalog: Catalog, passing: Callable[[Where | None], Iterable[Row]]) -> None:
        self._catalog, self._passing = catalog, passing
        self._known: OrderedDict[tuple[int, str], float] = OrderedDict()
        self._lock = threading.Lock()

    def share(self, where: Where | None) -> float:
        """Of the chunks of the documents that pass a filter, 0 to 1, those of code."""
        key = (self._catalog.changes(), repr(where))
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        sizes = self._catalog.sizes() if not where else ((row.doc_id, row.chunks) for row in self._passing(where))
        code = total = 0
        for doc_id, chunks in sizes:
            total += chunks
            code += chunks if style_of(doc_id) == "code" else 0
        share = code / total if total else 0.0
        with self._lock:
            self._known[key] = share
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return share
