"""Failures of model calls: what a provider's error means, in words without keys, and whether the call may be billed.

Providers' errors are known by their HTTP status, class names and words: no provider's package is imported for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from langgraph_rlm.calls.windows import Refusal, read_refusal
from langgraph_rlm.errors import AuthenticationFailed, ModelError
from langgraph_rlm.redaction import redacted

_SHOWN_CHARS = 500
_MOST_READ = 20_000
"""Of an error's text."""
_TIMEOUTS = frozenset(("APITimeoutError", "TimeoutException"))
_CONNECTIONS = frozenset(("APIConnectionError", "TransportError"))
_NEVER_SENT = frozenset(("ConnectError", "ConnectTimeout", "ConnectionRefusedError", "PoolTimeout"))
_PARSERS = frozenset(("openai", "pydantic", "pydantic_core", "langchain_core", "json", "httpx", "httpx2"))
"""Packages whose code reads a reply: what fails in them after the request has failed for what the server sent."""
_OVERLOADED = (429, 529)


class Failure(NamedTuple):
    """What became of a call that failed.

    Args:
        error: to raise.
        billed: it may have cost something: it was sent, and not refused.
        overloaded: the server asks for fewer requests.
        pause: seconds that it asks to wait; None where it does not say.
        refusal: what it says of a request that is too large.
    """

    error: ModelError
    billed: bool = False
    overloaded: bool = False
    pause: float | None = None
    refusal: Refusal | None = None


def read_failure(error: Exception, name: str, *, secrets: Sequence[str] = (), package: str = "") -> Failure:
    """What a provider's error means.

    Args:
        error: as the client raised it.
        name: of the model.
        secrets: keys of its client, which no message may hold.
        package: that the model's class comes from: an error in its code is one of reading the reply.
    """
    raw = str(error)[:_MOST_READ]
    text = redacted(" ".join(raw.split()), secrets)[:_SHOWN_CHARS]
    kinds = {cls.__name__ for cls in type(error).__mro__}
    status, code = _status(error)
    words = f"{code} {raw}"
    refusal = read_refusal(words)
    pause = _asked_pause(error, of_limits=status in _OVERLOADED)

    def failed(
        said: str, category: str, *, again: bool = False, billed: bool = False, overloaded: bool = False
    ) -> Failure:
        made = ModelError(f"model {name!r}: {said}", category=category, retryable=again, model=name, status=status)
        return Failure(made, billed, overloaded, pause, refusal)

    if status in (401, 403):
        made = AuthenticationFailed(
            f"model {name!r}: the key was rejected (HTTP {status}). Check the API key and the base URL",
            model=name, status=status,
        )  # fmt: skip
        return Failure(made)
    if status in (413, 429) and "request too large" in words.lower():  # more than all tokens of a minute
        return failed(f"the request is larger than the account's limit of tokens allows: {text}", "too_long")
    if status in _OVERLOADED or status == 402:
        empty = status == 402 or "insufficient_quota" in words
        said = "the account's quota is used up" if empty else f"too many requests (HTTP {status})"
        return failed(f"{said}: {text}", "rate_limited", again=not empty, overloaded=not empty)
    if (
        status == 413
        or "ContextOverflowError" in kinds
        or (refusal is not None and not isinstance(error, TimeoutError))
    ):
        return failed(f"the request is too long for the model: {text}. {_advice(refusal)}", "too_long")
    if status == 408 or isinstance(error, TimeoutError) or kinds & _TIMEOUTS:
        billed = not isinstance(status, int) and not _was_never_sent(error)
        return failed(f"no answer in time: {text}", "timeout", again=True, billed=billed)
    if isinstance(error, ConnectionError) or kinds & _CONNECTIONS:
        billed = not _was_never_sent(error)
        return failed(f"the server cannot be reached: {text}", "connection", again=True, billed=billed)
    if _is_of_an_ended_loop(error):
        return failed(
            "its client keeps connections of an event loop that has ended: ask all questions within one asyncio.run, or "
            "make the model anew for each",
            "connection", again=True, billed=True,
        )  # fmt: skip
    if status is not None and status >= 500:
        return failed(f"the server failed (HTTP {status}): {text}", "server", again=True, overloaded=pause is not None)
    if status is not None and 300 <= status < 400:
        return failed(
            f"the server sends on to another address (HTTP {status}), where no prompt is sent: set the base URL to it",
            "refused",
        )
    if status is not None:
        return failed(f"the request was refused (HTTP {status}): {text}", "refused")
    if (
        isinstance(error, json.JSONDecodeError)
        or "APIResponseValidationError" in kinds
        or _is_of_a_reply(error, package)
    ):
        return failed(
            f"the server's reply is malformed ({type(error).__name__}): {text}",
            "invalid_output",
            again=True,
            billed=True,
        )
    return failed(f"{type(error).__name__}: {text}", "server")


def holds_key(error: BaseException, secrets: Sequence[str]) -> bool:
    """Whether the text of an error would show a key, in a traceback or a log."""
    text = str(error)[:_MOST_READ]
    return redacted(text, secrets) != redacted_layout(text)


def redacted_layout(text: str) -> str:
    """The text without the characters that :func:`redacted` always removes, so that both can be compared."""
    return text if text.isprintable() else "".join(c for c in text if c in "\n\t" or c.isprintable())


def _advice(refusal: Refusal | None) -> str:
    if refusal is None or refusal.window is None:
        return "Send less, or give the model's real window with window="
    return f"The server says that {refusal.window:,} tokens fit: give window={refusal.window}"


# --- the parts of an error ------------------------------------------------------------------------------------------


def _status(error: Exception) -> tuple[int | None, str]:
    """HTTP status and error code, also of an error that came as a body with HTTP 200."""
    status, code = getattr(error, "status_code", None), getattr(error, "code", None)
    if type(status) is int:
        return status, str(code or "")
    body = error.args[0] if isinstance(error, ValueError) and error.args else None  # as langchain-openai raises it
    if not isinstance(body, Mapping):
        return None, str(code or "")
    said = body.get("code") or body.get("status") or body.get("type") or ""
    number = said if type(said) is int else int(said) if isinstance(said, str) and said.isdecimal() else None
    if number is not None and 300 <= number < 600:
        return number, str(body.get("type") or "")
    return _STATUS_OF.get(str(said).lower(), 500), str(said)


_STATUS_OF = {
    "rate_limit_exceeded": 429, "rate_limit_error": 429, "too_many_requests": 429, "requests": 429, "tokens": 429,
    "insufficient_quota": 429, "overloaded_error": 529, "invalid_api_key": 401, "authentication_error": 401,
    "permission_denied": 403, "invalid_request_error": 400, "model_not_found": 404, "not_found_error": 404,
    "context_length_exceeded": 400, "exceed_context_size_error": 400,
}  # fmt: skip


def _is_of_an_ended_loop(error: Exception) -> bool:
    """A call over a connection that an earlier ``asyncio.run`` has left behind: it is sent, and no answer is read.

    langchain-openai shares one client between all event loops of a process. The connection is gone afterwards.
    """
    return isinstance(error, RuntimeError) and str(error) == "Event loop is closed"


def _is_of_a_reply(error: Exception, package: str) -> bool:
    """Whether the client failed in reading the reply: its own code, or a parser's, did not expect what came."""
    if isinstance(error, RecursionError):
        return True
    if isinstance(error, UnicodeEncodeError) or not isinstance(
        error, ValueError | TypeError | LookupError | AttributeError | ValidationError
    ):
        return False
    frames = list(_frames(error))
    clients = _PARSERS | ({package} if package and package != "langgraph_rlm" else set())
    if not frames or frames[-1][0] not in clients or "unexpected keyword argument" in str(error):
        return False
    of_client = [function for root, function in frames if root in clients - {"langchain_core", "json"}]
    if isinstance(error, IndexError) and frames[-1] in (("langchain_core", "invoke"), ("langchain_core", "ainvoke")):
        return True  # a reply without any choice
    return bool(of_client) and not any(part in function for function in of_client for part in _OF_THE_REQUEST)


_OF_THE_REQUEST = ("payload", "message_to", "message_dicts", "convert_messages", "default_params")
"""In the names of functions that make a request of messages and options: what fails there was never sent."""


def _frames(error: Exception) -> Iterator[tuple[str, str]]:
    """The frames that an error came through: top-level package and function."""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        yield str(frame.f_globals.get("__name__", "")).partition(".")[0], frame.f_code.co_name
        trace = trace.tb_next


def _was_never_sent(error: Exception) -> bool:
    kinds = {cls.__name__ for cls in type(error).__mro__}
    causes = {cls.__name__ for cls in type(error.__cause__).__mro__}
    return bool((kinds | causes) & _NEVER_SENT)


# --- pauses ---------------------------------------------------------------------------------------------------------

_RESETS = ("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "x-ratelimit-reset", "ratelimit-reset")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
_EPOCH = 1_000_000_000
"""A larger number of seconds is a time since 1970, a thousand times as much one in milliseconds."""


def _asked_pause(error: Exception, *, of_limits: bool) -> float | None:
    """Seconds that a server asks to wait, in any of the ways in which servers say it; never below 0.

    Args:
        error: as the client raised it.
        of_limits: it is about too many requests; the times at which limits are reset then count, too.
    """
    headers = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        return None
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1_000
    asked = headers.get("retry-after")
    if (pause := _seconds(asked)) is None and isinstance(asked, str):
        try:
            pause = max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            pause = None
    if pause is not None or not of_limits:
        return pause
    resets = {name: found for name in _RESETS if (found := _seconds(headers.get(name))) is not None}
    used_up = [resets[name] for name in resets if headers.get(name.replace("reset", "remaining"), "0") == "0"]
    return max(used_up or resets.values(), default=None)


def _seconds(text: Any) -> float | None:
    """``"3"``, ``"1m30.5s"``, ``"250ms"`` or a time since 1970."""
    number = _number(text)
    if number is not None:
        if number > _EPOCH * 1_000:
            number /= 1_000
        return max(0.0, number - time.time()) if number > _EPOCH else number
    if not isinstance(text, str) or not text or len(text) > 40:
        return None
    total, rest = 0.0, text.strip()
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit = next((unit for unit in ("ms", "s", "m", "h") if rest.startswith(unit, digits)), None)
        value = _number(rest[:digits])
        if unit is None or value is None:
            return None
        total, rest = total + value * _UNITS[unit], rest[digits + len(unit) :]
    return total


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return max(0.0, value) if value == value and abs(value) < 1e18 else None
