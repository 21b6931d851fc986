"""Model calls: one way to ask any chat model, with retries, usage, prices and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.errors import GraphBubbleUp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from langgraph_rlm.calls.faces import Face
from langgraph_rlm.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidInput,
    MissingDependency,
    ModelError,
    RLMError,
)
from langgraph_rlm.limits import CHARS_PER_TOKEN, Budget, price_usd
from langgraph_rlm.types import ModelUsage

Model = str | BaseChatModel | Runnable[LanguageModelInput, AIMessage]
"""A chat model, anything that maps messages to an ``AIMessage``, or ``"provider:name"`` (needs the extra ``openai``)."""

ATTEMPTS = 4
"""Tries of one call in all, when its errors are of the passing kind."""
DEFAULT_WINDOW = 128_000
"""Tokens, for models that do not say."""


class Answer(NamedTuple):
    """What a model said and what it took."""

    text: str
    usage: ModelUsage
    estimated: bool


class ModelCaller:
    """One model as a run asks it.

    Args:
        model: see :data:`Model`.
        attempts: tries of one call in all.

    Raises:
        MissingDependency: a ``str`` was given and langchain or the provider's package is not installed.
        AuthenticationFailed: the provider's client found no key.
    """

    def __init__(self, model: Model, *, attempts: int = ATTEMPTS) -> None:
        self.runnable = _resolved(model)
        self.name = _name_of(self.runnable)
        self.window = _window_of(self.runnable)
        self._attempts = attempts

    async def ask(
        self, messages: Sequence[BaseMessage], *, budget: Budget, face: Face, config: RunnableConfig | None, role: str
    ) -> Answer:
        """Send one request within the budget.

        Args:
            messages: the prompt.
            budget: asked for room before each try, told afterwards.
            face: sync or async.
            config: the node's, so that callbacks and traces see the call.
            role: ``root``, ``sub``, ``reader``, …: a tag on the run.

        Raises:
            LimitReached: no room or no time.
            ModelError: it failed for good (AuthenticationFailed for a missing or rejected key).
        """
        chars = sum(len(message.text) for message in messages)

        def pause(state: RetryCallState) -> float:
            left = budget.seconds_left()  # no pause is longer than the run
            return _pause(state) if left is None else min(left, _pause(state))

        tagged = merge_configs(config, {"tags": [f"rlm:{role}"], "run_name": f"rlm:{role}"})
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(self._attempts), retry=retry_if_exception(_is_passing), wait=pause, reraise=True
        ):
            with attempt:
                return await self._once(list(messages), chars, budget, face, tagged)
        raise AssertionError("AsyncRetrying ends by a result or an error")

    async def _once(
        self, messages: list[BaseMessage], chars: int, budget: Budget, face: Face, config: RunnableConfig
    ) -> Answer:
        reservation = budget.reserve(self.name, chars)
        try:
            async with asyncio.timeout(budget.seconds_left()) as clock:
                reply = await face.call(self.runnable, messages, config)
        except BaseException as error:
            budget.release(reservation)
            if not isinstance(error, Exception) or isinstance(error, GraphBubbleUp | RLMError):
                raise
            if isinstance(error, TimeoutError) and clock.expired():
                raise DeadlineExceeded(f"max_seconds were over while {self.name!r} was answering") from error
            raise _as_model_error(error, self.name) from error
        if not isinstance(reply, AIMessage):
            budget.release(reservation)
            raise ModelError(
                f"model {self.name!r} returned {type(reply).__name__}, not an AIMessage: give a chat model",
                category="invalid_output",
            )
        usage, estimated = _usage_of(reply, chars, self.name)
        budget.settle(reservation, usage, estimated=estimated)
        return Answer(reply.text, usage, estimated)


# --- making models ------------------------------------------------------------------------------------------------


def _resolved(model: Model) -> Runnable[Any, Any]:
    if isinstance(model, Runnable):
        return model
    if not isinstance(model, str) or not model.strip():
        raise InvalidInput(f"model: expected a chat model or 'provider:name', got {model!r}")
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingDependency(
            f"model {model!r}: model names need langchain; run: pip install 'langgraph-rlm[openai]'"
        ) from error
    try:
        # The retries are ours: the client's own would multiply with them.
        made: Runnable[Any, Any] = init_chat_model(model, max_retries=0)
    except ImportError as error:
        raise MissingDependency(f"model {model!r}: {error}") from error
    except ValueError as error:
        raise InvalidInput(f"model {model!r}: {error}") from error
    except Exception as error:
        if "api_key" in str(error) or "credentials" in str(error):
            raise AuthenticationFailed(
                f"model {model!r}: no API key was found; set the provider's variable (OPENAI_API_KEY for OpenAI "
                "and for local servers that speak its protocol, these with OPENAI_BASE_URL)"
            ) from error
        raise
    return made


def _name_of(model: Runnable[Any, Any]) -> str:
    for attribute in ("model_name", "model", "name"):
        name = getattr(model, attribute, None)
        if isinstance(name, str) and name:
            return name
    return type(model).__name__


def _window_of(model: Runnable[Any, Any]) -> int:
    profile = getattr(model, "profile", None)
    window = profile.get("max_input_tokens") if isinstance(profile, dict) else None
    return window if isinstance(window, int) and window > 0 else DEFAULT_WINDOW


# --- usage --------------------------------------------------------------------------------------------------------


def _usage_of(reply: AIMessage, prompt_chars: int, name: str) -> tuple[ModelUsage, bool]:
    reported = reply.usage_metadata
    if reported:
        tokens_in, tokens_out = reported["input_tokens"], reported["output_tokens"]
        cached = reported.get("input_token_details", {}).get("cache_read") or 0
    else:
        tokens_in, tokens_out, cached = prompt_chars // CHARS_PER_TOKEN + 1, len(reply.text) // CHARS_PER_TOKEN + 1, 0
    cost = reply.response_metadata.get("cost_usd")  # a model that knows its own cost knows best
    if not isinstance(cost, int | float):
        cost = price_usd(name, tokens_in, tokens_out, cached)
    usage = ModelUsage(calls=1, input_tokens=tokens_in, cached_tokens=cached, output_tokens=tokens_out, cost_usd=cost)
    return usage, not reported


# --- errors -------------------------------------------------------------------------------------------------------


def _as_model_error(error: Exception, name: str) -> ModelError:
    """Providers' errors by their HTTP status and class names: no provider's package is imported for it."""
    status = getattr(error, "status_code", None)
    kinds = {cls.__name__ for cls in type(error).__mro__}
    text, code = " ".join(str(error).split())[:500], str(getattr(error, "code", None) or "")
    if status in (401, 403):
        return AuthenticationFailed(
            f"model {name!r}: the key was rejected (HTTP {status}). Check the API key and the base URL"
        )
    if status == 429:
        empty = "insufficient_quota" in f"{code} {text}"
        told = "the account's quota is used up" if empty else "too many requests (HTTP 429)"
        return ModelError(f"model {name!r}: {told}: {text}", category="rate_limited", retryable=not empty)
    too_long = "context_length_exceeded" in f"{code} {text}" or "maximum context length" in text
    if status == 413 or too_long or "ContextOverflowError" in kinds:
        return ModelError(f"model {name!r}: the prompt is too long: {text}", category="too_long")
    if status == 408 or isinstance(error, TimeoutError) or kinds & {"APITimeoutError", "TimeoutException"}:
        return ModelError(f"model {name!r}: no answer in time: {text}", category="timeout", retryable=True)
    if isinstance(error, ConnectionError) or kinds & {"APIConnectionError", "TransportError"}:
        return ModelError(
            f"model {name!r}: the server cannot be reached: {text}", category="connection", retryable=True
        )
    if isinstance(status, int) and status >= 500:
        return ModelError(
            f"model {name!r}: the server failed (HTTP {status}): {text}", category="server", retryable=True
        )
    if isinstance(error, json.JSONDecodeError) or "APIResponseValidationError" in kinds:
        return ModelError(
            f"model {name!r}: the server's reply is malformed: {text}", category="invalid_output", retryable=True
        )
    if isinstance(status, int):
        return ModelError(f"model {name!r}: the request was refused (HTTP {status}): {text}", category="refused")
    return ModelError(f"model {name!r}: {type(error).__name__}: {text}")


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, ModelError) and error.retryable


_BACKOFF = wait_exponential(multiplier=0.5, max=20) + wait_random(0, 0.5)


def _pause(state: RetryCallState) -> float:
    """Seconds before the next try: what the server asked for (``Retry-After``), else exponential with jitter."""
    error = state.outcome.exception() if state.outcome else None
    response = getattr(error.__cause__, "response", None) if error else None
    headers = getattr(response, "headers", None) or {}
    try:
        return min(60.0, max(0.0, float(headers.get("retry-after", ""))))
    except ValueError:
        return _BACKOFF(state)
