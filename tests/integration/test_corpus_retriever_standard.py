"""LangChain's own tests for retrievers, on a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.retriever import CorpusRetriever


class TestCorpusRetriever(RetrieversIntegrationTests):
    """The standard behaviour: ``k`` at construction and at each call, Documents out, sync and async."""

    @pytest.fixture(autouse=True)
    def _corpus(self, tmp_path: Path) -> Iterator[None]:
        with Corpus.open(f"chroma:{tmp_path / 'index'}") as self.corpus:
            self.corpus.add(Document(f"an apple of tree {number}", id=f"tree{number}") for number in range(6))
            yield

    @property
    def retriever_constructor(self) -> type[CorpusRetriever]:
        return CorpusRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"corpus": self.corpus}

    @property
    def retriever_query_example(self) -> str:
        return "apple tree"
