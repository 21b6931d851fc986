"""Planning: a question taken apart into queries, each with its scope, by rules and the corpus's own metadata.

No language model is asked. ``Compare the gross margin of Apple and Intel in 2022 and 2023`` becomes four queries, each within
the documents of one company and year; ``How did Apple's net sales change over the quarters?`` one for each quarter. A
question that names nothing of the kind is asked as it is.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from langgraph_rlm.corpus.facets import name_of
from langgraph_rlm.corpus.filters import Where, validate
from langgraph_rlm.corpus.periods import Period, period_of
from langgraph_rlm.corpus.planning.metadata import MetadataLookup, Survey
from langgraph_rlm.corpus.planning.phrases import (
    ALL,
    CHANGING,
    CLOSE,
    COMPARING,
    CONNECTING,
    EACH,
    FROM,
    LATEST,
    SCAFFOLD,
    TIMES,
    UNTIL,
    WRITINGS,
    singular,
    word_set,
)
from langgraph_rlm.corpus.planning.scope import COMMON, Mention, Word, all_of, mentions, narrowed, words_of
from langgraph_rlm.errors import InvalidInput

MOST_CHARS = 4_000
"""Of a question that is taken apart; a longer one is asked as it is."""
MOST_PARTS = 12
"""Queries that one question becomes."""
MOST_GIVEN = 100
"""Queries of a plan that somebody has changed."""

_NEAR = 3  # words between "each of the last" and what is counted
_INNER = word_set("of the de la du von van der el al bin ibn")  # small words within a name
_WITHIN = frozenset((" ", "-", ".", ". ", "'", "’", "&", " & "))  # between the words of a name


class Part(NamedTuple):
    """One query of a plan."""

    query: str
    where: dict[str, Any] | None
    """Its scope beside the caller's own filter; None for none."""
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked instead of a question.

    Args:
        question: as it was given.
        parts: the queries, at least one.
        notes: what was left out or relaxed, in plain words.
    """

    question: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For cells, events and traces."""
        return {"question": self.question, "parts": [one._asdict() for one in self.parts], "notes": list(self.notes)}


class _Choice(NamedTuple):
    """One of the things asked about side by side."""

    where: dict[str, Any] | None
    label: str
    gone: tuple[tuple[int, int], ...] = ()
    """Places of the question that belong to the others."""


def plan(question: str, where: Where | None, metadata: MetadataLookup) -> Plan:
    """Take a question apart.

    Args:
        question: in any language; enumerations and comparisons are known in English, German, French and Spanish.
        where: the caller's filter: nothing beyond it is looked at.
        metadata: of the corpus' documents.
    """
    if len(question) > MOST_CHARS:
        return Plan(question, (Part(question, None, "too long to be taken apart"),))
    return _Planner(question, where, metadata).plan()


def check_plan(given: Any) -> Plan:
    """A plan that somebody has changed or made.

    Raises:
        InvalidInput: it is none, or has no query, or too many.
        InvalidFilter: a scope is not usable.
    """
    if not isinstance(given, Plan):
        raise InvalidInput(f"retrieve: plan must be True, False or a Plan of corpus.plan(), not {given!r}"[:200])
    if not 1 <= len(given.parts) <= MOST_GIVEN or not all(part.query.strip() for part in given.parts):
        raise InvalidInput(f"retrieve: a plan has 1 to {MOST_GIVEN} queries, and none of them is empty")
    for part in given.parts:
        validate(part.where or {})
    return given


class _Planner:
    def __init__(self, question: str, where: Where | None, metadata: MetadataLookup) -> None:
        self._question, self._where, self._metadata = question, where, metadata
        self._words = words_of(question)
        self._notes: list[str] = []
        self._soft = False
        self._scoped: list[
            tuple[int, int]
        ] = []  # places of the question that the scopes tell, so that no query needs to

    def plan(self) -> Plan:
        """Mentions, what is enumerated, what is compared; then each with each."""
        found = self._mentions()
        self._soft = any(not one.sure for one in found)
        self._scoped += [(one.start, one.end) for one in found if one.sure]
        found = _once(found)
        counted = self._counted(found)
        if counted:
            found = [one for one in found if not set(one.values) & {name for name, _ in counted}]
        groups = self._groups(found, counted)
        alone = [one for one in found if frozenset(one.values) not in groups]
        choices = [self._choices(members) for members in groups.values()]
        choices += [[_Choice({name: value}, f"{name}: {value}") for value in values] for name, values in counted]
        if not choices and not found:
            choices = self._names_side_by_side()
        return self._made(alone, choices)

    # --- what is asked about --------------------------------------------------------------------------------------

    def _mentions(self) -> list[Mention]:
        """Under a filter of the caller, documents beyond it must not show, neither by their values nor by their number."""
        if not self._where:
            return mentions(self._question, self._metadata.named, self._metadata.share)
        survey = self._metadata.survey(self._where)
        found = mentions(
            self._question, self._metadata.named, lambda name: survey.having[name] / max(1, survey.documents)
        )
        values = [(name, value) for one in found for name, given in one.values.items() for value in given]
        numbers = self._metadata.document_counts([all_of(self._where, {name: value}) for name, value in values])
        there = dict(zip(values, numbers, strict=True))
        return [kept for one in found if (kept := narrowed(one, there)) is not None]

    def _counted(self, found: Sequence[Mention]) -> list[tuple[str, list[Any]]]:
        """Fields of which every value is asked about, or the last one alone."""
        each, latest = self._kinds(EACH | ALL), self._kinds(LATEST)
        changing = bool(CHANGING.search(self._question)) and not any(_is_period(one) for one in found) and not latest
        if not (each or latest or changing):
            return []
        named: dict[frozenset[str], list[dict[str, Any]]] = {}
        for one in found:
            if not _is_period(one):
                named.setdefault(frozenset(one.values), []).append(one.where())
        survey = self._metadata.survey(all_of(self._where, *map(_any_of, named.values())))
        periods = survey.periods()
        counted: list[tuple[str, list[Any]]] = []
        for name in self._fields_of(each, survey):
            counted.append((name, sorted(survey.values[name], key=str) if name not in periods else periods[name]))
        timely = TIMES | WRITINGS
        if not counted and periods and (changing or each.keys() & timely):
            counted.append(next(iter(periods.items())))
        if not counted and latest.keys() & timely and survey.latest and not any(_is_period(one) for one in found):
            finest = max(survey.latest, key=lambda one: (survey.latest[one][0], len(survey.values[one])))
            counted.append((finest, [survey.latest[finest][1]]))
        kinds = timely | {name_of(name).split()[-1] for name, _ in counted}
        self._scoped += [place for kind, place in (each | latest).items() if kind in kinds]
        return [self._bounded(name, values, name in periods) for name, values in counted[:2]]

    def _bounded(self, name: str, values: list[Any], is_period: bool) -> tuple[str, list[Any]]:
        if len(values) <= MOST_PARTS:
            return name, values
        self._notes.append(f"{name} has {len(values)} values: {MOST_PARTS} of them are asked about one by one")
        self._soft = True
        return name, values[-MOST_PARTS:] if is_period else values[:MOST_PARTS]

    def _kinds(self, cues: frozenset[str]) -> dict[str, tuple[int, int]]:
        """Words that stand in their plural behind a cue (``all quarters``), or in any number behind ``each`` or ``latest``.

        With the place of the phrase. The genitive of something named is a cue too: ``Intel's reports``.
        """
        kinds: dict[str, tuple[int, int]] = {}
        for at, word in enumerate(self._words):
            owned = cues is not LATEST and word.text == "s" and self._question[word.start - 1] in "'’"
            if word.text not in cues and not owned:
                continue
            plural = word.text in ALL or owned
            reach = 0 if word.text in CLOSE else _NEAR
            for near in self._words[at + 1 : at + 2 + reach]:
                forms = singular(near.text)
                for form in forms - {near.text} if plural and cues is not LATEST else forms:
                    if form not in kinds or kinds[form][1] == near.end:  # of two cues the nearer one
                        kinds[form] = word.start, near.end
        return kinds

    def _fields_of(self, kinds: Mapping[str, tuple[int, int]], survey: Survey) -> list[str]:
        """Fields that go by one of these words and have some, but not too many values."""
        return [
            name
            for name, values in survey.values.items()
            if name not in survey.many and len(values) > 1 and (words := name_of(name).split()) and words[-1] in kinds
        ]

    def _groups(
        self, found: Sequence[Mention], counted: Sequence[tuple[str, list[Any]]]
    ) -> dict[frozenset[str], list[Mention]]:
        """Mentions of the same fields with different values are asked about one by one."""
        groups: dict[frozenset[str], list[Mention]] = {}
        for one in found:
            members = groups.setdefault(frozenset(one.values), [])
            if all(one.values != other.values for other in members):
                members.append(one)
        return {fields: members for fields, members in groups.items() if len(members) > 1}

    def _choices(self, members: Sequence[Mention]) -> list[_Choice]:
        between = self._in_between(members)
        if between is not None:
            return between
        return [_Choice(one.where(), self._question[one.start : one.end]) for one in members]

    def _in_between(self, members: Sequence[Mention]) -> list[_Choice] | None:
        """``from Q1 2022 to Q3 2023``: the periods in between are meant as well."""
        if len(members) != 2 or not all(map(_is_period, members)):
            return None
        first, last = members
        before = [word.text for word in self._words if word.end <= first.start][-1:]
        link = self._question[first.end : last.start].strip().lower()
        if link not in UNTIL or (link not in "–—-" and not set(before) & set(FROM)):
            return None
        name = next(iter(first.values))
        ends = sorted(period for one in members for value in one.values[name] if (period := period_of(value)))
        values = self._metadata.survey(self._where).periods().get(name, [])
        inside = [value for value in values if ends[0] <= (period_of(value) or Period(0)) <= ends[-1]]
        if not 2 <= len(inside) <= MOST_PARTS:
            return None
        return [_Choice({name: value}, f"{name}: {value}") for value in inside]

    def _names_side_by_side(self) -> list[list[_Choice]]:
        """``Who is older, Ada Lovelace or Alan Turing?``: names that no metadata knows, where the question compares."""
        if not COMPARING.search(self._question):
            return []
        names = self._names()
        for at, first in enumerate(names):
            row = [first]
            for other in names[at + 1 :]:
                link = set(_between(self._question, row[-1][1], other[0])) - {"'s", "’s"}
                if not link or not link <= CONNECTING:
                    break
                row.append(other)
            if 2 <= len(row) <= MOST_PARTS:
                self._soft = True
                return [
                    [
                        _Choice(None, self._question[place[0] : place[1]], tuple(set(row) - {place}))
                        for place in dict.fromkeys(row)
                    ]
                ]
        return []

    def _names(self) -> list[tuple[int, int]]:
        """Runs of words in upper case, with the small words and numbers within them."""
        names: list[tuple[int, int]] = []
        goes_on, end = False, 0
        for word in self._words:
            shown = self._question[word.start : word.end]
            joined = goes_on and self._question[end : word.start] in _WITHIN
            proper = (shown[0].isupper() and word.text not in SCAFFOLD) or (joined and shown.isdigit())
            if proper and joined:
                names[-1] = (names[-1][0], word.end)
            elif proper:
                names.append((word.start, word.end))
            goes_on, end = proper or (joined and word.text in _INNER), word.end
        return names

    # --- putting it together --------------------------------------------------------------------------------------

    def _made(self, alone: Sequence[Mention], choices: list[list[_Choice]]) -> Plan:
        while math.prod(map(len, choices)) > MOST_PARTS:  # the longest row is asked about together
            longest = max(choices, key=len)
            self._notes.append(f"{len(longest)} values are asked about together, not one by one")
            scopes = [one.where for one in longest if one.where]
            any_of_them = _any_of(scopes) if len(scopes) == len(longest) else None
            choices[choices.index(longest)] = [_Choice(any_of_them, "all of them")]
        common = all_of(*(one.where() for one in alone))
        parts: list[Part] = []
        for chosen in itertools.product(*choices):
            scope = all_of(common, *(one.where for one in chosen))
            gone = [*self._scoped, *(place for one in chosen for place in one.gone)]
            why = ", ".join([*(self._question[one.start : one.end] for one in alone), *(one.label for one in chosen)])
            several = math.prod(map(len, choices)) > 1
            query = focused(self._question, self._words, gone) if several else self._question
            parts.append(Part(query, scope, why or "as it was asked"))
        parts = self._in_reach(parts, {one.why for one in parts} if alone else set())
        if self._soft and all(part.where is not None or part.query != self._question for part in parts):
            parts.append(Part(self._question, None, "as it was asked"))
        return Plan(self._question, tuple(parts), tuple(dict.fromkeys(self._notes)))

    def _in_reach(self, parts: list[Part], mentioned: set[str]) -> list[Part]:
        """The parts that some document passes; when none does, the question without a scope."""
        if not any(part.where for part in parts):
            return parts
        numbers = self._metadata.document_counts([all_of(self._where, part.where) for part in parts])
        kept = [part for part, number in zip(parts, numbers, strict=True) if number or not part.where]
        missing = [part.why for part, number in zip(parts, numbers, strict=True) if not number and part.where]
        if missing:
            self._notes.append(f"no document is about {'; '.join(missing)}"[:500])
        return kept or [Part(self._question, None, "no document has all that it names: asked without a scope")]


def focused(question: str, words: Sequence[Word], gone: Sequence[tuple[int, int]]) -> str:
    """What a question is about: without the words that shape its answer, those that any text has, and these places.

    The question itself when nothing is left.
    """
    kept = [
        word
        for word in words
        if word.text not in COMMON
        and (len(word.text) > 1 or word.text.isdigit() or question[word.start].isupper())
        and not any(start <= word.start and word.end <= end for start, end in gone)
    ]
    text, end = "", 0
    for word in kept:
        joint = question[end : word.start] if text else ""
        text += joint if joint and not any(map(str.isspace, joint)) and len(joint) == 1 else " " * bool(text)
        text, end = text + question[word.start : word.end], word.end
    return text or question


def _any_of(filters: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return filters[0] if len(filters) == 1 else {"$or": list(filters)}


def _once(found: Sequence[Mention]) -> list[Mention]:
    """Without those that repeat another."""
    kept: list[Mention] = []
    for one in found:
        if all(one.values != other.values for other in kept):
            kept.append(one)
    return kept


def _between(text: str, start: int, end: int) -> list[str]:
    """The words and joining signs between two places."""
    return re.sub(r"([,/;&])", r" \1 ", text[start:end].lower()).split()


def _is_period(mention: Mention) -> bool:
    return all(period_of(value) is not None for values in mention.values.values() for value in values)
