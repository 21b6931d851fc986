"""Our errors as HTTP answers, for every surface in one place: a client's mistake is a 4xx with its text, never a 500."""

from __future__ import annotations

from typing import Any

from langgraph_rlm.errors import (
    AuthenticationFailed,
    ContextMissing,
    CorpusError,
    DocumentMissing,
    InvalidFilter,
    InvalidInput,
    LimitReached,
    MissingDependency,
    ModelError,
    PatternError,
    RLMError,
    StoreError,
)

_STATUS: tuple[tuple[type[RLMError] | tuple[type[RLMError], ...], int], ...] = (
    ((InvalidInput, InvalidFilter, PatternError), 422),
    ((ContextMissing, DocumentMissing), 404),
    (LimitReached, 429),
    ((AuthenticationFailed, MissingDependency), 503),  # the server's own key or package, not the client's
    (ModelError, 502),
    (StoreError, 503),
    (CorpusError, 409),
)


def status_of(error: RLMError) -> int:
    """The HTTP status that tells a client whose fault an error is.

    Example:
        >>> from langgraph_rlm.errors import InvalidInput
        >>> status_of(InvalidInput("the question is empty"))
        422
    """
    return next((status for kinds, status in _STATUS if isinstance(error, kinds)), 500)


def message_of(error: RLMError) -> str:
    """What a client may read: the message, or words in its place where that may hold paths and addresses."""
    return error.told or str(error)


def handle_errors(app: Any) -> None:
    """Let a Starlette or FastAPI app answer our errors as JSON: ``{"detail": …, "error": name of the class}``.

    Example:
        >>> from fastapi import FastAPI
        >>> app = FastAPI()
        >>> handle_errors(app)
    """
    from starlette.responses import JSONResponse

    async def answer(request: Any, error: Any) -> Any:
        detail = {"detail": message_of(error), "error": type(error).__name__}
        return JSONResponse(detail, status_code=status_of(error))

    app.add_exception_handler(RLMError, answer)
