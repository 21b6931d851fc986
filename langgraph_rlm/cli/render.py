"""How results look in a terminal. Texts of documents and models are shown as they are, never interpreted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from langgraph_rlm.cli.cleaning import clean, one_line
from langgraph_rlm.graphs.detect import Advice
from langgraph_rlm.graphs.routes import BUILT_IN
from langgraph_rlm.types import Citation, Decision, Turn, Usage

MAX_CITATIONS = 8
"""Shown; --json has all of them."""
MAX_QUOTE_LINES = 4
"""Of a quote: its place is given, to read on."""
MAX_OUTPUT_LINES = 10
"""Of a cell's output: a screen holds some forty lines."""


def plain(text: str, style: str = "") -> Text:
    """``text`` for the terminal: cleaned, no markup."""
    return Text(clean(text), style=style)


def show_answer(
    console: Console,
    result: Mapping[str, Any],
    *,
    cells: bool = True,
    left_out: tuple[int, Sequence[tuple[str, str]]] = (0, ()),
) -> None:
    """Route and reasons, answer, the files that it does not know, citations, cells, usage."""
    _show_route(console, result.get("route") or "", result.get("decision"))
    console.print()
    name = "answer" if result.get("found", True) else "not found"
    _section(console, name, plain(result.get("answer") or "(no answer)", "bold"))
    if (reason := result.get("stop_reason")) not in ("answered", "", None):
        _section(console, "", plain(f"The run stopped early: {_STOPPED.get(reason, reason)}.", "yellow"))
    if left_out[0]:
        _section(console, "not read", plain(left_out_line(*left_out), "yellow"))
    if citations := result.get("citations"):
        _section(console, "citations", _citations(citations))
    if cells and (turns := result.get("turns")):
        _section(console, "cells", _turns(turns, console.width))
    if usage := result.get("usage"):
        _section(console, "usage", plain(usage_line(usage)))


def left_out_line(count: int, files: Sequence[tuple[str, str]], *, most_named: int = 3) -> str:
    """``2 files left out (a.png: binary; b.pdf: locked by a password).``; the reasons stand once each, beyond a few."""
    named = list(files[:most_named])
    if count > most_named:  # one of each kind says more than the first few of a kind
        kinds = {reason: (path, reason) for path, reason in reversed(files)}
        named = list(reversed(kinds.values()))[:most_named]
    shown = "; ".join(f"{path}: {reason}" for path, reason in named)
    more = f"; and {count - len(named):,} more" if count > len(named) else ""
    return f"{count:,} file{'' if count == 1 else 's'} left out ({shown}{more})."


def usage_line(usage: Usage) -> str:
    """``5 model calls · 1,234 + 56 tokens · $0.0012 · 3.4 s``; what is estimated says so."""
    tokens = f"{usage['input_tokens']:,} in + {usage['output_tokens']:,} out tokens"
    cost = usage["cost_usd"]
    if usage["estimated"]:
        tokens = f"~{tokens} (estimated)"
    money = (
        "price unknown"
        if cost is None
        else f"{'~' if usage['estimated'] and cost else ''}${cost:.4f}"
        if cost
        else "$0"
    )
    calls = f"{usage['calls']:,} model call{'' if usage['calls'] == 1 else 's'}"
    models = ", ".join(usage["by_model"])
    return " · ".join([calls, tokens, money, f"{usage['seconds']:.1f} s", *([models] if models else [])])


def advice_line(advice: Advice) -> str:
    """``Size: the context of about 1,234 tokens fits the model's window of 128,000.``"""
    return f"Size: {'; '.join(advice.reasons)}."


def place(citation: Citation) -> str:
    """``path:line``."""
    return f"{one_line(citation['doc_id'])}:{citation['line']}"


_STOPPED = {
    "turns": "turns, all are used (--max-turns)",
    "budget": "budget, it is used up (--max-cost-usd, --max-calls)",
    "deadline": "deadline, the time is over (--max-seconds)",
    "error": "error, the model wrote nothing that could be run",
}

# --- parts -----------------------------------------------------------------------------------------------------------


def _section(console: Console, name: str, body: RenderableType) -> None:
    if console.width < 60:  # no room for a column of names
        console.print(Text(name, style="bold cyan"))
        console.print(body)
        return
    table = Table.grid(padding=(0, 2), expand=False)
    table.add_column(width=9, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(name, style="bold cyan"), body)
    console.print(table)


def _show_route(console: Console, route: str, decision: Decision | None) -> None:
    name = next((f"{one.name} · {one.label}" for one in BUILT_IN if one.name == route), route)
    lines = [plain(name, "bold")]
    if decision:
        lines += [
            plain(f"because {reason}" if i == 0 else f"and {reason}", "dim")
            for i, reason in enumerate(decision["reasons"])
        ]
    _section(console, "route", Group(*lines))


def _citations(citations: Sequence[Citation]) -> Group:
    rows: list[RenderableType] = []
    for citation in citations[:MAX_CITATIONS]:
        mark = Text("", "green") if citation["verified"] else Text("  not verified: the text there differs", "yellow")
        rows.append(Text.assemble(Text(place(citation), "bold"), mark))
        quoted = clean(citation["quote"]).strip("\n").split("\n")
        shown = quoted[:MAX_QUOTE_LINES] + (
            [f"… {len(quoted) - MAX_QUOTE_LINES} more lines"] if len(quoted) > MAX_QUOTE_LINES else []
        )
        rows.append(Padding(Text("\n".join(f"│ {line[:400]}" for line in shown), "dim"), (0, 0, 0, 2)))
    if len(citations) > MAX_CITATIONS:
        rows.append(Text(f"and {len(citations) - MAX_CITATIONS} more"))
    return Group(*rows)


def _turns(turns: Sequence[Turn], width: int) -> Group:
    rows: list[RenderableType] = []
    for turn in turns:
        calls = ", ".join(f"{name} × {count}" for name, count in turn["calls"].items())
        head = Text.assemble(
            (f"turn {turn['number']}", "bold"),
            (f"  {turn['seconds']:.2f} s", "dim"),
            (f"  {calls}" if calls else "", "dim"),
        )
        rows.append(head)
        if turn["thought"]:
            rows.append(plain(turn["thought"].strip(), "italic"))
        if turn["code"]:
            code = clean(turn["code"]).expandtabs(4)
            rows.append(
                Padding(
                    Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True), (0, 0, 0, 2)
                )
            )
        for text, style in ((turn["output"], "dim"), (turn["error"] or "", "red")):
            if text.strip():
                rows.append(Padding(Text(_shortened(text, width), style), (0, 0, 0, 2)))
    return Group(*rows)


def _shortened(text: str, width: int) -> str:
    lines = clean(text).strip("\n").split("\n")
    room = max(20, width - 18)
    shown = [line if len(line) <= room else line[: room - 1] + "…" for line in lines]
    if len(shown) > MAX_OUTPUT_LINES:
        half = MAX_OUTPUT_LINES // 2
        shown = [*shown[:half], f"… {len(lines) - 2 * half} more lines", *shown[-half:]]
    return "\n".join(f"▏{line}" for line in shown)
