"""What a model reads of a tool's result: plain lines, bounded by tokens; the result itself is the artifact."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from langgraph_rlm.calls.usage import estimated_tokens
from langgraph_rlm.shortening import one_line

MOST_TOKENS = 4_000
"""Of one result, estimated: an agent calls many tools, and each result stays in its window until it ends."""
_HEAD_TOKENS = 200
"""Left for what is said about a result beside its lines."""


class Reply(NamedTuple):
    """A tool's result.

    Args:
        content: what the model reads.
        artifact: what the program gets.
    """

    content: str
    artifact: dict[str, Any]


def of_hits(hits: Sequence[Mapping[str, Any]], *, seen: int, complete: bool, notes: Iterable[str] = ()) -> Reply:
    """The hits of a search: as many as there is room for, in the content and in the artifact alike."""
    lines, shown = list[str](), list[dict[str, Any]]()
    room = MOST_TOKENS - _HEAD_TOKENS
    for hit in hits:
        line = f"{one_line(hit['doc_id'])}:{hit['line']} [{hit['start']}:{hit['end']}] {hit['text']}"
        if (room := room - estimated_tokens(line)) < 0:
            break
        lines.append(line)
        shown.append(dict(hit))
    if hits and not shown:  # one that is longer than all the room there is
        text = cut(hits[0]["text"], MOST_TOKENS - _HEAD_TOKENS)
        lines, shown = (
            [f"{one_line(hits[0]['doc_id'])}:{hits[0]['line']} {text} …"],
            [{**hits[0], "text": text, "end": hits[0]["start"] + len(text)}],
        )
    head = list(notes) or [_how_many(len(hits), complete)]
    if len(shown) < len(hits):
        head.append(f"the first {len(shown):,} are shown; narrow the search, or give a file, to see others")
    elif not complete:
        head.append("there may be more: raise max_matches, narrow the search, or give a file")
    artifact = {"matches": shown, "count": len(hits), "seen": seen, "complete": complete and len(shown) == len(hits)}
    return Reply("\n".join(["; ".join(head), *lines]), artifact)


def of_text(text: str, start: int, doc_id: str) -> Reply:
    """A piece of a document: as much as there is room for, and where to read on."""
    shown = cut(text, MOST_TOKENS - _HEAD_TOKENS)
    end = start + len(shown)
    artifact = {"doc_id": doc_id, "start": start, "end": end, "text": shown, "complete": len(shown) == len(text)}
    if not text:
        return Reply(f"{one_line(doc_id)} has nothing from character {start:,} on", artifact)
    more = "" if len(shown) == len(text) else f"\n[cut at character {end}: read on with start={end}]"
    return Reply(shown + more, artifact)


def of_documents(entries: Sequence[Mapping[str, Any]]) -> Reply:
    """A list of documents: as many as there is room for."""
    lines, room = list[str](), MOST_TOKENS - _HEAD_TOKENS
    for entry in entries:
        about = f" {json.dumps(entry['metadata'], ensure_ascii=False, default=str)}" if entry["metadata"] else ""
        line = cut(f"{one_line(entry['doc_id'])} ({entry['chars']:,} characters){about}", room)
        if (room := room - estimated_tokens(line)) < 0:
            break
        lines.append(line)
    head = f"{len(entries):,} document{'' if len(entries) == 1 else 's'}"
    if len(lines) < len(entries):
        head += f"; the first {len(lines):,} are shown; narrow the list with where="
    shown = [dict(entry) for entry in entries[: len(lines)]]
    artifact = {"documents": shown, "count": len(entries), "complete": len(lines) == len(entries)}
    return Reply("\n".join([head, *lines]), artifact)


def of_value(value: Any, notes: Iterable[str] = ()) -> Reply:
    """Any other value: a text as it is, else JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    shown = cut(text, MOST_TOKENS - _HEAD_TOKENS)
    more = [] if len(shown) == len(text) else [f"[cut: {len(text) - len(shown):,} further characters]"]
    artifact = {"value": value if not more else shown, "complete": not more}
    return Reply("\n".join([shown, *more, *notes]), artifact)


def cut(text: str, tokens: int) -> str:
    """The beginning of a text that has about so many tokens at most."""
    if tokens <= 0:
        return ""
    head = text[: tokens * 4]
    if estimated_tokens(head) <= tokens:
        return head
    return head.encode("utf-8", "replace")[: tokens * 4 - 4].decode("utf-8", "ignore")


def _how_many(count: int, complete: bool) -> str:
    if not count:
        return "no match" if complete else "no match so far: the search was ended before it had looked at everything"
    return f"{count:,} match{'' if count == 1 else 'es'}{'' if complete else ', not all there are'}"
