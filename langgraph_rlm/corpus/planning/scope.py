"""Scope: the metadata values that a question names, as filters."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from langgraph_rlm.corpus.facets import MOST_WORDS, Facet, name_of
from langgraph_rlm.corpus.filters import Where
from langgraph_rlm.corpus.periods import period_of, periods_in
from langgraph_rlm.corpus.planning.phrases import SCAFFOLD, word_set
from langgraph_rlm.text.characters import spaced

MOST_PLACES = 8
"""At which one name counts; a question that repeats itself without end has more."""

MOST_MENTIONS = 20
"""Of one question."""

_QUOTES = "`\"'“”„«»‘’"
_LEAST_LETTERS = 3
"""Of one word in a script without upper case."""
COMMON = SCAFFOLD | word_set(
    "a an and as at but by for from in into it its of on or our that the their this to us we will with you your i no not "
    "der die das und oder in im von zu mit für auf ist le la les un une et de du des en el los las y o del se es por"
)
_OF_TIME = word_set("year date jahr datum année año fecha fy period")  # fields whose whole numbers are years


class Word(NamedTuple):
    """A word of a question."""

    start: int
    end: int
    text: str
    """In lower case, as names are compared."""


class Mention(NamedTuple):
    """A place of a question that names values of metadata."""

    start: int
    end: int
    values: dict[str, tuple[Any, ...]]
    """By field; of several fields any may be meant."""
    sure: bool
    """It is surely meant, and several documents have it. What a single one has may only be where a chain of facts begins."""

    def where(self) -> dict[str, Any]:
        """As a filter."""
        conditions = [one_of(field, values) for field, values in self.values.items()]
        return conditions[0] if len(conditions) == 1 else {"$or": conditions}


def words_of(text: str) -> list[Word]:
    """The words of a text and where they stand.

    Example:
        >>> [word.text for word in words_of("Apple's 10-Q")]
        ['apple', 's', '10', 'q']
    """
    found, at = [], 0
    for word in spaced(text).split():
        at = text.index(word, at)
        found.append(Word(at, at + len(word), name_of(word)))
        at += len(word)
    return found


def mentions(
    question: str, named: Callable[[Sequence[str]], Iterable[Facet]], share: Callable[[str], float]
) -> list[Mention]:
    """The values that a question names, in its order; the longer of two that overlap.

    Args:
        question: a few thousand characters.
        named: gives the values that go by one of these names.
        share: of the documents, 0 to 1, have this field. What most documents lack tells nothing of them.
    """
    words = words_of(question)
    places = _places(question, words)
    by_place: dict[tuple[int, int], list[tuple[Facet, bool]]] = {}
    shares: dict[str, float] = {}
    for facet in named(list(places)):
        if facet.field not in shares:
            shares[facet.field] = share(facet.field)
        if shares[facet.field] < 0.5:
            continue
        for start, end in places[facet.name][:MOST_PLACES]:
            how = _named(question, words, start, end, facet)
            if how:
                by_place.setdefault((start, end), []).append((facet, how == "named"))
    chosen: list[Mention] = []
    for start, end in sorted(by_place, key=lambda place: (place[0] - place[1], place)):
        if all(end <= one.start or one.end <= start for one in chosen):
            chosen.append(_mention(start, end, by_place[start, end]))
    return sorted(chosen, key=lambda one: one[:2])[:MOST_MENTIONS]


def one_of(field: str, values: Sequence[Any]) -> dict[str, Any]:
    """The filter for one of several values."""
    return {field: values[0]} if len(values) == 1 else {field: {"$in": list(values)}}


def all_of(*filters: Where | None) -> dict[str, Any] | None:
    """What passes all of these filters; None for no filter at all.

    Example:
        >>> all_of({"year": 2022}, None, {"team": "hr"})
        {'$and': [{'year': 2022}, {'team': 'hr'}]}
    """
    given = [dict(one) for one in filters if one]
    return None if not given else given[0] if len(given) == 1 else {"$and": given}


def _places(question: str, words: Sequence[Word]) -> dict[str, list[tuple[int, int]]]:
    """All runs of words by the names that they may be."""
    places: dict[str, list[tuple[int, int]]] = {}
    for first in range(len(words)):
        name = ""
        for word in words[first : first + MOST_WORDS]:
            name = f"{name} {word.text}".lstrip()
            places.setdefault(name, []).append((words[first].start, word.end))
    for start, end, period in periods_in(question):
        for key in dict.fromkeys([period.keys()[0], f"q{period.quarter}"]):
            spans = places.setdefault(key, [])
            if (start, end) not in spans:
                spans.append((start, end))
    return places


def _named(question: str, words: Sequence[Word], start: int, end: int, facet: Facet) -> Literal["named", "hinted", ""]:
    """Whether the words at this place mean the value, may mean it, or are just the same words (``open``, ``it``)."""
    first = bisect_left(words, start, key=lambda word: word.start)
    beyond = bisect_right(words, end, key=lambda word: word.end)
    inside = words[first:beyond]
    if not inside:
        return ""
    field = name_of(facet.field).split()
    before, after = words[max(0, first - len(field)) : first], words[beyond : beyond + len(field)]
    if field and field in ([word.text for word in before], [word.text for word in after]):
        return "named"  # the hr team, team: hr, chapter 3
    if period_of(facet.value) is not None:
        return "named" if isinstance(facet.value, str) or _OF_TIME & set(field) else ""
    if not isinstance(facet.value, str) or all(word.text in COMMON or word.text.isdigit() for word in inside):
        return ""
    shown = question[start:end]
    if len(inside) > 1 or (start > 0 and question[start - 1] in _QUOTES and question[end : end + 1] in _QUOTES):
        return "named"
    if shown.lower() == shown.upper():  # a script without case
        return "named" if len(shown) >= _LEAST_LETTERS else ""
    if shown != shown.lower():
        return "named"
    # Who writes everything in lower case writes names so too.
    return "hinted" if question == question.lower() and facet.value[:1].isupper() else ""


def _mention(start: int, end: int, facets: Sequence[tuple[Facet, bool]]) -> Mention:
    values: dict[str, tuple[Any, ...]] = {}
    for facet, _ in facets:
        values[facet.field] = (*values.get(facet.field, ()), facet.value)
    sure = any(named and (facet.documents > 1 or period_of(facet.value) is not None) for facet, named in facets)
    return Mention(start, end, values, sure)


def narrowed(mention: Mention, numbers: Mapping[tuple[str, Any], int]) -> Mention | None:
    """The mention without the values that no document in reach has; None when nothing is left.

    Args:
        mention: of a question.
        numbers: documents in reach by field and value.
    """
    values = {
        field: kept
        for field, given in mention.values.items()
        if (kept := tuple(value for value in given if numbers[field, value]))
    }
    several = any(
        period_of(value) is not None or numbers[field, value] > 1 for field, given in values.items() for value in given
    )
    return mention._replace(values=values, sure=mention.sure and several) if values else None
