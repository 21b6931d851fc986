"""Whether an answer of classic RAG is supported by what was retrieved: by rules first, then by a model or a function."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langgraph.errors import GraphBubbleUp

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.models import ModelCaller, is_chat_model
from langgraph_rlm.calls.schemas import read_json
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.packing import name_of
from langgraph_rlm.graphs.prompts import grader_messages
from langgraph_rlm.graphs.reading import MARK, Reading
from langgraph_rlm.graphs.signals import signals_of
from langgraph_rlm.runs.run import Run
from langgraph_rlm.shortening import shortened
from langgraph_rlm.types import Grade, Hit

Grader = Callable[[str, str, Sequence[Hit]], Grade | bool] | str | BaseChatModel | Runnable[Any, Any]
"""``(question, answer, hits)`` → whether the hits support the answer; or a chat model, or its name, that is asked so."""

_SCHEMA = {
    "type": "object",
    "properties": {"supported": {"type": "boolean"}, "missing": {"type": "string"}},
    "required": ["supported"],
}
_MISSING_CHARS = 300
"""Of what a grader says is missing: a sentence or two."""
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?!\w)")
_NAMED = re.compile(r"`([^`\n]{2,80})`|\"([^\"\n]{2,80})\"|\b([A-Za-z]\w*(?:[._]\w+)+)\b")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_PROPER = re.compile(r"(?<![.?!:]\s)(?<!^)(?<![\w'’-])[A-Z][a-z]\w+(?:[ -][A-Z]\w+)*")
_STEM = 4  # letters by which a name is recognised in another form: "Californian"


class GradedBy:
    """What grades: the rules, and what the user gave besides.

    Args:
        grader: see :data:`Grader`; None for the rules alone.

    Raises:
        InvalidInput: neither a function nor a chat model.
        MissingDependency, AuthenticationFailed: a model's name that cannot be used.
    """

    def __init__(self, grader: Grader | None) -> None:
        self._grader: Any = grader
        self._model = ModelCaller(grader, attempts=1) if is_chat_model(grader) else None
        if grader is not None and self._model is None and not callable(grader):
            raise InvalidInput(
                f"grader: expected a chat model or a function of question, answer and hits, got {grader!r}"
            )

    async def grade(self, question: str, reading: Reading, hits: Sequence[Hit], *, account: Account, run: Run) -> Grade:
        """The grade. A function has the last word; a model is asked unless a quote is false or there is none.

        One that fails or answers nonsense is passed over: the rules decide then, and the reason says so.
        """
        by_rules = grade_by_rules(question, reading, hits)
        if self._grader is None or not reading.found:
            return by_rules
        if self._model is not None and not _quotes_stand(reading):
            return by_rules
        try:
            said = await self._asked(question, reading, hits, account, run)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails in it, the rules have decided already
            return _passed_over(by_rules, f"the grader failed ({type(error).__name__})")
        return _passed_over(by_rules, "the grader gave no verdict") if said is None else said

    async def _asked(
        self, question: str, reading: Reading, hits: Sequence[Hit], account: Account, run: Run
    ) -> Grade | None:
        if self._model is None:
            return _as_grade(await run.face.block(self._grader, question, reading.answer, hits))
        passages = [(name_of(hit), hit["text"]) for hit in hits]
        messages = grader_messages(question, reading.answer, passages, json.dumps(_SCHEMA))
        reply = await self._model.ask(messages, account=account, config=run.config, role="grader")
        value, problem = read_json(reply.text, _SCHEMA)
        if problem is not None:
            return None
        if value["supported"]:
            return Grade(supported=True, reasons=["the grader finds every claim in the passages"])
        missing = str(value.get("missing", ""))[:_MISSING_CHARS]
        return Grade(supported=False, reasons=[f"the grader finds it not supported{f': {missing}' if missing else ''}"])


def grade_by_rules(question: str, reading: Reading, hits: Sequence[Hit]) -> Grade:
    """Whether the retrieved text supports the answer: found, cited, quoted truly, no number out of the air, and all that
    the question names is there."""
    if not reading.found:
        return Grade(supported=False, reasons=["the passages do not hold the answer"])
    reasons = []
    if not reading.citations:
        reasons.append("the answer cites nothing")
    if false := [c["quote"] for c in reading.citations if not c["verified"]]:
        reasons.append(f"a quote is not in the text: {_short(false[0])}")
    evidence = "\n".join(hit["text"] for hit in hits)
    known = {_plain(n) for n in _NUMBER.findall(evidence)} | {_plain(n) for n in _NUMBER.findall(question)}
    if unknown := [n for n in _NUMBER.findall(MARK.sub("", reading.answer)) if _plain(n) not in known]:
        reasons.append(f"a number is in no passage: {unknown[0]}")
    if absent := not_covered(question, hits):
        reasons.append(f"the question names {_short(absent[0])}, which no passage mentions")
    return Grade(supported=not reasons, reasons=reasons or ["every quote is in the text, and so is every number"])


def not_covered(question: str, hits: Sequence[Hit]) -> list[str]:
    """What a question names, and none of the passages, nor their documents' ids and metadata."""
    # With the ids: `textwrap.dedent` is covered by "def dedent" in textwrap.py.
    about = [part for hit in hits for part in (hit["doc_id"], *map(str, hit["metadata"].values()))]
    lowered = "\n".join([*(hit["text"] for hit in hits), *about]).lower()
    exact = ["".join(parts) for parts in _NAMED.findall(question)]
    absent = [name for name in exact if not _covered(name.lower().strip("()"), lowered)]
    absent += [year for year in dict.fromkeys(_YEAR.findall(question)) if year not in lowered]
    if signals_of(question).english:  # other languages write other words with capitals
        absent += [name for name in dict.fromkeys(_PROPER.findall(question)) if not _mentioned(name.lower(), lowered)]
    return absent


def _mentioned(name: str, text: str) -> bool:
    """Whether any word of a name is there, in whatever form."""
    return any(word[: max(_STEM, len(word) - 2)] in text for word in re.findall(r"\w+", name))


def _covered(name: str, text: str) -> bool:
    return name in text or ("." in name and all(part in text for part in name.split(".")))


def _quotes_stand(reading: Reading) -> bool:
    return bool(reading.citations) and all(citation["verified"] for citation in reading.citations)


def _as_grade(said: Any) -> Grade | None:
    if isinstance(said, bool):
        return Grade(supported=said, reasons=["by the given grader"])
    if isinstance(said, dict) and isinstance(said.get("supported"), bool):
        reasons = said.get("reasons")
        told = [str(one) for one in reasons] if isinstance(reasons, list) and reasons else ["by the given grader"]
        return Grade(supported=said["supported"], reasons=told)
    return None


def _passed_over(grade: Grade, why: str) -> Grade:
    return Grade(supported=grade["supported"], reasons=[*grade["reasons"], f"{why}, so the rules decide"])


def _plain(number: str) -> str:
    return number.replace(",", "")


def _short(text: str) -> str:
    return repr(shortened(text))
