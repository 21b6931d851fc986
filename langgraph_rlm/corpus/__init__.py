"""Documents → chunks → index → hits."""

from langgraph_rlm.corpus.attached import AttachedCorpus
from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.corpus.files.rows import load_rows
from langgraph_rlm.corpus.joined import COLLECTION, JoinedCorpus
from langgraph_rlm.corpus.own import OwnCorpus
from langgraph_rlm.corpus.planning.plans import Part, Plan
from langgraph_rlm.text.words import Words

__all__ = [
    "COLLECTION",
    "AttachedCorpus",
    "Corpus",
    "JoinedCorpus",
    "OwnCorpus",
    "Part",
    "Plan",
    "Words",
    "load_paths",
    "load_rows",
]
