"""Questions are embedded beside the event loop, and the app's default executor is left alone."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.embeddings import aembed_query

SIDE_BY_SIDE = 8
"""The default executor of the test has one thread."""


class Blocking(Embeddings):
    """Waits until so many questions are embedded at once."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(SIDE_BY_SIDE)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.barrier.wait(20)
        return [float(len(text))]


class Own(Embeddings):
    """Has a coroutine of its own."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError

    async def aembed_query(self, text: str) -> list[float]:
        assert threading.current_thread() is threading.main_thread()
        return [1.0]


def test_embeddings_without_a_coroutine_take_our_threads() -> None:
    embeddings = Blocking()

    async def all_at_once() -> list[list[float]]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        return await asyncio.gather(*(aembed_query(embeddings, "x" * n) for n in range(SIDE_BY_SIDE)))

    assert asyncio.run(all_at_once()) == [[float(n)] for n in range(SIDE_BY_SIDE)]


def test_embeddings_with_a_coroutine_are_awaited() -> None:
    assert asyncio.run(aembed_query(Own(), "x")) == [1.0]
