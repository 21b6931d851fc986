"""Options that several commands share, and how the texts of ``--help`` are put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langgraph_rlm.cli.exits import table
from langgraph_rlm.cli.sources import MOST_FILE_BYTES

VERBATIM = "\b\n"
"""Keeps the lines of a help text's paragraph as they are."""


def after_help(*examples: str) -> str:
    """What stands below the options of a command: examples, and the exit codes."""
    shown = "\n".join(f"  langgraph-rlm {example}" for example in examples)
    return f"{VERBATIM}Example{'s' if len(examples) > 1 else ''}:\n{shown}\n\n{VERBATIM}{table()}"


DOCS_HELP = (
    "A file or folder to ask about; give it again for more. Its index is kept in .langgraph_rlm/ of the current folder, "
    "so that the next question is answered at once. Files that changed are indexed again."
)
Question = Annotated[str, typer.Argument(metavar="QUESTION", help="The question, in quotes.")]
MoreDocs = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="More files and folders for --docs.")]
Docs = Annotated[list[Path] | None, typer.Option("--docs", metavar="PATH", help=DOCS_HELP)]
Index = Annotated[Path | None, typer.Option("--index", metavar="DIR", help="An index made by `langgraph-rlm index`.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FILTER",
        help="Only documents with this metadata: field=value, or a JSON object such as "
        '\'{"page": {"$gte": 10}}\'. Given again, all must hold. Files have path and suffix, pages of PDFs have page.',
    ),
]
MaxFileBytes = Annotated[
    int,
    typer.Option(
        "--max-file-bytes",
        metavar="BYTES",
        min=1,
        help=f"Leave out larger files. Default: {MOST_FILE_BYTES}. Reading a file takes several times its size in memory.",
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object, for errors too. All else goes to standard error."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Tell every step, and where an unexpected error comes from.")
]
