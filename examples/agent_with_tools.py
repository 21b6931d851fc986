"""Give any agent our tools: a log of almost three megabytes is stored, searched and asked about, and never enters its window.

Run it as it stands: without a key a script plays the agent, and the offline stand-in answers what it asks. With
OPENAI_API_KEY a model decides itself. Needs  pip install "langgraph-rlm[openai]"  for LangChain's create_agent.
"""

from __future__ import annotations

import os
from typing import Any

from langchain.agents import AgentState, create_agent
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_rlm import ContextStore, ExtractiveModel, create_rlm_tools
from langgraph_rlm.testing import ScriptedModel


class State(AgentState):
    """The agent's state, with a field for the text."""

    log: Any


def make_log(lines: int = 80_000) -> str:
    """A web server's log with a timeout now and then."""
    return "".join(
        f"12:{n // 60 % 60:02d}:{n % 60:02d} {'ERROR upstream timeout' if n % 2_500 == 2_499 else 'INFO served'} request={n}\n"
        for n in range(lines)
    )


def calls(name: str, **args: Any) -> AIMessage:
    """What a model sends to call a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": name, "type": "tool_call"}])


def models() -> tuple[Any, Any]:
    """The agent's model, and the one that answers ``ask_rlm``."""
    if "OPENAI_API_KEY" in os.environ:
        model = os.environ.get("LANGGRAPH_RLM_MODEL", "openai:gpt-5-mini")
        return model, model
    script: list[Any] = [
        calls("materialize_context", field_name="log", filename="server.log"),
        calls("local_grep", pattern="ERROR.*timeout", file="server.log", max_matches=3),
        calls("ask_rlm", question='How many times does "upstream timeout" occur?', file="server.log"),
        lambda messages: f"The log says: {messages[-1].text}",
    ]
    return ScriptedModel(script), ExtractiveModel()


def main() -> None:
    """Run the agent and show what it was told."""
    agent_model, model = models()
    tools = create_rlm_tools(
        model=model, contexts=ContextStore(), limits={"max_calls": 50}, include=[
            "materialize_context", "local_grep", "read_context", "ask_rlm",
        ],
    )  # fmt: skip
    agent = create_agent(agent_model, tools, state_schema=State, checkpointer=InMemorySaver())
    question = "Store the state's field `log` as server.log. How many times does 'upstream timeout' occur in it?"
    given: Any = {"messages": [("user", question)], "log": make_log()}
    state = agent.invoke(given, {"configurable": {"thread_id": "example"}})
    for message in state["messages"]:
        print(f"{message.type:>6}: {message.text[:200]}" if message.text else f"{message.type:>6}: calls a tool")
    print(f"all messages together have {sum(len(message.text) for message in state['messages']):,} characters")


if __name__ == "__main__":
    main()
