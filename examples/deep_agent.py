"""A deep agent with our graph as a sub-agent, its documents as files, and long results in a store instead of in its state.

Run it as it stands: a script plays the agent, and the offline stand-in reads for the sub-agent. Needs
pip install "langgraph-rlm[deepagents,chroma]".
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from deepagents import CompiledSubAgent, create_deep_agent
from deepagents.backends import CompositeBackend, StateBackend
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_rlm.integrations.deepagents import ContextBackend

from langgraph_rlm import ContextStore, Corpus, ExtractiveModel, RLMMiddleware, create_smart_rag, interning_agent
from langgraph_rlm.testing import ScriptedModel


@tool
def read_server_log() -> str:
    """Read the log of the web server."""
    return "".join(f"{n} {'ERROR timeout' if n % 2_500 == 2_499 else 'served'}\n" for n in range(80_000))


def calls(name: str, **args: Any) -> AIMessage:
    """What a model sends to call a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": name, "type": "tool_call"}])


def main() -> None:
    """Run the agent and show what it was told."""
    script: list[Any] = [
        calls("task", description="How long is parental leave?", subagent_type="handbook"),
        calls("grep", pattern="flights", path="/handbook/", output_mode="content"),
        calls("read_server_log"),
        calls("count", pattern="ERROR timeout"),
        lambda messages: f"There were {messages[-1].text} timeouts.",
    ]
    with tempfile.TemporaryDirectory() as folder, Corpus.open(f"chroma:{Path(folder) / 'index'}") as corpus:
        corpus.add(
            [
                Document(id="leave.md", page_content="Parental leave is 16 weeks.\n"),
                Document(id="travel.md", page_content="Trains first; flights need approval.\n"),
            ]
        )
        handbook = CompiledSubAgent(
            name="handbook",
            description="Answers questions about the company's rules, with citations.",
            runnable=create_smart_rag(ExtractiveModel(), corpus=corpus),
        )
        contexts = ContextStore()
        agent = create_deep_agent(
            ScriptedModel(script),
            [read_server_log],
            subagents=[handbook],
            middleware=[RLMMiddleware(contexts=contexts)],
            backend=CompositeBackend(StateBackend(), {"/handbook/": ContextBackend(corpus=corpus)}),
            checkpointer=InMemorySaver(),
        )
        agent = interning_agent(agent, contexts)  # the user may paste a long text, too
        state = agent.invoke({"messages": [("user", "Look around.")]}, {"configurable": {"thread_id": "1"}})
    for message in state["messages"]:
        if message.text:
            print(f"{message.type}: {message.text[:240]}\n")


if __name__ == "__main__":
    main()
