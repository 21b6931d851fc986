"""Finding the words of a text that fit a question best, by rare words and definitions; no language model.

Everything here quotes: what it returns are spans of the given texts, character by character.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

ENOUGH = 0.45
"""Share of a question's weight that a quotation and its place must cover; with less, nothing was found."""
_MAX_UNIT = 600
"""Characters of one candidate; longer sentences (data, minified code) are cut."""

_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be been being but by can could did do does doing done for from had has have he her "
        "his how i if in into is it its many me more most much my no not of on or our out over please she should "
        "show so some such tell than that the their them then there these they this those to too under until up "
        "us was we were what when where which while who whom whose why will with would you your about after all "
        "also any before between both during each few further here once only own same explain describe give find "
        "answer question mean means meaning used work works happens according say says said ",
    )
)
# What a name is, not what it is about: it says that a definition is wanted.
_KINDS = frozenset(
    {"function", "method", "class", "module", "package", "attribute", "variable", "constant", "argument"}
)
_WORD = re.compile(r"\w+(?:\.\w+)*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|“([^“”]+)”")
_IDENTIFIER = re.compile(
    r"(?<!\w)(?:\w++(?:\.\w++)++|\w*[^\W_]_\w+|_\w+|[A-Z]?[a-z\d]++(?:[A-Z][a-z\d]*+)++(?!\w)|\w++(?=\(\))"
    r"|(?<=\bthe function )\w+|(?<=\bthe method )\w+|(?<=\bthe class )\w+|(?<=\bthe module )\w+|(?<=\bthe package )\w+)"
)
# A question of these words and a name wants to know what the name stands for.
_DEFINING = frozenset(
    re.findall(
        r"\w+",
        "what does do is are the a an for used to mean return returns purpose of explain describe define in please "
        "exactly so and function method class module attribute variable constant it stand which where defined definition",
    )
)


@dataclass(frozen=True, slots=True)
class Query:
    """A question, taken apart.

    Args:
        terms: stems of its content words, each once.
        names: identifiers and quoted words in it, as written.
        wants_definition: it asks what a name is or does, and nothing else.
    """

    terms: tuple[str, ...]
    names: tuple[str, ...]
    wants_definition: bool

    @classmethod
    def of(cls, question: str) -> Query:
        """Take a question apart."""
        question = question[:4_000]
        names = [next(group for group in match.groups() if group) for match in _QUOTED.finditer(question)]
        names += [match[0] for match in _IDENTIFIER.finditer(question) if match[0].casefold() not in _STOP]
        rest = _IDENTIFIER.sub(" ", _QUOTED.sub(" ", question))
        defining = bool(names) and all(word.casefold() in _DEFINING for word in re.findall(r"\w+", rest))
        asked = " ".join(names) if defining else question
        terms = dict.fromkeys(stem for stem in stems(asked) if stem not in _KINDS)
        return cls(tuple(terms), tuple(dict.fromkeys(names)), defining)


def stems(text: str) -> Iterator[str]:
    """Content words, lower case, without common endings; a dotted name gives its parts."""
    for match in _WORD.finditer(text):
        for word in match[0].split("."):
            if _CJK.search(word):  # written without spaces: pairs of characters do instead of words
                yield from (word[i : i + 2] for i in range(max(1, len(word) - 1)))
                continue
            folded = word.casefold()
            if folded not in _STOP and (len(folded) > 1 or folded.isdigit()):
                yield _stem(folded)


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    if "_" in word or len(word) < 5:
        return word[:-1] if len(word) == 4 and word.endswith("s") and not word.endswith("ss") else word
    for ending, instead in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""), ("e", "")):
        if word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)] + instead
    return word


@dataclass(frozen=True, slots=True)
class Quote:
    """A candidate: ``text[start:end]`` of one passage.

    Args:
        passage: index of the passage.
        start: first character.
        end: after the last character.
        score: how well it fits; comparable within one search.
        held: terms of the question in it.
        covered: these, and those that its place holds.
    """

    passage: int
    start: int
    end: int
    score: float
    held: frozenset[str]
    covered: frozenset[str]


def best_quotes(question: str, passages: Sequence[tuple[str, str]], *, most: int = 3) -> list[Quote]:
    """The spans that fit a question best, best first; empty when none fits well enough.

    Args:
        question: the question.
        passages: ``(name, text)`` of each; words of the name count as the place of everything in the text.
        most: spans at most; a further one must hold something of the question that the earlier ones do not.
    """
    query = Query.of(question)
    if not query.terms:
        return []
    wanted = set(query.terms)
    places = [frozenset(wanted.intersection(stems(re.sub(r"[/\\:_-]", " ", name)))) for name, _ in passages]
    units = [
        (index, start, end, frozenset(wanted.intersection(stems(text[start:end]))))
        for index, (_, text) in enumerate(passages)
        for start, end in _units(text)
    ]
    weights = _weights(query.terms, [held for *_, held in units])
    names = [name.rsplit(".", 1)[-1] for name in query.names]
    # A passage that holds the name is about it; what is said there need not repeat it.
    named = {name: wanted.intersection(stems(name)) for name in names}
    places = [
        place.union(*(named[name] for name in names if name in text))
        for place, (_, text) in zip(places, passages, strict=True)
    ]
    found = [
        Quote(
            index,
            start,
            end,
            _score(query, names, weights, held, passages[index][1][start:end], places[index]),
            held,
            held | places[index],
        )
        for index, start, end, held in units
        if held
    ]
    if query.wants_definition:  # a place that merely uses the name explains nothing
        found = [
            quote for quote in found if _explains(names, passages[quote.passage][1][quote.start : quote.end])
        ] + _definitions(query, names, passages, places, weights)
    found.sort(key=lambda quote: (-quote.score, quote.passage, quote.start))
    if rest := wanted.difference(stems(" ".join(query.names))):  # what is asked about the name
        least = 0.4 * sum(weights[term] for term in rest)
        found = [quote for quote in found if sum(weights[term] for term in rest & quote.held) >= least]
    return _chosen(found, names, passages, weights, most)


def _chosen(
    found: list[Quote],
    names: list[str],
    passages: Sequence[tuple[str, str]],
    weights: dict[str, float],
    most: int,
) -> list[Quote]:
    total = sum(weights.values())
    chosen: list[Quote] = []
    covered: set[str] = set()
    for quote in found[:200]:
        text = passages[quote.passage][1]
        # A name that is asked for must stand in the passage: everything else would be about something similar.
        if any(name.casefold() not in text.casefold() for name in names[:1]):
            continue
        gain = sum(weights[term] for term in quote.covered - covered)
        if chosen and (gain < 0.2 * total or quote.score < 0.5 * chosen[0].score):
            continue
        if any(
            quote.passage == other.passage and quote.start < other.end and other.start < quote.end for other in chosen
        ):
            continue
        chosen.append(quote)
        covered |= quote.covered
        if len(chosen) == most:
            break
    enough = bool(chosen) and sum(weights[term] for term in chosen[0].covered) >= 0.8 * ENOUGH * total
    return chosen if enough and sum(weights[term] for term in covered) >= ENOUGH * total else []


def _weights(terms: Sequence[str], held: Sequence[frozenset[str]]) -> dict[str, float]:
    """Rare terms weigh more; one that occurs nowhere weighs most, so that missing it shows."""
    return {term: math.log(1 + (len(held) + 1) / (0.5 + sum(term in unit for unit in held))) for term in terms}


def _score(
    query: Query, names: list[str], weights: dict[str, float], held: frozenset[str], text: str, place: frozenset[str]
) -> float:
    score = sum(weights[term] for term in held) + 0.3 * sum(weights[term] for term in place - held)
    top = max(weights.values())
    score += 0.5 * top * sum(name in text for name in query.names)
    score += top * any(re.match(rf"(?:async )?(?:def|class) {re.escape(name)}\b", text) for name in names)
    return score / (1 + len(text) / 800)


def _explains(names: list[str], text: str) -> bool:
    """Whether a sentence or line begins to say what one of the names is: "X is …", "X returns …", ``def X``."""
    return any(
        re.match(rf"(?:async )?(?:def|class) {re.escape(name)}\b", text)
        or re.match(
            rf"\W*(?:[Tt]he \w+ |[Aa]n? )?(?:\w+\.)*{re.escape(name)}\b\S* "
            r"(?:is|are|was|means|refers to|denotes|returns)\b",
            text,
        )
        for name in names
    )


def _definitions(
    query: Query,
    names: list[str],
    passages: Sequence[tuple[str, str]],
    places: list[frozenset[str]],
    weights: dict[str, float],
) -> list[Quote]:
    """``def name(...)`` together with the first sentence of its docstring, above everything else."""
    found = []
    for index, (_, text) in enumerate(passages):
        for name in names:
            if not name.isidentifier():
                continue
            for opening in list(re.finditer(rf"(?:async def|def|class) {name}\b", text))[:5]:
                match = _DOCUMENTED.match(text[opening.start() : opening.start() + 2_000])
                if match and (held := frozenset(stems(match[0])) & set(query.terms)):
                    score = 3 * sum(weights.values()) + sum(weights[term] for term in places[index])
                    end = opening.start() + match.end(2)
                    found.append(Quote(index, opening.start(), end, score, held, held | places[index]))
    return found


_DOCUMENTED = re.compile(
    r"\A(?:async def|def|class) \w++\s*+(?:\([^()]*+(?:\([^()]*+\)[^()]*+)*+\))?+[^:\n]*+:\s*+[rRuU]?(\"\"\"|\'\'\'|\"|\')\s*+"
    r"(\S(?:(?!\1|\n\s*\n)[\s\S]){0,400}?(?:[.!?](?=\s|\1)|(?=\s*\1|\n\s*\n)))"
)


# --- candidates -------------------------------------------------------------------------------------------------------

_CODE = re.compile(
    r"\A\s*+(?:(?:async |await )?"
    r"(?:def|class|import|from|return|if|elif|else|for|while|try|except|with|raise|assert|yield)\b"
    r"|@\w|[\w.\[\]'\", ]++\s*+(?:[-+*/|&]?=)\s|[)\]}])"
)
_ITEM = re.compile(r"\A\s*+(?:[-*+•|>]|\d+[.)]|#{1,6} |\.\. )")
_SENTENCE_END = re.compile(
    r"(?<=[.!?…。！？])[\"')\]”’»]*"
    r"(?:\s+(?=[\"'(\[“‘«`*]*[A-Z0-9À-ÞА-Я\u3040-\u9fff])|(?=[\u3040-\u9fff]))"
)


def _is_code(line: str) -> bool:
    head = line[:200]  # a longer look could take quadratic time
    opens = line[-1] in "({[" or (line[-1] in ":,;" and any(mark in head for mark in "=()[]{}"))
    return opens or _CODE.match(head) is not None


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Spans of sentences; code, list items and table rows line by line."""
    start = position = 0
    block_open = False
    for line in text.splitlines(keepends=True):
        end = position + len(line)
        bare = line.strip()
        own = not bare or _is_code(bare)
        if block_open and (own or _ITEM.match(line)):
            yield from _sentences(text, start, position)
            block_open = False
        if own:
            if bare:
                yield from _sentences(text, position, end, whole=True)
        elif not block_open:
            start, block_open = position, True
        position = end
    if block_open:
        yield from _sentences(text, start, position)


def _sentences(text: str, start: int, end: int, *, whole: bool = False) -> Iterator[tuple[int, int]]:
    cuts = [] if whole else [match.end() for match in _SENTENCE_END.finditer(text, start, end)]
    first = start
    for cut in [*cuts, end]:
        while first < cut:
            last = cut
            if cut - first > _MAX_UNIT:
                space = text.rfind(" ", first + _MAX_UNIT // 2, first + _MAX_UNIT)
                last = space + 1 if space > 0 else first + _MAX_UNIT
            trimmed = trim(text, first, last)
            if trimmed[0] < trimmed[1]:
                yield trimmed
            first = last


_EDGE = "\"'#"


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without the white space, quotation and comment marks at its ends; empty when nothing else is in it."""
    while start < end and (text[start] in _EDGE or text[start].isspace()):
        start += 1
    while end > start and (text[end - 1] in _EDGE or text[end - 1].isspace()):
        end -= 1
    return (start, end) if any(char.isalnum() for char in text[start:end]) else (end, end)


def lines_of(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The spans of a span's lines, each trimmed: a quotation must stand on one line."""
    position = start
    for line in text[start:end].splitlines(keepends=True):
        span = trim(text, position, position + len(line))
        if span[0] < span[1]:
            yield span
        position += len(line)


def one_line(text: str) -> str:
    """``text`` with every run of white space (and comment marks at line starts) as one space."""
    return " ".join(re.sub(r"\n[^\S\n]*+#+ ?", " ", text).split())
