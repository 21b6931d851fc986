"""Documents → chunks → index → hits."""

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.corpus.files.rows import load_rows
from langgraph_rlm.corpus.planning.plans import Part, Plan
from langgraph_rlm.text.words import Words

__all__ = ["Corpus", "Part", "Plan", "Words", "load_paths", "load_rows"]
