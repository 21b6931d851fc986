"""A corpus as a LangChain retriever."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from langgraph_rlm.corpus.planning.plans import Plan
from langgraph_rlm.types import Hit

_OPTIONS = ("k", "mode", "where", "neighbours", "diversity", "plan", "hops")


class CorpusRetriever(BaseRetriever):
    """Gives each hit as a Document: its text, the document's metadata and ``doc_id``, ``start``, ``end``, ``score``.

    Made by :meth:`langgraph_rlm.corpus.corpus.Corpus.as_retriever`; ``k``, ``mode``, ``where``, ``neighbours``,
    ``diversity``, ``plan`` and ``hops`` may also be given to ``invoke``.
    """

    corpus: Any
    k: int = 8
    mode: str = "hybrid"
    where: dict[str, Any] | None = None
    neighbours: int = 0
    diversity: float = 0.0
    plan: bool | Plan = False
    hops: int = 1

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return [_as_document(hit) for hit in self.corpus.retrieve(query, **self._options(options))]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return [_as_document(hit) for hit in await self.corpus.aretrieve(query, **self._options(options))]

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _OPTIONS}
        return own | options


def _as_document(hit: Hit) -> Document:
    place = {name: hit[name] for name in ("doc_id", "start", "end", "line", "score")}
    identity = f"{hit['doc_id']}:{hit['start']}-{hit['end']}"
    return Document(id=identity, page_content=hit["text"], metadata={**hit["metadata"], **place})
