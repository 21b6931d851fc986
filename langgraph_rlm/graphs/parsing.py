"""What a root model's reply asks for: its cells in order, and the prose around them."""

from __future__ import annotations

import re
from typing import NamedTuple

from langgraph_rlm.calls.fences import Fence, fences
from langgraph_rlm.graphs.code_in_text import code_behind_prose, is_code, with_quoted_names
from langgraph_rlm.graphs.spoken_answers import spoken_answer

_INVENTED = "[an output that the REPL did not give was taken out here]"
_OUTPUT_LANGUAGES = {"output", "stdout", "stderr", "result", "results", "console", "log"}
_OUTPUT_LABEL = re.compile(r"\A\s*+[#*_> \t]*+(?:(?:REPL|cell|execution|expected)[ \t]++)?+(?:outputs?|results?|stdout)[*_ \t]*+:", re.IGNORECASE)  # fmt: skip
_END_OF_OUTPUT = re.compile(r"\n(?=[ \t]*+\n|[ \t#*_]*+FINAL)")
_QUOTES_SOMETHING = re.compile(
    r"\b(?:outputs?|results?|prints?|printed|shows?|shown|says?|said|reads|contains?|holds?|document|file|text|passage|snippet|excerpt|"
    r"example|original|quoted?|returns?|returned)\b",
    re.IGNORECASE,
)


class Reply(NamedTuple):
    """A parsed reply."""

    thought: str
    """The prose outside the cells, without outputs that the model made up behind them."""
    cells: list[str]
    """Code to run, in order; an answer that ends the prose, ``FINAL(…)``, comes as the last cell."""


def parse_reply(text: str) -> Reply:
    r"""Split a reply into prose and cells.

    Cells are the contents of fences whose language is Python by one of its names (``repl``, ``python``, ``py3``,
    ``tool_code``, …), and of those without a language, or no fence at all, when it is certain that they are code for this
    REPL. A fence that is never closed counts to the end of the reply. Prose is never taken for an answer, except an end
    that is exactly ``FINAL(…)`` or ``FINAL_VAR(…)``.

    Args:
        text: the reply, without what was thought aloud in it.

    Example:
        >>> parse_reply("Look first.\n```repl\nprint(1)\n```")
        Reply(thought='Look first.', cells=['print(1)'])
    """
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    blocks = list(fences(text))
    named = any(block.is_python for block in blocks)
    cells: list[str] = []
    thought: list[str] = []
    prose: list[str] = []  # the thought without the blocks that are no cells: an answer never stands in one
    at, behind_cell = 0, False
    for block in blocks:
        before = text[at : block.start]
        if behind_cell:
            before = _without_label(before)
        was_behind = behind_cell and before.strip() in ("", _INVENTED)
        if was_behind and _is_output(block):
            before = ""  # the note comes for the block
        thought.append(before)
        prose.append(before)
        at = block.end
        behind_cell = block.is_python or _is_cell(block, before, named, was_behind)
        if behind_cell:
            if block.body.strip():
                cells.append(block.body)
            thought.append("\n")
        elif was_behind and _is_output(block):
            thought.append(_INVENTED)
            behind_cell = True
        else:
            thought.append(text[block.start : block.end])
        prose.append("\n")
    rest = _without_label(text[at:]) if behind_cell else text[at:]
    said, end = "".join(thought), "".join([*prose, rest])
    if not blocks and (found := code_behind_prose(text)) is not None:
        return Reply(found.prose, with_quoted_names([found.code]))
    cells = with_quoted_names(cells)
    if (answer := spoken_answer(end)) is not None:
        cells.append(answer)
    return Reply((said + rest).strip(), cells)


def _is_cell(block: Fence, before: str, named: bool, behind_cell: bool) -> bool:
    """Whether a block without a language is code that the model meant to run."""
    if block.language or behind_cell or not block.closed:
        return False
    above = before.rstrip()[-300:].rpartition("\n")[2]
    return not _QUOTES_SOMETHING.search(above) and is_code(block.body, alone=not named)


def _is_output(block: Fence) -> bool:
    return block.language in _OUTPUT_LANGUAGES or not block.language


def _without_label(text: str) -> str:
    """What stands behind a cell, without the output that the model made up for it in plain words."""
    start = len(text) - len(text.lstrip())
    if (label := _OUTPUT_LABEL.match(text)) is None:
        return text
    end = _END_OF_OUTPUT.search(text, label.end())
    return f"{text[:start]}{_INVENTED}{'' if end is None else text[end.start() :]}"
