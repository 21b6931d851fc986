"""Answers with no language model, by quoting and counting: for demos, tests and trying things out without a key."""

from langgraph_rlm.offline.model import ExtractiveModel

__all__ = ["ExtractiveModel"]
