"""Which inputs are contexts, and what a size asks for: reading it at once, or recursion.

Sizes are characters; tokens are estimated from them, four characters each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from langchain_core.documents import Document

from langgraph_rlm.budget import CHARS_PER_TOKEN
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.prompts import FENCE_TOKENS
from langgraph_rlm.types import ContextKind

ANY_WINDOW_TOKENS = 100_000
"""Below this a context needs no recursion: the windows of current models hold it."""
NO_WINDOW_TOKENS = 500_000
"""Above this it goes to the recursive route, whatever the window: models lose track of what they read."""
THRESHOLD_CHARS = 4_000_000
"""From this size on an input is a context."""
CONTEXT_TYPE = "context"


@dataclass(frozen=True, slots=True)
class Advice:
    """What a size asks for.

    Args:
        route: ``direct`` (an RLM is not needed), ``rlm``, or None where it depends on a window that was not given.
        tokens: the estimated size.
        confidence: 0 to 1.
        reasons: in words.
    """

    route: Literal["direct", "rlm"] | None
    tokens: int
    confidence: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextField:
    """An input that is a context.

    Args:
        name: of the input.
        kind: what it is.
        chars: characters of all its texts.
        tokens: the estimated size.
        reason: why it is one.
    """

    name: str
    kind: ContextKind
    chars: int
    tokens: int
    reason: str


class Measured(NamedTuple):
    """What a value is as a context."""

    kind: ContextKind
    chars: int
    docs: int = 1
    """Texts that it holds."""


def tokens_of(chars: int, docs: int = 1) -> int:
    """Estimated tokens of so many characters, and of the marks around each of several texts.

    Example:
        >>> tokens_of(4_000), tokens_of(4_000, docs=101)
        (1000, 5000)
    """
    return chars // CHARS_PER_TOKEN + FENCE_TOKENS * max(0, docs - 1)


def room_of(window_tokens: int) -> int:
    """Tokens of a window that a context may take; the instructions and the answer need some too."""
    return window_tokens * 3 // 4


def advise(size: int, window_tokens: int | None = None, *, docs: int = 1) -> Advice:
    """Whether a context of a size is better read at once or by a recursive language model.

    Up to three quarters of the model's window it is read at once, unless it has more than 500,000 tokens. Without a
    window, less than 100,000 tokens fit any current model, and what lies between the two depends on the model.

    Args:
        size: characters of the context.
        window_tokens: what the model can read; None when it is not known.
        docs: texts that it consists of: each has marks around it in a prompt.

    Raises:
        InvalidInput: a size below 0, a window below 1, or another type.

    Example:
        >>> advise(40_000).route
        'direct'
        >>> print(advise(1_200_000).route, advise(1_200_000, window_tokens=1_000_000).route)
        None direct
        >>> advise(40_000_000).reasons
        ('the context has about 10,000,000 tokens: more than any prompt should hold',)
    """
    _check("size", size, "characters", 0)
    if window_tokens is not None:
        _check("window_tokens", window_tokens, "tokens", 1)
    _check("docs", docs, "texts", 0)
    tokens = tokens_of(size, docs)
    about = f"the context of about {tokens:,} tokens"
    if tokens > NO_WINDOW_TOKENS:
        return Advice(
            "rlm", tokens, 1.0, (f"the context has about {tokens:,} tokens: more than any prompt should hold",)
        )
    if window_tokens is None:
        if tokens < ANY_WINDOW_TOKENS:
            return Advice(
                "direct", tokens, 0.9, (f"{about} fits the windows of current models: it needs no recursion",)
            )
        need = -(-tokens * 4 // 3)
        why = f"{about} is read at once by a model with a window of {need:,} tokens or more, and recursively by others"
        return Advice(None, tokens, 0.5, (why,))
    if tokens <= room_of(window_tokens):
        return Advice("direct", tokens, 1.0, (f"{about} fits the model's window of {window_tokens:,}",))
    return Advice("rlm", tokens, 0.9, (f"{about} does not fit the model's window of {window_tokens:,}",))


def detect_context_fields(
    inputs: Mapping[str, Any],
    threshold_chars: int = THRESHOLD_CHARS,
    window_tokens: int | None = None,
    schema: Sequence[Mapping[str, Any]] | None = None,
) -> list[ContextField]:
    """The inputs that are contexts: too large for a prompt, or said to be one.

    A text, a list of texts or of Documents and a mapping of texts can be contexts, and a ``ContextRef`` always is one.

    Args:
        inputs: values by name.
        threshold_chars: an input with so many characters, or more, is a context.
        window_tokens: what the model can read; what does not fit it is a context too.
        schema: ``{"name": …, "type": …}`` for inputs whose type is known: one of type ``context`` is a context whatever
            its size, one of any other type never is. Names that are not among the inputs are passed over.

    Returns:
        The contexts among the inputs, in their order.

    Raises:
        InvalidInput: an argument that is not usable, or an input that the schema calls a context and that holds no text.

    Example:
        >>> [found] = detect_context_fields({"question": "Why?", "log": "ok\\n" * 2_000_000})
        >>> found.name, found.chars, found.reason
        ('log', 6000000, 'it has 6,000,000 characters, and 4,000,000 are the threshold')
    """
    if not isinstance(inputs, Mapping):
        raise InvalidInput(f"inputs: expected a mapping of names to values, got {type(inputs).__name__}")
    _check("threshold_chars", threshold_chars, "characters", 1)
    if window_tokens is not None:
        _check("window_tokens", window_tokens, "tokens", 1)
    types, found = _types(schema or ()), list[ContextField]()
    for name, value in inputs.items():
        measured, known = measure(value), types.get(name)
        if measured is None and known == CONTEXT_TYPE:
            raise InvalidInput(
                f"input {name!r}: the schema calls it a context, but it is no text, texts, Documents or ContextRef: "
                f"got {type(value).__name__}"
            )
        if measured is not None and (why := _reason(value, measured, known, threshold_chars, window_tokens)):
            found.append(ContextField(name, measured.kind, measured.chars, tokens_of(measured.chars), why))
    return found


def measure(value: Any) -> Measured | None:
    """Kind and characters of a context; None for what cannot be one. The claims of a ``ContextRef`` are not checked."""
    if isinstance(value, str):
        return Measured("text", len(value))
    if isinstance(value, Mapping):
        if "context_ref" in value:
            chars, docs = value.get("chars"), value.get("docs")
            if type(chars) is not int or chars < 0:
                return None
            return Measured(value.get("kind", "text"), chars, docs if type(docs) is int else 1)
        return _sum("fields", list(value.values()))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        if value and all(isinstance(item, Document) for item in value):
            return _sum("documents", [item.page_content for item in value])
        return _sum("list", value)
    return None


def _sum(kind: ContextKind, texts: Sequence[Any]) -> Measured | None:
    return Measured(kind, sum(map(len, texts)), len(texts)) if all(isinstance(text, str) for text in texts) else None


def _reason(
    value: Any, measured: Measured, known: str | None, threshold_chars: int, window_tokens: int | None
) -> str | None:
    """Why an input is a context; None when it is none."""
    if known is not None:
        return "the schema says so" if known == CONTEXT_TYPE else None
    if isinstance(value, Mapping) and "context_ref" in value:
        return "it is a reference to one"
    if measured.chars >= threshold_chars:
        return f"it has {measured.chars:,} characters, and {threshold_chars:,} are the threshold"
    if window_tokens is not None and advise(measured.chars, window_tokens, docs=measured.docs).route == "rlm":
        return f"its about {tokens_of(measured.chars, measured.docs):,} tokens do not fit the model's window of {window_tokens:,}"
    return None


def _types(schema: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    types: dict[str, str] = {}
    for number, field in enumerate(schema):
        pair = (field.get("name"), field.get("type")) if isinstance(field, Mapping) else (None, None)
        if not all(isinstance(part, str) and part for part in pair):
            raise InvalidInput(f'schema[{number}]: expected {{"name": …, "type": …}}, got {str(field)[:80]!r}')
        if pair[0] in types:
            raise InvalidInput(f"schema[{number}]: a second entry for {pair[0]!r}")
        types[str(pair[0])] = str(pair[1])
    return types


def _check(name: str, value: Any, unit: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{name} must be a whole number of {unit}, at least {least}, not {value!r}")
