"""The lines of a context's file that another engine cannot judge, as both engines are given them."""

from __future__ import annotations

from typing import NamedTuple

from langgraph_rlm.text.lines import Data


class TooMuch:
    """Stands for lines that are too many to be counted twice."""


class Aside(NamedTuple):
    """The lines that ripgrep cannot judge, and of which our own count is taken."""

    theirs: bytes
    """As they are in the file, the first with the header before it."""
    ours: Data
    """As they are in the documents, each of which begins with a line."""
