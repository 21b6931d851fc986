"""What a served corpus answers: one record for each kind of reply. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class Matches(TypedDict):
    """What a search finds: ``doc_id, line, start, end, text`` of each match."""

    matches: list[dict[str, Any]]
    count: int
    complete: bool


class Text(TypedDict):
    """A piece of a text."""

    text: str
    start: int
    end: int
    complete: bool


class Documents(TypedDict):
    """What there is: ``doc_id, chars, metadata`` of each document."""

    documents: list[dict[str, Any]]
    count: int
    complete: bool


class Loaded(TypedDict):
    """A file that questions can refer to."""

    context: str
    chars: int
    documents: int


class Ended(TypedDict):
    """A run, and its state."""

    run_id: str
    status: str


class Asking(Ended):
    """A question: its answer, or how far it is; then what belongs to an answer is empty. USD are None where no price is known."""

    so_far: str
    answer: str
    found: bool
    route: str
    stop_reason: str
    citations: list[dict[str, Any]]
    cost_usd: float | None


class Routes(TypedDict):
    """What a question may take, by route."""

    routes: dict[str, Any]
