"""The modes of retrieval, and which one ``auto`` stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

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


class Chosen(NamedTuple):
    """What ``auto`` stands for."""

    mode: Mode
    why: str


def check_mode(mode: Any) -> None:
    """Refuse what is no mode.

    Raises:
        InvalidInput: naming those that are known.
    """
    if mode not in MODES:
        known = ", ".join(map(repr, MODES))
        raise InvalidInput(f"retrieve: unknown mode {mode!r}; known are {known}")


def chosen(queries: Sequence[str], *, has_vectors: bool, named_in: Callable[[str], Sequence[str]] | None) -> Chosen:
    """The mode for these queries.

    Args:
        queries: what is asked.
        has_vectors: the embeddings know more than words.
        named_in: gives the names of the corpus that a question mentions; None without a name graph.

    Example:
        >>> chosen(["Who is the mother of the director of Alien?"], has_vectors=True, named_in=lambda asked: ["Alien"]).mode
        'hop'
    """
    for query in queries:
        if named_in is not None and is_chained(query) and (names := named_in(query)):
            return Chosen("hop", f"it names {names[0][:80]!r} and asks about something beyond it")
    told = "" if named_in is not None else "; the corpus has no names to follow"
    if has_vectors:
        return Chosen("hybrid", f"no chain of facts is asked for{told}")
    return Chosen("bm25", f"no chain of facts is asked for, and there are no vectors of meaning{told}")


def is_chained(question: str) -> bool:
    """Whether a question reaches what it asks about through another fact."""
    if len(question) > MOST_CHARS:
        return False
    related = _RELATED.search(question) is not None and _WHO.match(question) is None
    return related or any(sign.search(question) for sign in (_CHAINED, _TWICE))
