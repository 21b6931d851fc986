"""What a name is: the words by which one document calls another, whatever their case, accents and punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

NameKind = Literal["title", "file", "module", "heading", "anchor", "definition", "metadata"]

MOST_NAME_CHARS = 160
MOST_NAME_WORDS = 12
"""What is longer is a sentence, and stands nowhere else word by word."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}](?:[^\W{_UNSPACED}]|[\u0300-\u036f])*")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
_ARTICLES = frozenset(("the", "a", "an"))
_BRACKETS = re.compile(r"(?:(?<!\s)\s++)?+(?:\([^()]*+\)|\[[^\[\]]*+\])\s*+")

_FILLING = """
a about above after again against all also although am an and any are as at be because been before being below between
both but by can could did do does doing done down during each either else every few first for from had has have he her
here hers him his how however i if in into is it its just last least less like made make many may me might mine more
most much must my neither new next no nor not now of off often old on once one only or other our ours out over own
part per same several shall she should since so some such than that the their them then there these they this those
through thus to together too two under until up upon us use used using very was we well were what when where whether
which while who whom whose why will with within without would yes yet you your
"""
FILLING = frozenset(_FILLING.split())
"""Words that hold others together and tell nothing by themselves."""
_COMMON = """
abstract appendix background chapter conclusion conclusions contents contributing example examples faq features figure
home index install installation introduction license main method methods module notes overview page preface readme
references requirements results section see setup summary table test tests todo usage changelog return returns raises
args arguments parameters self none true false null
"""
COMMON = FILLING.union(_COMMON.split())
"""Names of one word that every text holds: a book called "It" is not found by them."""


class Name(NamedTuple):
    """A name that a document defines."""

    key: str
    """Its words in the form that is compared, between blanks."""
    text: str
    """As the document writes it."""
    kind: NameKind
    start: int
    """What it names: the document from here, in characters …"""
    end: int
    """… to here."""


class Words:
    """The words of a text, by number. In scripts without blanks between words each character is one.

    Args:
        text: the text.

    Example:
        >>> Words("Tekezé-River's __init__").keys
        ['tekeze', 'river', 's', 'init']
    """

    __slots__ = ("_places", "keys", "text", "written")

    def __init__(self, text: str) -> None:
        self.text = text
        self.written: list[str] = _pattern_for(text).findall(text)
        """As they stand there."""
        self.keys: list[str] = (
            _ASCII_WORD.findall(text.lower())
            if text.isascii() and "_" not in text
            else [folded(word) for word in self.written]
        )
        """In the form that is compared."""
        self._places: list[tuple[int, int]] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def place(self, first: int, count: int = 1) -> tuple[int, int]:
        """Start and end, in characters, of so many words."""
        if self._places is None:
            self._places = [one.span() for one in _pattern_for(self.text).finditer(self.text)]
        return self._places[first][0], self._places[first + count - 1][1]

    def is_marked(self, number: int) -> bool:
        """Written unlike a common word: with a capital, a digit, as an identifier or in a script without capitals."""
        return _is_marked(self.written[number])

    def marked(self) -> list[int]:
        """The words that are."""
        return [
            at for at, word in enumerate(self.written) if not (word.islower() and word.isalpha()) and _is_marked(word)
        ]


def _is_marked(word: str) -> bool:
    return not word.islower() or (not word.isalpha() and not word.strip("_").isalpha())


def _pattern_for(text: str) -> re.Pattern[str]:
    return _ASCII_WORD if text.isascii() else _WORD


@lru_cache(maxsize=100_000)  # texts repeat their words
def folded(word: str) -> str:
    """A word without case, accents and the underscores around it."""
    if not word.isascii():
        parts = unicodedata.normalize("NFKD", word)
        word = "".join(part for part in parts if not (part.isspace() or unicodedata.combining(part))) or word
    return word.strip("_").casefold() or word


def folded_text(text: str) -> tuple[str, str]:
    """A text without accents, and the same in small letters, of the same length; to look for a key in it."""
    if not text.isascii():
        text = "".join(part for part in unicodedata.normalize("NFKD", text) if not unicodedata.combining(part))
    low = text.lower()
    return (text, low) if len(low) == len(text) else (low, low)


def key_of(text: str) -> str | None:
    """A name in the form that is compared; None for what cannot be one.

    Example:
        >>> key_of("The Lord of the Rings")
        'lord of the rings'
        >>> key_of("1984") is None and key_of("the") is None
        True
    """
    if len(text) > MOST_NAME_CHARS:
        return None
    keys = [folded(word) for word in _pattern_for(text).findall(text)]
    if len(keys) > 1 and keys[0] in _ARTICLES:
        del keys[0]
    if len(keys) > MOST_NAME_WORDS or COMMON.issuperset(keys) or not any(map(_has_letters, keys)):
        return None
    return " ".join(keys)


def _has_letters(key: str) -> bool:
    """A letter is no name, nor is a number; a character that is a word is."""
    return not key.isdigit() and (len(key) > 1 or not key.isascii())


def forms_of(title: str) -> Iterator[str]:
    """What a title is called by: itself, without what stands in brackets, and what stands before a comma.

    Example:
        >>> list(forms_of("Springfield, Illinois (city)"))
        ['Springfield, Illinois (city)', 'Springfield, Illinois', 'Springfield']
    """
    title = title.strip()
    yield title
    plain = title
    if "(" in title or "[" in title:
        plain = _BRACKETS.sub(" ", title).strip()
        if plain and plain != title:
            yield plain
    before, comma, _ = plain.partition(", ")
    if comma and before:
        yield before
