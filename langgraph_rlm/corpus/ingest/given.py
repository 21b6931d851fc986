"""What ``add`` takes as documents: one, several, paths, a LangChain loader, an iterator of either kind; read as it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from langchain_core.documents import Document

from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.errors import InvalidInput


class Loader(Protocol):
    """A LangChain ``BaseLoader``, or what has its method."""

    def lazy_load(self) -> Iterator[Document]:
        """The documents, one after the other."""
        ...


Documents: TypeAlias = (
    Document | str | Path | Loader | Iterable[Document | str | Path] | AsyncIterable[Document | str | Path]
)
"""What :meth:`langgraph_rlm.corpus.Corpus.add` takes."""


def as_documents(given: Any) -> Iterable[Document]:
    """The documents; of a loader or an iterator one after the other.

    Raises:
        InvalidInput: it is nothing of the kind, or an async iterator, which ``aadd`` takes.

    Example:
        >>> from langchain_core.documents import Document
        >>> list(as_documents(Document("text", id="a")))[0].id
        'a'
    """
    if isinstance(given, Document):
        return [given]
    if isinstance(given, str | Path):
        return load_paths([given])
    if callable(getattr(given, "lazy_load", None)):
        return iter(given.lazy_load())
    if isinstance(given, AsyncIterable):
        raise InvalidInput("add: an async iterator is for aadd: await corpus.aadd(documents)")
    if not isinstance(given, Iterable):
        raise InvalidInput(f"add: expected documents, paths or a loader, got {type(given).__name__}")
    if isinstance(given, Sequence) and given and all(isinstance(one, str | Path) for one in given):
        return load_paths(given)
    return given if isinstance(given, Sequence) else _one_by_one(given)


def stopped(error: Exception, count: int, last: str) -> InvalidInput:
    """What a loader that failed is told with.

    Args:
        error: what it raised.
        count: documents before that.
        last: the id of the last of them.
    """
    return InvalidInput(
        f"add: the loader failed behind {count:,} documents{f', the last of them {last!r},' if last else ''} with "
        f"{type(error).__name__}: {error}. They are indexed; add again when it is mended, which skips what is unchanged"
    )


def pulled(given: Any, loop: asyncio.AbstractEventLoop) -> Any:
    """An async iterator as one that a thread reads, item by item from the loop; anything else as it is."""
    return _pulled(given, loop) if isinstance(given, AsyncIterable) else given


def _pulled(given: AsyncIterable[Any], loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    items = aiter(given)

    async def following() -> tuple[bool, Any]:
        try:
            return True, await anext(items)
        except StopAsyncIteration:
            return False, None

    while True:
        there, item = asyncio.run_coroutine_threadsafe(following(), loop).result()
        if not there:
            return
        yield item


def _one_by_one(given: Iterable[Any]) -> Iterator[Any]:
    for one in given:
        if isinstance(one, str | Path):
            yield from load_paths([one])
        else:
            yield one
