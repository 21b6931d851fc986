"""The modes of retrieval, and which one ``auto`` stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args

from langgraph_rlm.corpus.filters import Where
from langgraph_rlm.errors import InvalidInput

Mode = Literal["vector", "bm25", "hybrid", "hop", "auto"]
MODES: tuple[str, ...] = get_args(Mode)

MOST_CHARS = 4_000
"""Of a question whose signs are looked for; a longer one is no question that one fact leads to another in."""

_CHAINED = re.compile(
    r"\bwhose\b|\bthe \w+ (?:\w+ ){0,3}?(?:of|to|in|at|for|by|from) (?:the |a |an )\w+ (?:\w+ ){0,6}?(?:of|that|who|which|where|in which|"
    r"to which|by|from|for)\b|'s \w+(?: \w+)?'s\b|’s \w+(?: \w+)?’s\b|\b(?:the|a|an) (?:\w+ ){1,3}?(?:that|who|which|where|in which)\b|"
    r"\bdessen\b|\bderen\b|\bdont\b|\bcuy[oa]s?\b",
    re.IGNORECASE,
)
"""One thing is named through another: ``the mother of the director of Alien``, ``whose``."""
_RELATED = re.compile(
    r"\b(?:directors?|authors?|performers?|composers?|producers?|writers?|singers?|founders?|mother|father|wife|husband|spouse|"
    r"sons?|daughters?|child|children|siblings?|brothers?|sisters?|birthplace|hometown|regisseurs?|autors?|mutter|vater|"
    r"réalisateurs?|auteurs?|mère|père|directores|autor(?:a|es)?|madre|padre)\b",
    re.IGNORECASE,
)
"""Somebody known by what he is to another: asked who it is that takes one fact, asked anything else it takes two."""
_WHO = re.compile(r"\A\s*+(?:who|wer|qui|quién)\b(?!.{0,40}'s \w+ (?!\?))", re.IGNORECASE)
_TWICE = re.compile(
    r"\b(?:grand(?:mother|father|child|son|daughter)|\w+-in-law|uncle|aunt|nephew|niece|großmutter|großvater)\b",
    re.IGNORECASE,
)


_COMPARES = re.compile(
    r"\b(?:both|same|which|who|older|younger|first|earlier|later|more|less|than|or|between|and|beide[rns]?|älter|jünger|früher|"
    r"oder|und|même|plus|moins|tôt|tard|ou|et|ambos|ambas|mism[oa]s?|antes|más|menos|y|o)\b",
    re.IGNORECASE,
)
"""With two names, that both are asked about."""
_MOSTLY = 0.8
"""Of the chunks in scope: with so much code, following definitions finds more of it on each of four repositories; in mixed
indexes it loses prose."""


class Chosen(NamedTuple):
    """What ``auto`` stands for."""

    mode: Mode
    why: str
    names: tuple[str, ...] = ()
    """Of the corpus that the question mentions."""


class Scope(Protocol):
    """What a corpus tells for the choice."""

    keeps_names: bool

    @property
    def lexical(self) -> bool:
        """Whether its embeddings know words only."""
        ...

    def named_in(self, question: str, where: Where | None = None) -> list[dict[str, Any]]:
        """The names that a question mentions."""
        ...

    def code_share(self, where: Where | None = None) -> float:
        """Of the chunks in scope, 0 to 1, those of code."""
        ...


def check_mode(mode: Any) -> None:
    """Refuse what is no mode.

    Raises:
        InvalidInput: naming those that are known.
    """
    if mode not in MODES:
        known = ", ".join(map(repr, MODES))
        raise InvalidInput(f"retrieve: unknown mode {mode!r}; known are {known}")


def chosen(corpus: Scope, queries: Sequence[str], where: Where | None = None) -> Chosen:
    """The mode for these queries, and why.

    ``hop`` where one fact leads to another, where two things that the corpus names are asked about, and where at least four
    fifths of the scope's chunks are code. Documents beyond the filter have no say.

    Args:
        corpus: that is asked.
        queries: what is asked.
        where: the scope.
    """
    names: tuple[str, ...] = ()
    if corpus.keeps_names:
        if corpus.code_share(where) >= _MOSTLY:
            return Chosen("hop", "it is asked about code, whose definitions are followed", names)
        for query in queries:
            if len(query) > MOST_CHARS:
                continue
            # A value of metadata is the scope of a plan, and no document to go to.
            found = [
                one
                for one in corpus.named_in(query, where)
                if any(stands_for["kind"] != "metadata" for stands_for in one["documents"])
            ]
            names = (*names, *dict.fromkeys(one["name"] for one in found))
            if names and is_chained(query):
                return Chosen("hop", f"it names {names[0][:80]!r} and asks about something beyond it", names)
            if len(_apart(found)) > 1 and _COMPARES.search(query):
                told = " and ".join(repr(one[:80]) for one in names[:2])
                return Chosen("hop", f"it asks about two things by name: {told}", names)
    told = "" if corpus.keeps_names else "; the corpus has no names to follow"
    if not corpus.lexical:
        return Chosen("hybrid", f"no chain of facts is asked for{told}", names)
    return Chosen("bm25", f"no chain of facts is asked for, and there are no vectors of meaning{told}", names)


def _apart(found: Sequence[Mapping[str, Any]]) -> set[frozenset[str]]:
    """The things that are named, each by the documents that its name stands for: two spellings of one are one."""
    return {frozenset(one["doc_id"] for one in name["documents"]) for name in found}


def is_chained(question: str) -> bool:
    """Whether a question reaches what it asks about through another fact."""
    if len(question) > MOST_CHARS:
        return False
    related = _RELATED.search(question) is not None and _WHO.match(question) is None
    return related or any(sign.search(question) for sign in (_CHAINED, _TWICE))
