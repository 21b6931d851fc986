"""The records that travel between the parts: plain dicts, so that they survive checkpoints, JSON and cells unchanged.

Offsets are characters (Unicode code points) of a document's text, half-open: ``text[start:end]``.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

Strategy = Literal["filter", "director", "hybrid"]
StopReason = Literal["answered", "turns", "budget", "deadline", "cancelled", "error"]
Stream = Literal["answer", "early", "all"]
"""Which tokens are streamed: the answer's when it is known to stand, at once, or those of every model call."""
ContextKind = Literal["text", "list", "fields", "documents"]
Metadata = dict[str, Any]
"""Flat: str keys, values of str, int, float or bool."""


class ContextRef(TypedDict):
    """Stands for a context wherever the context itself must not be. Opaque: no path, no address.

    Resolved only in the graph's own ``ContextStore``, so a client that sends one learns nothing from it.
    """

    context_ref: str
    """``"sha256:<64 hex digits>"`` of the content."""
    kind: ContextKind
    chars: int
    docs: int


class Hit(TypedDict):
    """One piece of evidence, of the same shape from every engine; ``text`` is exactly the document's ``[start:end]``.

    grep's hits span the whole line or lines of the match (a window of it when the line is very long);
    ``metadata["match"]`` is then the ``[start, end]`` of the match itself.
    """

    doc_id: str
    start: int
    end: int
    text: str
    score: float
    rank: int
    """0 for the best."""
    line: int
    """Number of the line on which the span starts, from 1."""
    source: str
    """The engine: ``grep``, ``search``, ``bm25``, ``vector``, ``hybrid`` or ``hop``."""
    metadata: Metadata


class Citation(TypedDict):
    """A span that an answer stands on. ``verified``: the quote was found at exactly this place of the document."""

    doc_id: str
    start: int
    end: int
    quote: str
    verified: bool
    line: int
    """Number of the line on which the span starts, from 1; 0 when the document could not be read."""


class Decision(TypedDict):
    """What the router chose and why."""

    route: str
    """Name of the route: ``direct``, ``rag``, ``rlm``, or one of the user's own."""
    options: dict[str, Any]
    """How that route should work: of ``rag`` the ``mode`` and ``k`` of its retrieval."""
    confidence: float
    """0 to 1."""
    reasons: list[str]
    features: dict[str, float]
    escalated_from: str | None


class Grade(TypedDict):
    """Whether an answer of classic RAG is supported by what was retrieved, and why (not)."""

    supported: bool
    reasons: list[str]


class ModelUsage(TypedDict):
    """What one model spent."""

    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float | None
    """Of the calls whose price is known; None when that is none of them."""


class Usage(TypedDict):
    """What a run spent, all models together and one by one."""

    calls: int
    """Answered, or sent and never answered."""
    requests: int
    """Sent to models: every try of every call, also those that a server refused."""
    failed_requests: int
    """Those among them that brought no answer."""
    searches: int
    """Queries to the corpus."""
    embedded_tokens: int
    """Of queries that were embedded, estimated; no part of ``input_tokens``."""
    input_tokens: int
    cached_tokens: int
    """Part of ``input_tokens``."""
    output_tokens: int
    cost_usd: float | None
    """USD; None as soon as one model's price is not known."""
    seconds: float
    """Time at work; pauses between a checkpoint and its resume do not count."""
    estimated: bool
    """True when a server reported no tokens for some call and they were estimated, or when a call was sent whose answer
    never came: it counts with the most that it could have cost."""
    overspent_tokens: int
    """Output tokens beyond the caps that were sent with the calls: of models that ignore them."""
    by_model: dict[str, ModelUsage]


class CellResult(TypedDict):
    """What came of one cell."""

    stdout: str
    """What the cell printed, and the value of its last expression; capped at ``output_chars``."""
    error: str | None
    """The traceback of the cell's own lines, or one line that says how the cell was ended."""
    final: Any
    """The submitted answer (JSON-like) or None."""
    citations: list[Citation]
    seconds: float
    digest: str
    """sha256 of what the cell showed (stdout, error, final): equal digests mean an equal replay."""
    killed: bool
    """The REPL did not survive the cell; its variables are rebuilt by replay without this cell."""
    times: NotRequired[list[int]]
    """What the cell read from the clock (nanoseconds since 1970), for a replay; kinds of REPLs that do not know it have none."""


class Turn(TypedDict):
    """One cell of a run as the state keeps it; cells of one model reply share ``number``."""

    number: int
    thought: str
    """What the model wrote around its cells (in the first cell of a reply; empty in the others)."""
    code: str
    """Empty when the reply held no cell."""
    output: str
    """At most ``output_chars`` characters."""
    error: str | None
    digest: str
    seconds: float
    killed: bool
    calls: dict[str, int]
    """How often the cell called each function."""
    times: NotRequired[list[int]]
    """What the cell read from the clock, when it did: a replay serves the same."""


class CallError(TypedDict):
    """A call that failed, as a value: never a string that could pass for an answer."""

    category: Literal[
        "timeout",
        "rate_limited",
        "auth",
        "budget",
        "refused",
        "invalid_output",
        "too_long",
        "connection",
        "server",
        "tool",
    ]
    message: str
    retryable: bool


class RequestOptions(TypedDict, total=False):
    """What one request may set, as ``configurable={"rlm": …}`` or ``context={"rlm": …}``."""

    limits: dict[str, Any]
    """Narrow the graph's own, never widen them. A ``Limits`` object may stand here too."""
    route: str
    """``auto``, or the name of a route of the graph."""
    k: int
    """Passages that RAG retrieves, 1 to 1000."""
    where: dict[str, Any]
    """A filter on the metadata of the corpus's documents."""
    mode: str
    """How RAG retrieves, as ``Corpus.retrieve`` has it."""
    stream: Stream
    """``early``: an answer that may still escalate is streamed at once. ``all``: the tokens of every model call are."""


# What pydantic's with_config() sets: REPLs need this module and do without pydantic.
RequestOptions.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
