"""A chat app: the answer as it is written and progress beside it, by server-sent events. Open http://127.0.0.1:8000.

Runs without a key; with OPENAI_API_KEY a model answers. Needs  pip install "langgraph-rlm[openai,chroma]" fastapi uvicorn
"""

import json
import os
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, StreamingResponse
from langchain_core.documents import Document

from langgraph_rlm import Corpus, ExtractiveModel, create_smart_rag
from langgraph_rlm.server.progress import progress_line

PAGE = """<!doctype html><meta charset="utf-8"><title>Chat</title>
<form><input name="question" size="60" placeholder="How long is parental leave?"> <button>Ask</button></form>
<p id="progress"></p><pre id="answer"></pre>
<script>
const show = (id, text) => document.getElementById(id).textContent = text;  // as text: documents are nobody's HTML
const asked = new URLSearchParams(location.search).get("question"), parts = new Map();
const source = asked && new EventSource("/ask?question=" + encodeURIComponent(asked));
const on = (kind, handle) => source && source.addEventListener(kind, (event) => handle(JSON.parse(event.data)));
const draw = () => show("answer", [...parts.values()].join(""));
on("token", ({id, text}) => { parts.set(id, (parts.get(id) || "") + text); draw(); });
on("withdrawn", ({id}) => { parts.delete(id); draw(); });
on("progress", ({line}) => show("progress", line));
on("end", ({line}) => { source.close(); show("progress", line); });
</script>"""


def app_of(graph: Any) -> FastAPI:
    app = FastAPI()
    app.get("/")(lambda: HTMLResponse(PAGE))
    app.get("/ask")(lambda question: StreamingResponse(answered(graph, question), media_type="text/event-stream"))
    return app


async def answered(graph: Any, question: str) -> AsyncIterator[str]:
    """The events of one answer. Who closes the page ends the run."""
    config = {"configurable": {"rlm": {"stream": "early"}}}
    async for mode, part in graph.astream({"question": question}, config, stream_mode=["messages", "custom"]):
        if mode == "messages":
            yield sent("token", id=part[0].id, text=part[0].text)
        elif part["event"] == "withdrawn":
            yield sent("withdrawn", id=part["message_id"])
        elif line := progress_line(part):
            yield sent("progress", line=line)
    yield sent("end", line="done")


def sent(event: str, **data: str) -> str:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"


if __name__ == "__main__":
    corpus = Corpus.open(f"chroma:{tempfile.mkdtemp()}/index")
    corpus.add([Document("Parental leave is 16 weeks.", id="leave.md"), Document("Trains come first.", id="travel.md")])
    model = "openai:gpt-5-mini" if "OPENAI_API_KEY" in os.environ else ExtractiveModel()
    uvicorn.run(app_of(create_smart_rag(model, corpus=corpus)), host="127.0.0.1", port=8000)
