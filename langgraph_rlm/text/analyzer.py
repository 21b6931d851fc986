"""Analyzer: texts and queries as the words that a word index knows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import tantivy

from langgraph_rlm.text.characters import joined_words, spaced
from langgraph_rlm.text.identifiers import Identifier, identifiers, taken_apart
from langgraph_rlm.text.words import Words

MOST_TOKENS = 512
"""Of a query."""

_TOO_LONG = 80  # bytes of a token
_COMMON_ENGLISH = (
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "did", "do", "does", "for", "from", "had", "has",
    "have", "how", "i", "if", "in", "into", "is", "it", "its", "of", "on", "or", "our", "s", "so", "such", "t", "than",
    "that", "the", "their", "them", "then", "there", "these", "they", "this", "to", "was", "we", "were", "what", "when",
    "where", "which", "who", "whom", "whose", "why", "will", "with", "would", "you", "your",
)  # fmt: skip
_WITHOUT_STOP_WORDS = ("arabic", "greek", "romanian", "tamil", "turkish")


class Place(NamedTuple):
    """A word in a text, in characters."""

    start: int
    end: int
    token: str


class Asked(NamedTuple):
    """A query."""

    weights: dict[str, float]
    """Its words and the parts of its identifiers. The parts of one identifier count as one word together."""
    names: list[Identifier]
    """Its identifiers."""


class Analyzer:
    """Reads texts and queries as words.

    Args:
        words: how.

    Example:
        >>> from langgraph_rlm.text.words import Words
        >>> Analyzer(Words(language="english", stem=True)).tokens("Three Apples")
        ['three', 'appl']
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self.engine = _built(words)
        """Splits at blanks, for texts from :meth:`indexed`."""
        self._without_common = _built(words, _stop_words(words))

    def indexed(self, text: str) -> str:
        """A text as the index gets it: words between blanks, and behind them what its identifiers are made of."""
        words = spaced(text)
        if not self._words.code:
            return words
        return " ".join([words, *filter(None, map(_pieces, joined_words(text)))])

    def tokens(self, text: str) -> list[str]:
        """The words of a text, without the parts of identifiers."""
        found: list[str] = self.engine.analyze(spaced(text))
        return found

    def token_of(self, identifier: Identifier) -> str | None:
        """What stands in the index for an identifier as a whole; None when it is too long for that."""
        found = self.engine.analyze(identifier.name)
        return found[0] if found else None

    def asked(self, query: str) -> Asked:
        """The words of a query that count: common ones only when there is no other."""
        for engine in (self._without_common, self.engine):
            asked = self._asked(query, engine)
            if asked.weights:
                return asked
        return Asked({}, [])

    def places(self, text: str) -> Iterator[Place]:
        """Where the words of a text stand, the parts of identifiers and whole ones among them."""
        at, known = 0, dict[str, list[str]]()
        for word in spaced(text).split():
            start = text.index(word, at)
            at = start + len(word)
            if word not in known:
                known[word] = self.engine.analyze(word)
            yield from (Place(start, at, token) for token in known[word])
        for start, found in identifiers(text) if self._words.code else ():
            for compound in found.compounds():
                token = self.token_of(compound)
                if token is not None:
                    yield Place(start + compound.start, start + compound.end, token)
            for part in found.parts():
                for token in self.tokens(part.text):
                    yield Place(start + part.start, start + part.end, token)

    def _asked(self, query: str, engine: Any) -> Asked:
        found = list(identifiers(query)) if self._words.code else []
        rest = query
        for at, name in reversed(found):
            rest = f"{rest[: at + name.start]} {rest[at + name.end :]}"
        weights = dict.fromkeys(engine.analyze(spaced(rest)), 1.0)
        for _, name in found:
            parts = list(name.parts())
            of_parts = {token for part in parts for token in engine.analyze(spaced(part.text))}
            for token in engine.analyze(spaced(name.text)):
                weights[token] = max(weights.get(token, 0.0), 1 / len(parts) if token in of_parts else 1.0)
            for token in sorted(of_parts):
                weights[token] = max(weights.get(token, 0.0), 1 / len(parts))
        names = {name.name.lower(): name for _, name in found}
        most = dict(list(weights.items())[:MOST_TOKENS])
        return Asked(most, list(names.values())[:MOST_TOKENS] if most else [])


@lru_cache(maxsize=100_000)  # texts repeat their words
def _pieces(word: str) -> str:
    """What the plain words of a text do not hold of an identifier."""
    found = taken_apart(word)
    pieces = []
    for compound in found.compounds() if found is not None else ():
        pieces.append(compound.name)
        if compound.glued:
            pieces += [spaced(part.text) for part in compound.inner]
    return " ".join(pieces)


def _stop_words(words: Words) -> Any:
    if words.stop_words is not None:
        plain = _built(Words())
        return tantivy.Filter.custom_stopword(
            [token for word in words.stop_words for token in plain.analyze(spaced(word))]
        )
    if words.language is None or words.language == "english":
        return tantivy.Filter.custom_stopword(list(_COMMON_ENGLISH))
    return None if words.language in _WITHOUT_STOP_WORDS else tantivy.Filter.stopword(words.language)


def _built(words: Words, stop_words: Any = None) -> Any:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    builder = builder.filter(tantivy.Filter.remove_long(_TOO_LONG)).filter(tantivy.Filter.lowercase())
    if stop_words is not None:
        builder = builder.filter(stop_words)
    return (
        builder.filter(tantivy.Filter.stemmer(words.language)).build()
        if words.language and words.stem
        else builder.build()
    )
