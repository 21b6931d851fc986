"""Specs drawn from the grammar: any kinds of steps that refer to what stands above them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORDS = st.sampled_from(
    ["yes", "no", "maybe it is", "line 3", "a|b", "x: {y}", "üñí", "'quoted' \"twice\"", "\\d+ {n}\nnew line"]
)
PATTERNS = st.sampled_from(["yes", "line \\d+", "(?i)NO", "^a.*z$", "[0-9]+", "b|c"])
INPUTS = {
    "question": {"type": "text"}, "documents": {"type": "context"}, "names": {"type": "json"}, "most": {"type": "number"},
}  # fmt: skip
VALUES = {
    "question": "What is it, {{input.names}}?",
    "documents": "line 1: yes\nline 2: no\nanna was here\nthe a and the z\n" * 40,
    "names": ["anna", "bert", 3, {"text": "line 2", "n": 1}],
    "most": 2,
}


@st.composite
def specs(draw: Any) -> dict[str, Any]:
    """A spec as plain data."""
    fields: list[str] = ["input.question", "input.names", "input.most"]
    lists: list[str] = ["input.names"]
    steps: list[dict[str, Any]] = [
        {"name": "store", "tool": "materialize_context", "args": {"field_name": "documents", "filename": "d.txt"}}
    ]

    def one(paths: list[str]) -> str:
        return f"{{{{{draw(st.sampled_from(paths))}}}}}"

    def text(item: bool) -> str:
        known = [*fields, "item.text", "item"] if item else fields
        return (
            draw(WORDS) + draw(st.sampled_from(["", " "])) + one(known) + draw(st.sampled_from(["", "\n", " then {n}"]))
        )

    for number in range(draw(st.integers(1, 6))):
        name = f"s{number}"
        kind = draw(
            st.sampled_from(
                ["grep", "search", "count", "bm25", "read", "split", "items", "reduce", "query", "model", "model"]
            )
        )
        step: dict[str, Any] = {"name": name}
        mapped = kind in ("grep", "search", "count", "query", "model") and draw(st.booleans())
        if mapped:
            step["each"] = one(lists)
        file = draw(st.sampled_from(["d.txt", "{{store.file}}"]))
        if kind in ("grep", "search", "count"):
            step["tool"] = {"grep": "local_grep", "search": "local_search", "count": "count"}[kind]
            step["args"] = {"pattern": draw(st.one_of(PATTERNS, st.just(text(mapped)))), "file": file}
            if kind != "count" and draw(st.booleans()):
                step["args"]["max_matches"] = draw(st.sampled_from([1, 5, "{{input.most}}"]))
            given = ["count"] if kind == "count" else ["matches", "count", "complete", "seen"]
        elif kind == "bm25":
            step |= {"tool": "bm25_search", "args": {"query": text(False), "file": file, "k": draw(st.integers(1, 3))}}
            given = ["matches", "count"]
        elif kind == "read":
            step |= {
                "tool": "read",
                "args": {"file": file, "start": draw(st.integers(0, 9)), "end": draw(st.integers(9, 99))},
            }
            given = ["text", "end"]
        elif kind == "split":
            step |= {"tool": "split", "args": {"file": file, "chars": draw(st.integers(100, 900))}}
            given = ["count"]
            lists.append(f"{name}.chunks")
        elif kind == "items":
            step |= {"tool": "items_of", "args": {"items": one([*lists[:1], "input.question"])}}
            given = ["items", "count"]
        elif kind == "reduce":
            sources = [path for path in lists if not path.endswith("chunks")]
            step |= {
                "tool": "reduce",
                "args": {"items": one(sources), "how": draw(st.sampled_from(["join", "sum", "first", "majority"]))},
            }
            given = ["value", "count"]
        elif kind == "query":
            step |= {"tool": "query_lm", "args": {"prompt": text(mapped)}}
            given = ["text"]
        else:
            step |= {
                "model": draw(st.sampled_from(["small", "large"])),
                "input": {"part": one([*fields, "item.text"] if mapped else fields)},
            }
            if draw(st.booleans()):
                step["prompt"] = text(mapped)
            typed = draw(st.booleans())
            if typed:
                step["output"] = {"n": "integer", "words": ["string"]}
            given = ["n", "words"] if typed else ["text"]
        if draw(st.integers(0, 4)) == 0:
            step["when"] = {"value": one(fields), "is": draw(st.sampled_from(["empty", "not_empty"]))}
        steps.append(step)
        if mapped:
            given = ["results", "count", "failed"]
            lists.append(f"{name}.results")
        elif "matches" in given or "items" in given or "words" in given:
            lists.append(f"{name}.{next(one for one in given if one in ('matches', 'items', 'words'))}")
        fields += [f"{name}.{field}" for field in given]
    output = {
        f"out{number}": draw(st.sampled_from([one(fields), text(False)])) for number in range(draw(st.integers(1, 3)))
    }
    return {"name": draw(WORDS), "inputs": INPUTS, "steps": steps, "output": output}
