"""Multi-hop retrieval without a language model: from what the words of a question find to what that names.

A question about "the mother of the director of Rakka" shares no word with the page on his mother. The page on the film
names the director, and his page names her: names that documents define are nodes, their mentions in other documents are
links. Each hit keeps the path by which it came.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langgraph_rlm.corpus.catalog import Catalog, Row
from langgraph_rlm.corpus.chunking import language_of
from langgraph_rlm.corpus.code_definitions import CODE, KEYWORDS
from langgraph_rlm.corpus.mentions import Mention, Style, is_marked, mentions
from langgraph_rlm.corpus.name_index import Defined, NameIndex
from langgraph_rlm.corpus.names import COMMON, words
from langgraph_rlm.text.bm25 import BM25Index

MOST_DEFINING = 12
"""Documents that may share a name; a name of more says nothing."""

# Chosen on two of 2wiki, HotpotQA and MuSiQue for the third; each reaches its best on a plateau.
_SOURCES = 8  # best chunks whose links are followed
_NAMED = 1.5  # for what the question names, where the best score by words is 1
_FORWARD, _CROWD = 2.0, 0.3  # a link forward, divided by the number of names in the text to this power
_SHARED_NAME = 0.5  # divided by the number of documents of this name to this power
_STANDING, _OWN = 0.6, 0.4  # the part of a link that is the target's whatever it says, and by its own score
_BACK, _BACK_SOURCES, _BACK_HITS = 0.2, 4, 5
_ALIKE, _ALIKE_SOURCES, _ALIKE_HITS, _ALIKE_WORDS = 0.4, 2, 20, 24

_MOST_NAMES = 64  # of one chunk
_MOST_TARGETS = 200  # documents of one hop
_COMMON_SHARE, _COMMON_FIRST_SHARE = 0.05, 0.01  # of all chunks: words that are in more are no names by themselves
_RARE_ENOUGH, _RARE_ENOUGH_FIRST = 12, 3  # chunks: in small corpora shares say nothing

Place = tuple[str, int, int]
"""Document id, start, end of a chunk."""


class Step(NamedTuple):
    """One step of a path: why a document was looked at."""

    by: str
    """``words`` or ``question`` for the first; ``mentions``, ``mentioned by`` or ``shares names`` for further ones."""
    name: str
    doc_id: str

    def as_dict(self) -> dict[str, Any]:
        """As hits carry it."""
        return self._asdict()


@dataclass(slots=True)
class Reached:
    """A chunk, its score and the path of the greatest part of that."""

    score: float = 0.0
    part: float = 0.0
    path: tuple[Step, ...] = ()

    def add(self, part: float, path: tuple[Step, ...]) -> None:
        """More evidence for this chunk."""
        self.score += part
        if part > self.part:
            self.part, self.path = part, path


@dataclass(slots=True)
class _Search:
    """What is known while one question is answered."""

    question: str
    keys: frozenset[str]
    rest: str
    """The question without the names that were found in it."""
    top: float
    """The best score by words."""
    rows: dict[str, Row]
    allowed: Collection[str] | None
    within: frozenset[str] | None
    reached: dict[Place, Reached] = field(default_factory=dict)
    own: dict[Place, float] = field(default_factory=dict)
    definers: dict[str, list[Defined]] = field(default_factory=dict)
    """By name; none for a name that too many share."""


class _Link(NamedTuple):
    weight: float
    target: Defined
    path: tuple[Step, ...]
    source: Place


class Hopper:
    """Follows links between the documents of one corpus.

    Args:
        names: what they define.
        catalog: their texts.
        words: their words.
    """

    def __init__(self, names: NameIndex, catalog: Catalog, words: BM25Index) -> None:
        self._names = names
        self._catalog = catalog
        self._words = words

    def named_in(self, question: str) -> list[tuple[Mention, list[Defined]]]:
        """The names that a question mentions, and what they stand for."""
        found = mentions([question], self._names, "question")[0]
        definers: dict[str, list[Defined]] = {}
        return [(one, those) for one in found if self._counts(one) and (those := self._defining(one.key, definers))]

    def links(self, text: str, style: Style) -> list[tuple[Mention, list[Defined]]]:
        """The names that a text mentions, each once, and what they stand for."""
        found = {one.key: one for one in mentions([text], self._names, style)[0] if self._counts(one)}
        definers: dict[str, list[Defined]] = {}
        return [(one, those) for one in found.values() if (those := self._defining(one.key, definers))]

    def mentioning(self, names: Sequence[Defined], limit: int) -> list[dict[str, Any]]:
        """Documents that mention one of these names of a document: the name, and the document's id."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        definers: dict[str, list[Defined]] = {}
        for name in {one.key: one for one in names}.values():
            if not self._defining(name.key, definers):
                continue
            ranked = self._words.search(name.text, limit, required=name.key.split())
            texts = self._texts((one.doc_id, one.start, one.end) for one in ranked)
            for (doc_id, start, end), read in texts.items():
                if doc_id != name.doc_id and any(one.key == name.key and self._counts(one) for one in read.mentions):
                    found.setdefault(
                        (name.key, doc_id), {"name": name.text, "doc_id": doc_id, "start": start, "end": end}
                    )
        return list(found.values())[:limit]

    def search(
        self,
        question: str,
        best: Sequence[tuple[Place, float]],
        hops: int,
        rows: dict[str, Row],
        allowed: Collection[str] | None,
    ) -> dict[Place, Reached]:
        """Everything that was reached, by place.

        Args:
            question: the question.
            best: chunks by words, or by words and vectors, best first.
            hops: how many links a path may have.
            rows: rows of the documents of ``best``; those of further documents are added.
            allowed: ids of the documents that may be looked at; None for all.
        """
        named = self.named_in(question)
        search = self._begun(question, named, best, rows, allowed)
        self._add_named(search, named)
        expanded: set[Place] = set()
        for _ in range(hops):
            ranked = sorted(search.reached.items(), key=lambda item: (-item[1].score, item[0]))
            sources = [(place, one.score, one.path) for place, one in ranked[:_SOURCES] if place not in expanded]
            expanded.update(place for place, _, _ in sources)
            self._hop(search, sources)
        return search.reached

    # --- beginning ------------------------------------------------------------------------------------------------

    def _begun(
        self,
        question: str,
        named: Sequence[tuple[Mention, list[Defined]]],
        best: Sequence[tuple[Place, float]],
        rows: dict[str, Row],
        allowed: Collection[str] | None,
    ) -> _Search:
        rest = question
        for mention, _ in reversed(named):
            rest = f"{rest[: mention.start]} {rest[mention.end :]}"
        most = best[0][1] if best and best[0][1] > 0 else 1.0
        top = self._words.search(question, 1)
        search = _Search(
            question=question,
            keys=frozenset(word.key for word in words(question)),
            rest=rest,
            top=top[0].score if top else 1.0,
            rows=rows,
            allowed=allowed,
            within=None if allowed is None else frozenset(allowed),
        )
        for place, score in best:
            search.own[place] = score / most
            search.reached[place] = Reached()
            search.reached[place].add(score / most, (Step("words", "", place[0]),))
        return search

    def _add_named(self, search: _Search, named: Sequence[tuple[Mention, list[Defined]]]) -> None:
        targets = [one for _, those in named for one in those]
        places = self._places_of(search, targets)
        for mention, those in named:
            there = {places[one]: one for one in those if one in places}
            for place, one in there.items():
                reached = search.reached.get(place)
                if reached is None:
                    reached = search.reached[place] = Reached(search.own.get(place, 0.0))
                bonus = _NAMED / len(there) ** _SHARED_NAME
                reached.add(bonus, (Step("question", search.question[mention.start : mention.end], one.doc_id),))

    # --- one hop --------------------------------------------------------------------------------------------------

    def _hop(self, search: _Search, sources: Sequence[tuple[Place, float, tuple[Step, ...]]]) -> None:
        texts = self._texts(place for place, _, _ in sources)
        links = [link for source in sources for link in self._forward(search, source, texts)]
        found: dict[Place, tuple[float, tuple[Step, ...]]] = {}

        def keep(place: Place, part: float, path: tuple[Step, ...]) -> None:
            if place not in found or found[place][0] < part:
                found[place] = part, path

        links.sort(key=lambda link: -link.weight)
        places = self._places_of(search, [link.target for link in links])
        for link in links:
            place = places.get(link.target)
            if place is not None and place != link.source:
                keep(place, link.weight * (_STANDING + _OWN * search.own.get(place, 0.0)), link.path)
        for source in sources[:_BACK_SOURCES]:
            self._back(search, source, keep)
        for source in sources[:_ALIKE_SOURCES]:
            self._alike(search, source, texts, keep)
        for place, (part, path) in found.items():
            search.reached.setdefault(place, Reached(search.own.get(place, 0.0))).add(part, path)

    def _forward(
        self, search: _Search, source: tuple[Place, float, tuple[Step, ...]], texts: Mapping[Place, _Read]
    ) -> Iterable[_Link]:
        """Links to what a chunk mentions."""
        place, score, path = source
        read = texts.get(place)
        if read is None:
            return
        mentioned = {one.key: one for one in reversed(read.mentions) if self._counts(one)}
        outward = {
            key: those
            for key in list(mentioned)[-_MOST_NAMES:]
            if (those := [one for one in self._defining(key, search.definers) if not _holds(one, place)])
        }
        for key, those in outward.items():
            weight = score * _FORWARD / len(those) ** _SHARED_NAME / len(outward) ** _CROWD
            written = read.text[mentioned[key].start : mentioned[key].end]
            for one in those:
                yield _Link(weight, one, (*path, Step("mentions", written, one.doc_id)), place)

    def _back(self, search: _Search, source: tuple[Place, float, tuple[Step, ...]], keep: Callable[..., None]) -> None:
        """Links to chunks that mention what a chunk is called."""
        place, score, path = source
        for name in self._names.defined_at(*place, 2):
            if not self._defining(name.key, search.definers):
                continue
            ranked = self._words.search(
                f"{name.text} {search.rest}", _BACK_HITS, search.allowed, required=name.key.split()
            )
            near = [(one.doc_id, one.start, one.end) for one in ranked if self._is_live(search, one.doc_id, one.digest)]
            texts = self._texts(one for one in near if one != place)
            for there, read in texts.items():
                if any(one.key == name.key for one in read.mentions) and not _holds(name, there):
                    worth = _STANDING + _OWN * search.own.get(there, 0.0)
                    keep(there, score * _BACK * worth, (*path, Step("mentioned by", name.text, there[0])))

    def _alike(
        self,
        search: _Search,
        source: tuple[Place, float, tuple[Step, ...]],
        texts: Mapping[Place, _Read],
        keep: Callable[..., None],
    ) -> None:
        """Links to chunks about the same rare names, also those by which no document is called."""
        place, score, path = source
        read = texts.get(place)
        rare = self._rare_words(search, read) if read is not None else {}
        if not rare:
            return
        ranked = self._words.search(f"{search.rest} {' '.join(rare.values())}", _ALIKE_HITS + 1, search.allowed)
        ranked = [one for one in ranked if (one.doc_id, one.start, one.end) != place]
        for one in ranked:
            if self._is_live(search, one.doc_id, one.digest):
                part = score * _ALIKE * (one.score / ranked[0].score) ** 2
                shared = ", ".join(list(rare.values())[:3])
                keep((one.doc_id, one.start, one.end), part, (*path, Step("shares names", shared, one.doc_id)))

    def _rare_words(self, search: _Search, read: _Read) -> dict[str, str]:
        """The rarest words of a text that look like names, are not asked for and stand elsewhere too."""
        written = {
            word.key: read.text[word.start : word.end]
            for word in words(read.text)
            if len(word.key) > 1 and word.key not in COMMON and word.key not in search.keys
            and ((read.style == "code" and word.key not in KEYWORDS) or is_marked(read.text, word))
        }  # fmt: skip
        most = max(_RARE_ENOUGH, _COMMON_SHARE * self._words.count())
        counted = sorted((count, key) for key in written if 1 < (count := self._words.holding(key)) <= most)
        return {key: written[key] for _, key in counted[:_ALIKE_WORDS]}

    # --- parts ----------------------------------------------------------------------------------------------------

    def _texts(self, places: Iterable[Place]) -> dict[Place, _Read]:
        """Chunks with the names that they mention."""
        by_document: dict[str, list[tuple[int, int]]] = {}
        for doc_id, start, end in places:
            by_document.setdefault(doc_id, []).append((start, end))
        texts = {
            (doc_id, *span): passage.text
            for doc_id, spans in by_document.items()
            for span, passage in self._catalog.passages(doc_id, spans).items()
        }
        found: dict[Place, _Read] = {}
        for style in ("prose", "code"):
            mine = [place for place in texts if style_of(place[0]) == style]
            mentioned = mentions([texts[place] for place in mine], self._names, style) if mine else []
            found.update(
                (place, _Read(texts[place], style, those)) for place, those in zip(mine, mentioned, strict=True)
            )
        return found

    def _defining(self, key: str, known: dict[str, list[Defined]]) -> list[Defined]:
        """What a name stands for; nothing when too many share it."""
        if key not in known:
            found = self._names.defining(key, MOST_DEFINING + 1)
            known[key] = found if len(found) <= MOST_DEFINING else []
        return known[key]

    def _counts(self, mention: Mention) -> bool:
        """Whether a mention is more than a common word with a capital."""
        if " " in mention.key:
            return True
        share, enough = (_COMMON_FIRST_SHARE, _RARE_ENOUGH_FIRST) if mention.opens else (_COMMON_SHARE, _RARE_ENOUGH)
        return self._words.holding(mention.key) <= max(enough, share * self._words.count())

    def _places_of(self, search: _Search, targets: Sequence[Defined]) -> dict[Defined, Place]:
        """For each target the chunk of it that fits the question best, else its first. Their scores are kept."""
        documents = dict.fromkeys(one.doc_id for one in targets)
        wanted = list(documents)[:_MOST_TARGETS]
        search.rows.update(self._catalog.rows_of(doc_id for doc_id in wanted if doc_id not in search.rows))
        live = {one for one in targets if self._is_live(search, one.doc_id, one.digest)}
        mine = {one.doc_id for one in live} & set(wanted)
        by_document: dict[str, list[Place]] = {}
        for one in self._words.search(search.question, 8 * len(mine) + 20, sorted(mine)):
            if self._is_live(search, one.doc_id, one.digest):
                place = one.doc_id, one.start, one.end
                by_document.setdefault(one.doc_id, []).append(place)
                search.own.setdefault(place, one.score / search.top)
        found: dict[Defined, Place] = {}
        for target in targets:
            if target.doc_id in mine and target in live and target not in found:
                fitting = (p for p in by_document.get(target.doc_id, ()) if p[1] < target.end and p[2] > target.start)
                best = next(fitting, None) or self._first_place(target)
                if best is not None:
                    found[target] = best
        return found

    def _first_place(self, target: Defined) -> Place | None:
        span = self._catalog.chunk_at(target.doc_id, target.start)
        return None if span is None else (target.doc_id, *span)

    def _is_live(self, search: _Search, doc_id: str, digest: str) -> bool:
        """Whether this content of a document is the present one, and may be looked at."""
        if search.within is not None and doc_id not in search.within:
            return False
        if doc_id not in search.rows:
            search.rows.update(self._catalog.rows_of([doc_id]))
        return doc_id in search.rows and search.rows[doc_id].digest == digest


class _Read(NamedTuple):
    text: str
    style: Style
    mentions: list[Mention]


def style_of(doc_id: str) -> Style:
    """How a document writes names."""
    return "code" if language_of(doc_id) in CODE else "prose"


def _holds(name: Defined, place: Place) -> bool:
    """Whether a chunk lies in what a name stands for: then it mentions only itself."""
    return name.doc_id == place[0] and name.start <= place[1] and place[2] <= name.end
