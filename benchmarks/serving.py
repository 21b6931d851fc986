"""What the surfaces add to the graph behind them: the MCP server over standard input and output, and OpenAI's protocol over HTTP.

Medians of questions that an instant model answers, beside the same graph called in this process.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from _report import Row, report
from langchain_core.documents import Document

from langgraph_rlm import Corpus, ExtractiveModel, create_smart_rag

DOCUMENTS = 200
REPEATS = 40
QUESTION = "How many weeks is parental leave?"


async def median_ms(work: Callable[[], Awaitable[Any]]) -> float:
    """Of one call, after two that warm up."""
    times = []
    for turn in range(REPEATS + 2):
        begun = time.perf_counter()
        await work()
        if turn > 1:
            times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


async def mcp_rows(index: str, graph_ms: float) -> list[Row]:
    """The server as a process of its own, by the SDK's client."""
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    arguments = ["-m", "langgraph_rlm.cli", "mcp", "--index", index]
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env={**os.environ})
    begun = time.perf_counter()
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        tools = (await client.list_tools()).tools
        ready = (time.perf_counter() - begun) * 1e3
        definitions = json.dumps(
            [tool.model_dump(exclude_none=True, by_alias=True) for tool in tools], separators=(",", ":")
        )
        number = iter(range(10_000))
        ask = await median_ms(lambda: client.call_tool("ask", {"question": f"{QUESTION} {next(number)}"}))
        search = await median_ms(lambda: client.call_tool("search", {"query": QUESTION}))
    name = "the graph in this process"
    return [
        Row("mcp: ready (first list of tools)", ready, "ms", 1_500),
        Row("mcp: definitions of all tools, 4 characters a token", len(definitions) / 4, "tokens", 1_200),
        Row("mcp: ask", ask, "ms", graph_ms + 30, name, graph_ms),
        Row("mcp: search", search, "ms", 10),
    ]


async def openai_rows(graph: Any, graph_ms: float) -> list[Row]:
    """The app behind uvicorn in a thread, by the real client."""
    import openai
    import uvicorn
    from langgraph_rlm.integrations.openai_serve import openai_app

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        config = uvicorn.Config(openai_app(graph, ExtractiveModel()), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}/v1", api_key="-")
        messages: Any = [{"role": "user", "content": QUESTION}]
        chat = await median_ms(lambda: client.chat.completions.create(model="langgraph-rlm", messages=messages))
        server.should_exit = True
        thread.join(10)
    return [Row("openai: chat completion", chat, "ms", graph_ms + 15, "ainvoke", graph_ms)]


async def measured(index: str) -> list[Row]:
    """All rows, on one index."""
    with Corpus.open(f"chroma:{index}") as corpus:
        filler = [Document(f"Filler {n}. " * 200, id=f"{n}.md") for n in range(DOCUMENTS)]
        corpus.add([Document("Parental leave is 16 weeks.\n", id="leave.md"), *filler])
        graph = create_smart_rag(ExtractiveModel(), corpus=corpus)
        graph_ms = await median_ms(lambda: graph.ainvoke({"question": QUESTION}))
        return [*await mcp_rows(index, graph_ms), *await openai_rows(graph, graph_ms)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report("serving", asyncio.run(measured(f"{folder}/index")))


if __name__ == "__main__":
    main()
