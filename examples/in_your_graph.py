"""The smart router in a graph of your own: questions about these examples' source files go to RAG or to the recursive route.

Run it as it stands: without a key the offline stand-in counts and quotes. With OPENAI_API_KEY a model is asked.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from langgraph_rlm import Corpus, ExtractiveModel, SmartRouter, create_rag, create_rlm
from langgraph_rlm.corpus import load_paths


class Desk(TypedDict, total=False):
    """What the user's own app keeps."""

    query: str
    reply: str
    route: str


KEYS = {"question": "query", "answer": "reply"}
"""Our keys → those of the app."""


def build(corpus: Corpus, model: Any) -> Any:
    """Your graph: a router, and one node for each route."""
    builder = StateGraph(Desk)
    builder.add_node("router", SmartRouter(corpus=corpus, question="query").node(rag="lookup", rlm="research"))
    builder.add_node("lookup", create_rag(model, corpus=corpus, keys=KEYS))
    builder.add_node("research", create_rlm(model, corpus=corpus, keys=KEYS))
    builder.add_edge(START, "router")
    return builder.compile()


def main() -> None:
    model = (
        os.environ.get("LANGGRAPH_RLM_MODEL", "openai:gpt-5-mini")
        if "OPENAI_API_KEY" in os.environ
        else ExtractiveModel()
    )
    package = Path(__file__).parents[1] / "langgraph_rlm"
    with tempfile.TemporaryDirectory() as folder, Corpus.open(f"chroma:{folder}/index") as corpus:
        corpus.add(load_paths([package]))
        app = build(corpus, model)
        for question in (
            "What does the function parse_reply do?",
            "In which files does `asyncio.timeout` occur, and how many times?",
        ):
            desk = app.invoke({"query": question})
            print(f"{question}\n  route: {desk['route']}\n  {desk['reply']}\n")


if __name__ == "__main__":
    main()
