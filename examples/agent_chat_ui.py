"""A graph for agent-chat-ui: it shows messages alone, so that progress is a UI message beside the answer.

That app sends data of its own as ``context`` (its artifact). The node hands on the messages alone, so that ours never sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.ui import AnyUIMessage, push_ui_message, ui_message_reducer
from typing_extensions import TypedDict

from langgraph_rlm import Corpus, ExtractiveModel, create_smart_rag
from langgraph_rlm.server.progress import progress_line


class Chat(TypedDict, total=False):
    """What agent-chat-ui reads."""

    messages: Annotated[Sequence[AnyMessage], add_messages]
    ui: Annotated[Sequence[AnyUIMessage], ui_message_reducer]


def build(corpus: Corpus, model: Any = None) -> Any:
    """A chat over a corpus."""
    research = create_smart_rag(model or ExtractiveModel(), corpus=corpus)

    async def answer(state: Chat) -> dict[str, Any]:
        said, shown = AIMessage(""), None
        async for mode, part in research.astream({"messages": state["messages"]}, stream_mode=["custom", "values"]):
            if mode == "values":
                said = part["messages"][-1]
            elif (line := progress_line(part)) is not None:
                props = {"step": line}
                shown = push_ui_message("rlm_progress", props, id=shown and shown["id"], merge=shown is not None)
        return {"messages": [said]}

    builder = StateGraph(Chat)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile()
