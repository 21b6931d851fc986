"""An MCP server for tests, with a model that waits for a file: ``python -m tests.mcp_server INDEX GATE``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from langgraph_rlm.integrations.mcp import create_mcp_server

INDEX, GATE = map(Path, sys.argv[1:3])
"""The gate: a file; the model's second call of each process waits until it is there. Beside it the answers are counted."""


@asynccontextmanager
async def opened() -> AsyncIterator[Any]:
    from langgraph_rlm import Corpus, create_rlm
    from langgraph_rlm.server.service import Service
    from langgraph_rlm.testing import ScriptedModel
    from tests.support import cell

    class Gated(ScriptedModel):
        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            second = len(messages) > 2
            while second and not GATE.exists():
                await asyncio.sleep(0.01)
            with GATE.with_name("paid").open("a") as paid:
                paid.write("second\n" if second else "first\n")
            return await super()._agenerate(messages, *args, **kwargs)

    def reply(messages: Any) -> str:
        if len(messages) > 2:
            return cell("answer['content'] = 'sixteen weeks'; answer['ready'] = True")
        return cell("cite(bm25_search('leave')[0]) if 'bm25_search' in dir() else None", "print(1)")

    def made(corpus: Any, kept: Any) -> Any:
        model = Gated(reply, cost_usd=0.0, disable_streaming=True)
        return create_rlm(
            model,
            corpus=corpus,
            contexts=kept.contexts,
            memo=kept.memo,
            checkpointer=kept.checkpointer,
            sandbox="unsafe",
        )

    async with Service.opened(
        lambda: Corpus.open(f"chroma:{INDEX}", create=False), made, INDEX / "runs", allowed=[GATE.parent / "allowed"]
    ) as service:
        yield service


if __name__ == "__main__":
    create_mcp_server(opened).run("stdio")
