"""What OpenTelemetry's instrumentations of LangChain see of a run: kinds, tokens, sessions; no context and no key, and not much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CANARY = "ZEBRA-MARK-77"
KEY = "sk-canary0123456789abcdef"

TRACED = """
import json, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

which, canary, key, folder = sys.argv[1:]
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
if which == "openinference":
    from openinference.instrumentation.langchain import LangChainInstrumentor as Instrumentor
else:
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor as Instrumentor
Instrumentor().instrument(tracer_provider=provider)

from langchain_core.documents import Document
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_rlm import Corpus, create_rlm
from langgraph_rlm.testing import ScriptedModel

def lookup(text: str) -> str:
    "Looks up."
    return text

corpus = Corpus.open(f"chroma:{folder}/index")
corpus.add([Document(id=f"d{n}", page_content=f"Anna lives in house {n}. " * 400) for n in range(20)])
cells = ["x = lookup(context)\\nprint(len(x))", "hits = hybrid_search('Anna') + bm25_search('house')\\nprint(len(hits))",
         "try:\\n    found = rlm_query('CHILD', context)\\nexcept Exception as e:\\n    found = e\\nprint(len(str(found)))",
         "raise ValueError('a mistake')", "FINAL(llm_query('sub'))"]

def reply(messages):
    if messages[0].text.startswith("You are the sub"):
        return "done"
    if "CHILD" in messages[1].text:
        return "```repl\\nFINAL('child')\\n```"
    return "```repl\\n" + cells[len(messages) // 2 - 1] + "\\n```"

model = ScriptedModel(reply, cost_usd=0.0, usage="auto")
graph = create_rlm(model, corpus=corpus, tools=[lookup], limits={"max_depth": 2}, checkpointer=InMemorySaver())
text = ("ok line of text " + canary + "\\n") * 60_000
done = graph.invoke({"question": "How many?", "context": text}, {"configurable": {"thread_id": "conversation-7"}})
assert done["answer"] == "done", done["answer"]
spans = exporter.get_finished_spans()
print(json.dumps([{"name": s.name, "attributes": {k: str(v) for k, v in s.attributes.items()}, "ok": s.status.is_ok,
                   "events": [str(dict(e.attributes)) for e in s.events]} for s in spans]))
"""


@pytest.fixture(scope="module", params=["openinference", "openllmetry"])
def traced(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[dict[str, Any]]]:
    """The spans of one run, in a process of its own: instrumentations patch LangChain for good."""
    folder = tmp_path_factory.mktemp("traced")
    command = [sys.executable, "-c", TRACED, request.param, CANARY, KEY, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": KEY, "TRACELOOP_TRACE_CONTENT": "true"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment)
    assert done.returncode == 0, done.stderr[-3_000:]
    return request.param, json.loads(done.stdout.splitlines()[-1])


def kinds_of(which: str, spans: list[dict[str, Any]]) -> set[tuple[str, str]]:
    if which == "openinference":
        return {(span["name"], span["attributes"].get("openinference.span.kind", "")) for span in spans}
    return {(span["name"], span["attributes"].get("gen_ai.operation.name", "")) for span in spans}


def test_cells_and_tools_are_tools_and_searches_are_retrievers(traced: Any) -> None:
    which, spans = traced
    kinds = kinds_of(which, spans)
    if which == "openinference":
        assert {("cell", "TOOL"), ("lookup", "TOOL"), ("hybrid_search", "RETRIEVER"), ("bm25_search", "RETRIEVER"),
                ("rlm:root", "LLM"), ("rlm:sub", "LLM"), ("rlm_query", "CHAIN")} <= kinds  # fmt: skip
    else:
        assert {("execute_tool cell", "execute_tool"), ("execute_tool lookup", "execute_tool"),
                ("vector_db_retrieve hybrid_search", "vector_db_retrieve"), ("ScriptedModel.chat", "chat")} <= kinds  # fmt: skip
    assert any(not span["ok"] for span in spans if "cell" in span["name"]), "the one with a mistake"


def test_tokens_and_the_session_are_there(traced: Any) -> None:
    which, spans = traced
    attributes = [span["attributes"] for span in spans]
    tokens = "llm.token_count.total" if which == "openinference" else "gen_ai.usage.input_tokens"
    assert sum(int(one.get(tokens, 0)) > 0 for one in attributes) >= 6
    assert any("conversation-7" in value for one in attributes for value in one.values())
    if which == "openinference":
        assert {one["session.id"] for one in attributes if "session.id" in one} == {"conversation-7"}


def test_no_context_no_key_and_not_much_is_traced(traced: Any) -> None:
    _, spans = traced
    told = json.dumps(spans)
    line = "ok line of text " + CANARY
    assert KEY not in told
    assert told.count(line) < 100, "previews alone"
    assert f"{line}\\\\n" * 50 not in told
    size = sum(len(value) for span in spans for value in span["attributes"].values())
    assert size <= 200_000, f"{size:,} characters of attributes"
