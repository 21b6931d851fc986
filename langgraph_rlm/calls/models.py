"""Model calls: one way to ask any chat model, within the budget, at the server's pace, with retries that are counted."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp

from langgraph_rlm.budget import Reservation, input_bound
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.chain import (
    Model,
    asks_once,
    cap_of,
    endpoint_of,
    is_chat_model,
    links_of,
    resolved,
    window_of,
)
from langgraph_rlm.calls.failures import Failure, holds_key, read_failure
from langgraph_rlm.calls.guarded import Watch
from langgraph_rlm.calls.memo import digest_of
from langgraph_rlm.calls.pacing import MOST_PAUSE, Pace
from langgraph_rlm.calls.replies import Answer, read_reply
from langgraph_rlm.calls.servers import Bounds, Servers
from langgraph_rlm.calls.tokens import Tokens, with_handler, written_to
from langgraph_rlm.calls.usage import estimated_tokens, spent_by, was_truncated
from langgraph_rlm.errors import DeadlineExceeded, InvalidInput, LimitReached, ModelError, RLMError
from langgraph_rlm.runs.run import Emit

__all__ = ["Answer", "Model", "ModelCaller", "estimated_tokens", "is_chat_model"]

ATTEMPTS = 4
"""Tries of one call in all, when its errors are of the passing kind."""
ATTEMPTS_AT_A_LIMIT = 20
"""Tries that a server may refuse because of too many requests, beside them. The pauses between them grow to half a minute, so
that it is the run's deadline that ends them; more often only a request is refused that no waiting helps."""
DEFAULT_WINDOW = 128_000
"""Tokens, for models that do not say."""
_SMALL_WINDOW = 4_096
_LEAST_ANSWER = 64
"""Tokens: a request with less room for its answer is not sent."""
_SMALLER_CAP = 1_024
"""Tokens of an answer, where a server says that a request is too large, and not by how much."""
_MOST_SHRUNK = 3
"""Tries of one call with a smaller output cap."""
_GROWTH = 1.3
"""By how much an estimate of a prompt grows when the server found it too small."""
_TOLD_PAUSE = 1.0
"""Seconds; of a shorter pause nobody need be told."""


class UnknownWindowWarning(UserWarning):
    """A model does not say how much fits a request; 128K tokens are assumed."""


class TruncationWarning(UserWarning):
    """A server has read far less than it was sent: it cuts prompts to its window without a word."""


class ModelCaller:
    """One model as a run asks it.

    Args:
        model: see :data:`Model`.
        window: tokens that fit a request; what the model's profile says when None, else 128K. A smaller one that the
            server states in an error takes its place.
        attempts: tries of one call in all.

    Raises:
        MissingDependency: a ``str`` was given and langchain or the provider's package is not installed.
        AuthenticationFailed: the provider's client found no key.
        InvalidInput: the window is no whole number above 0.
    """

    def __init__(self, model: Model, *, window: int | None = None, attempts: int = ATTEMPTS) -> None:
        self.runnable = resolved(model)
        self._links = links_of(self.runnable)
        self._names = [link.name for link in self._links]
        self.name = self._names[0]
        self._window = _checked_window(window) or window_of(self._links)
        self._cap_option, self._most_output = cap_of(self._links)
        self._attempts = attempts
        self._secrets = sorted({secret for link in self._links for secret in link.secrets()})
        self._package = type(self._links[0].model).__module__.partition(".")[0]
        self._asks_once = asks_once(self.runnable)
        own = f"caller {uuid.uuid4().hex}"  # a model that tells no address shares nothing with others
        self._place, self._who = endpoint_of(self._links) or (own, own)

    @property
    def window(self) -> int:
        """Tokens that fit a request, as far as is known by now."""
        learnt = self._bounds.window
        return min(known) if (known := [one for one in (self._window, learnt) if one is not None]) else DEFAULT_WINDOW

    @property
    def knows_window(self) -> bool:
        """Whether that was given, or told by the model or its server, and not just assumed."""
        return self._window is not None or self._bounds.window is not None

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
        answer = min(self.most_output, self.window // 2)
        return max(0, self.window - answer - sum(map(estimated_tokens, texts)))

    async def ask(
        self, messages: Sequence[BaseMessage], *, account: Account, config: RunnableConfig | None, role: str,
        key: str | None = None, known: Mapping[str, Any] | None = None, emit: Emit | None = None,
        tokens: Tokens | None = None,
    ) -> Answer:  # fmt: skip
        """Send one request within the budget, unless it was answered before.

        Args:
            messages: the prompt.
            account: reserves room before each try, keeps the answer.
            config: the node's, so that callbacks and traces see the call.
            role: ``root``, ``sub``, ``reader``, …: a tag on the run, and ``rlm_role`` of its metadata.
            key: of the answer in the memo; from role and messages when None.
            known: the recorded results among which the key's may be, when they were looked up already.
            emit: tells whoever streams of the call; the account's when None.
            tokens: gets the reply as it is written, where the model streams.

        Raises:
            LimitReached: no room or no time, or too many requests have failed (TooManyFailures).
            ModelError: it failed for good (AuthenticationFailed for a missing or rejected key).
            MemoError: what was paid cannot be written down.
        """
        messages = list(messages)
        key = key or f"{role}/{digest_of(self.name, [[m.type, m.content] for m in messages])}"
        found = (await account.recall([key]) if known is None else known).get(key)
        if found is not None and "text" in found:
            return Answer.of_record(found)

        emit = emit or account.emit
        started, began = emit("call_start", name=self.name, role=role), time.monotonic()
        failed: str | None = "cancelled"
        try:
            answer = await self._asked(messages, account, _tagged(config, role), key, tokens)
            failed = None
            return answer
        except ModelError as error:
            failed = error.category
            raise
        except LimitReached as error:
            failed = error.stop_reason
            raise
        except Exception as error:
            failed = type(error).__name__
            raise
        finally:
            seconds = round(time.monotonic() - began, 6)
            emit("call_end", started=started, name=self.name, role=role, seconds=seconds, error=failed)

    async def _asked(
        self, messages: list[BaseMessage], account: Account, tagged: RunnableConfig, key: str, tokens: Tokens | None
    ) -> Answer:
        size = _Size([message.text for message in messages])
        tries, limited, shrunk = 0, 0, 0
        while True:
            outcome = await self._once(messages, size, account, tagged, key, tokens)
            if isinstance(outcome, Answer):
                return outcome
            limited += outcome.overloaded
            if outcome.overloaded and self._attempts > 1 and limited < ATTEMPTS_AT_A_LIMIT:
                continue  # the pace makes it wait
            if outcome.refusal is not None and shrunk < _MOST_SHRUNK and self._learns(outcome, size):
                shrunk += 1
                continue
            tries += 1
            if tries >= self._attempts or outcome.overloaded or not outcome.error.retryable:
                raise outcome.error
            pause, left = _pause(outcome, tries), account.budget.seconds_left()
            await asyncio.sleep(pause if left is None else min(left, pause))  # no pause is longer than the run

    async def _once(
        self, messages: list[BaseMessage], size: _Size, account: Account, config: RunnableConfig, key: str,
        tokens: Tokens | None,
    ) -> Answer | Failure:  # fmt: skip
        pace, most = Servers.of_this_process().pace(self._who), self._cap_for(size)
        entered = await self._turn(pace, account)
        answered = refused = False
        try:
            reservation = await account.reserve(self._names, size.bound, most)
            size.sent_cap = reservation.output_tokens
            with written_to(tokens, config) as heard:
                outcome = await self._send(messages, size, account, heard, key, reservation)
            if isinstance(outcome, Failure) and outcome.overloaded:
                refused, pause = True, pace.refused(entered, outcome.pause)
                if pause >= _TOLD_PAUSE and self._attempts > 1:
                    account.tell_pause(self.name, pause)
            answered = isinstance(outcome, Answer)
            return outcome
        finally:
            if not refused:
                pace.leave(entered, answered=answered)

    async def _turn(self, pace: Pace, account: Account) -> int:
        """Wait until the server's pace lets a call be sent."""
        if (pause := pace.pause_left()) >= _TOLD_PAUSE and self._attempts > 1:
            account.tell_pause(self.name, pause)
        entered = await pace.enter(account.budget.seconds_left())
        if entered is None:
            account.budget.check()
            raise DeadlineExceeded(f"max_seconds were over while calls waited for {self.name!r} (too many requests)")
        return entered

    async def _send(
        self, messages: list[BaseMessage], size: _Size, account: Account, config: RunnableConfig, key: str,
        reservation: Reservation,
    ) -> Answer | Failure:  # fmt: skip
        options = {} if self._cap_option is None else {self._cap_option: reservation.output_tokens}
        sent = _Sent()
        if not self._asks_once:
            config = sent.heard_in(config)
        try:
            async with asyncio.timeout(account.budget.seconds_left()) as clock:
                with Watch():
                    reply = await account.face.call(self.runnable, messages, config, **options)
        except Exception as error:
            if isinstance(error, GraphBubbleUp | RLMError):
                await account.release(reservation)
                raise
            if isinstance(error, TimeoutError) and clock.expired():
                account.lose(reservation, requests=sent.requests)
                raise DeadlineExceeded(f"max_seconds were over while {self.name!r} was answering") from None
            failure = read_failure(error, self.name, secrets=self._secrets, package=self._package)
            if not holds_key(error, self._secrets):
                failure.error.__cause__ = error
            if failure.billed:
                account.lose(reservation, requests=sent.requests)
            else:
                await account.release(reservation, requests=sent.requests)
            return failure
        except BaseException:  # cancelled: the server may go on, and bill it
            account.lose(reservation, requests=sent.requests)
            raise
        if not isinstance(reply, AIMessage):
            await account.release(reservation)
            raise ModelError(
                f"model {self.name!r} returned {type(reply).__name__}, not an AIMessage: give a chat model",
                category="invalid_output", model=self.name,
            )  # fmt: skip
        model = self._answering(reply, sent, account, reservation)
        spent = spent_by(reply, size.tokens, model, account.budget)
        if was_truncated(spent.read, size.tokens):
            self._tell_truncation(spent.read or 0, size.tokens, account)
        answer = read_reply(reply, reservation.output_tokens)
        await account.settle(
            reservation, spent.usage, model=model, estimated=spent.estimated, results={key: answer.as_record()},
            requests=sent.requests,
        )  # fmt: skip
        return answer

    # --- how much fits ---

    @property
    def _bounds(self) -> Bounds:
        return Servers.of_this_process().bounds(self._place)

    @property
    def most_output(self) -> int:
        """Tokens that an answer may have, as far as is known by now."""
        learnt = self._bounds.most_output
        return self._most_output if learnt is None else min(self._most_output, learnt)

    def _cap_for(self, size: _Size) -> int:
        """Output tokens to ask for beside this prompt."""
        most = self.most_output if size.most is None else min(self.most_output, size.most)
        if not self.knows_window:
            return most
        room = self.window - size.tokens
        if room < min(most, _LEAST_ANSWER):
            raise ModelError(
                f"model {self.name!r}: the prompt has about {size.tokens:,} tokens, and its window of {self.window:,} has no "
                "room for it and an answer. Send less, or give the model's real window with window=",
                category="too_long", model=self.name, window=self.window,
            )  # fmt: skip
        return min(most, room)

    def _learns(self, failure: Failure, size: _Size) -> bool:
        """Take what a server says of a request that is too large; whether a smaller output cap may fit."""
        said = failure.refusal
        assert said is not None
        failure.error.window = said.window
        self._bounds.learn(said.window, said.most_output)
        if self._cap_option is None:
            return False
        if said.window is None and said.most_output is None:
            size.most = _SMALLER_CAP
        elif said.prompt is not None and said.prompt >= size.tokens // 4:  # it counts as we do, or finds more
            size.tokens = said.prompt + 1
        elif said.window is not None:
            size.tokens = int(size.tokens * _GROWTH) + 1
        try:
            return self._cap_for(size) < size.sent_cap
        except ModelError:
            return False

    def _tell_truncation(self, read: int, sent: int, account: Account) -> None:
        account.tell_truncation(self.name, sent, read)
        warnings.warn(
            f"Model {self.name!r} has read {read:,} tokens of a prompt of about {sent:,}: its server seems to cut prompts to "
            "its window. Give the server a larger one, or its real one with window=.",
            TruncationWarning,
            stacklevel=2,
        )

    # --- who has answered ---

    def _answering(self, reply: AIMessage, sent: _Sent, account: Account, reservation: Reservation) -> str:
        """The name of the model that has answered: the one that was asked, or one of its fallbacks."""
        if len(self._names) < 2:
            return self.name
        if sent.latest in self._names:  # as LangChain called it; what a server calls itself is its own affair
            return sent.latest
        said = reply.response_metadata.get("model_name")
        if isinstance(said, str):  # servers add a date to the name: "gpt-5-mini-2025-08-07"
            named = [name for name in self._names if said.startswith(name)]
            if named:
                return max(named, key=len)
        budget, size = account.budget, (reservation.input_tokens, reservation.output_tokens)
        return max(self._names, key=lambda name: budget.price(name, *size) or 0.0)


class _Size:
    """Of one prompt: a bound and an estimate of its tokens, and what was learnt of it from refusals."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.bound = input_bound(texts)
        self.tokens = sum(map(estimated_tokens, texts))
        self.most: int | None = None
        """Output tokens to ask for at most."""
        self.sent_cap = 0
        """Output tokens that the latest request has asked for."""


class _Sent(BaseCallbackHandler):
    """Hears of each request that fallbacks and retries of LangChain make of one call."""

    run_inline = True

    def __init__(self) -> None:
        self._heard = 0
        self.latest: str | None = None
        """The model that was asked last."""

    @property
    def requests(self) -> int:
        """At least one."""
        return max(1, self._heard)

    def on_chat_model_start(self, serialized: Any, messages: Any, *, metadata: Any = None, **kwargs: Any) -> None:
        self._heard += 1
        self.latest = (metadata or {}).get("ls_model_name")

    def heard_in(self, config: RunnableConfig) -> RunnableConfig:
        """The config, with this among its callbacks."""
        return with_handler(config, self)


def _tagged(config: RunnableConfig | None, role: str) -> RunnableConfig:
    """The config of one call; by hand, since ``merge_configs`` takes longer than all the rest of a sub-call."""
    given: dict[str, Any] = dict(config or {})
    given.pop("run_id", None)
    given["tags"] = [*(given.get("tags") or []), f"rlm:{role}"]
    given["metadata"] = {**(given.get("metadata") or {}), "rlm_role": role}
    given["run_name"] = f"rlm:{role}"
    return cast(RunnableConfig, given)


def _checked_window(window: int | None) -> int | None:
    if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window < 1):
        raise InvalidInput(f"window must be a whole number of tokens above 0, not {window!r}")
    return window


def _pause(failure: Failure, attempt: int) -> float:
    """Seconds before the next try: what the server asked for, else exponential with jitter."""
    if failure.pause is not None:
        return min(MOST_PAUSE, failure.pause)
    # A server that answers, if only nonsense, is there; one that does not needs time.
    first = 0.1 if failure.error.category == "invalid_output" else 0.5
    return min(20.0, first * 2 ** (attempt - 1)) + random.uniform(0, first)
