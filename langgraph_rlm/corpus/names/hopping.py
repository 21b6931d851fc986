"""Multi-hop retrieval without a language model: from what the words of a question find to what that names.

A question about "the mother of the director of Rakka" shares no word with the page on his mother. The page on the film
names the director, and his page names her: names that documents define are nodes, their mentions in other documents are
links. Each hit keeps the path by which it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langgraph_rlm.corpus.catalog import Row
from langgraph_rlm.corpus.index import RESERVED_PREFIX
from langgraph_rlm.corpus.names.code_definitions import KEYWORDS
from langgraph_rlm.corpus.names.linking import MOST_DEFINING, Linker, Place, style_of
from langgraph_rlm.corpus.names.mentions import Mention, Reading
from langgraph_rlm.corpus.names.name_index import Defined
from langgraph_rlm.corpus.names.naming import COMMON, Words

# These three as ``benchmarks/hops.py`` chooses them on 2wiki, HotpotQA and MuSiQue; see CONTRIBUTING for the rest.
_NAMED = 1.5  # for what the question names, where the best score by words is 1
_CROWD = 0.15  # what a link to a name carries is divided by the number of names in the text to this power
_ALIKE = 0.5  # a link to the chunk with most of the same rare names

_SOURCES = 8  # best chunks whose links are followed
_BACK_SOURCES, _BACK_HITS = 1, 3
_ALIKE_SOURCES, _ALIKE_HITS, _ALIKE_WORDS = 2, 10, 12
_FURTHER = 0.25  # for each further hop: what is far away must not drown what is near
_AGAIN = 0.5  # for each further chunk of a file of code: what belongs together lies in several
_RARE_SHARE, _RARE_ENOUGH = 0.05, 12  # of all chunks, or so many: names in more lead nowhere
_FREQUENT_SHARE = 0.1  # of all chunks: words of a question that are in more cost most and tell nothing

_MOST_SHOWN = 3  # names that two chunks share
_MOST_NAMES = 64  # of one chunk
_MOST_TARGETS = 200  # documents of one hop


PATH = f"{RESERVED_PREFIX}path"
"""The key of a hit's metadata that holds its path; no document has it, while loaders give some a ``path``."""


class Step(NamedTuple):
    """One step of a path: why a chunk was looked at."""

    by: str
    """``words`` or ``question`` for the first; ``mentions``, ``mentioned by`` or ``shares names`` for further ones."""
    names: Sequence[str]
    place: Place


Trail = tuple[Step, ...]


@dataclass(slots=True)
class Reached:
    """A chunk, its score and the path of the greatest part of that."""

    score: float = 0.0
    part: float = 0.0
    path: Trail = ()

    def add(self, part: float, path: Trail) -> None:
        """More evidence for this chunk."""
        self.score += part
        if part > self.part:
            self.part, self.path = part, path


class _Source(NamedTuple):
    """A chunk whose links are followed."""

    place: Place
    score: float
    path: Trail


class _Link(NamedTuple):
    """A link to what a name stands for."""

    weight: float
    target: Defined
    written: str
    source: _Source


@dataclass(slots=True)
class _Search:
    """What is known while one question is answered."""

    question: str
    telling: str
    """Its words that are not everywhere."""
    rest: str
    """The same without the names that were found in it."""
    top: float
    """The best score by words."""
    rows: dict[str, Row]
    allowed: Sequence[str] | None
    within: frozenset[str] | None
    reached: dict[Place, Reached] = field(default_factory=dict)
    own: dict[Place, float] = field(default_factory=dict)

    def add(self, place: Place, part: float, path: Trail) -> None:
        """More evidence for a chunk."""
        if place not in self.reached:
            self.reached[place] = Reached(self.own.get(place, 0.0))
        self.reached[place].add(part, path)


class Hopper:
    """Follows links between the documents of one corpus.

    Args:
        linker: finds them.
    """

    def __init__(self, linker: Linker) -> None:
        self._linker = linker
        self._catalog = linker.catalog
        self._words = linker.words

    def search(
        self,
        question: str,
        best: Sequence[tuple[Place, float]],
        top: float,
        hops: int,
        rows: dict[str, Row],
        allowed: Sequence[str] | None,
    ) -> list[tuple[Place, Reached]]:
        """Everything that was reached, best first.

        Args:
            question: the question.
            best: chunks by words, or by words and vectors, best first.
            top: the best score by words alone.
            hops: how many links a path may have.
            rows: rows of the documents of ``best``; those of further documents are added.
            allowed: ids of the documents that may be looked at; None for all.
        """
        named = self._linker.named_in(question, "question")
        rest = question
        for mention, _ in reversed(named):
            rest = f"{rest[: mention.start]} {rest[mention.end :]}"
        within = None if allowed is None else frozenset(allowed)
        search = _Search(question, self._telling(question), self._telling(rest), top, rows, allowed, within)
        for place, score in best:
            search.own[place] = score / best[0][1] if best[0][1] > 0 else 0.0
            search.reached[place] = Reached()
            search.reached[place].add(search.own[place], (Step("words", (), place),))
        self._add_named(search, named)
        followed: set[Place] = set()
        for hop in range(hops):
            ranked = _ranked(search.reached)
            near = [(at, one) for at, one in ranked[:_SOURCES] if at not in followed]
            sources = [_Source(at, one.score * _FURTHER**hop, one.path) for at, one in near]
            followed.update(source.place for source in sources)
            self._hop(search, sources)
        return _by_file(search.reached)

    def explained(self, path: Trail) -> list[dict[str, Any]]:
        """A path as hits carry it: ``{"by", "name", "doc_id"}`` for each step."""
        return [
            {"by": step.by, "name": ", ".join(self._shared(step)), "doc_id": step.place[0]}
            for step in path
        ]  # fmt: skip

    def _shared(self, step: Step) -> Sequence[str]:
        """Of the names that were looked for, the rarest that are there."""
        if step.by != "shares names":
            return step.names
        there = {key for text in self._linker.texts([step.place]).values() for key in Words(text).keys}
        return [name for name in step.names if not there.isdisjoint(Words(name).keys)][:_MOST_SHOWN]

    def _telling(self, question: str) -> str:
        found = Words(question)
        most = max(_RARE_ENOUGH, _FREQUENT_SHARE * self._words.count())
        chunks = self._words.holding(set(found.keys))
        rare = [word for word, key in zip(found.written, found.keys, strict=True) if 0 < chunks[key] <= most]
        return " ".join(rare)

    def _add_named(self, search: _Search, named: Sequence[tuple[Mention, list[Defined]]]) -> None:
        places = self._places_of(search, [one for _, those in named for one in those])
        for mention, those in named:
            there = {places[one] for one in those if one in places}
            for place in there:
                step = Step("question", [search.question[mention.start : mention.end]], place)
                search.add(place, _NAMED / len(there), (step,))

    def _hop(self, search: _Search, sources: Sequence[_Source]) -> None:
        readings = self._linker.readings(source.place for source in sources)
        found: dict[Place, tuple[float, Trail]] = {}
        for place, part, path in (
            *self._forward(search, sources, readings),
            *(one for source in sources[:_BACK_SOURCES] for one in self._back(search, source)),
            *(one for source in sources[:_ALIKE_SOURCES] for one in self._alike(search, source, readings)),
        ):
            if place not in found or found[place][0] < part:
                found[place] = part, path
        for place, (part, path) in found.items():
            search.add(place, part, path)

    def _forward(
        self, search: _Search, sources: Sequence[_Source], readings: Mapping[Place, Reading]
    ) -> Iterator[tuple[Place, float, Trail]]:
        """What chunks mention."""
        telling = set(self._linker.telling([one for reading in readings.values() for one in reading.mentions]))
        mentioned = {
            place: {one.key: one for one in reversed(reading.mentions) if one in telling}
            for place, reading in readings.items()
        }
        defined = self._linker.names.defining({key for those in mentioned.values() for key in those}, MOST_DEFINING)
        links: list[_Link] = []
        for source in sources:
            outward = {
                key: those
                for key in list(mentioned.get(source.place, ()))[-_MOST_NAMES:]
                if (those := [one for one in defined.get(key, ()) if not _holds(one, source.place)])
            }
            for key, those in outward.items():
                weight = source.score / len(defined[key]) / len(outward) ** _CROWD
                mention = mentioned[source.place][key]
                written = readings[source.place].words.text[mention.start : mention.end]
                links += [_Link(weight, one, written, source) for one in those]
        links.sort(key=lambda link: -link.weight)
        places = self._places_of(search, [link.target for link in links])
        for link in links:
            place = places.get(link.target)
            if place is not None and place != link.source.place:
                step = Step("mentions", [link.written], place)
                yield place, link.weight, (*link.source.path, step)

    def _back(self, search: _Search, source: _Source) -> Iterator[tuple[Place, float, Trail]]:
        """Chunks that mention what a chunk is called."""
        names = self._linker.names.defined_at(*source.place, 1)
        shared = self._linker.names.defining([one.key for one in names], MOST_DEFINING)
        for name in names:
            if name.key not in shared or name.digest != search.rows[name.doc_id].digest:
                continue
            weight = source.score / self._sharing(name)
            for place in self._linker.naming(
                name, _BACK_HITS, search.allowed, lambda *one: self._is_live(search, *one)
            ):
                if not _holds(name, place):
                    step = Step("mentioned by", [name.text], place)
                    yield place, weight, (*source.path, step)

    def _sharing(self, name: Defined) -> int:
        """Chunks that may mention a name: those that hold its rarest word."""
        return max(1, min(self._words.holding(set(name.key.split())).values()))

    def _alike(
        self, search: _Search, source: _Source, readings: Mapping[Place, Reading]
    ) -> Iterator[tuple[Place, float, Trail]]:
        """Chunks about the same rare names, also those by which no document is called."""
        reading = readings.get(source.place)
        rare = self._rare_words(search, reading) if reading is not None else []
        if not rare:
            return
        ranked = self._words.search(f"{search.rest} {' '.join(rare)}", _ALIKE_HITS + 1, search.allowed)
        ranked = [one for one in ranked if (one.doc_id, one.start, one.end) != source.place]
        self._know(search, (one.doc_id for one in ranked))
        for one in ranked:
            if self._is_live(search, one.doc_id, one.digest):
                part = source.score * _ALIKE * (one.score / ranked[0].score) ** 2
                place = one.doc_id, one.start, one.end
                yield place, part, (*source.path, Step("shares names", rare, place))

    def _rare_words(self, search: _Search, reading: Reading) -> list[str]:
        """The rarest words of a text that look like names, are not asked for and stand elsewhere too; rarest first."""
        passed = COMMON.union(KEYWORDS if reading.style == "code" else (), Words(search.question).keys)
        found = reading.words
        written = {
            key: found.written[at]
            for at, key in enumerate(found.keys)
            if len(key) > 1 and key not in passed and (reading.style == "code" or found.is_marked(at))
        }
        most = max(_RARE_ENOUGH, _RARE_SHARE * self._words.count())
        counted = sorted((count, key) for key, count in self._words.holding(written).items() if 1 < count <= most)
        return [written[key] for _, key in counted[:_ALIKE_WORDS]]

    def _places_of(self, search: _Search, targets: Sequence[Defined]) -> dict[Defined, Place]:
        """For each target the chunk of it that fits the question best, else its first. Their scores are kept.

        Fits best: by the words beside the names in the question. A name stands for the whole document, and its title page
        would win by nothing else.
        """
        wanted = list(dict.fromkeys(one.doc_id for one in targets))[:_MOST_TARGETS]
        self._know(search, wanted)
        live = {one for one in targets if one.doc_id in wanted and self._is_live(search, one.doc_id, one.digest)}
        wholes = {place[0]: [place] for place in search.own if search.rows[place[0]].chunks == 1}
        scored = {one.doc_id: wholes[one.doc_id] for one in live if one.doc_id in wholes}
        missing = sorted({one.doc_id for one in live} - set(scored))
        long = [doc_id for doc_id in missing if search.rows[doc_id].chunks > 1]
        for words, within in ((search.rest, long), (search.telling, missing)):
            for found in self._words.search(words, 4 * len(within) + 20, within):
                if self._is_live(search, found.doc_id, found.digest):
                    place = found.doc_id, found.start, found.end
                    scored.setdefault(found.doc_id, []).append(place)
                    if words == search.telling:
                        search.own.setdefault(place, found.score / search.top)
        places = {one: _best_of(one, scored) or self._first_place(one) for one in live}
        return {one: place for one, place in places.items() if place is not None}

    def _first_place(self, target: Defined) -> Place | None:
        span = self._catalog.chunk_at(target.doc_id, target.start)
        return None if span is None else (target.doc_id, *span)

    def _know(self, search: _Search, doc_ids: Iterable[str]) -> None:
        unknown = [doc_id for doc_id in doc_ids if doc_id not in search.rows]
        if unknown:
            search.rows.update(self._catalog.rows_of(unknown))

    def _is_live(self, search: _Search, doc_id: str, digest: str) -> bool:
        """Whether this content of a document is the present one, and may be looked at."""
        if search.within is not None and doc_id not in search.within:
            return False
        self._know(search, [doc_id])
        return doc_id in search.rows and search.rows[doc_id].digest == digest


def _best_of(target: Defined, scored: Mapping[str, Sequence[Place]]) -> Place | None:
    """The best of these chunks that lies in what a name stands for."""
    return next((at for at in scored.get(target.doc_id, ()) if at[1] < target.end and at[2] > target.start), None)


def _ranked(reached: Mapping[Place, Reached]) -> list[tuple[Place, Reached]]:
    return sorted(reached.items(), key=lambda item: (-item[1].score, item[0]))


def _by_file(reached: Mapping[Place, Reached]) -> list[tuple[Place, Reached]]:
    """Best first, where a file of code has earned what its chunks have, each further one a part of it."""
    files: dict[str, list[Reached]] = {}
    for place, one in _ranked(reached):
        if style_of(place[0]) == "code":
            files.setdefault(place[0], []).append(one)
    for chunks in files.values():
        earned = sum(one.score * _AGAIN**at for at, one in enumerate(chunks))
        for at, one in enumerate(chunks):
            one.score = earned * _AGAIN**at
    return _ranked(reached)


def _holds(name: Defined, place: Place) -> bool:
    """Whether a chunk lies in what a name stands for: then it mentions only itself."""
    return name.doc_id == place[0] and name.start <= place[1] and place[2] <= name.end
