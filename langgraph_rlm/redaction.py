"""Keys in the texts of errors: replaced before anything keeps or shows such a text. The only place where that is done.

Servers and clients quote what was sent to them: headers, addresses, a rejected key. Such a text goes on into prompts, turns,
events, the memo and checkpoints, where a key must never be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

HIDDEN = "[key]"
_MOST_CHARS = 50_000
"""Of a text that is looked at; more of an error nobody reads."""
_SECRET_CHARS = 8
"""A shorter value is no key, and may stand in any text."""

# Each pattern is linear: no part of it can give back what another part may take.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Authorization: Bearer …, Basic …; also as a quoted value.
    (re.compile(r"(?i)\b(bearer|basic)(\s{1,4}|%20)[^\s\"',;&]+"), rf"\1\2{HIDDEN}"),
    # x-api-key: …, api_key=…, "token": "…", ?key=…&sig=…
    (
        re.compile(
            r"(?i)\b((?:x-|goog-|ocp-apim-){0,2}"
            r"(?:api[-_]?key|apikey|access[-_]?key(?:[-_]?id)?|secret(?:[-_]?access)?[-_]?key|subscription[-_]?key|"
            r"access[-_]?token|auth[-_]?token|refresh[-_]?token|security[-_]?token|client[-_]?secret|password|passwd|"
            r"sig|signature|x-amz-signature|x-amz-credential)"
            r"[\"']?\s{0,4}[:=]\s{0,4}[\"']?)(?!\[key\])[^\s\"',;&}]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)([?&](?:key|token|auth|code|credential)=)[^\s\"'&#]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@\"']{1,500}@"), rf"\1{HIDDEN}@"),
    # Keys by the shape that their makers give them.
    (
        re.compile(
            r"\b(?:sk|pk|rk|gsk|xai|hf|pcsk|lsv2|ghp|gho|ghs|github_pat|glpat|xox[abprs]|tvly|nvapi|pplx|csk)"
            r"[-_](?=[A-Za-z_-]{0,60}[0-9])[A-Za-z0-9_.-]{12,}"
        ),
        HIDDEN,
    ),
    (re.compile(r"\bsk-[A-Za-z0-9*_.-]{8,}"), HIDDEN),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[A-Za-z0-9_-]{20,}"), HIDDEN),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{10,1000}\.[A-Za-z0-9_.-]{10,}"), HIDDEN),
)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """The text of an error without keys, and without characters that a terminal would obey.

    Args:
        text: of an error, as it came.
        secrets: keys that are known; each is replaced wherever it stands, also where it has no shape of a key.

    Example:
        >>> redacted("invalid header Authorization: Bearer abc123")
        'invalid header Authorization: Bearer [key]'
        >>> redacted("no such user: moon-river-77", ["moon-river-77"])
        'no such user: [key]'
    """
    shown = text[:_MOST_CHARS]
    for secret in sorted({one for one in secrets if _is_secret(one)}, key=len, reverse=True):
        shown = shown.replace(secret, HIDDEN)
    for pattern, put in _PATTERNS:
        shown = pattern.sub(put, shown)
    if shown.isprintable():
        return shown
    return "".join(c for c in shown if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def _is_secret(value: str) -> bool:
    """Whether a client's key is one: servers that want none get words such as ``ollama`` or ``not-needed``."""
    return len(value) >= _SECRET_CHARS and (len(value) >= 24 or any(c.isdigit() for c in value))
