"""Links between documents: what a text names, what these names stand for, and who names a document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from langgraph_rlm.corpus.catalog import Catalog
from langgraph_rlm.corpus.languages import language_of
from langgraph_rlm.corpus.names.code_definitions import CODE
from langgraph_rlm.corpus.names.mentions import Mention, Reading, Style, read
from langgraph_rlm.corpus.names.name_index import Defined, NameIndex
from langgraph_rlm.corpus.names.naming import folded_text
from langgraph_rlm.text.bm25 import BM25Index

MOST_DEFINING = 12
"""Places that may share a name; a name of more says nothing."""

_COMMON_SHARE, _COMMON_FIRST_SHARE = 0.05, 0.01  # of all chunks: words that are in more are no names by themselves
_RARE_ENOUGH, _RARE_ENOUGH_FIRST = 12, 3  # chunks: in small corpora shares say nothing

Place = tuple[str, int, int]
"""Document id, start, end of a chunk."""


class Linker:
    """Finds the ends of links in one corpus.

    Args:
        names: what its documents define.
        catalog: their texts.
        words: their words.
    """

    def __init__(self, names: NameIndex, catalog: Catalog, words: BM25Index) -> None:
        self.names = names
        self.catalog = catalog
        self.words = words

    def named_in(self, text: str, style: Style) -> list[tuple[Mention, list[Defined]]]:
        """The names that a text mentions, in order, and what they stand for."""
        found = self.telling(read([text], self.names, style)[0].mentions)
        defined = self.names.defining({one.key for one in found}, MOST_DEFINING)
        return [(one, defined[one.key]) for one in found if one.key in defined]

    def mentioning(self, names: Sequence[Defined], limit: int) -> list[dict[str, Any]]:
        """Chunks of other documents that mention one of these names: the name and the chunk's place."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        shared = self.names.defining({one.key for one in names}, MOST_DEFINING)
        for name in {one.key: one for one in names if one.key in shared}.values():
            if len(found) >= limit:
                break
            readings = self.readings(self.naming(name, limit, None, lambda *_: True))
            for (doc_id, start, end), reading in readings.items():
                if doc_id != name.doc_id and any(one.key == name.key for one in self.telling(reading.mentions)):
                    place = {"name": name.text, "doc_id": doc_id, "start": start, "end": end}
                    found.setdefault((name.key, doc_id), place)
        return list(found.values())[:limit]

    def naming(
        self,
        name: Defined,
        limit: int,
        allowed: Sequence[str] | None,
        is_live: Callable[[str, str], bool],
    ) -> list[Place]:
        """Chunks that mention a name, those that are short and speak of it most first.

        Args:
            name: the name.
            limit: so many chunks with the words of the name are looked at.
            allowed: ids of the documents to look in; None for all.
            is_live: whether a document, of this digest, counts.
        """
        required = name.key.split()
        ranked = self.words.search(name.text, limit, allowed, required=required)
        places = [(one.doc_id, one.start, one.end) for one in ranked if is_live(one.doc_id, one.digest)]
        written = re.compile(rf"\b{'[^a-z0-9]+'.join(map(re.escape, required))}\b")
        texts = self.texts(places)
        return [place for place in places if place in texts and _writes(texts[place], written, style_of(place[0]))]

    def readings(self, places: Iterable[Place]) -> dict[Place, Reading]:
        """Chunks with the names that they mention."""
        texts = self.texts(places)
        found: dict[Place, Reading] = {}
        styles: tuple[Style, ...] = ("prose", "code")
        for style in styles:
            mine = [place for place in texts if style_of(place[0]) == style]
            if mine:
                found.update(zip(mine, read([texts[place] for place in mine], self.names, style), strict=True))
        return found

    def texts(self, places: Iterable[Place]) -> dict[Place, str]:
        """The texts of chunks, of those that are still there."""
        by_document: dict[str, list[tuple[int, int]]] = {}
        for doc_id, start, end in places:
            by_document.setdefault(doc_id, []).append((start, end))
        return {place: passage.text for place, passage in self.catalog.passages_of(by_document).items()}

    def telling(self, found: Sequence[Mention]) -> list[Mention]:
        """Those of these mentions that are more than a common word with a capital."""
        chunks = self.words.holding({one.key for one in found if " " not in one.key})
        total = self.words.count() if chunks else 0
        first, other = max(_RARE_ENOUGH_FIRST, _COMMON_FIRST_SHARE * total), max(_RARE_ENOUGH, _COMMON_SHARE * total)
        return [one for one in found if chunks.get(one.key, 0) <= (first if one.opens else other)]


def style_of(doc_id: str) -> Style:
    """How a document writes names."""
    return "code" if language_of(doc_id) in CODE else "prose"


def _writes(text: str, name: re.Pattern[str], style: Style) -> bool:
    """Whether a text writes a name with a capital, or is code."""
    plain, compared = folded_text(text)
    return any(style == "code" or plain[one.start() : one.end()] != one[0] for one in name.finditer(compared))
