"""Answering from passages: ask the model, then turn its quotes into citations that are checked against the text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.calls.refusals import answers_nothing
from langgraph_rlm.calls.tokens import Tokens
from langgraph_rlm.graphs.packing import name_of
from langgraph_rlm.graphs.prompts import NOT_FOUND, QUOTES, reader_messages
from langgraph_rlm.runs.run import Run
from langgraph_rlm.types import Citation, Hit

MARK = re.compile(r"\[(\d{1,4})\]")
_QUOTE_LINE = re.compile(r"\A\s*+(?:[-*]\s*+)?\[(\d{1,4})\]\s*+[:.]?\s*+[\"“«'](.+)[\"”»']\s*$", re.DOTALL)
_QUOTES_LINE = re.compile(rf"^[#* \t]*+{QUOTES}[:* \t\r]*$", re.MULTILINE)

_ABSENT = re.compile(rf"\A[\s*_#>`\"'([]*+{NOT_FOUND}[\s*_`\"')\]:.,;–—-]*+", re.IGNORECASE)
_ENDS_ABSENT = re.compile(rf"\b{NOT_FOUND}\W*\Z", re.IGNORECASE)

MOST_QUOTES = 200
"""Of one reply; one that repeats itself without end has more."""


class Reading(NamedTuple):
    """An answer from passages."""

    answer: str
    citations: list[Citation]
    found: bool
    """False when the model says that the passages do not hold the answer, refuses, or says nothing."""


async def read_answer(
    model: ModelCaller, question: str, hits: Sequence[Hit], *, account: Account, run: Run, extra: str | None = None,
    tokens: Tokens | None = None,
) -> Reading:  # fmt: skip
    """Ask ``model`` to answer from the hits, which stay data in the prompt; ``tokens`` gets the reply as it is written.

    Raises:
        LimitReached, ModelError: as :meth:`ModelCaller.ask`.
    """
    messages = reader_messages(question, [(name_of(hit), hit["text"]) for hit in hits], extra=extra)
    reply = await model.ask(messages, account=account, config=run.config, role="reader", tokens=tokens)
    if reply.refusal is not None and reply.missing is not None:
        return Reading(f"The model answered nothing: {reply.refusal}.", [], False)
    return parse_reading(reply.marked(), hits)


def parse_reading(text: str, hits: Sequence[Hit]) -> Reading:
    """The answer and its citations from a reply in the reader's format (prose with [n], then quotes)."""
    prose, _, quoted = _split(text)
    if not prose and not quoted.strip():
        return Reading("The model answered nothing.", [], False)
    if answers_nothing(prose) == "refusal":
        return Reading(f"The model refused to answer: {prose}", [], False)
    if (missing := absence_in(prose)) is not None:
        return Reading(f"The passages do not hold the answer{f': {missing}' if missing else '.'}", [], False)
    prose = in_plain_words(prose)
    citations: list[Citation] = []
    texts = [_Text(hit["text"]) for hit in hits]
    for line in quoted.splitlines():
        if len(citations) == MOST_QUOTES:
            break
        if (match := _QUOTE_LINE.match(line)) and 1 <= int(match[1]) <= len(hits):
            citation = _located(match[2].strip(), hits, texts, int(match[1]) - 1)
            if citation not in citations:
                citations.append(citation)
    cited = {citation["doc_id"] for citation in citations}
    for number in dict.fromkeys(int(n) for n in MARK.findall(prose)):
        if 1 <= number <= len(hits) and hits[number - 1]["doc_id"] not in cited:
            citations.append(_whole(hits[number - 1]))  # marked, but not quoted: the passage itself
    nothing = not citations and (answers_nothing(prose) == "unknown" or _ENDS_ABSENT.search(prose) is not None)
    return Reading(prose, citations, not nothing)


def absence_in(text: str) -> str | None:
    """What is missing, where a text begins with the words that we ask models for when nothing answers; else None.

    Example:
        >>> absence_in("**NOT IN THE PASSAGES**: the year."), absence_in("In 1999.")
        ('the year', None)
    """
    match = _ABSENT.match(text)
    return None if match is None else text[match.end() :].strip(" :.\n")


def in_plain_words(text: str) -> str:
    """A text without these words as they are asked for: they mean nothing to who reads an answer."""
    return text.replace(NOT_FOUND, NOT_FOUND.lower())


def _split(text: str) -> tuple[str, str, str]:
    match = _QUOTES_LINE.search(text)
    return (text.strip(), "", "") if match is None else (text[: match.start()].strip(), match[0], text[match.end() :])


def _located(quote: str, hits: Sequence[Hit], texts: Sequence[_Text], first: int) -> Citation:
    """The quote's place: in the passage it names, else in any other; an unknown quote stays, marked as not verified."""
    for index in [first, *(i for i in range(len(hits)) if i != first)]:
        if (span := texts[index].find(quote)) is not None:
            return _citation(hits[index], *span)
    hit = hits[first]
    return Citation(
        doc_id=hit["doc_id"], start=hit["start"], end=hit["end"], quote=quote, verified=False, line=hit["line"]
    )


class _Text:
    """A passage in which quotes are looked up, in time linear in its length."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._flat: str | None = None
        self._flat_starts: list[int] = []
        self._starts: list[int] = []

    def find(self, quote: str) -> tuple[int, int] | None:
        """The quote's place. Models straighten line breaks and runs of spaces when they copy."""
        if (start := self._text.find(quote)) >= 0:
            return start, start + len(quote)
        flat = " ".join(quote.split())
        start = self._flattened().find(flat) if flat else -1
        return None if start < 0 else (self._place(start), self._place(start + len(flat) - 1) + 1)

    def _flattened(self) -> str:
        """The words with one space between them, and where each begins in it and in the text."""
        if self._flat is None:
            at, words = 0, list[str]()
            for match in re.finditer(r"\S+", self._text):
                words.append(match[0])
                self._flat_starts.append(at)
                self._starts.append(match.start())
                at += len(match[0]) + 1
            self._flat = " ".join(words)
        return self._flat

    def _place(self, at: int) -> int:
        word = bisect_right(self._flat_starts, at) - 1
        return self._starts[word] + at - self._flat_starts[word]


def _citation(hit: Hit, start: int, end: int) -> Citation:
    return Citation(
        doc_id=hit["doc_id"],
        start=hit["start"] + start,
        end=hit["start"] + end,
        quote=hit["text"][start:end],
        verified=True,
        line=hit["line"] + hit["text"].count("\n", 0, start),
    )


def _whole(hit: Hit) -> Citation:
    return _citation(hit, 0, min(len(hit["text"]), 1_000))


def whole_documents(texts: Sequence[tuple[str, str]], source: str) -> list[Hit]:
    """Documents as hits that span all of them, for reading everything at once."""
    return [
        Hit(doc_id=doc_id, start=0, end=len(text), text=text, score=1.0, rank=rank, line=1, source=source, metadata=dict[str, Any]())
        for rank, (doc_id, text) in enumerate(texts)
    ]  # fmt: skip
