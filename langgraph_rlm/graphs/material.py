"""What there is to read: told in a line of the task, and checked before anything is paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.shortening import one_line
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import ContextRef


def context_line(contexts: ContextStore, ref: ContextRef) -> str:
    """What the context is, for the task."""
    ids = contexts.documents(ref)
    shown = ", ".join(map(one_line, ids[:5])) + (", …" if len(ids) > 5 else "")
    kinds = {
        "text": "`context` is a str",
        "list": f"`context` is a list of {ref['docs']:,} str",
        "fields": f"`context` is a dict of {ref['docs']:,} str",
        "documents": f"`context` is a dict of {ref['docs']:,} str by document id",
    }
    return f"{kinds[ref['kind']]} with {ref['chars']:,} characters in all; document ids: {shown}"


def corpus_line(corpus: Corpus, where: dict[str, Any] | None) -> str:
    """What the corpus holds, for the task."""
    seen = corpus.overview(where)
    if seen.chars is None:
        return "a store that lists no documents, searched by the functions (not in `context`)"
    if seen.documents is None:
        return f"documents with about {seen.chars:,} characters in all, searched by the functions (not in `context`)"
    names = ", ".join(map(one_line, seen.some))
    return (
        f"{seen.documents:,} documents with {seen.chars:,} characters in all, searched by the functions (not in "
        f"`context`); ids such as {names}"
    )


def check_apart(ids: Sequence[str], corpus: Corpus, where: dict[str, Any] | None) -> None:
    """Refuse a document of the context that has the id of another one in the corpus: a span must have one meaning."""
    for doc_id in ids:
        if corpus.holds(doc_id, where):
            raise InvalidInput(f"context: document {doc_id!r} has the id of a document in the corpus; give it another")
