"""The example for agent-chat-ui: its artifact is not taken for a context, and progress is shown beside the answer."""

from __future__ import annotations

from pathlib import Path

from langchain_core.documents import Document

from examples import agent_chat_ui
from langgraph_rlm import Corpus


async def test_messages_and_progress_are_shown_and_the_context_of_the_app_is_left_alone(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path}") as corpus:
        corpus.add([Document(id="leave.md", page_content="Parental leave is 16 weeks.\n")])
        sent = {"messages": [("user", "How long is parental leave?")], "context": {"artifact": {"a": 1}}}
        done = await agent_chat_ui.build(corpus).ainvoke(sent)
    assert "16 weeks" in done["messages"][-1].text
    assert {one["name"] for one in done["ui"]} == {"rlm_progress"}
