"""All that the author of a vector store imports: the base class, its dialect, the records, the errors.

A store is one file with a subclass of :class:`StoreIndex` and one of :class:`Dialect`; its tests subclass
:class:`langgraph_rlm.testing.IndexConformance`; one line under the entry points ``langgraph_rlm.indexes`` gives it its
name. CONTRIBUTING.md has the steps.
"""

from langgraph_rlm.corpus.dialects import Dialect
from langgraph_rlm.corpus.filters import FIRST_INEXACT, is_text, whole
from langgraph_rlm.corpus.index import (
    MAX_BATCH,
    PAGE,
    RESERVED_PREFIX,
    STAMP,
    TENANT,
    TEXT,
    Address,
    Capability,
    Found,
    Record,
    VectorIndex,
    check_transport,
    floats,
    record_bytes,
    split_address,
)
from langgraph_rlm.corpus.store import Place, StoreIndex
from langgraph_rlm.errors import (
    CollectionMissing,
    CorpusError,
    DimensionMismatch,
    IndexMismatch,
    InvalidFilter,
    InvalidInput,
    MissingDependency,
    StoreAuthenticationFailed,
    StoreUnavailable,
)

__all__ = [
    "FIRST_INEXACT",
    "MAX_BATCH",
    "PAGE",
    "RESERVED_PREFIX",
    "STAMP",
    "TENANT",
    "TEXT",
    "Address",
    "Capability",
    "CollectionMissing",
    "CorpusError",
    "Dialect",
    "DimensionMismatch",
    "Found",
    "IndexMismatch",
    "InvalidFilter",
    "InvalidInput",
    "MissingDependency",
    "Place",
    "Record",
    "StoreAuthenticationFailed",
    "StoreIndex",
    "StoreUnavailable",
    "VectorIndex",
    "check_transport",
    "floats",
    "is_text",
    "record_bytes",
    "split_address",
    "whole",
]
