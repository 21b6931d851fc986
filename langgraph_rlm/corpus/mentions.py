"""Where texts mention names: the longest that begins at a word, looked up for many words at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, Protocol

from langgraph_rlm.corpus.code_definitions import KEYWORDS
from langgraph_rlm.corpus.names import COMMON, MOST_NAME_WORDS, Word, words

Style = Literal["prose", "code", "question"]
"""How a text writes names: prose with capitals, code as identifiers, a question as it pleases."""

_OPENS_SENTENCE = frozenset(".!?:;\n•“\"'(")


class Mention(NamedTuple):
    """A place where a text writes a name."""

    key: str
    start: int
    """In characters of the text."""
    end: int
    opens: bool
    """One word that begins a sentence: its capital says nothing."""


class KnownNames(Protocol):
    """The names that can be mentioned."""

    def known(self, keys: Iterable[str]) -> set[str]:
        """Those of these keys that are names."""
        ...

    def following(self, keys: Iterable[str]) -> Mapping[str, str]:
        """The first name in order that is not before each key; nothing for keys behind the last name."""
        ...


def mentions(texts: Sequence[str], names: KnownNames, style: Style = "prose") -> list[list[Mention]]:
    """The names that each text mentions, in order; they do not overlap.

    Of the names that begin at a word the longest counts. One of several words needs a capital in one of them, one of a
    single word at its beginning, or must look like an identifier.

    Args:
        texts: texts.
        names: the names that there are.
        style: of the texts.
    """
    read = [words(text) for text in texts]
    places = [(number, at) for number, found in enumerate(read) for at in _starts(texts[number], found, style)]
    matches: dict[int, dict[int, list[int]]] = {}
    for (number, at), counts in _longest(read, places, names).items():
        matches.setdefault(number, {})[at] = counts
    return [_apart(text, read[number], matches.get(number, {}), style) for number, text in enumerate(texts)]


def _apart(text: str, found: Sequence[Word], matches: Mapping[int, list[int]], style: Style) -> list[Mention]:
    """The longest names of one text that do not overlap, from left to right."""
    mentioned: list[Mention] = []
    free = 0
    for at in sorted(matches):
        for count in sorted(matches[at], reverse=True) if at >= free else ():
            those = found[at : at + count]
            if _is_name(text, those, style):
                key = " ".join(word.key for word in those)
                mentioned.append(Mention(key, those[0].start, those[-1].end, count == 1 and _opens(text, those[0])))
                free = at + count
                break
    return mentioned


def _longest(
    read: Sequence[Sequence[Word]], places: Sequence[tuple[int, int]], names: KnownNames
) -> dict[tuple[int, int], list[int]]:
    """By text and place, how many words the names have that begin there."""
    matches: dict[tuple[int, int], list[int]] = {}
    singles = {place: read[place[0]][place[1]].key for place in places}
    known = names.known(set(singles.values()))
    for place, key in singles.items():
        if key in known:
            matches[place] = [1]
    live = singles
    for count in range(2, MOST_NAME_WORDS + 1):
        live = {
            (number, at): f"{key} {read[number][at + count - 1].key}"
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


def _starts(text: str, found: Sequence[Word], style: Style) -> Iterable[int]:
    if style == "question":
        return range(len(found))
    if style == "code":
        return (at for at, word in enumerate(found) if len(word.key) > 2 and word.key not in KEYWORDS)
    return (at for at, word in enumerate(found) if is_marked(text, word))


def _is_name(text: str, found: Sequence[Word], style: Style) -> bool:
    if style == "code":
        return all(text[one.end : two.start] in _JOINTS for one, two in pairwise(found))
    if len(found) > 1:
        return style == "question" or any(is_marked(text, word) for word in found)
    return found[0].key not in COMMON and len(found[0].key) > 1 and is_marked(text, found[0])


_JOINTS = frozenset((".", "::", "/", "-", "->"))


def is_marked(text: str, word: Word) -> bool:
    """Written unlike a common word: it begins with a capital or a digit, has no case, or is an identifier."""
    if not text[word.start].islower():
        return True
    written = text[word.start : word.end]
    return "_" in written.strip("_") or written != written.lower()


def _opens(text: str, word: Word) -> bool:
    before = text[max(0, word.start - 3) : word.start].rstrip(" ")
    return not before or before[-1] in _OPENS_SENTENCE
