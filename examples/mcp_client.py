"""Serve an index as an MCP server and use it as an editor does: list its tools, search, ask.

Run it as it stands: without a key the offline stand-in answers. Needs  pip install "langgraph-rlm[mcp]".
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile

from langchain_core.documents import Document
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from langgraph_rlm import Corpus


async def use(index: str) -> None:
    """Start the server, as a client does from its configuration, and call its tools."""
    arguments = ["-m", "langgraph_rlm.cli", "mcp", "--index", index]
    server = StdioServerParameters(command=sys.executable, args=arguments, env={**os.environ})
    async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        print("tools:", ", ".join(tool.name for tool in (await client.list_tools()).tools))
        found = await client.call_tool("grep", {"pattern": r"\d+ weeks"})
        print("grep:", found.model_dump(by_alias=True)["structuredContent"]["matches"][0]["text"])
        asked = await client.call_tool("ask", {"question": "How many weeks is parental leave?"})
        answer = asked.model_dump(by_alias=True)["structuredContent"]
        while answer["status"] == "running":  # a long question: the client's calls may end, the run goes on
            asked = await client.call_tool("ask_result", {"run_id": answer["run_id"]})
            answer = asked.model_dump(by_alias=True)["structuredContent"]
        print("ask:", answer["answer"], [f"{one['doc_id']}:{one['line']}" for one in answer["citations"]])


def main() -> None:
    """Make an index and use it."""
    with tempfile.TemporaryDirectory() as folder:
        with Corpus.open(f"chroma:{folder}/index") as corpus:
            corpus.add(
                [Document("Parental leave is 16 weeks.\n", id="leave.md"), Document("Trains first.\n", id="travel.md")]
            )
        asyncio.run(use(f"{folder}/index"))


if __name__ == "__main__":
    main()
