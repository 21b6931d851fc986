"""Sub-calls: what ``llm_query`` and its batch do on the host. Memo → budget → model, side by side, in order.

A sub-call that fails is a value of its place in the batch, so that the answers which were paid for are never lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from langgraph_rlm.calls.faces import Face
from langgraph_rlm.calls.memo import Memo, Occurrences, digest_of
from langgraph_rlm.calls.models import Answer, ModelCaller
from langgraph_rlm.calls.schemas import check_schema, read_json
from langgraph_rlm.errors import BudgetExceeded, InvalidInput, LimitReached, ModelError
from langgraph_rlm.limits import CHARS_PER_TOKEN, Budget
from langgraph_rlm.repl import FailedCall

MOST_SCHEMA_CHARS = 20_000
"""It goes into every prompt, and is checked on the host."""
Render = Callable[[str], list[BaseMessage]]
"""The messages of a sub-call from its prompt."""


class SubCalls:
    """Asks the sub-model for one run.

    Args:
        model: the sub-model.
        render: its prompt, from the cell's.
        budget: the run's; shared by the whole tree.
        memo: where answers are recorded.
        face: sync or async.
        config: the node's.
        room: for calls in flight, shared by the whole tree.
    """

    def __init__(
        self,
        model: ModelCaller,
        *,
        render: Render,
        budget: Budget,
        memo: Memo,
        face: Face,
        config: RunnableConfig | None,
        room: asyncio.Semaphore,
    ) -> None:
        self._model = model
        self._render = render
        self._budget = budget
        self._memo = memo
        self._face = face
        self._config = config
        self._room = room

    async def ask_all(
        self, prompts: Sequence[str], *, schema: dict[str, Any] | None, place: str, occurrences: Occurrences
    ) -> list[Any]:
        """The answers in the order of the prompts; a :class:`FailedCall` stands where one failed.

        Args:
            prompts: one task each, with the text it needs.
            schema: a JSON schema; the answers are then values that satisfy it.
            place: where in the run, for the memo: session, path of the child, cell.
            occurrences: of the cell.
        """
        if schema is not None:
            if (size := len(json.dumps(schema))) > MOST_SCHEMA_CHARS:
                raise InvalidInput(f"schema: {size:,} characters of JSON are too many (at most {MOST_SCHEMA_CHARS:,})")
            check_schema(schema, "schema")
        # Long prompts take a while. Keys are drawn before anything is asked: in a replay equal prompts get equal numbers.
        name = self._model.name
        request = await self._face.block(lambda: [digest_of("llm_query", prompt, name, schema) for prompt in prompts])
        keys = [occurrences.key(f"{place}/llm_query", digest) for digest in request]
        return list(await asyncio.gather(*(self._ask(p, schema, key) for p, key in zip(prompts, keys, strict=True))))

    async def _ask(self, prompt: str, schema: dict[str, Any] | None, key: str) -> Any:
        if (known := self._memo.get(key)) is not None:
            return known["value"]
        tokens = len(prompt) // CHARS_PER_TOKEN
        if tokens > self._model.window:
            return FailedCall(
                "too_long",
                f"the prompt has about {tokens:,} tokens, the sub-model's window {self._model.window:,}: send smaller pieces",
                False,
            )
        try:
            async with self._room:
                value = await self._answer(prompt, schema)
        except ModelError as error:
            return FailedCall(error.category, str(error), error.retryable)
        except LimitReached as error:
            return FailedCall("budget" if isinstance(error, BudgetExceeded) else "timeout", str(error), False)
        if not isinstance(value, FailedCall):
            self._memo.put(key, {"value": value})
        return value

    async def _answer(self, prompt: str, schema: dict[str, Any] | None) -> Any:
        if schema is None:
            return (await self._send(self._render(prompt))).text
        wanted = (
            f"{prompt}\n\nReply with JSON that satisfies this JSON schema, and with nothing else:\n{json.dumps(schema)}"
        )
        messages = self._render(wanted)
        for _ in range(2):  # one repair
            text = (await self._send(messages)).text
            value, problem = await self._face.block(read_json, text, schema)
            if problem is None:
                return value
            messages = [
                *messages,
                AIMessage(text),
                HumanMessage(f"That is not valid: {problem}. Reply with the corrected JSON only."),
            ]
        return FailedCall("invalid_output", f"no JSON of the wanted shape after one repair: {problem}", True)

    async def _send(self, messages: list[BaseMessage]) -> Answer:
        return await self._model.ask(messages, budget=self._budget, face=self._face, config=self._config, role="sub")
