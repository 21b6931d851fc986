"""The tools of steps: what each takes, gives and needs. Arguments of those that agents have too come from their schemas."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from langgraph_rlm.errors import nearest
from langgraph_rlm.shortening import shortened
from langgraph_rlm.tools.schemas import schema_of

MOST_ITEMS = 10_000
"""Of one mapped step: each is a task on the host."""
MOST_PATTERN_CHARS = 1_000
"""Of a regular expression: one that is longer was not written by anybody."""
READ_CHARS = 100_000
"""Of a file, in one step, when no end is given; what is read stands in checkpoints and prompts."""
CHUNK_CHARS = 20_000
"""Of a chunk, when a step does not say: some 5,000 tokens, which every model reads with attention."""
How = Literal["join", "sum", "mean", "min", "max", "first", "majority", "weighted_mean"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Read(_Strict):
    """The characters [start:end] of a file.

    Args:
        file: its name, or ``name/part``.
        start: first character.
        end: character to stop before; 100,000 further on when left out.
    """

    file: str
    start: Annotated[int, Field(ge=0)] = 0
    end: Annotated[int, Field(ge=0)] | None = None


class Split(_Strict):
    """Cuts a file into chunks of whole lines where it can. Chunks are places; their texts are read one by one, by ``each``.

    Args:
        file: its name.
        chars: of a chunk, at most.
        overlap: characters that a chunk repeats of the one before.
    """

    file: str
    chars: Annotated[int, Field(ge=100, le=4_000_000)] = CHUNK_CHARS
    overlap: Annotated[int, Field(ge=0)] = 0


class ItemsOf(_Strict):
    """The items of a list, or the documents of a file, for ``each``.

    Args:
        items: a list, or a text with one item on each line that is not empty.
        file: its name; exactly one of the two is given.
    """

    items: Any = None
    file: str | None = None


class Reduce(_Strict):
    """One value from many.

    Args:
        items: a list, such as the results of a mapped step; items that failed are passed over and counted.
        how: ``join`` texts by lines; ``first`` that is not empty; ``majority`` the most frequent; the others reckon with numbers.
        field: of each item; its text or value when left out.
        weights: one number for each item, for ``weighted_mean``; or the name of a field of the items.
    """

    items: Any
    how: How = "join"
    field: str | None = None
    weights: Any = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of steps.

    Args:
        name: in specs.
        gives: fields of its result, of which ``lists`` may be mapped over.
        needs: ``corpus``, ``shell``, or empty.
        arguments: the model of its arguments.
        about: what it does, in a sentence.
        lists: names of the fields that are lists.
        more: arguments that it takes beside the model's.
    """

    name: str
    gives: tuple[str, ...]
    needs: str
    arguments: type[BaseModel]
    about: str
    lists: tuple[str, ...] = ()
    more: Mapping[str, FieldInfo] | None = None

    @property
    def fields(self) -> Mapping[str, FieldInfo]:
        """Its arguments by name."""
        return {**self.arguments.model_fields, **(self.more or {})}

    def problem_of(self, name: str, value: Any) -> str | None:
        """What is wrong with the value of an argument; None when nothing is."""
        try:
            _adapter(self.name, name).validate_python(value, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            return f"{first['msg']} (got {shortened(repr(value))})"
        return None

    def unknown(self, name: str) -> str:
        """What is said of an argument that it does not take."""
        return f"{self.name} takes {', '.join(self.fields)}, not {name!r}{nearest(name, self.fields)}"


@functools.cache
def _adapter(tool: str, argument: str) -> TypeAdapter[Any]:
    field = TOOLS[tool].fields[argument]
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(kind)


def _optional(kind: Any) -> FieldInfo:
    return FieldInfo.from_annotated_attribute(kind, None)


_FOUND = ("matches", "count", "seen", "complete", "notes")


def _search(name: str, needs: str, about: str, more: Mapping[str, FieldInfo] | None = None) -> Tool:
    return Tool(name, _FOUND, needs, schema_of(name), about, ("matches",), more)


TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("materialize_context", ("file", "chars", "documents"), "", schema_of("materialize_context"),
             "Stores an input as a file that later steps search and read."),
        _search("local_grep", "", "Lines that match a regular expression (RE2)."),
        _search("local_search", "", "Lines that hold a literal text."),
        Tool("count", ("count", "complete"), "", schema_of("count"), "How many matches an expression has, exactly."),
        _search("bm25_search", "", "The best pieces of a file, or of the corpus, by words.", {"file": _optional(str | None)}),
        _search("vector_retrieve", "corpus", "The best chunks of the corpus by meaning."),
        _search("hybrid_search", "corpus", "The best chunks of the corpus by words and by meaning."),
        _search("hop_search", "corpus", "The best chunks of the corpus, found through the names in others."),
        Tool("read", ("text", "file", "start", "end", "complete"), "", Read, "Characters of a file."),
        Tool("split", ("chunks", "count"), "", Split, "A file in chunks, to be mapped over.", ("chunks",)),
        Tool("items_of", ("items", "count"), "", ItemsOf, "The items of a list, or the documents of a file.", ("items",)),
        Tool("reduce", ("value", "count", "skipped"), "", Reduce, "One value from many."),
        Tool("query_lm", ("text", "value"), "", schema_of("query_lm"), "Asks a model one prompt.", ("value",),
             {"model": _optional(str | None)}),
        Tool("codex_exec", ("output", "exit_code", "ended"), "shell", schema_of("codex_exec"), "A shell command in a jail."),
    )
}  # fmt: skip
"""By name. ``needs`` names what the graph must be made with."""
SEARCHES = ("local_grep", "local_search", "bm25_search", "vector_retrieve", "hybrid_search", "hop_search")
MAPPED = ("results", "count", "answered", "failed")
"""Fields of a step with ``each``; ``results`` has one entry for each item, in order."""
RECURSIVE = ("answer", "found", "citations")
"""Fields of an ``rlm`` step."""
