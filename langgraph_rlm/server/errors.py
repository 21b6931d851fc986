"""Our errors as HTTP answers, for every surface in one place: a client's mistake is a 4xx with its text, never a 500."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

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


def handle_errors(app: Any, *, invalid_inputs: tuple[str, ...] = ()) -> None:
    """Let a Starlette or FastAPI app answer our errors as JSON: ``{"detail": …, "error": name of the class}``.

    Args:
        app: the app.
        invalid_inputs: ends of paths that read what a client sends by pydantic, whose errors are then a 422 too.

    Example:
        >>> from fastapi import FastAPI
        >>> app = FastAPI()
        >>> handle_errors(app)
    """
    from starlette.responses import JSONResponse

    async def answer(request: Any, error: Any) -> Any:
        detail = {"detail": message_of(error), "error": type(error).__name__}
        return JSONResponse(detail, status_code=status_of(error))

    async def invalid(request: Any, error: Any) -> Any:
        if not request.url.path.endswith(invalid_inputs):
            raise error  # of somebody else's code
        told = error.errors(include_url=False, include_context=False, include_input=False)
        return JSONResponse({"detail": told}, status_code=422)

    app.add_exception_handler(RLMError, answer)
    if invalid_inputs:
        app.add_exception_handler(ValidationError, invalid)
