"""Answers of a wanted shape: any schema as JSON schema, the answer as plain JSON values that satisfy it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import PydanticUserError, TypeAdapter

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.calls.schemas import check_schema, read_json
from langgraph_rlm.errors import InvalidInput, LimitReached, ModelError
from langgraph_rlm.graphs.bridge import Run


def schema_of(response_format: Any) -> dict[str, Any] | None:
    """The JSON schema of a ``response_format``: a schema itself, a pydantic model, a dataclass or a TypedDict.

    Raises:
        InvalidInput: none of these.
    """
    if response_format is None:
        return None
    if isinstance(response_format, Mapping):
        schema = dict(response_format)
    else:
        try:
            schema = TypeAdapter(response_format).json_schema()
        except (PydanticUserError, TypeError) as error:
            raise InvalidInput(
                f"response_format: no JSON schema can be made of {response_format!r}: {error}"
            ) from error
    check_schema(schema, "response_format")
    return schema


async def structured(
    answer: Any, schema: dict[str, Any] | None, *, question: str, model: ModelCaller, account: Account, run: Run
) -> tuple[Any, str]:
    """The answer as JSON values that satisfy the schema, and the run's stop reason.

    It is taken as it is when it satisfies the schema already, else rewritten by the model. At a limit the answer itself
    is not lost: there is just no structured one, and the stop reason says which limit it was.

    Raises:
        ModelError: not even after one repair (category ``invalid_output``).
    """
    if schema is None:
        return None, "answered"
    try:
        return await _structured(answer, schema, question, model, account, run), "answered"
    except LimitReached as reached:
        return None, reached.stop_reason


async def _structured(
    answer: Any, schema: dict[str, Any], question: str, model: ModelCaller, account: Account, run: Run
) -> Any:
    plain = isinstance(answer, str) and schema.get("type") != "string"  # a text is one already, it need not be JSON
    value, problem = read_json(answer if plain else json.dumps(answer), schema)
    if problem is None:
        return value
    messages: list[BaseMessage] = [
        SystemMessage(
            "You put a given answer into JSON that satisfies a JSON schema. Add nothing that is not in the answer. Reply "
            f"with the JSON only.\n\n{json.dumps(schema)}"
        ),
        HumanMessage(f"QUESTION\n{question}\n\nANSWER\n{answer}"),
    ]
    for _ in range(2):  # one repair
        reply = await model.ask(messages, account=account, config=run.config, role="structure")
        value, problem = read_json(reply.text, schema)
        if problem is None:
            return value
        messages += [
            AIMessage(reply.text),
            HumanMessage(f"That is not valid: {problem}. Reply with the corrected JSON only."),
        ]
    raise ModelError(f"the answer could not be put into response_format: {problem}", category="invalid_output")
