"""The corpus of a run: given as it is, or made by a function of the request, once for each run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from langchain_core.runnables import RunnableConfig

from langgraph_rlm.corpus import Corpus, JoinedCorpus
from langgraph_rlm.corpus.joined import check_names
from langgraph_rlm.errors import InvalidInput

OneCorpus = Corpus | Callable[[RunnableConfig], Corpus | Awaitable[Corpus]]
CorpusLike = OneCorpus | Mapping[str, OneCorpus]
"""A corpus; a function of the request's config that gives one, such as one for each tenant; or several of both by name. A
function is called once for each run; who made a corpus closes it."""


def check_corpus(corpus: object, *, required: bool = True) -> None:
    """Refuse what is neither a corpus nor a function that makes one.

    Raises:
        InvalidInput: naming what was given.
    """
    if corpus is None and not required:
        return
    if isinstance(corpus, Mapping):
        check_names(corpus)
        for one in corpus.values():
            if isinstance(one, Mapping):
                raise InvalidInput("corpus: a mapping inside of a mapping; give all corpora one name each")
            check_corpus(one)
        return
    if isinstance(corpus, Corpus) or (callable(corpus) and not isinstance(corpus, type)):
        return
    hint = f": open it first, Corpus.open({corpus!r})" if isinstance(corpus, str) else ""
    if callable(getattr(corpus, "similarity_search", None)) or callable(getattr(corpus, "invoke", None)):
        hint = ": open it first, Corpus.open(store)"
    raise InvalidInput(
        f"corpus: expected a Corpus, a function of the config, or a mapping of them, got {type(corpus).__name__}{hint}"
    )


def known_corpus(corpus: CorpusLike | None) -> Corpus | None:
    """The corpus, where it is known without a request."""
    if isinstance(corpus, Mapping):
        members = {name: one for name, one in corpus.items() if isinstance(one, Corpus)}
        return JoinedCorpus(members) if len(members) == len(corpus) else None
    return corpus if isinstance(corpus, Corpus) else None
