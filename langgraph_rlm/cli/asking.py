"""What ``ask`` does, without a terminal: choose a model, run a question to its end, bring it into JSON."""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from langchain_core.language_models import BaseChatModel

from langgraph_rlm import Corpus, ExtractiveModel, Limits, create_smart_rag
from langgraph_rlm.calls.models import Model
from langgraph_rlm.cli.resuming import Record, name_of
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.graph import has_ended
from langgraph_rlm.types import Citation

DEFAULT_MODEL = "openai:gpt-5-mini"
OFFLINE = "extractive"
"""What ``--model`` calls the model that quotes and counts."""
_ADDRESSES = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "OLLAMA_HOST")
"""Where the servers of models are: the same name elsewhere is another model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and how.

    Args:
        text: the question.
        model, sub_model: as in ``create_smart_rag``.
        route: ``auto`` leaves it to the router.
        limits: of the question.
        k: passages to retrieve; None leaves it to the route.
        where: a filter on the documents' metadata.
        window: tokens that fit a request; None asks the model.
    """

    text: str
    model: Model
    sub_model: Model | None = None
    route: str = "auto"
    limits: Limits = field(default_factory=Limits)
    k: int | None = None
    where: Mapping[str, Any] | None = None
    window: int | None = None

    def name(self, corpus: Corpus, models: tuple[str, str | None]) -> str:
        """What the command is called that asks this of this content of a corpus; ``models`` are their names."""
        return name_of(
            {
                "release": version("langgraph-rlm"),
                "question": self.text,
                "corpus": corpus.version,
                "models": models,
                "addresses": {name: os.environ.get(name) for name in _ADDRESSES},
                "limits": asdict(self.limits),
                "options": [self.route, self.k, self.where, self.window],
            }
        )


def asked_model(name: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The name of a model: the given one, else that of the environment, else the one that needs no model.

    Args:
        name: ``provider:name``, ``extractive``, or None.
        environment: ``OPENAI_API_KEY`` and ``LANGGRAPH_RLM_MODEL`` are looked at.

    Raises:
        InvalidInput: an empty name.
    """
    if name is None:
        if not environment.get("OPENAI_API_KEY"):
            return OFFLINE
        return environment.get("LANGGRAPH_RLM_MODEL", "").strip() or DEFAULT_MODEL
    if not name.strip():
        raise InvalidInput("--model: the name is empty; write provider:name, such as openai:gpt-5-mini, or extractive")
    return name.strip()


def choose_model(name: str | None, environment: Mapping[str, str] = os.environ) -> str | BaseChatModel:
    """The model of :func:`asked_model`, with a provider; the client itself reads ``OPENAI_BASE_URL``."""
    name = asked_model(name, environment)
    if name == OFFLINE:
        return ExtractiveModel()
    return name if ":" in name else f"openai:{name}"


def taken_line(*names: str | None) -> str:
    """What to tell about names that came without a provider and were taken as OpenAI's; empty when there are none."""
    taken = [name for name in names if name is not None and ":" not in name and name != OFFLINE]
    if not taken:
        return ""
    verb = "was" if len(taken) == 1 else "were"
    return f"{' and '.join(taken)} {verb} taken as an OpenAI name (of another provider: anthropic:NAME, for example)."


def model_line(model: str | BaseChatModel) -> str:
    """What to tell the user about a chosen model."""
    if isinstance(model, ExtractiveModel):
        why = "" if os.environ.get("OPENAI_API_KEY") else "there is no OPENAI_API_KEY, so "
        return f"No language model is involved: {why}answers are quotations and counts (--model {OFFLINE})."
    return f"The model is {model}."


def ask(
    corpus: Corpus,
    question: Question,
    *,
    record: Record | None = None,
    on_event: Callable[[Mapping[str, Any]], None] = lambda event: None,
) -> dict[str, Any]:
    """Ask one question; the output of :func:`langgraph_rlm.create_smart_rag`.

    Args:
        corpus: what to search.
        question: the question.
        record: where what is paid is kept; what an earlier run has left there is gone on with.
        on_event: gets the custom events while it runs.
    """
    if not question.text.strip():
        raise InvalidInput("the question is empty")
    graph = create_smart_rag(
        question.model,
        corpus=corpus,
        sub_model=question.sub_model,
        limits=question.limits,
        window=question.window,
        contexts=None if record is None else record.contexts,
        memo=None if record is None else record.memo,
        checkpointer=None if record is None else record.saver,
    )
    options = {"route": question.route, "k": question.k, "where": question.where}
    options = {name: value for name, value in options.items() if value not in (None, "auto")}
    config: Any = {"configurable": {"rlm": options}}
    given: Any = {"question": question.text}
    how: dict[str, Any] = {"stream_mode": ["custom", "values"], "subgraphs": True}
    if record is not None:
        config["configurable"]["thread_id"] = "ask"
        how["durability"] = "sync"
        if record.since is not None:
            state = graph.get_state(config)
            if has_ended(state):  # it had come to its end, and nobody has seen it
                return dict(state.values)
            given = None

    told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            for place, mode, chunk in graph.stream(given, config, **how):
                if mode == "custom" or not place:  # the routes are graphs of their own
                    told.put((mode, chunk))
            told.put(("end", None))
        except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
            told.put(("error", error))

    # On a thread of its own, so that Ctrl-C ends the waiting at once and not when the model has answered.
    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    result: dict[str, Any] = {}
    while (item := told.get())[0] != "end":
        kind, value = item
        if kind == "error":
            raise value
        if kind == "values":
            result = dict(value)
        elif isinstance(value, Mapping) and value.get("type") == "rlm":
            on_event(value)
    return result


def as_json(result: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The machine-readable form of a result."""
    return {
        "answer": result.get("answer", ""),
        "found": bool(result.get("found", True)),
        "route": result.get("route", ""),
        "stop_reason": result.get("stop_reason", ""),
        "decision": result.get("decision"),
        "grade": result.get("grade"),
        "citations": [citation_json(citation) for citation in result.get("citations") or []],
        "usage": result.get("usage"),
        "turns": list(result.get("turns") or []),
        **more,
    }


def citation_json(citation: Citation) -> dict[str, Any]:
    """A citation with ``path`` and ``line`` first."""
    return {
        "path": citation["doc_id"],
        "line": citation["line"],
        "start": citation["start"],
        "end": citation["end"],
        "quote": citation["quote"],
        "verified": citation["verified"],
    }
