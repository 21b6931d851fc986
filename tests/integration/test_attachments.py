"""Parts of messages that are not text: files of text kinds are read as the context, anything else is refused by name."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_rlm import create_rag, create_rlm, create_smart_rag
from langgraph_rlm.errors import InvalidInput
from tests.pdf import pdf
from tests.support import Ask, by_role, cell, make_corpus, scripted

TEXT = "Parental leave is 16 weeks.\n"


def encoded(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def asked(*parts: Any) -> HumanMessage:
    return HumanMessage([{"type": "text", "text": "How long is leave?"}, *parts])


READ = [
    {"type": "file", "mime_type": "text/plain", "base64": encoded(TEXT), "filename": "leave.txt"},
    {"type": "file", "mime_type": "text/markdown", "data": encoded(TEXT), "source_type": "base64"},
    {"type": "file", "file": {"filename": "leave.txt", "file_data": f"data:text/plain;base64,{encoded(TEXT)}"}},
    {"type": "input_file", "filename": "leave.csv", "file_data": f"data:text/csv;base64,{encoded(TEXT)}"},
    {"type": "text-plain", "text": TEXT, "mime_type": "text/plain", "title": "leave"},
    {"type": "file", "mime_type": "application/json", "base64": encoded('{"a": "Parental leave is 16 weeks."}')},
    {"type": "file", "mime_type": "text/html", "base64": encoded(f"<p>{TEXT}</p>"), "filename": "../../etc/leave.html"},
    {
        "type": "file",
        "mime_type": "text/plain",
        "base64": encoded(TEXT),
        "filename": "\N{PAGE FACING UP}" * 90 + ".txt",
    },
    {"type": "file", "mime_type": "text/plain", "base64": encoded(TEXT), "filename": "leave." + "x" * 300},
    {"type": "file", "mime_type": "text/plain", "base64": encoded(TEXT), "filename": "a\0b\ud800.txt"},
    {"type": "file", "mime_type": "Application/JSON; charset=utf-8", "base64": encoded('{"a": "leave is 16 weeks."}')},
    {"type": "file", "mime_type": "text/plain", "base64": base64.encodebytes(TEXT.encode() + b" " * 99).decode()},
    {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": encoded(TEXT)}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": TEXT}, "title": "leave"},
]


@pytest.mark.parametrize("part", READ)
async def test_a_file_of_text_becomes_the_context(part: Any, ask: Ask) -> None:
    graph = create_rlm(scripted([cell("FINAL(count('16 weeks'))")]), sandbox="unsafe")
    done = await ask(graph, {"messages": [asked(part)]})
    assert done["answer"] == "1"


async def test_the_pages_of_a_pdf_are_documents(ask: Ask) -> None:
    part = {
        "type": "file",
        "mime_type": "application/pdf",
        "base64": encoded(pdf("page one", "page two")),
        "filename": "a.pdf",
    }
    graph = create_rlm(scripted([cell("FINAL(sorted(context))")]), sandbox="unsafe")
    assert (await ask(graph, {"messages": [asked(part)]}))["answer"] == '["a.pdf#page=1", "a.pdf#page=2"]'


REFUSED = [
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "'image_url'"),
    ({"type": "image", "base64": "AAAA", "mime_type": "image/png"}, "'image'"),
    ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "'input_audio'"),
    ({"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}, "'audio'"),
    ({"type": "video", "url": "https://example.org/a.mp4"}, "'video'"),
    ({"type": "file", "url": "https://example.org/a.txt", "mime_type": "text/plain"}, "'file'"),
    ({"type": "file", "file": {"file_id": "file-1"}}, "'file'"),
    ({"type": "file", "mime_type": "application/zip", "base64": "AAAA", "filename": "a.zip"}, "'file'"),
    ({"type": "file", "mime_type": "text/plain", "base64": "no base64!"}, "is not base64"),
    ({"type": "file", "mime_type": "text/plain", "base64": encoded(b"ab\x00\x80\xff\x00")}, "cannot be read"),
    ({"type": "of-tomorrow", "x": 1}, "'of-tomorrow'"),
]


@pytest.mark.parametrize(("part", "says"), REFUSED)
async def test_a_part_that_reaches_no_model_is_refused_before_anything_is_paid(part: Any, says: str, ask: Ask) -> None:
    model = scripted([])
    earlier = [asked(part), AIMessage("Nice."), HumanMessage("And how long is leave?")]
    for messages in ([asked(part)], earlier):
        with pytest.raises(InvalidInput, match="messages:") as raised:
            await ask(create_rlm(model), {"messages": messages})
        assert says in str(raised.value)
    assert model.requests == []


async def test_a_follow_up_of_the_thread_is_about_the_file(ask: Ask) -> None:
    model = scripted(by_role(root=cell("FINAL(count('16 weeks'))"), condense="And how often?"))
    graph = create_rlm(model, sandbox="unsafe", checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    await ask(graph, {"messages": [asked(READ[0])]}, config)
    assert (await ask(graph, {"messages": [HumanMessage("And how often?")]}, config))["answer"] == "1"


async def test_files_go_beside_a_corpus_and_are_refused_where_nobody_reads_them(tmp_path: Path, ask: Ask) -> None:
    with make_corpus(tmp_path / "index", {"a.txt": "Leave is 3 weeks."}) as corpus:
        smart = create_smart_rag(scripted(by_role(reader="16 weeks [1].")), corpus=corpus)
        done = await ask(smart, {"messages": [asked(READ[0])]})
        assert (done["route"], done["answer"]) == ("direct", "16 weeks [1].")
        with pytest.raises(InvalidInput, match="classic RAG reads no files"):
            await ask(create_rag(scripted([]), corpus=corpus), {"messages": [asked(READ[0])]})
        with pytest.raises(InvalidInput, match="one of the two ways"):
            await ask(smart, {"messages": [asked(READ[0])], "context": "a text"})


async def test_no_file_of_a_message_takes_the_place_of_another(ask: Ask) -> None:
    def file(text: str, **more: Any) -> dict[str, Any]:
        return {"type": "file", "mime_type": "text/plain", "base64": encoded(text), **more}

    talk = [
        asked(file("one"), file("two"), file("named", filename="a.txt"), file("named too", filename="a.txt")),
        AIMessage("16 weeks."),
        asked(file("three"), file("one"), file("a newer one", filename="a.txt")),
    ]
    model = scripted(by_role(condense="How long?", root=cell("FINAL(context)")))
    done = await ask(create_rlm(model, sandbox="unsafe"), {"messages": talk})
    assert json.loads(done["answer"]) == {
        "file.txt": "one", "file-2.txt": "two", "file-3.txt": "three", "a.txt": "a newer one", "a-2.txt": "named too",
    }  # fmt: skip
