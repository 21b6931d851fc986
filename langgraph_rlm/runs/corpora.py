"""The corpus of a run: given as it is, or made by a function of the request, once for each run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from langchain_core.runnables import RunnableConfig

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import InvalidInput

CorpusLike = Corpus | Callable[[RunnableConfig], Corpus | Awaitable[Corpus]]
"""A corpus, or a function of the request's config that gives one: one corpus per tenant. It is called once for each run; who
made the corpus closes it."""


def check_corpus(corpus: object, *, required: bool = True) -> None:
    """Refuse what is neither a corpus nor a function that makes one.

    Raises:
        InvalidInput: naming what was given.
    """
    if corpus is None and not required:
        return
    if isinstance(corpus, Corpus) or (callable(corpus) and not isinstance(corpus, type)):
        return
    hint = f": open it first, Corpus.open({corpus!r})" if isinstance(corpus, str) else ""
    raise InvalidInput(f"corpus: expected a Corpus or a function of the config, got {type(corpus).__name__}{hint}")
