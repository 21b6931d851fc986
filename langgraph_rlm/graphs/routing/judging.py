"""Second opinions on a route: a chat model, a function, or any object that decides. When one fails, the rules decide."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langgraph.errors import GraphBubbleUp

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.models import ModelCaller, is_chat_model
from langgraph_rlm.calls.schemas import read_json
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.prompts import router_messages
from langgraph_rlm.runs.run import Run
from langgraph_rlm.shortening import shortened


class Decider(Protocol):
    """An object that decides, as decision models do; its ``adecide`` is awaited where it has one."""

    def decide(self, question: str) -> Any:
        """A verdict."""
        ...


Classifier = str | BaseChatModel | Runnable[Any, Any] | Callable[[str, Mapping[str, float]], Any] | Decider
"""A chat model or its name; ``(question, features)`` → a verdict; a Runnable of ``{"question", "features"}``; or any object
with ``decide(question)``, as decision models have it. A verdict is a route, a label (``simple``, ``complex``), a bool
(needs the recursive route), its probability, a mapping of probabilities by route, or an object with ``route``."""

_SCHEMA = {
    "type": "object",
    "properties": {
        "route": {"enum": ["rag", "rlm"]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "reason": {"type": "string"},
    },
    "required": ["route"],
}
_SURE = 0.9
"""Probability that stands for a verdict without one."""
_NAMES = {"rag": 1 - _SURE, "simple": 1 - _SURE, "rlm": _SURE, "complex": _SURE}
_REASON_CHARS = 200
"""Of a classifier's reason: a sentence or two."""


class Verdict(NamedTuple):
    """What a classifier said."""

    chance: float
    """Probability, 0 to 1, that the question needs the recursive route."""
    reason: str


class Judge:
    """Asks a classifier.

    Args:
        classifier: see :data:`Classifier`.

    Raises:
        InvalidInput: none of these.
        MissingDependency, AuthenticationFailed: a model's name that cannot be used.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier: Any = classifier
        self.model = ModelCaller(classifier, attempts=1) if is_chat_model(classifier) else None
        self.name = self.model.name if self.model else getattr(classifier, "__name__", type(classifier).__name__)
        if not (self.model or isinstance(classifier, Runnable) or _decides(classifier) or callable(classifier)):
            raise InvalidInput(
                "classifier must be a chat model or its name, a function of question and features, a Runnable, or an "
                f"object with decide(question); got {classifier!r}"
            )

    async def verdict(
        self, question: str, features: Mapping[str, float], run: Run, account: Account
    ) -> tuple[Verdict | None, str]:
        """The verdict, or None and why there is none."""
        try:
            said = await self._asked(question, features, run, account)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails in it, the rules have decided already
            return None, f"the classifier {self.name} failed ({type(error).__name__}), so the rules decide"
        if (verdict := read_verdict(said)) is None:
            return None, f"the classifier {self.name} gave no verdict ({_short(said)}), so the rules decide"
        return verdict, ""

    async def _asked(self, question: str, features: Mapping[str, float], run: Run, account: Account) -> Any:
        if self.model is not None:
            reply = await self.model.ask(
                router_messages(question, json.dumps(_SCHEMA)), account=account, config=run.config, role="router"
            )
            value, problem = read_json(reply.text, _SCHEMA)
            return value if problem is None else reply.text
        if isinstance(self._classifier, Runnable):
            return await run.face.call(self._classifier, {"question": question, "features": dict(features)}, run.config)
        if not _decides(self._classifier):
            said = await run.face.block(self._classifier, question, dict(features))
        elif run.face.is_async and callable(decide := getattr(self._classifier, "adecide", None)):
            said = decide(question)
        else:
            said = await run.face.block(self._classifier.decide, question)
        return await said if inspect.isawaitable(said) else said


def read_verdict(said: Any) -> Verdict | None:
    """A verdict in any of its shapes; None for nonsense.

    Example:
        >>> read_verdict("complex").chance
        0.9
        >>> read_verdict({"rag": 3, "rlm": 1}).chance
        0.25
    """
    if isinstance(said, bool):
        return Verdict(_SURE if said else 1 - _SURE, "")
    if isinstance(said, int | float):
        return Verdict(float(said), "") if 0 <= said <= 1 else None
    if isinstance(said, str):
        chance = _NAMES.get(said.strip().lower())
        return None if chance is None else Verdict(chance, "")
    if isinstance(said, Mapping):
        return _of_mapping(said)
    route = getattr(said, "route", None)
    return (
        None
        if route is None
        else _of_mapping({name: getattr(said, name, None) for name in ("route", "confidence", "reason")})
    )


def _of_mapping(said: Mapping[Any, Any]) -> Verdict | None:
    if "route" in said:
        named = read_verdict(said["route"]) if isinstance(said["route"], str) else None
        if named is None:
            return None
        sure, reason = said.get("confidence"), said.get("reason")
        if isinstance(sure, int | float) and not isinstance(sure, bool) and 0.5 <= sure <= 1:
            named = Verdict(float(sure if named.chance > 0.5 else 1 - sure), "")
        return Verdict(named.chance, reason[:_REASON_CHARS] if isinstance(reason, str) else "")
    amounts = {name: said[name] for name in _NAMES if name in said}
    if not amounts or not all(
        isinstance(a, int | float) and not isinstance(a, bool) and a >= 0 for a in amounts.values()
    ):
        return None
    total = sum(amounts.values())
    deep = sum(amount for name, amount in amounts.items() if _NAMES[name] > 0.5)
    return Verdict(float(deep / total), "") if 0 < total < float("inf") else None


def _decides(classifier: Any) -> bool:
    return callable(getattr(classifier, "decide", None))


def _short(said: Any) -> str:
    text = " ".join(repr(said)[:400].split())
    return shortened(text)
