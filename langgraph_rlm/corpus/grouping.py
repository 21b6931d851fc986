"""GroupedSource: the chunks of a store as documents, one for each source that their metadata names."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from langgraph_rlm.corpus.filters import Where, is_text, matches
from langgraph_rlm.corpus.layout import laid_out
from langgraph_rlm.corpus.sources import Part, Source
from langgraph_rlm.threads import in_thread

MOST_KEPT_CHARS = 20_000_000
"""Of the chunks whose places are remembered: some hundred books. The last source is kept whatever its size."""
_ASKED_AT_ONCE = 100
"""Sources of one request; a search has as many hits at most as people read."""


class GroupedSource:
    """What stands in a store, with the sources of its chunks as documents.

    The place of a chunk follows from all chunks of its source, which are looked up when one of them is found, and kept until
    the store's size changes. Chunks without a source, and those of a store that gives no texts away, stay documents of their own.

    Args:
        inner: the store.
        key: the field of the metadata that names the source.
    """

    def __init__(self, inner: Source, key: str) -> None:
        self._inner = inner
        self.lexical, self.model, self.lists = inner.lexical, inner.model, inner.lists
        self._key = key
        self._lock = threading.Lock()
        self._known: OrderedDict[str, dict[str, Part]] = OrderedDict()
        self._known_chars = 0
        self._size: int | None = None

    @property
    def inner(self) -> Source:
        """The store itself."""
        return self._inner

    def check(self, where: Where | None) -> None:
        """As the store."""
        self._inner.check(where)

    def near(self, query: str, k: int, where: Where | None) -> list[Part]:
        """As the store, at their places."""
        return self._placed(self._inner.near(query, k, where))

    async def anear(self, query: str, k: int, where: Where | None) -> list[Part]:
        """As the store, at their places."""
        found = await self._inner.anear(query, k, where)
        return await in_thread(self._placed, found) if self.lists else found

    def worded(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """As the store, at their places."""
        found = self._inner.worded(query, k, where)
        return None if found is None else self._placed(found)

    def fused(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """As the store, at their places."""
        found = self._inner.fused(query, k, where)
        return None if found is None else self._placed(found)

    def parts(self, where: Where | None = None) -> Iterator[Part]:
        """Everything that passes a filter, source by source."""
        groups: dict[str, list[Part]] = {}
        for part in self._inner.parts():
            source = self._source_of(part)
            if source is not None:
                groups.setdefault(source, []).append(part)
            elif matches(where, part.metadata):
                yield part
        while groups:
            source, parts = groups.popitem()
            yield from (part for part in laid_out(_document(source), parts) if matches(where, part.metadata))

    def records(self) -> Iterator[Part]:
        """As the store has them, without their places: to look at a few."""
        return self._inner.records()

    def candidates(self, literals: Sequence[str]) -> Iterator[Part] | None:
        """As the store, at their places; a string that stands across two chunks is in neither."""
        found = self._inner.candidates(literals)
        return None if found is None else iter(self._placed(list(found)))

    def parts_of(self, doc_id: str) -> list[Part]:
        """All chunks of a source, or what the store has under this id."""
        source = _source(doc_id)
        if self.lists and is_text(source):
            found = self._layouts([source]).get(source)
            if found:
                return list(found.values())
        return self._inner.parts_of(doc_id)

    def size(self) -> int | None:
        """As the store: records."""
        return self._inner.size()

    def close(self) -> None:
        """Close the store."""
        self._inner.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _source_of(self, part: Part) -> str | None:
        source = part.metadata.get(self._key)
        return source if not part.placed and isinstance(source, str) and source.strip() and is_text(source) else None

    def _placed(self, found: list[Part]) -> list[Part]:
        sources = [self._source_of(part) for part in found]
        if not self.lists or not any(sources):
            return found
        layouts = self._layouts(dict.fromkeys(one for one in sources if one is not None))
        stale = [
            source
            for part, source in zip(found, sources, strict=True)
            if source is not None and not _same(layouts[source].get(part.doc_id), part)
        ]
        if stale:  # written since it was looked up
            layouts |= self._layouts(dict.fromkeys(stale), again=True)
        placed = []
        for part, source in zip(found, sources, strict=True):
            place = None if source is None else layouts[source].get(part.doc_id)
            placed.append(place._replace(score=part.score) if place is not None and _same(place, part) else part)
        return placed

    def _layouts(self, sources: Iterable[str], again: bool = False) -> dict[str, dict[str, Part]]:
        """The places of the chunks of these sources, by the ids of their records."""
        wanted = list(sources)
        size = self._inner.size()
        with self._lock:
            if size != self._size:
                self._known.clear()
                self._known_chars, self._size = 0, size
            known = {} if again else {one: self._known[one] for one in wanted if one in self._known}
            for one in known:
                self._known.move_to_end(one)
        missing = [one for one in wanted if one not in known]
        for at in range(0, len(missing), _ASKED_AT_ONCE):
            some = missing[at : at + _ASKED_AT_ONCE]
            groups: dict[str, list[Part]] = {one: [] for one in some}
            for part in self._inner.parts({self._key: some[0] if len(some) == 1 else {"$in": some}}):
                if (source := self._source_of(part)) in groups:
                    groups[source].append(part)
            for source, parts in groups.items():
                known[source] = self._remember(source, parts)
        return known

    def _remember(self, source: str, parts: list[Part]) -> dict[str, Part]:
        layout = {part.record: part for part in laid_out(_document(source), parts)}
        with self._lock:
            if (before := self._known.pop(source, None)) is not None:
                self._known_chars -= _chars(before)
            self._known[source] = layout
            self._known_chars += _chars(layout)
            while self._known_chars > MOST_KEPT_CHARS and len(self._known) > 1:
                self._known_chars -= _chars(self._known.popitem(last=False)[1])
        return layout


def _chars(layout: dict[str, Part]) -> int:
    return sum(len(part.text) for part in layout.values())


def _same(place: Part | None, part: Any) -> bool:
    return place is not None and place.text == part.text


def _document(source: str) -> str:
    """The id of a source; those that begin with ``context`` stand for the context of a run."""
    return f"./{source}" if source == "context" or source.startswith("context/") else source


def _source(doc_id: str) -> str:
    rest = doc_id.removeprefix("./")
    return rest if rest == "context" or rest.startswith("context/") else doc_id
