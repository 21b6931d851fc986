"""Sub-calls: what ``llm_query`` and its batch do on the host. Memo → budget → model, side by side, in order.

A sub-call that fails is a value of its place in the batch, so that the answers which were paid for are never lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.memo import Occurrences, digest_of
from langgraph_rlm.calls.models import Answer, ModelCaller, estimated_tokens
from langgraph_rlm.calls.schemas import ENTANGLED, check_schema, read_json
from langgraph_rlm.errors import InvalidInput, LimitReached, ModelError
from langgraph_rlm.repl import FailedCall
from langgraph_rlm.runs.run import Emit, unheard

MOST_SCHEMA_CHARS = 20_000
"""It goes into every prompt, and is checked on the host."""
_PARTS = ("0", "1", _FAILED := "failed")
"""Of one key: the answer, the repaired answer, why there is none."""
_CATEGORIES = {"budget": "budget", "deadline": "timeout", "error": "server"}
"""Of a limit that is reached, by the run's stop reason."""
_READING_SECONDS, _READING_SHARE = 5.0, 0.1
"""Of a run's time, whichever is less, is left to a cell for the answers of a batch when some of its calls never end."""
Render = Callable[[str], list[BaseMessage]]
"""The messages of a sub-call from its prompt."""


class SubCalls:
    """Asks the sub-model for one run.

    Args:
        model: the sub-model.
        render: its prompt, from the cell's.
        account: the run's; shared by the whole tree.
        config: the node's.
        room: for calls in flight, shared by the whole tree.
        emit: tells whoever streams of the calls.
    """

    def __init__(
        self, model: ModelCaller, *, render: Render, account: Account, config: RunnableConfig | None,
        room: asyncio.Semaphore, emit: Emit = unheard,
    ) -> None:  # fmt: skip
        self._model = model
        self._render = render
        self._account = account
        self._config = config
        self._room = room
        self._emit = emit

    async def ask_all(
        self, prompts: Sequence[str], *, schema: dict[str, Any] | None, place: str, occurrences: Occurrences,
        again: bool = False,
    ) -> list[Any]:  # fmt: skip
        """The answers in the order of the prompts; a :class:`FailedCall` stands where one failed.

        Args:
            prompts: one task each, with the text it needs.
            schema: a JSON schema; the answers are then values that satisfy it.
            place: where in the run, for the memo: session, path of the child, cell.
            occurrences: of the cell.
            again: the cell is replayed: what failed in it the first time has failed, and is not asked again.
        """
        if schema is not None:
            if (size := len(json.dumps(schema))) > MOST_SCHEMA_CHARS:
                raise InvalidInput(f"schema: {size:,} characters of JSON are too many (at most {MOST_SCHEMA_CHARS:,})")
            await self._account.face.block(check_schema, schema, "schema")
        # Long prompts take a while. Keys are drawn before anything is asked: in a replay equal prompts get equal numbers.
        name, face = self._model.name, self._account.face
        request = await face.block(lambda: [digest_of("llm_query", prompt, name, schema) for prompt in prompts])
        keys = [occurrences.key(f"{place}/llm_query", digest) for digest in request]
        known = await self._account.recall([f"{key}/{part}" for key in keys for part in _PARTS])
        asked = (self._ask(p, schema, key, known, again) for p, key in zip(prompts, keys, strict=True))
        return list(await asyncio.gather(*asked))

    async def _ask(
        self, prompt: str, schema: dict[str, Any] | None, key: str, known: Mapping[str, Any], again: bool
    ) -> Any:
        if again and (failed := known.get(f"{key}/{_FAILED}")) is not None:
            return FailedCall(failed["category"], failed["message"], failed["retryable"])
        value = await self._value(prompt, schema, key, known)
        if isinstance(value, FailedCall):
            failure = {"category": value.category, "message": value.message, "retryable": value.retryable}
            await self._account.record({f"{key}/{_FAILED}": failure})
        return value

    async def _value(self, prompt: str, schema: dict[str, Any] | None, key: str, known: Mapping[str, Any]) -> Any:
        if not self._model.fits(prompt):
            return FailedCall(
                "too_long",
                f"the prompt has about {estimated_tokens(prompt):,} tokens, the sub-model's window "
                f"{self._model.window:,}{'' if self._model.knows_window else ' (assumed)'}: send smaller pieces",
                False,
            )
        try:
            if f"{key}/{_PARTS[0]}" in known and schema is None:
                return await self._answer(prompt, schema, key, known)  # nothing is sent
            async with asyncio.timeout(self._seconds_left()), self._room:
                return await self._answer(prompt, schema, key, known)
        except TimeoutError:
            return FailedCall("timeout", "the run's time (max_seconds) was nearly over before it was answered", False)
        except ModelError as error:
            return FailedCall(error.category, str(error), error.retryable)
        except LimitReached as error:
            return FailedCall(_CATEGORIES[error.stop_reason], str(error), False)

    def _seconds_left(self) -> float | None:
        """For calls: the cell that made them still has to read their answers before the run's time is over."""
        budget = self._account.budget
        if (left := budget.seconds_left()) is None:
            return None
        return left - min(_READING_SECONDS, _READING_SHARE * (budget.limits.max_seconds or left))

    async def _answer(self, prompt: str, schema: dict[str, Any] | None, key: str, known: Mapping[str, Any]) -> Any:
        if schema is None:
            answer = await self._send(self._render(prompt), f"{key}/{_PARTS[0]}", known)
            return answer.marked() if answer.missing is None else _no_answer(answer, answer.missing)
        wanted = (
            f"{prompt}\n\nReply with JSON that satisfies this JSON schema, and with nothing else:\n{json.dumps(schema)}"
        )
        messages, problem = self._render(wanted), None
        for part in _PARTS[:2]:  # one repair
            answer = await self._send(messages, f"{key}/{part}", known)
            if answer.refusal is not None and answer.missing is not None:
                return _no_answer(answer, answer.missing)  # asked again it would refuse again
            value, problem = await self._account.face.block(read_json, answer.text, schema)
            if problem is None:
                return value
            if problem == ENTANGLED:
                return FailedCall("invalid_output", problem, False)
            if answer.cut:
                problem = f"it was cut off at the output cap ({problem})"
            messages = [
                *messages,
                AIMessage(answer.text or "(an empty reply)"),  # servers refuse messages without content
                HumanMessage(f"That is not valid: {problem}. Reply with the corrected JSON only."),
            ]
        return FailedCall("invalid_output", f"no JSON of the wanted shape after one repair: {problem}", True)

    async def _send(self, messages: list[BaseMessage], key: str, known: Mapping[str, Any]) -> Answer:
        return await self._model.ask(
            messages, account=self._account, config=self._config, role="sub", key=key, known=known, emit=self._emit
        )


def _no_answer(answer: Answer, why: str) -> FailedCall:
    return FailedCall("invalid_output" if answer.refusal is None else "refused", why, False)
