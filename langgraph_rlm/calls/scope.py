"""What the functions of one run at one depth may touch, and what one cell did with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.function_table import Function
from langgraph_rlm.calls.memo import Occurrences
from langgraph_rlm.calls.subcalls import SubCalls
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.repl.shell import Shell
from langgraph_rlm.runs.faces import Face
from langgraph_rlm.runs.run import Emit, Run, unheard
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import Citation, ContextRef, Strategy

Where = dict[str, Any] | None
Child = Callable[[str, Any, str, bool], Awaitable[Any]]
"""A recursive child: ``(prompt, context or None, its path, whether its cell is replayed)`` → its answer or a ``FailedCall``."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What the functions of one run at one depth may touch.

    Args:
        place: session and path of the child, for memo keys.
        contexts: resolves ``context``.
        context: the run's context.
        corpus: the run's corpus.
        where: a filter of the request; every filter of a cell is and-ed to it.
        run: the request, for traces of searches; None for none.
        own: tools of the user's own, by name.
        documents: ids that grep, search and count look at, of the context and the corpus; None for all.
        strategy: ``filter`` offers no retrieval functions.
        subcalls: asks the sub-model; None at ``max_depth=0``.
        child: starts a recursive child; None where ``rlm_query`` falls back to the sub-model.
        face: sync or async.
        budget: of the run; counts searches.
        shell: runs commands; None unless the user has turned it on.
        emit: tells whoever streams what was retrieved, and what was called.
    """

    place: str
    contexts: ContextStore
    context: ContextRef | None
    corpus: Corpus | None
    where: Where
    strategy: Strategy | None
    subcalls: SubCalls | None
    child: Child | None
    face: Face
    budget: Budget
    shell: Shell | None = None
    emit: Emit = unheard
    run: Run | None = None
    own: Mapping[str, Function] = field(default_factory=dict)
    documents: Collection[str] | None = None


@dataclass(slots=True)
class CellRecord:
    """What one cell did on the host."""

    number: int
    replayed: bool = False
    """It had run to its end before: what failed in it has failed, and is not asked again."""
    citations: list[Citation] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    occurrences: Occurrences = field(default_factory=Occurrences)
    notes: list[str] = field(default_factory=list)
    """What the model has to know of the calls beside their results."""
