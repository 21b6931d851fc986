"""Model calls: one way to ask any chat model, with retries, usage, prices and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase
from langgraph.errors import GraphBubbleUp

from langgraph_rlm.budget import CHARS_PER_TOKEN, Budget, input_bound
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.memo import digest_of
from langgraph_rlm.calls.thinking import without_thinking
from langgraph_rlm.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidInput,
    MissingDependency,
    ModelError,
    RLMError,
)
from langgraph_rlm.types import ModelUsage

Model = str | BaseChatModel | Runnable[LanguageModelInput, AIMessage]
"""A chat model, anything that maps messages to an ``AIMessage``, or ``"provider:name"`` (needs the extra ``openai``)."""

ATTEMPTS = 4
"""Tries of one call in all, when its errors are of the passing kind."""
DEFAULT_WINDOW = 128_000
"""Tokens, for models that do not say."""
_SMALL_WINDOW = 4_096
OUTPUT_TOKENS = 4_096
"""Output cap of a call, for models that say nothing of themselves."""
KNOWN_OUTPUT_TOKENS = 8_192
"""Output cap for a model with a profile, if it can write so much."""
REASONING_OUTPUT_TOKENS = 32_768
"""The same for one that thinks before it answers: the cap counts its thoughts too."""


class UnknownWindowWarning(UserWarning):
    """A model does not say how much fits a request; 128K tokens are assumed."""


class Answer(NamedTuple):
    """What a model said, without what it thought aloud; ``cut``: it was not at its end when the output cap was reached."""

    text: str
    cut: bool = False

    def marked(self) -> str:
        """The text, with a line that says so when it was cut: nobody may take a part for the whole."""
        return f"{self.text}\n[the answer was cut off here, at its output cap]" if self.cut else self.text


class ModelCaller:
    """One model as a run asks it.

    Args:
        model: see :data:`Model`.
        window: tokens that fit a request; what the model's profile says when None, else 128K.
        attempts: tries of one call in all.

    Raises:
        MissingDependency: a ``str`` was given and langchain or the provider's package is not installed.
        AuthenticationFailed: the provider's client found no key.
        InvalidInput: the window is no whole number above 0.
    """

    def __init__(self, model: Model, *, window: int | None = None, attempts: int = ATTEMPTS) -> None:
        self.runnable = _resolved(model)
        self.name = _name_of(self.runnable)
        self.window = _checked_window(window) or _window_of(self.runnable) or DEFAULT_WINDOW
        self.knows_window = self.window != DEFAULT_WINDOW or window is not None or bool(_window_of(self.runnable))
        self._cap_option, self._most_output = _cap_of(self.runnable)
        self._attempts = attempts

    def fits(self, prompt: str) -> bool:
        """Whether a prompt fits the window, by an estimate that is near for most languages."""
        tokens = estimated_tokens(prompt)
        if tokens > _SMALL_WINDOW and not self.knows_window:
            warnings.warn(
                f"Model {self.name!r} does not say how much fits a request: {self.window:,} tokens are assumed. Give window=.",
                UnknownWindowWarning,
                stacklevel=2,
            )
        return tokens <= self.window

    def room(self, *texts: str) -> int:
        """Tokens that a request has left beside these texts and an answer, estimated; 0 when it has none."""
        answer = min(self._most_output, self.window // 2)
        return max(0, self.window - answer - sum(map(estimated_tokens, texts)))

    async def ask(
        self, messages: Sequence[BaseMessage], *, account: Account, config: RunnableConfig | None, role: str,
        key: str | None = None, known: Mapping[str, Any] | None = None,
    ) -> Answer:  # fmt: skip
        """Send one request within the budget, unless it was answered before.

        Args:
            messages: the prompt.
            account: reserves room before each try, keeps the answer.
            config: the node's, so that callbacks and traces see the call.
            role: ``root``, ``sub``, ``reader``, …: a tag on the run.
            key: of the answer in the memo; from role and messages when None.
            known: the recorded results among which the key's may be, when they were looked up already.

        Raises:
            LimitReached: no room or no time.
            ModelError: it failed for good (AuthenticationFailed for a missing or rejected key).
            MemoError: what was paid cannot be written down.
        """
        messages = list(messages)
        key = key or f"{role}/{digest_of(self.name, [[m.type, m.content] for m in messages])}"
        found = (await account.recall([key]) if known is None else known).get(key)
        if found is not None and "text" in found:
            return Answer(found["text"], found["cut"])

        tagged = _tagged(config, role)
        for attempt in range(1, self._attempts + 1):
            try:
                return await self._once(messages, account, tagged, key)
            except ModelError as error:
                if attempt == self._attempts or not error.retryable:
                    raise
                pause, left = _pause(error, attempt), account.budget.seconds_left()
            await asyncio.sleep(pause if left is None else min(left, pause))  # no pause is longer than the run
        raise AssertionError("the last attempt ends by a result or an error")

    async def _once(self, messages: list[BaseMessage], account: Account, config: RunnableConfig, key: str) -> Answer:
        texts = [message.text for message in messages]
        estimate = sum(map(estimated_tokens, texts))
        most = max(1, min(self._most_output, self.window - estimate)) if self.knows_window else self._most_output
        reservation = await account.reserve(self.name, input_bound(texts), most)
        options = {} if self._cap_option is None else {self._cap_option: reservation.output_tokens}
        try:
            async with asyncio.timeout(account.budget.seconds_left()) as clock:
                reply = await account.face.call(self.runnable, messages, config, **options)
        except Exception as error:
            if isinstance(error, GraphBubbleUp | RLMError):
                await account.release(reservation)
                raise
            if isinstance(error, TimeoutError) and clock.expired():
                account.lose(reservation)
                raise DeadlineExceeded(f"max_seconds were over while {self.name!r} was answering") from error
            if _may_be_billed(error):
                account.lose(reservation)
            else:
                await account.release(reservation)
            raise _as_model_error(error, self.name) from error
        except BaseException:  # cancelled: the server may go on, and bill it
            account.lose(reservation)
            raise
        if not isinstance(reply, AIMessage):
            await account.release(reservation)
            raise ModelError(
                f"model {self.name!r} returned {type(reply).__name__}, not an AIMessage: give a chat model",
                category="invalid_output",
            )
        model = _answering(reply, self.name, self.runnable)
        usage, estimated = _usage_of(reply, estimate, model, account.budget)
        answer = Answer(without_thinking(reply.text), _was_cut(reply))
        result = {key: {"text": answer.text, "cut": answer.cut}}
        await account.settle(reservation, usage, model=model, estimated=estimated, results=result)
        return answer


def _tagged(config: RunnableConfig | None, role: str) -> RunnableConfig:
    """The config of one call; by hand, since ``merge_configs`` takes longer than all the rest of a sub-call."""
    given: dict[str, Any] = dict(config or {})
    given.pop("run_id", None)
    return {**given, "tags": [*(given.get("tags") or []), f"rlm:{role}"], "run_name": f"rlm:{role}"}  # type: ignore[typeddict-item]


def estimated_tokens(text: str) -> int:
    """About as many tokens as a text has: four UTF-8 bytes each, which is near for English, code and Chinese alike."""
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) // CHARS_PER_TOKEN + 1


def is_chat_model(value: Any) -> TypeGuard[Model]:
    """Whether this is a chat model or the name of one, also behind bindings and fallbacks."""
    return isinstance(value, str) or (
        isinstance(value, Runnable) and isinstance(_chat_models(value)[0][0], BaseChatModel)
    )


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
    first = _chat_models(model)[0][0]
    for attribute in ("model_name", "model", "name"):
        name = getattr(first, attribute, None)
        if isinstance(name, str) and name:
            return name
    return type(first).__name__


def _window_of(model: Runnable[Any, Any]) -> int | None:
    windows = []
    for one, _ in _chat_models(model):
        profile = getattr(one, "profile", None)
        window = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
        windows.append(window if isinstance(window, int) and window > 0 else None)
    known = [window for window in windows if window is not None]
    return min(known) if known and len(known) == len(windows) else None


def _checked_window(window: int | None) -> int | None:
    if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window < 1):
        raise InvalidInput(f"window must be a whole number of tokens above 0, not {window!r}")
    return window


def _chat_models(model: Any) -> list[tuple[Any, Mapping[str, Any]]]:
    """The models behind bindings and fallbacks, each with what is bound to its calls."""
    if isinstance(model, RunnableWithFallbacks):
        return [found for one in (model.runnable, *model.fallbacks) for found in _chat_models(one)]
    if isinstance(model, RunnableBindingBase):
        return [(one, {**kwargs, **model.kwargs}) for one, kwargs in _chat_models(model.bound)]
    return [(model, {})]


_CAPS = ("max_tokens", "max_output_tokens")


def _cap_of(model: Runnable[Any, Any]) -> tuple[str | None, int]:
    """The call option that caps the output, if all models behind have the same, and what to cap it at."""
    names, most = set[str | None](), list[int]()
    for one, bound in _chat_models(model):
        fields = type(one).model_fields if isinstance(one, BaseChatModel) else {}
        name = next((name for name in _CAPS if name in fields), None)
        names.add(name)
        own = None if name is None else bound.get(name, getattr(one, name, None))
        most.append(own if isinstance(own, int) and own > 0 else _default_cap(one))
    return (names.pop() if len(names) == 1 else None), min(most)


def _default_cap(model: Any) -> int:
    profile = getattr(model, "profile", None)
    if not isinstance(profile, Mapping) or not isinstance(most := profile.get("max_output_tokens"), int):
        return OUTPUT_TOKENS
    return min(most, REASONING_OUTPUT_TOKENS if profile.get("reasoning_output") else KNOWN_OUTPUT_TOKENS)


# --- usage --------------------------------------------------------------------------------------------------------


def _answering(reply: AIMessage, asked: str, model: Runnable[Any, Any]) -> str:
    """The name of the model that has answered: the one that was asked, or one of its fallbacks."""
    said, names = reply.response_metadata.get("model_name"), [_name_of(one) for one, _ in _chat_models(model)]
    if len(names) < 2 or not isinstance(said, str):
        return asked
    # Servers add a date to the name: "gpt-5-mini-2025-08-07".
    return max((name for name in names if said.startswith(name)), key=len, default=said)


def _usage_of(reply: AIMessage, prompt_tokens: int, name: str, budget: Budget) -> tuple[ModelUsage, bool]:
    reported = reply.usage_metadata
    if reported:
        tokens_in, tokens_out = reported["input_tokens"], reported["output_tokens"]
        cached = min(tokens_in, reported.get("input_token_details", {}).get("cache_read") or 0)
    else:
        tokens_in, tokens_out, cached = prompt_tokens, estimated_tokens(reply.text), 0
    cost = reply.response_metadata.get("cost_usd")  # a model that knows its own cost knows best
    if not isinstance(cost, int | float):
        cost = budget.price(name, tokens_in, tokens_out, cached)
    usage = ModelUsage(calls=1, input_tokens=tokens_in, cached_tokens=cached, output_tokens=tokens_out, cost_usd=cost)
    return usage, not reported


def _was_cut(reply: AIMessage) -> bool:
    said = reply.response_metadata
    reason = said.get("finish_reason") or said.get("stop_reason") or said.get("done_reason")
    return str(reason).lower() in ("length", "max_tokens")


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
    if _is_of_an_ended_loop(error):
        return ModelError(
            f"model {name!r}: its client keeps connections of an event loop that has ended: ask all questions within one "
            "asyncio.run, or make the model anew for each",
            category="connection",
            retryable=True,
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


def _is_of_an_ended_loop(error: Exception) -> bool:
    """A call over a connection that an earlier ``asyncio.run`` has left behind: it is sent, and no answer is read.

    langchain-openai shares one client between all event loops of a process. The connection is gone afterwards.
    """
    return isinstance(error, RuntimeError) and str(error) == "Event loop is closed"


def _may_be_billed(error: Exception) -> bool:
    """Whether a call without an answer may have cost something: sent, but not refused."""
    if isinstance(getattr(error, "status_code", None), int):
        return False
    if _is_of_an_ended_loop(error):
        return True
    kinds = {cls.__name__ for cls in type(error).__mro__}
    causes = {cls.__name__ for cls in type(error.__cause__).__mro__}
    if (kinds | causes) & {"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "PoolTimeout"}:
        return False
    return bool(
        isinstance(error, TimeoutError | ConnectionError | json.JSONDecodeError)
        or kinds
        & {"APITimeoutError", "TimeoutException", "APIConnectionError", "TransportError", "APIResponseValidationError"}
    )


def _pause(error: ModelError, attempt: int) -> float:
    """Seconds before the next try: what the server asked for (``Retry-After``), else exponential with jitter."""
    response = getattr(error.__cause__, "response", None)
    headers = getattr(response, "headers", None) or {}
    try:
        return min(60.0, max(0.0, float(headers.get("retry-after", ""))))
    except ValueError:
        return min(20.0, 0.5 * 2 ** (attempt - 1)) + random.uniform(0, 0.5)
