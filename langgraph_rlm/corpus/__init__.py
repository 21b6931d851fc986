"""Documents → chunks → index → hits."""

from langgraph_rlm.corpus.corpus import Corpus

__all__ = ["Corpus"]
