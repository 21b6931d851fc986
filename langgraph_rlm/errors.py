"""One tree of errors. Each message says what happened, to what, and what to do; fields hold what a program needs of it.

RLMError
├── InvalidInput (ValueError)
│   ├── UnknownOption (TypeError)
│   ├── InvalidSpec
│   └── DataMissing
├── MissingDependency (ImportError)
├── PatternError (ValueError)
├── InvalidFilter (ValueError)
├── ContextMissing (KeyError)
├── ContextStoreError
├── DocumentMissing (KeyError)
├── CorpusError
│   ├── EmptyCorpus
│   ├── IndexMismatch
│   │   └── DimensionMismatch
│   ├── EmbeddingsError
│   └── StoreError
│       ├── StoreUnavailable
│       ├── CollectionMissing
│       └── StoreAuthenticationFailed
├── ModelError
│   └── AuthenticationFailed
├── LimitReached
│   ├── BudgetExceeded
│   ├── DeadlineExceeded
│   └── TooManyFailures
├── MemoError
│   └── MemoDamaged
└── ReplError
    └── SandboxUnavailable

Warnings: NotDurableWarning, UnsafeSandboxWarning; UnknownPriceWarning, OverspendWarning (budget.py);
UnknownWindowWarning, TruncationWarning (calls/models.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar, NamedTuple


class RLMError(Exception):
    """Root of all errors that this package raises on purpose."""

    told: ClassVar[str | None] = None
    """What a model is told in place of the message, which may hold paths and addresses; None where it holds none."""


# --- what the user gave -----------------------------------------------------------------------------------------


class InvalidInput(RLMError, ValueError):
    """An argument, an input of a graph or a request option is not usable; the message names it and what is."""


class UnknownOption(InvalidInput, TypeError):
    """An option of a name that does not exist: a TypeError too, as Python raises for it. ``nearest`` is a known one."""

    def __init__(self, message: str, *, option: str = "", nearest: str | None = None) -> None:
        super().__init__(message)
        self.option = option
        self.nearest = nearest


class SpecProblem(NamedTuple):
    """One thing that is wrong with a graph's spec.

    Args:
        message: what, and what to do.
        path: of the value: ``steps.2.args.pattern``; empty for the whole.
        line: where it stands in the YAML, from 1; None for a spec that was not read from text.
        column: likewise.
    """

    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}, column {self.column}: "
        return f"{place}{f'{self.path}: ' if self.path else ''}{self.message}"


class InvalidSpec(InvalidInput):
    """A graph's spec cannot be used. ``problems`` has all that is wrong with it, each with its place."""

    def __init__(self, problems: Iterable[SpecProblem]) -> None:
        self.problems = list(problems)
        super().__init__("the spec cannot be used:\n" + "\n".join(f"- {one}" for one in self.problems))


class DataMissing(InvalidInput):
    """A file of a data set is not there; the message names it."""


class MissingDependency(RLMError, ImportError):
    """A package of an extra is not installed; the message holds the command that installs it."""

    told = "a package that this needs is not installed on the host"


class PatternError(RLMError, ValueError):
    """A regular expression that the linear-time engine refuses; the message says how to rewrite it."""


class InvalidFilter(RLMError, ValueError):
    """A metadata filter with an unknown operator or a wrong shape."""


# --- contexts and corpora ---------------------------------------------------------------------------------------


class ContextMissing(RLMError, KeyError):
    """A ``ContextRef`` that this store does not hold."""

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0]) if self.args else ""


class ContextStoreError(RLMError):
    """The directory of a ``ContextStore`` cannot be read or written; the message names it, the reason and a way out."""


class DocumentMissing(RLMError, KeyError):
    """A document id that neither the context nor the corpus knows. ``doc_id`` is that id, where one document was asked for."""

    def __init__(self, message: str = "", *, doc_id: str | None = None) -> None:
        super().__init__(message)
        self.doc_id = doc_id

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class CorpusError(RLMError):
    """Something is wrong with a corpus or with its store.

    Args:
        message: what happened, to what, and what to do.
        store: the name of the vector store that this is about (``qdrant``); None where it is about none.
        address: where that store is: host and port, or its directory.
        collection: the name of the collection, index or namespace in it.
    """

    told = "the corpus cannot do this as it was asked"

    def __init__(
        self, message: str = "", *, store: str | None = None, address: str | None = None, collection: str | None = None
    ) -> None:
        super().__init__(message)
        self.store = store
        self.address = address
        self.collection = collection


class EmptyCorpus(CorpusError):
    """A question to a corpus that holds no document."""

    told = "the corpus holds no document"


class IndexMismatch(CorpusError):
    """An index made in another format or with other embeddings than the ones given; both are named."""

    told = "the vectors of the corpus are not from the embeddings of this run, so it cannot be searched by meaning"


class DimensionMismatch(IndexMismatch):
    """Vectors of another length than the collection holds; both lengths are named."""

    told = "the vectors of the corpus and of this run differ in length, so it cannot be searched by meaning"


class EmbeddingsError(CorpusError):
    """Embeddings gave what is no vector for each text. ``embeddings`` names them, ``text`` is the first text without one."""

    told = "the embeddings of the corpus gave no usable vectors, so it cannot be searched by meaning at present"

    def __init__(self, message: str = "", *, embeddings: str = "", text: str | None = None) -> None:
        super().__init__(message)
        self.embeddings = embeddings
        self.text = text


class StoreError(CorpusError):
    """A vector store did not do what it was asked. Message and fields name the store, its address and the collection."""

    told = "the vector store of the corpus did not do what it was asked"


class StoreUnavailable(StoreError):
    """The vector store does not answer, or is in use by a process that does not share it."""

    told = "the vector store of the corpus does not answer at present"


class CollectionMissing(StoreError):
    """The vector store answers, but the collection or index is not there, or somebody has emptied it."""

    told = "the vectors of the corpus are gone from its store, and nothing in a cell brings them back"


class StoreAuthenticationFailed(StoreError):
    """The vector store refused the key, or got none. (:class:`AuthenticationFailed` is about models.)"""

    told = "the vector store of the corpus refuses the key of this run"


# --- models -----------------------------------------------------------------------------------------------------


class ModelError(RLMError):
    """A model call that failed for good.

    Args:
        message: for the user; it holds no key.
        category: one of :class:`langgraph_rlm.types.CallError`'s.
        retryable: the same request may succeed later.
        model: the model's name.
        status: of HTTP, where there was one.
        window: tokens that fit a request, where the server has said so (category ``too_long``).
    """

    def __init__(
        self, message: str, *, category: str = "server", retryable: bool = False, model: str | None = None,
        status: int | None = None, window: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.category = category
        self.retryable = retryable
        self.model = model
        self.status = status
        self.window = window


class AuthenticationFailed(ModelError):
    """The key is missing or was rejected."""

    def __init__(self, message: str, *, model: str | None = None, status: int | None = None) -> None:
        super().__init__(message, category="auth", retryable=False, model=model, status=status)


class LimitReached(RLMError):
    """A limit of the run is reached.

    Args:
        message: for the user.
        limit: its name (``max_calls``).
        stop_reason: the run's.
    """

    def __init__(self, message: str, *, limit: str = "", stop_reason: str = "budget") -> None:
        super().__init__(message)
        self.limit = limit
        self.stop_reason = stop_reason


class BudgetExceeded(LimitReached):
    """A call or a search that would not fit what is left of calls, searches, tokens or USD."""

    def __init__(self, message: str, *, limit: str = "") -> None:
        super().__init__(message, limit=limit, stop_reason="budget")


class DeadlineExceeded(LimitReached):
    """``max_seconds`` are over."""

    def __init__(self, message: str) -> None:
        super().__init__(message, limit="max_seconds", stop_reason="deadline")


class TooManyFailures(LimitReached):
    """So many requests to models have failed that the run is given up; ``limit`` is ``failed requests``."""

    def __init__(self, message: str) -> None:
        super().__init__(message, limit="failed requests", stop_reason="error")


# --- the memo ---------------------------------------------------------------------------------------------------


class MemoError(RLMError):
    """The memo of paid calls cannot be read or written."""


class MemoDamaged(MemoError):
    """A record of the memo is not what was written: it is refused, not believed."""


class NotDurableWarning(UserWarning):
    """Checkpoints outlive this process, but contexts or paid answers do not: a resume elsewhere cannot go on from them."""


# --- cells ------------------------------------------------------------------------------------------------------


class ReplError(RLMError):
    """A REPL could not be started or did not keep to its protocol."""


class SandboxUnavailable(ReplError):
    """The wanted sandbox cannot run on this system."""

    told = "there is no sandbox for this on the host"


class UnsafeSandboxWarning(UserWarning):
    """Cells run in a process of their own, but without a kernel-enforced jail."""


# --- what messages say --------------------------------------------------------------------------------------------


def nearest(name: object, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` with the known name that is most like an unknown one; nothing where none is like it.

    Example:
        >>> nearest("$gtt", ["$gt", "$lt"])
        " (did you mean '$gt'?)"
    """
    close = closest(name, known)
    return f" (did you mean {close!r}?)" if close else ""


def closest(name: object, known: Iterable[str]) -> str | None:
    """The known name that is most like an unknown one; None where none is like it.

    Example:
        >>> closest("$gtt", ["$gt", "$lt"])
        '$gt'
    """
    return next(iter(get_close_matches(str(name), list(known), n=1)), None)


# --- what libraries raise -----------------------------------------------------------------------------------------


def is_panic(error: BaseException) -> bool:
    """Whether this is a panic of a library in Rust, which comes as a BaseException that no module lets one name.

    Example:
        >>> is_panic(ValueError("no"))
        False
    """
    return type(error).__name__ == "PanicException" and type(error).__module__ == "pyo3_runtime"
