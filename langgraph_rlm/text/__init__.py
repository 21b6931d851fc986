"""Text that never enters a prompt whole: where it is kept, and how it is searched."""

from langgraph_rlm.text.given import ContextLike
from langgraph_rlm.text.search import Hits
from langgraph_rlm.text.store import ContextStore

__all__ = ["ContextLike", "ContextStore", "Hits"]
