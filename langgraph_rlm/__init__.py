"""Recursive Language Models for LangGraph, with classic RAG and a smart router beside them.

The names here are imported when they are first used, so that ``import langgraph_rlm`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph_rlm.calls.memo import MemoryMemo as MemoryMemo
    from langgraph_rlm.calls.memo_files import SqliteMemo as SqliteMemo
    from langgraph_rlm.calls.own_tools import CellTool as CellTool
    from langgraph_rlm.corpus import Corpus as Corpus
    from langgraph_rlm.corpus.embeddings import HashingEmbeddings as HashingEmbeddings
    from langgraph_rlm.errors import AuthenticationFailed as AuthenticationFailed
    from langgraph_rlm.errors import BudgetExceeded as BudgetExceeded
    from langgraph_rlm.errors import CollectionMissing as CollectionMissing
    from langgraph_rlm.errors import ContextMissing as ContextMissing
    from langgraph_rlm.errors import ContextStoreError as ContextStoreError
    from langgraph_rlm.errors import CorpusError as CorpusError
    from langgraph_rlm.errors import DataMissing as DataMissing
    from langgraph_rlm.errors import DeadlineExceeded as DeadlineExceeded
    from langgraph_rlm.errors import DimensionMismatch as DimensionMismatch
    from langgraph_rlm.errors import DocumentMissing as DocumentMissing
    from langgraph_rlm.errors import EmbeddingsError as EmbeddingsError
    from langgraph_rlm.errors import EmptyCorpus as EmptyCorpus
    from langgraph_rlm.errors import IndexMismatch as IndexMismatch
    from langgraph_rlm.errors import InvalidFilter as InvalidFilter
    from langgraph_rlm.errors import InvalidInput as InvalidInput
    from langgraph_rlm.errors import InvalidSpec as InvalidSpec
    from langgraph_rlm.errors import LimitReached as LimitReached
    from langgraph_rlm.errors import MemoDamaged as MemoDamaged
    from langgraph_rlm.errors import MemoError as MemoError
    from langgraph_rlm.errors import MissingDependency as MissingDependency
    from langgraph_rlm.errors import ModelError as ModelError
    from langgraph_rlm.errors import NotDurableWarning as NotDurableWarning
    from langgraph_rlm.errors import PatternError as PatternError
    from langgraph_rlm.errors import ReplError as ReplError
    from langgraph_rlm.errors import RLMError as RLMError
    from langgraph_rlm.errors import SandboxUnavailable as SandboxUnavailable
    from langgraph_rlm.errors import StoreAuthenticationFailed as StoreAuthenticationFailed
    from langgraph_rlm.errors import StoreError as StoreError
    from langgraph_rlm.errors import StoreUnavailable as StoreUnavailable
    from langgraph_rlm.errors import TooManyFailures as TooManyFailures
    from langgraph_rlm.errors import UnknownOption as UnknownOption
    from langgraph_rlm.errors import UnsafeSandboxWarning as UnsafeSandboxWarning
    from langgraph_rlm.graphs.detect import advise as advise
    from langgraph_rlm.graphs.detect import detect_context_fields as detect_context_fields
    from langgraph_rlm.graphs.rag import create_rag as create_rag
    from langgraph_rlm.graphs.rlm import create_rlm as create_rlm
    from langgraph_rlm.graphs.routes import Route as Route
    from langgraph_rlm.graphs.routing.router import SmartRouter as SmartRouter
    from langgraph_rlm.graphs.shared import Shared as Shared
    from langgraph_rlm.graphs.smart_rag import create_smart_rag as create_smart_rag
    from langgraph_rlm.limits import Limits as Limits
    from langgraph_rlm.middleware import RLMMiddleware as RLMMiddleware
    from langgraph_rlm.middleware import interning_agent as interning_agent
    from langgraph_rlm.offline import ExtractiveModel as ExtractiveModel
    from langgraph_rlm.repl import Shell as Shell
    from langgraph_rlm.runs.events import AnswerEvent as AnswerEvent
    from langgraph_rlm.runs.events import BudgetEvent as BudgetEvent
    from langgraph_rlm.runs.events import CallEndEvent as CallEndEvent
    from langgraph_rlm.runs.events import CallStartEvent as CallStartEvent
    from langgraph_rlm.runs.events import CellEndEvent as CellEndEvent
    from langgraph_rlm.runs.events import CellOutputEvent as CellOutputEvent
    from langgraph_rlm.runs.events import CellStartEvent as CellStartEvent
    from langgraph_rlm.runs.events import ChildEndEvent as ChildEndEvent
    from langgraph_rlm.runs.events import ChildStartEvent as ChildStartEvent
    from langgraph_rlm.runs.events import EscalateEvent as EscalateEvent
    from langgraph_rlm.runs.events import Event as Event
    from langgraph_rlm.runs.events import RetrievalEvent as RetrievalEvent
    from langgraph_rlm.runs.events import RouteEvent as RouteEvent
    from langgraph_rlm.runs.events import RunEvent as RunEvent
    from langgraph_rlm.runs.events import StepEvent as StepEvent
    from langgraph_rlm.runs.events import ThinkEvent as ThinkEvent
    from langgraph_rlm.runs.events import TruncatedEvent as TruncatedEvent
    from langgraph_rlm.runs.events import WaitEvent as WaitEvent
    from langgraph_rlm.runs.events import WithdrawnEvent as WithdrawnEvent
    from langgraph_rlm.runs.request import RequestContext as RequestContext
    from langgraph_rlm.runs.runtime import Runtime as Runtime
    from langgraph_rlm.specs import GraphSpec as GraphSpec
    from langgraph_rlm.specs import create_graph as create_graph
    from langgraph_rlm.specs.verifier import create_verifier as create_verifier
    from langgraph_rlm.text import ContextStore as ContextStore
    from langgraph_rlm.tools import create_rlm_tools as create_rlm_tools
    from langgraph_rlm.types import CallError as CallError
    from langgraph_rlm.types import CellResult as CellResult
    from langgraph_rlm.types import Citation as Citation
    from langgraph_rlm.types import ContextRef as ContextRef
    from langgraph_rlm.types import Decision as Decision
    from langgraph_rlm.types import Grade as Grade
    from langgraph_rlm.types import Hit as Hit
    from langgraph_rlm.types import ModelUsage as ModelUsage
    from langgraph_rlm.types import RequestOptions as RequestOptions
    from langgraph_rlm.types import Turn as Turn
    from langgraph_rlm.types import Usage as Usage

_HOMES = {
    "AnswerEvent": "runs.events",
    "AuthenticationFailed": "errors",
    "BudgetEvent": "runs.events",
    "BudgetExceeded": "errors",
    "CallEndEvent": "runs.events",
    "CallError": "types",
    "CallStartEvent": "runs.events",
    "CellEndEvent": "runs.events",
    "CellOutputEvent": "runs.events",
    "CellResult": "types",
    "CellStartEvent": "runs.events",
    "CellTool": "calls.own_tools",
    "ChildEndEvent": "runs.events",
    "ChildStartEvent": "runs.events",
    "Citation": "types",
    "CollectionMissing": "errors",
    "ContextMissing": "errors",
    "ContextRef": "types",
    "ContextStore": "text",
    "ContextStoreError": "errors",
    "Corpus": "corpus",
    "CorpusError": "errors",
    "DataMissing": "errors",
    "DeadlineExceeded": "errors",
    "Decision": "types",
    "DimensionMismatch": "errors",
    "DocumentMissing": "errors",
    "EmbeddingsError": "errors",
    "EmptyCorpus": "errors",
    "EscalateEvent": "runs.events",
    "Event": "runs.events",
    "ExtractiveModel": "offline",
    "Grade": "types",
    "GraphSpec": "specs",
    "HashingEmbeddings": "corpus.embeddings",
    "Hit": "types",
    "IndexMismatch": "errors",
    "InvalidFilter": "errors",
    "InvalidInput": "errors",
    "InvalidSpec": "errors",
    "LimitReached": "errors",
    "Limits": "limits",
    "MemoDamaged": "errors",
    "MemoError": "errors",
    "MemoryMemo": "calls.memo",
    "MissingDependency": "errors",
    "ModelError": "errors",
    "ModelUsage": "types",
    "NotDurableWarning": "errors",
    "PatternError": "errors",
    "RLMError": "errors",
    "ReplError": "errors",
    "RequestContext": "runs.request",
    "RequestOptions": "types",
    "RetrievalEvent": "runs.events",
    "Route": "graphs.routes",
    "RouteEvent": "runs.events",
    "RunEvent": "runs.events",
    "Runtime": "runs.runtime",
    "SandboxUnavailable": "errors",
    "Shared": "graphs.shared",
    "Shell": "repl",
    "SmartRouter": "graphs.routing.router",
    "SqliteMemo": "calls.memo_files",
    "StepEvent": "runs.events",
    "StoreAuthenticationFailed": "errors",
    "StoreError": "errors",
    "StoreUnavailable": "errors",
    "ThinkEvent": "runs.events",
    "TooManyFailures": "errors",
    "TruncatedEvent": "runs.events",
    "Turn": "types",
    "UnknownOption": "errors",
    "UnsafeSandboxWarning": "errors",
    "Usage": "types",
    "WaitEvent": "runs.events",
    "WithdrawnEvent": "runs.events",
    "advise": "graphs.detect",
    "create_graph": "specs",
    "create_rag": "graphs.rag",
    "create_rlm": "graphs.rlm",
    "create_rlm_tools": "tools",
    "interning_agent": "middleware",
    "RLMMiddleware": "middleware",
    "create_smart_rag": "graphs.smart_rag",
    "create_verifier": "specs.verifier",
    "detect_context_fields": "graphs.detect",
}

__all__ = [
    "AnswerEvent",
    "AuthenticationFailed",
    "BudgetEvent",
    "BudgetExceeded",
    "CallEndEvent",
    "CallError",
    "CallStartEvent",
    "CellEndEvent",
    "CellOutputEvent",
    "CellResult",
    "CellStartEvent",
    "CellTool",
    "ChildEndEvent",
    "ChildStartEvent",
    "Citation",
    "CollectionMissing",
    "ContextMissing",
    "ContextRef",
    "ContextStore",
    "ContextStoreError",
    "Corpus",
    "CorpusError",
    "DataMissing",
    "DeadlineExceeded",
    "Decision",
    "DimensionMismatch",
    "DocumentMissing",
    "EmbeddingsError",
    "EmptyCorpus",
    "EscalateEvent",
    "Event",
    "ExtractiveModel",
    "Grade",
    "GraphSpec",
    "HashingEmbeddings",
    "Hit",
    "IndexMismatch",
    "InvalidFilter",
    "InvalidInput",
    "InvalidSpec",
    "LimitReached",
    "Limits",
    "MemoDamaged",
    "MemoError",
    "MemoryMemo",
    "MissingDependency",
    "ModelError",
    "ModelUsage",
    "NotDurableWarning",
    "PatternError",
    "RLMError",
    "RLMMiddleware",
    "ReplError",
    "RequestContext",
    "RequestOptions",
    "RetrievalEvent",
    "Route",
    "RouteEvent",
    "RunEvent",
    "Runtime",
    "SandboxUnavailable",
    "Shared",
    "Shell",
    "SmartRouter",
    "SqliteMemo",
    "StepEvent",
    "StoreAuthenticationFailed",
    "StoreError",
    "StoreUnavailable",
    "ThinkEvent",
    "TooManyFailures",
    "TruncatedEvent",
    "Turn",
    "UnknownOption",
    "UnsafeSandboxWarning",
    "Usage",
    "WaitEvent",
    "WithdrawnEvent",
    "advise",
    "create_graph",
    "create_rag",
    "create_rlm",
    "create_rlm_tools",
    "create_smart_rag",
    "create_verifier",
    "detect_context_fields",
    "interning_agent",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'langgraph_rlm' has no attribute {name!r}")
    return getattr(importlib.import_module(f"langgraph_rlm.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
