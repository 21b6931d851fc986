"""Parts of messages that are not text: files of text kinds become the question's context, anything else is refused.

A part that reaches no model must not vanish: an answer would be made up about what nobody has read.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import mimetypes
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.documents import Document
from langchain_core.messages import AnyMessage

from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.keys import is_empty
from langgraph_rlm.graphs.state import carried
from langgraph_rlm.runs.run import Run

_TEXTS = ("text", "thinking", "reasoning", "tool_use", "tool_call", "server_tool_call", "non_standard")
"""Kinds of parts that are words of the conversation, or of a model that talks to itself."""
_SUFFIXES = {
    "text/plain": ".txt", "text/markdown": ".md", "text/csv": ".csv", "text/html": ".html", "application/json": ".json",
    "application/x-ndjson": ".jsonl", "application/xml": ".xml", "application/pdf": ".pdf", "application/x-yaml": ".yaml",
}  # fmt: skip


_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_NAME_CHARS = 100
"""Of a file's name: it stands in prompts and citations."""


class _File(NamedTuple):
    name: str
    kind: str
    data: bytes
    named: bool
    """By its sender."""


def attached_documents(messages: Sequence[AnyMessage]) -> list[Document]:
    """The files of the human messages as documents; empty where there are none.

    A later message may send a file of the same name again: the last one counts. Files of one message, and those without a
    name, are told apart by a number.

    Args:
        messages: of the conversation.

    Raises:
        InvalidInput: a part of any human message that no model would get to see: an image, audio, a file that is not text.
    """
    files: dict[str, _File] = {}
    for message in messages:
        if message.type != "human" or not isinstance(message.content, list):
            continue
        here: dict[str, _File] = {}
        for part in message.content:
            if not isinstance(part, Mapping) or part.get("type") in _TEXTS:
                continue
            file = _file_of(part)
            if file is None:
                raise InvalidInput(
                    f"messages: a part of kind {part.get('type')!r} in a human message reaches no model here; only text and "
                    "files of text are read. Leave it out, or describe it in words"
                )
            taken = here if file.named else files | here
            here[_free(file, taken)] = file
        files |= here
    files = {name: file._replace(name=name) for name, file in files.items()}
    return [document for file in files.values() for document in _read(file)]


async def context_given(state: Mapping[str, Any], run: Run) -> Any:
    """The context of a question: given as such, or as files of the messages; None where there is neither.

    Raises:
        InvalidInput: both, or parts of messages as in :func:`attached_documents`.
    """
    given = None if is_empty(state.get("context")) else state["context"]
    if carried(state).get("standalone") or not state.get("messages"):
        return given
    documents = await run.face.block(attached_documents, state["messages"])
    if documents and given is not None:
        raise InvalidInput(
            "the messages hold files, and 'context' is given besides: give all of it in one of the two ways"
        )
    return documents or given


def _read(file: _File) -> Iterator[Document]:
    with tempfile.TemporaryDirectory(prefix="rlm-file-") as folder:
        path = (
            Path(folder)
            / f"file{suffix[0].lower() if (suffix := _SUFFIX.fullmatch(Path(file.name).suffix)) else '.txt'}"
        )
        path.write_bytes(file.data)
        loaded, documents = load_paths([path]), list[Document]()
        with suppress(InvalidInput):  # it names the place of the file, which is ours
            documents = list(loaded)
        if not documents:
            why = loaded.skipped[0].reason if loaded.skipped else "it holds no text"
            raise InvalidInput(f"messages: the file {file.name!r} ({file.kind}) cannot be read: {why}")
        for document in documents:
            page = (document.id or "").partition("#")[2]
            name = f"{file.name}#{page}" if page else file.name
            yield Document(document.page_content, id=name, metadata={**document.metadata, "source": file.name})


def _file_of(part: Mapping[str, Any]) -> _File | None:
    """A file of a text kind, in the shapes of LangChain's standard blocks and of OpenAI's; None for any other part."""
    kind, given = part.get("type"), part.get("file") or part.get("source")
    inner = given if isinstance(given, Mapping) else part
    if kind not in ("file", "text-plain", "document", "input_file"):
        return None
    name = str(inner.get("filename") or inner.get("name") or part.get("filename") or part.get("title") or "")
    given_kinds = (one.get(key) for one in (part, inner) for key in ("mime_type", "media_type"))
    mime = (
        str(next(filter(None, given_kinds), None) or mimetypes.guess_type(name)[0] or "")
        .partition(";")[0]
        .strip()
        .lower()
    )
    text = part.get("text", inner.get("data") if inner.get("type") == "text" else None)
    if isinstance(text, str):
        return _File(
            _named(name, mime or "text/plain"), mime or "text/plain", text.encode("utf-8", "replace"), bool(name)
        )
    data = next((inner[key] for key in ("base64", "data", "file_data") if inner.get(key) is not None), None)
    if not isinstance(data, str):
        return None  # a URL or an id: nothing is fetched
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        mime = mime or head[5:].partition(";")[0]
    mime = mime or "text/plain"
    if not (mime.startswith("text/") or mime in _SUFFIXES):
        return None
    try:
        return _File(_named(name, mime), mime, base64.b64decode("".join(data.split()), validate=True), bool(name))
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"messages: the file {name or mime!r} is not base64: {error}") from error


def _free(file: _File, taken: Mapping[str, _File]) -> str:
    """Its name, with a number where another file has that already."""
    path = Path(file.name)
    names = (file.name if n == 1 else f"{path.stem}-{n}{path.suffix}" for n in itertools.count(1))
    return next(name for name in names if name not in taken or taken[name].data == file.data)


def _named(name: str, mime: str) -> str:
    """A name without folders, whose suffix tells the kind."""
    plain = "".join(c if c.isprintable() and c not in "/\\:" else "_" for c in name).strip(". ")[:_NAME_CHARS]
    suffix = _SUFFIXES.get(mime, mimetypes.guess_extension(mime) or ".txt")
    return plain if Path(plain).suffix else f"{plain or 'file'}{suffix}"
