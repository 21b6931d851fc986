"""Messages of the library in the words of the command line: options instead of arguments of functions."""

from __future__ import annotations

import re

_WORDS = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r"\bload_paths: ", ""),
        (r"\blimits: (?=max_)", ""),
        (r"configurable\['rlm'\]\['(\w+)'\]", r"--\1"),
        (r"(?<![-\w])max_(calls|cost_usd|seconds|turns)\b", lambda found: f"--max-{found[1].replace('_', '-')}"),
        (r"(?<![-\w])where\[('[^']*')\]", r"--where, field \1"),
        (r"^where: ", "--where: "),
        (r"\bGive window=", "Give --window TOKENS"),
        (r"^window must be\b", "--window must be"),
        (r" Give its price with prices=\.", ""),
        (r"open it with directory=…", "make one with `langgraph-rlm index`"),
        (r": add some first\b", ""),
    )
]


def worded(message: str) -> str:
    """``message`` as somebody reads it who knows options and no Python.

    Example:
        >>> worded("limits: max_seconds must be above 0, not 0")
        '--max-seconds must be above 0, not 0'
    """
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return message
