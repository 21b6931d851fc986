"""Tools for any agent: what cells may call, as LangChain tools, so that texts stay out of the agent's window and state."""

from langgraph_rlm.tools.toolkit import create_rlm_tools

__all__ = ["create_rlm_tools"]
