"""A tool whose errors come with an artifact too: LangChain's own leaves it out, and with it what was spent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import StructuredTool, ToolException

_FAILED: ContextVar[dict[str, Any] | None] = ContextVar("rlm_tool_failed", default=None)


class CallFailed(ToolException):
    """What a model can mend, or has to know.

    Args:
        message: a sentence that it can act on.
        artifact: for the program.
    """

    def __init__(self, message: str, artifact: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.artifact = {"error": message, **(artifact or {})}


def told(error: ToolException) -> str:
    """``handle_tool_error`` of these tools."""
    return _noted(str(error), getattr(error, "artifact", None))


def noted(message: str) -> str:
    """The message, which becomes the artifact too."""
    return _noted(message, None)


class RLMTool(StructuredTool):
    """A ``StructuredTool`` of which the ``ToolMessage`` of an error has an artifact."""

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """As ``StructuredTool.run``."""
        with _failures() as failed:
            return _completed(super().run(*args, **kwargs), failed)

    async def arun(self, *args: Any, **kwargs: Any) -> Any:
        """As ``StructuredTool.arun``."""
        with _failures() as failed:
            return _completed(await super().arun(*args, **kwargs), failed)


@contextmanager
def _failures() -> Iterator[dict[str, Any]]:
    failed: dict[str, Any] = {}
    token = _FAILED.set(failed)
    try:
        yield failed
    finally:
        _FAILED.reset(token)


def _noted(message: str, artifact: dict[str, Any] | None) -> str:
    failed = _FAILED.get()
    if failed is not None:
        failed.update(artifact or {"error": message})
    return message


def _completed(answer: Any, failed: dict[str, Any]) -> Any:
    if failed and isinstance(answer, ToolMessage) and answer.artifact is None:
        answer.artifact = failed
    return answer
