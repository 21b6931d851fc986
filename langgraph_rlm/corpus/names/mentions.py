"""Where texts mention names: the longest that begins at a word, looked up for many words at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol

from langgraph_rlm.corpus.names.code_definitions import KEYWORDS
from langgraph_rlm.corpus.names.naming import COMMON, FILLING, MOST_NAME_WORDS, Words

Style = Literal["prose", "code", "question"]
"""How a text writes names: prose with capitals, code as identifiers, a question as it pleases."""

_OPENS_SENTENCE = frozenset(".!?:;\n•“\"'(")
_JOINTS = frozenset((".", "::", "/", "-", "->"))


class Mention(NamedTuple):
    """A place where a text writes a name."""

    key: str
    start: int
    """In characters of the text."""
    end: int
    opens: bool
    """One word that begins a sentence: its capital says nothing."""


class Reading(NamedTuple):
    """A text with its words and the names that it mentions."""

    style: Style
    words: Words
    mentions: list[Mention]


class KnownNames(Protocol):
    """The names that can be mentioned."""

    def known(self, keys: Iterable[str]) -> set[str]:
        """Those of these keys that are names."""
        ...

    def following(self, keys: Iterable[str]) -> Mapping[str, str]:
        """The first name in order that is not before each key; nothing for keys behind the last name."""
        ...


def read(texts: Sequence[str], names: KnownNames, style: Style = "prose") -> list[Reading]:
    """Texts with the names that each mentions, in order; they do not overlap.

    Of the names that begin at a word the longest counts. One of several words needs a capital in one of them, one of a
    single word at its beginning, or must look like an identifier. In a question two words that tell something will do:
    ``session interface`` is a name there, ``kind of`` is none.

    Args:
        texts: texts.
        names: the names that there are.
        style: of the texts.
    """
    found = [Words(text) for text in texts]
    places = [(number, at) for number, those in enumerate(found) for at in _starts(those, style)]
    matches: dict[int, dict[int, list[int]]] = {}
    for (number, at), counts in _longest(found, places, names).items():
        matches.setdefault(number, {})[at] = counts
    return [Reading(style, those, _apart(those, matches.get(at, {}), style)) for at, those in enumerate(found)]


def _apart(found: Words, matches: Mapping[int, list[int]], style: Style) -> list[Mention]:
    """The longest names of one text that do not overlap, from left to right."""
    mentioned: list[Mention] = []
    free = 0
    for at in sorted(matches):
        for count in sorted(matches[at], reverse=True) if at >= free else ():
            if _is_name(found, at, count, style):
                key = " ".join(found.keys[at : at + count])
                mentioned.append(Mention(key, *found.place(at, count), count == 1 and _opens(found, at)))
                free = at + count
                break
    return mentioned


def _longest(
    read: Sequence[Words], places: Sequence[tuple[int, int]], names: KnownNames
) -> dict[tuple[int, int], list[int]]:
    """By text and place, how many words the names have that begin there."""
    matches: dict[tuple[int, int], list[int]] = {}
    live = {(number, at): read[number].keys[at] for number, at in places}
    known = names.known(set(live.values()))
    for place, key in live.items():
        if key in known:
            matches[place] = [1]
    for count in range(2, MOST_NAME_WORDS + 1):
        live = {
            (number, at): f"{key} {read[number].keys[at + count - 1]}"
            for (number, at), key in live.items()
            if at + count <= len(read[number])
        }
        if not live:
            break
        following = names.following(set(live.values()))
        for place, key in live.items():
            if following.get(key) == key:
                matches.setdefault(place, []).append(count)
        live = {
            place: key
            for place, key in live.items()
            if (after := following.get(key)) is not None and (after == key or after.startswith(f"{key} "))
        }
    return matches


def _starts(found: Words, style: Style) -> Iterable[int]:
    if style == "question":
        return range(len(found))
    if style == "code":
        return (at for at, key in enumerate(found.keys) if len(key) > 2 and key not in KEYWORDS)
    return found.marked()


def _is_name(found: Words, at: int, count: int, style: Style) -> bool:
    if style == "code":
        places = [found.place(number) for number in range(at, at + count)]
        return all(found.text[one[1] : two[0]] in _JOINTS for one, two in pairwise(places))
    if count > 1:
        if any(map(found.is_marked, range(at, at + count))):
            return True
        return style == "question" and sum(key not in FILLING for key in found.keys[at : at + count]) > 1
    return found.keys[at] not in COMMON and len(found.keys[at]) > 1 and found.is_marked(at)


def _opens(found: Words, at: int) -> bool:
    start = found.place(at)[0]
    before = found.text[max(0, start - 3) : start].rstrip(" ")
    return not before or before[-1] in _OPENS_SENTENCE
