"""What the commands do, without a terminal: open or build an index, choose a model, run a question to its end."""

from __future__ import annotations

import contextvars
import hashlib
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel

from langgraph_rlm import Corpus, ExtractiveModel, Limits, create_smart_rag
from langgraph_rlm.calls.models import Model
from langgraph_rlm.corpus import Words
from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.errors import EmptyCorpus, InvalidInput
from langgraph_rlm.types import Citation

HOME = Path(".langgraph_rlm")
"""Where indexes lie that nobody asked to put elsewhere, below the current folder."""
DEFAULT_MODEL = "openai:gpt-5-mini"
OFFLINE = "extractive"
"""What ``--model`` calls the model that quotes and counts."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Files that were read.

    Args:
        documents: one for each text file.
        skipped: ``(path, reason)`` of the files that are not text or could not be read.
    """

    documents: list[Document]
    skipped: list[tuple[str, str]]

    @property
    def chars(self) -> int:
        """Characters of all documents."""
        return sum(len(document.page_content) for document in self.documents)


def read_sources(paths: Sequence[Path], *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Sources:
    """Read the text files at and below ``paths``; see :func:`langgraph_rlm.corpus.files.loaders.load_paths`.

    Args:
        paths: files and folders.
        include, exclude: glob patterns of names to read (all when empty) and to leave out.

    Raises:
        InvalidInput: a path does not exist, or there is no readable text at all.
    """
    loaded = load_paths(list(paths), include=include, exclude=exclude)
    documents, skipped = list[Document](), list[tuple[str, str]]()
    for document in loaded:
        name = document.id or ""
        if not name.isprintable():
            skipped.append((ascii(name)[1:-1], "its name holds unprintable characters"))
        else:
            documents.append(document)
    skipped += [(f.path if f.path.isprintable() else ascii(f.path)[1:-1], f.reason) for f in loaded.skipped]
    if not documents:
        raise InvalidInput(f"there is no text to read in {', '.join(map(str, paths))}")
    return Sources(documents, skipped)


def choose_model(name: str | None, environment: Mapping[str, str] = os.environ) -> str | BaseChatModel:
    """The model of an option, else of the environment, else the one that needs none.

    Args:
        name: ``provider:name``, ``extractive``, or None.
        environment: ``OPENAI_API_KEY`` and ``LANGGRAPH_RLM_MODEL`` are looked at; the client itself reads
            ``OPENAI_BASE_URL``.
    """
    if name is not None and not name.strip():
        raise InvalidInput("--model: the name is empty; write provider:name, such as openai:gpt-5-mini, or extractive")
    if name is None:
        name = (
            (environment.get("LANGGRAPH_RLM_MODEL", "").strip() or DEFAULT_MODEL)
            if environment.get("OPENAI_API_KEY")
            else OFFLINE
        )
    if name == OFFLINE:
        return ExtractiveModel()
    return name if ":" in name else f"openai:{name}"


def model_line(model: str | BaseChatModel) -> str:
    """What to tell the user about a chosen model."""
    if isinstance(model, ExtractiveModel):
        return (
            "No language model is involved: there is no OPENAI_API_KEY, so answers are quotations and counts "
            "(ExtractiveModel)."
            if not os.environ.get("OPENAI_API_KEY")
            else "No language model is involved: answers are quotations and counts (ExtractiveModel)."
        )
    return f"The model is {model}."


def cache_for(paths: Sequence[Path]) -> Path:
    """The index of ``--docs``: one below :data:`HOME` for each set of paths, so that a second question is fast."""
    names = "\n".join(sorted({str(path.resolve()) for path in paths}))
    return HOME / f"docs-{hashlib.sha256(names.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def build_index(
    directory: Path,
    sources: Sources,
    *,
    prune: bool,
    words: Words | None = None,
    on_progress: Callable[[AddProgress], None] | None = None,
) -> tuple[Corpus, AddReport]:
    """Open or make the index in ``directory`` and bring it up to date with the files; unchanged ones cost a look-up."""
    _keep_out_of_git(directory)
    corpus = Corpus.open(f"chroma:{directory}", words=words)
    try:
        return corpus, corpus.add(sources.documents, on_progress=on_progress, prune=prune)
    except BaseException:
        corpus.close()
        raise


def open_index(directory: Path) -> Corpus:
    """An index that is there already.

    Raises:
        CorpusError: it is not there, or holds no document.
    """
    corpus = Corpus.open(f"chroma:{directory}", create=False)
    if not corpus.count():
        corpus.close()
        raise EmptyCorpus(
            f"the index in {directory} holds no document: fill it with `langgraph-rlm index PATH --index {directory}`"
        )
    return corpus


def ask(
    corpus: Corpus,
    question: str,
    *,
    model: Model,
    sub_model: Model | None = None,
    route: str = "auto",
    limits: Limits | None = None,
    on_event: Callable[[Mapping[str, Any]], None] = lambda event: None,
) -> dict[str, Any]:
    """Ask one question; the output of :func:`langgraph_rlm.create_smart_rag`.

    Args:
        corpus: what to search.
        question: the question.
        model, sub_model: as in ``create_smart_rag``.
        route: ``auto`` leaves it to the router.
        limits: of the question.
        on_event: gets the custom events while it runs.
    """
    if not question.strip():
        raise InvalidInput("the question is empty")
    graph = create_smart_rag(model, corpus=corpus, sub_model=sub_model, limits=limits or Limits())
    config: Any = {"configurable": {"rlm": {} if route == "auto" else {"route": route}}}

    told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            for mode, chunk in graph.stream({"question": question}, config, stream_mode=["custom", "values"]):
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


def exit_code(stop_reason: str | None) -> int:
    """0 answered, 3 stopped at a limit with a partial answer, 1 anything else."""
    return 0 if stop_reason == "answered" else 3 if stop_reason in ("turns", "budget", "deadline") else 1


def as_json(result: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The machine-readable form of a result."""
    return {
        "answer": result.get("answer", ""),
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


def _keep_out_of_git(directory: Path) -> None:
    """A ``.gitignore`` in :data:`HOME`, where an index is made there: it is a copy of the user's files."""
    if HOME.resolve() in directory.resolve().parents:
        HOME.mkdir(parents=True, exist_ok=True)
        ignore = HOME / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
