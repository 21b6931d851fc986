"""The corpus of a run: given as it is, or made by a function of the request, once for each run."""

from __future__ import annotations

import inspect
import threading
from asyncio import wrap_future
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.runs.faces import Face

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


class Corpora:
    """The corpora that the functions of one run have made. Safe to share between threads and loops."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, Future[Corpus]]] = {}
        self._lock = threading.Lock()

    async def of(self, given: CorpusLike, config: RunnableConfig, face: Face) -> Corpus:
        """The corpus of this run.

        Raises:
            InvalidInput: the function gave something else. What it raises itself is raised as it is.
        """
        if isinstance(given, Corpus):
            return given
        with self._lock:
            known = self._made.get(id(given))
            if known is None:
                made: Future[Corpus] = Future()
                self._made[id(given)] = given, made  # with the function itself, so that no other gets its id
        if known is not None:
            return await wrap_future(known[1])
        try:
            corpus = await _called(given, config, face)
        except BaseException as error:
            made.set_exception(error)
            made.exception()  # it is raised here: nobody else may be waiting
            raise
        made.set_result(corpus)
        return corpus


async def _called(given: Callable[[RunnableConfig], Any], config: RunnableConfig, face: Face) -> Corpus:
    made: Any = await face.block(given, config)
    found = await made if inspect.isawaitable(made) else made
    if not isinstance(found, Corpus):
        raise InvalidInput(f"corpus: the function returned {type(found).__name__}, not a Corpus")
    return found
