"""Recursive Language Models for LangGraph, with classic RAG and a smart router beside them.

The names here are imported when they are first used, so that ``import langgraph_rlm`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph_rlm.calls.memo import MemoryMemo as MemoryMemo
    from langgraph_rlm.calls.memo_files import SqliteMemo as SqliteMemo
    from langgraph_rlm.corpus import Corpus as Corpus
    from langgraph_rlm.corpus.embeddings import HashingEmbeddings as HashingEmbeddings
    from langgraph_rlm.errors import RLMError as RLMError
    from langgraph_rlm.graphs.rag import create_rag as create_rag
    from langgraph_rlm.graphs.rlm import create_rlm as create_rlm
    from langgraph_rlm.graphs.routes import Route as Route
    from langgraph_rlm.graphs.routing.detect import advise as advise
    from langgraph_rlm.graphs.routing.detect import detect_context_fields as detect_context_fields
    from langgraph_rlm.graphs.routing.router import SmartRouter as SmartRouter
    from langgraph_rlm.graphs.smart_rag import create_smart_rag as create_smart_rag
    from langgraph_rlm.limits import Limits as Limits
    from langgraph_rlm.offline import ExtractiveModel as ExtractiveModel
    from langgraph_rlm.repl import Shell as Shell
    from langgraph_rlm.runs.runtime import Runtime as Runtime
    from langgraph_rlm.text import ContextStore as ContextStore
    from langgraph_rlm.types import ContextRef as ContextRef

_HOMES = {
    "ContextRef": "types",
    "ContextStore": "text",
    "Corpus": "corpus",
    "ExtractiveModel": "offline",
    "HashingEmbeddings": "corpus.embeddings",
    "Limits": "limits",
    "MemoryMemo": "calls.memo",
    "RLMError": "errors",
    "Route": "graphs.routes",
    "Runtime": "runs.runtime",
    "Shell": "repl",
    "SmartRouter": "graphs.routing.router",
    "SqliteMemo": "calls.memo_files",
    "advise": "graphs.routing.detect",
    "create_rag": "graphs.rag",
    "create_rlm": "graphs.rlm",
    "create_smart_rag": "graphs.smart_rag",
    "detect_context_fields": "graphs.routing.detect",
}

__all__ = [
    "ContextRef",
    "ContextStore",
    "Corpus",
    "ExtractiveModel",
    "HashingEmbeddings",
    "Limits",
    "MemoryMemo",
    "RLMError",
    "Route",
    "Runtime",
    "Shell",
    "SmartRouter",
    "SqliteMemo",
    "advise",
    "create_rag",
    "create_rlm",
    "create_smart_rag",
    "detect_context_fields",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'langgraph_rlm' has no attribute {name!r}")
    return getattr(importlib.import_module(f"langgraph_rlm.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
