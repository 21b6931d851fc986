"""Packing: as much of the best evidence as a prompt has room for, in whole sentences, each text once."""

from __future__ import annotations

import re
from collections.abc import Sequence

from langgraph_rlm.calls.models import estimated_tokens
from langgraph_rlm.corpus.finding.query import HEADINGS
from langgraph_rlm.graphs.prompts import FENCE_TOKENS, UNDER
from langgraph_rlm.shortening import one_line
from langgraph_rlm.types import Hit

LEAST_TOKENS = 1_000
"""With so many, a sentence of the best hit fits in any case."""
MOST_SENTENCE = 600
"""Characters; a longer run without an end (a table, minified code) is cut between words, or anywhere where it has none."""

_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+\s++|[。！？]+[」』”]*\s*|\n\s*")
_WORD = re.compile(r"\w{3,}")


def name_of(hit: Hit) -> str:
    """What a prompt calls a passage: its document, and the headings that it stands under and does not show.

    Example:
        >>> name_of({"doc_id": "leave.md", "text": "16 weeks.", "metadata": {"rlm_headings": ["Leave"]}})  # type: ignore[typeddict-item]
        'leave.md, under Leave'
    """
    headings = hit["metadata"].get(HEADINGS) or []
    above = " > ".join(one for one in headings if one not in hit["text"])
    return f"{hit['doc_id']}{UNDER}{above}" if above else hit["doc_id"]


def cost_of(hit: Hit) -> int:
    """Estimated tokens of a passage in the prompt, its name and marks among them."""
    return estimated_tokens(f"{one_line(name_of(hit))}{hit['text']}") + FENCE_TOKENS


def packed(hits: Sequence[Hit], tokens: int, question: str = "") -> list[Hit]:
    """The hits that fit, those that overlap joined, best first.

    A text that stands in several documents is shown once. The first hit that does not fit as a whole is shortened to the
    sentences around the one that shares most words with the question; what is ranked behind it is left out.

    Args:
        hits: best first.
        tokens: most that all passages may take, estimated.
        question: chooses among the sentences.

    Example:
        >>> packed([], 1_000)
        []
    """
    chosen: list[Hit] = []
    spent, seen = 0, set[str]()
    for hit in hits:
        plain = " ".join(hit["text"].split())
        if not plain or plain in seen:
            continue
        if spent + cost_of(hit) > tokens:
            chosen, spent = merged(chosen), sum(map(cost_of, merged(chosen)))
        if spent + cost_of(hit) > tokens:
            if (short := shortened(hit, tokens - spent, question)) is not None:
                chosen.append(short)
            break
        seen.add(plain)
        chosen.append(hit)
        spent += cost_of(hit)
    return merged(chosen)


def arranged(hits: Sequence[Hit]) -> list[Hit]:
    """Best first and last: models overlook what stands in the middle (Liu et al., TACL 2024).

    Example:
        >>> [hit["rank"] for hit in arranged([{"rank": n} for n in range(5)])]  # type: ignore[typeddict-item]
        [0, 2, 4, 3, 1]
    """
    return [*hits[::2], *reversed(hits[1::2])]


def merged(hits: Sequence[Hit]) -> list[Hit]:
    """Hits of one document that overlap or touch, as one in the place of the best of them."""
    by_document: dict[str, list[Hit]] = {}
    for hit in hits:
        by_document.setdefault(hit["doc_id"], []).append(hit)
    joined = [one for some in by_document.values() for one in _joined(sorted(some, key=lambda hit: hit["start"]))]
    return sorted(joined, key=lambda hit: hit["rank"])


def shortened(hit: Hit, tokens: int, question: str) -> Hit | None:
    """The whole sentences of a hit around the one that shares most words with the question; None when none fits."""
    sentences, text = sentences_of(hit["text"]), hit["text"]
    asked = set(_WORD.findall(question.lower()))
    shared = [len(asked & set(_WORD.findall(text[start:end].lower()))) for start, end in sentences]
    # In tokens as cost_of counts them: the sum of what is rounded up for each sentence is never less.
    costs = [estimated_tokens(text[start:end]) for start, end in sentences]
    left = tokens - FENCE_TOKENS - estimated_tokens(one_line(name_of(hit)))
    fitting = [number for number, cost in enumerate(costs) if cost <= left]
    if not fitting:
        return None
    first = last = max(fitting, key=lambda number: (shared[number], -number))
    left -= costs[first]
    while last + 1 < len(costs) and costs[last + 1] <= left:  # what follows, then what comes before
        last += 1
        left -= costs[last]
    while first > 0 and costs[first - 1] <= left:
        first -= 1
        left -= costs[first]
    return _part(hit, sentences[first][0], sentences[last][1])


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text begin and end; a line break ends one too.

    Example:
        >>> sentences_of("It fell. Why?")
        [(0, 9), (9, 13)]
    """
    ends = [match.end() for match in _END.finditer(text)]
    spans, start = [], 0
    for end in [*ends, len(text)]:
        while end - start > MOST_SENTENCE:
            space = text.rfind(" ", start + 1, start + MOST_SENTENCE)
            cut = space + 1 if space > 0 else start + MOST_SENTENCE
            spans.append((start, cut))
            start = cut
        if end > start:
            spans.append((start, end))
            start = end
    return spans


def _joined(hits: Sequence[Hit]) -> list[Hit]:
    joined: list[Hit] = []
    for hit in hits:
        last = joined[-1] if joined else None
        if last is None or (both := _union(last, hit)) is None:
            joined.append(hit)
        else:
            joined[-1] = both
    return joined


def _union(one: Hit, other: Hit) -> Hit | None:
    """Two hits as one, where the second begins within or at the end of the first and says the same there."""
    shared = one["end"] - other["start"]
    if shared < 0 or any(len(hit["text"]) != hit["end"] - hit["start"] for hit in (one, other)):
        return None
    if other["text"][:shared] != one["text"][len(one["text"]) - shared :][: len(other["text"])]:
        return None  # hits of two versions of the document
    union = min(one, other, key=lambda hit: hit["rank"]).copy()
    union["start"], union["line"] = one["start"], one["line"]
    union["end"] = max(one["end"], other["end"])
    union["text"] = one["text"] + other["text"][shared:]
    return union


def _part(hit: Hit, start: int, end: int) -> Hit:
    part = hit.copy()
    part["text"] = hit["text"][start:end]
    part["line"] = hit["line"] + hit["text"].count("\n", 0, start)
    part["start"], part["end"] = hit["start"] + start, hit["start"] + end
    return part
