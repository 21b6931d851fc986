"""The group of all commands: help in plain words; what is wrong with arguments is said so too, or as JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from langgraph_rlm.cli.cleaning import clean
from langgraph_rlm.cli.exits import Exit

_TYPE = re.compile(r" <(?:str|Path|list\[\w+\])>")
_METAVARS = [
    ("{QUESTION}", "QUESTION"),
    ("{PATTERN}", "PATTERN"),
    ("{DATASET}", "DATASET"),
    ("[[PATH]...]...", "[PATH]..."),
    ("{PATH...}...", "PATH..."),
]


class PlainCommand(TyperCommand):
    """A command whose help names no types of Python."""

    def get_help(self, ctx: Any) -> str:
        """See ``TyperCommand.get_help``."""
        return _plain(super().get_help(ctx))

    def get_usage(self, ctx: Any) -> str:
        """See ``TyperCommand.get_usage``."""
        return _plain(super().get_usage(ctx))


class Commands(TyperGroup):
    """Ends the process with a code of :class:`~langgraph_rlm.cli.exits.Exit`, whatever goes wrong."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """See ``TyperGroup.main``."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except (typer.Abort, KeyboardInterrupt):
            code = Exit.INTERRUPTED
        except Exception as error:
            # The errors of arguments belong to a library that typer brings along under changing names.
            if not callable(say := getattr(error, "format_message", None)):
                raise
            code = _told(error, clean(say()), as_json="--json" in given[: _end_of_options(given)])
        if not standalone_mode:
            return code
        raise SystemExit(int(code) if isinstance(code, int) else 0)


def _told(error: Any, message: str, *, as_json: bool) -> Exit:
    context = getattr(error, "ctx", None)
    if as_json:
        told = {"type": "UsageError", "category": "usage", "message": message, "exit_code": int(Exit.USAGE)}
        print(json.dumps({"error": told}))
        return Exit.USAGE
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, file=sys.stderr)
        return Exit.USAGE
    usage = f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n\n" if context is not None else ""
    print(f"{clean(usage)}langgraph-rlm: {message}", file=sys.stderr)
    return Exit.USAGE


def _plain(text: str) -> str:
    for typed, plain in _METAVARS:
        text = text.replace(typed, plain)
    return _TYPE.sub(lambda found: " " * len(found[0]), text)  # what stands behind keeps its column


def _end_of_options(given: Sequence[str]) -> int:
    return list(given).index("--") if "--" in given else len(given)
