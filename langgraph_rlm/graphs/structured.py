"""Answers of a wanted shape: any schema as JSON schema, the answer as plain JSON values that satisfy it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.calls.schemas import check_schema, read_json
from langgraph_rlm.errors import InvalidInput, LimitReached, ModelError
from langgraph_rlm.runs.run import Run
from langgraph_rlm.types import StopReason


@dataclass(frozen=True, slots=True)
class Shape:
    """What a ``response_format`` asks for.

    Args:
        schema: JSON schema of it.
        adapter: of the class that was given; None for a JSON schema.
    """

    schema: dict[str, Any]
    adapter: TypeAdapter[Any] | None = None

    @classmethod
    def of(cls, response_format: Any) -> Shape | None:
        """The shape of a JSON schema, a pydantic model, a dataclass or a TypedDict; None for None.

        Raises:
            InvalidInput: none of these.
        """
        if response_format is None:
            return None
        if isinstance(response_format, Mapping):
            shape = cls(dict(response_format))
        else:
            try:
                adapter = TypeAdapter(response_format)
                shape = cls(adapter.json_schema(), adapter)
            except (PydanticUserError, PydanticInvalidForJsonSchema, TypeError) as error:
                raise InvalidInput(
                    f"response_format: no JSON schema can be made of {response_format!r}: {error}"
                ) from error
        check_schema(shape.schema, "response_format")
        return shape

    def read(self, text: str) -> tuple[Any, str | None]:
        """The value that a reply holds, as plain JSON, and what is wrong with it."""
        value, problem = read_json(text, self.schema)
        if problem is None and self.adapter is not None:
            try:
                self.adapter.validate_json(json.dumps(value))  # what no JSON schema says: validators of the class
            except ValidationError as error:
                return value, "; ".join(one["msg"] for one in error.errors(include_url=False)[:3])
        return value, problem

    def instance(self, value: Any) -> Any:
        """A plain value as an instance of the class that was given. In the state it is plain JSON."""
        return value if self.adapter is None else self.adapter.validate_json(json.dumps(value))


async def structured(
    answer: Any, shape: Shape | None, *, question: str, model: ModelCaller, account: Account, run: Run
) -> tuple[Any, StopReason]:
    """The answer as JSON values that satisfy the schema, and the run's stop reason.

    It is taken as it is when it satisfies the schema already, else rewritten by the model. At a limit the answer itself
    is not lost: there is just no structured one, and the stop reason says which limit it was.

    Raises:
        ModelError: not even after one repair (category ``invalid_output``).
    """
    if shape is None:
        return None, "answered"
    try:
        return await _structured(answer, shape, question, model, account, run), "answered"
    except LimitReached as reached:
        return None, cast(StopReason, reached.stop_reason)


async def _structured(answer: Any, shape: Shape, question: str, model: ModelCaller, account: Account, run: Run) -> Any:
    plain = (
        isinstance(answer, str) and shape.schema.get("type") != "string"
    )  # a text is one already, it need not be JSON
    value, problem = shape.read(answer if plain else json.dumps(answer))
    if problem is None:
        return value
    messages: list[BaseMessage] = [
        SystemMessage(
            "You put a given answer into JSON that satisfies a JSON schema. Add nothing that is not in the answer. Reply "
            f"with the JSON only.\n\n{json.dumps(shape.schema)}"
        ),
        HumanMessage(f"QUESTION\n{question}\n\nANSWER\n{answer}"),
    ]
    for _ in range(2):  # one repair
        reply = await model.ask(messages, account=account, config=run.config, role="structure")
        value, problem = shape.read(reply.text)
        if problem is None:
            return value
        messages += [
            AIMessage(reply.text),
            HumanMessage(f"That is not valid: {problem}. Reply with the corrected JSON only."),
        ]
    raise ModelError(f"the answer could not be put into response_format: {problem}", category="invalid_output")
