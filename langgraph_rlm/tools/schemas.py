"""What a model may give to each tool: made from the table of functions, so that nothing is said twice."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from langgraph_rlm.calls.function_table import Function
from langgraph_rlm.calls.functions import FUNCTIONS
from langgraph_rlm.errors import nearest
from langgraph_rlm.shortening import shortened

BY_TOOL: Mapping[str, Function] = {function.tool: function for function in FUNCTIONS.values() if function.tool}
SEARCHES = ("local_grep", "local_search", "count")
"""They look at files, which cells do not have: ``file`` stands for the cells' ``in_``."""
RENAMED: Mapping[str, Mapping[str, str]] = {
    "local_search": {"pattern": "text"},
    "query_lm": {"answer_schema": "schema"},  # pydantic's models have a `schema` of their own
}
"""Arguments that have another name in a cell: the tool's → the cell's."""

_DESCRIPTIONS = {
    "pattern": "What to find.",
    "file": "Where to look: a name given to materialize_context, a document's id, or a glob such as *.log. All when left out.",
    "max_matches": "Most matches to return.",
    "before": "Lines to show before each match.",
    "after": "Lines to show after each match.",
    "ignore_case": "Upper and lower case are the same.",
    "where": 'Filter on the metadata of the corpus\'s documents, e.g. {"year": {"$gte": 2020}}.',
    "query": "What to look for; or a list of queries, which are asked side by side.",
    "question": "The question, complete in itself.",
    "k": "How many to return.",
    "neighbours": "Chunks to show before and after each hit.",
    "diversity": "0 to 1: fewer hits that resemble each other.",
    "hops": "How many links to follow.",
    "doc_id": "Id of the document, as hits and list_documents show it, or the name of a file.",
    "start": "First character.",
    "end": "Character to stop before; as much as there is room for when left out.",
    "prompt": "The task, with the text that it needs.",
    "answer_schema": "A JSON schema that the answer must satisfy.",
    "command": "The shell command.",
    "timeout": "Seconds after which it is ended.",
    "field_name": "The field of the state that holds the text.",
    "filename": "The name to give it; the field's when left out.",
}
_ABOUT = {
    "local_grep": "Find lines by a regular expression (RE2 syntax, `^` and `$` match at lines; case matters). Returns one "
    "hit per match, with its place.",
    "local_search": "Find lines by a literal text (case matters). Returns one hit per match, with its place.",
    "count": "Count the matches of a regular expression (RE2 syntax; case matters), exactly.",
    "read_context": "Read the characters [start:end] of a document or file.",
    "list_documents": "List the files of this conversation and the documents of the corpus.",
    "query_lm": "Ask a sub-model. It sees only `prompt`: put the question and the text into it.",
    "bm25_search": "Find the k best chunks of the corpus by words (BM25).",
    "vector_retrieve": "Find the k best chunks of the corpus by meaning (embeddings).",
    "hybrid_search": "Find the k best chunks of the corpus by words and by meaning together.",
}
"""Shorter than what cells are told: each tool's definition is part of every prompt of an agent."""


class Arguments(BaseModel):
    """The arguments of a tool; one that it does not have is refused by its name."""

    model_config = ConfigDict(extra="ignore")  # checked below: LangGraph adds `runtime`

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        known = list(cls.model_fields)
        for name in given if isinstance(given, Mapping) else ():
            if name not in known and name != "runtime":
                raise ValueError(f"there is no argument {name!r}{nearest(name, known)}; there are {', '.join(known)}")
        return given


def schema_of(name: str) -> type[BaseModel]:
    """The arguments of a tool, with their bounds and descriptions."""
    if name == "materialize_context":
        fields: dict[str, Any] = {"field_name": (str, ...), "filename": (str | None, None)}
    elif name == "ask_rlm":
        fields = {"question": (str, ...), "file": (str | None, None)}
    else:
        fields = _fields_of(name)
    described = {
        field: (Annotated[hint, Field(description=_DESCRIPTIONS[field])], value)
        for field, (hint, value) in fields.items()
    }
    return create_model(name, __base__=Arguments, **described)  # type: ignore[call-overload]


def description_of(name: str) -> str:
    """What a model reads of a tool."""
    if name == "materialize_context":
        return (
            "Store a long text of the state as a file, so that it can be searched and read in pieces without being shown. "
            "Give the name of the state's field; the file is then known as `filename`."
        )
    if name == "ask_rlm":
        return (
            "Give a question about long texts to a research agent of its own: it searches, reads and cites, and returns "
            "the answer. Slower and dearer than a search; for what needs many passages."
        )
    return _ABOUT.get(name) or " ".join((inspect.getdoc(BY_TOOL[name].call) or "").split())


def in_plain_words(error: Any) -> str:
    """What is wrong with the arguments, in a line that a model can act on."""
    problems = []
    for problem in error.errors(include_url=False, include_context=False)[:3]:
        place = ".".join(map(str, problem["loc"]))
        wrong = problem["msg"].removeprefix("Value error, ")
        given = f" (got {shortened(repr(problem['input']))})" if place and problem["type"] != "missing" else ""
        problems.append(f"{place}: {wrong}{given}" if place else wrong)
    return "The arguments cannot be used: " + "; ".join(problems)


def _fields_of(name: str) -> dict[str, Any]:
    hints = inspect.get_annotations(inspect.unwrap(BY_TOOL[name].call), eval_str=True)
    parameters = list(inspect.signature(BY_TOOL[name].call).parameters.values())[1:]
    to_tool = {cell: tool for tool, cell in RENAMED.get(name, {}).items()}
    fields: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name == "in_":
            fields["file"] = (str | None, None)
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[to_tool.get(parameter.name, parameter.name)] = (hints[parameter.name], default)
    return fields
