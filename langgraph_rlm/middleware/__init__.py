"""Middleware for LangChain's agents: long texts go to a store, and the agent's window and checkpoints hold references."""

from langgraph_rlm.middleware.bands import Bands
from langgraph_rlm.middleware.interning import interning_agent
from langgraph_rlm.middleware.rlm_middleware import RLMMiddleware

__all__ = ["Bands", "RLMMiddleware", "interning_agent"]
