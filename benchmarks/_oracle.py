"""Scripts in the place of language models, for tasks that ``langgraph_rlm.evaluation.generated`` makes.

They read what they are sent and answer it without a mistake: the sub-model knows every entry's label, the reader answers
from the passages it gets and from nothing else, and the root model writes the cells that a good one would write. What they
cost and where a route fails is real; that they are never wrong about what they read is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

from langchain_core.messages import BaseMessage

from langgraph_rlm.evaluation.generated import LABELS
from langgraph_rlm.graphs.prompts import NOT_FOUND, QUOTES, READER_ROLE, ROOT_ROLE, SUB_ROLE
from langgraph_rlm.testing import ScriptedModel

Manner = Literal["reads", "searches"]
"""How the root model works: it has a sub-model read everything whatever is asked, or searches first for a look-up."""

CLASSIFY = "For each entry write a line: the user, a space, and what the entry asks for."
_ENTRY = re.compile(r"User: (\d+) \|\| Entry: (.*)")
_PERSON = re.compile(
    r"(?P<name>\w+ \w+) works as (?P<trade>[\w ]+), lives in (?P<town>\w+) and joined in (?P<year>\d+)\."
)
_LOOK_UPS = (
    (re.compile(r"Where does (\w+ \w+) live\?"), "town"),
    (re.compile(r"In what year did (\w+ \w+) join\?"), "year"),
    (re.compile(r"What does (\w+ \w+) work as\?"), "trade"),
)

PROBE = """docs = list_documents()
print(len(docs), "documents of", sum(doc["chars"] for doc in docs), "characters, the first:", docs[0]["doc_id"])
print(read(docs[0]["doc_id"], 0, 300))"""
ASK_ALL = """pieces = [""]
for doc in docs:
    for line in read(doc["doc_id"]).splitlines(keepends=True):
        if len(pieces[-1]) + len(line) > {size}:
            pieces.append("")
        pieces[-1] += line
prompts = [{task!r} + "\\n\\n" + piece for piece in pieces]
replies = []
for at in range(0, len(prompts), 20):
    replies += llm_query_batched(prompts[at:at + 20])
assert all(isinstance(reply, str) for reply in replies), replies
print(len(replies), "replies, the first:", replies[0][:200])"""
SEARCH = """hits = hybrid_search({question!r}, k=8)
print([(hit["doc_id"], hit["line"]) for hit in hits])"""
ASK_HITS = """reply = llm_query({question!r} + "\\n\\n" + "\\n".join(hit["text"] for hit in hits))
cite(hits[0])
FINAL(reply)"""
TAKE_FOUND = """found = [reply for reply in replies if not reply.startswith("NOT IN")]
FINAL(found[0] if found else "NOT IN THE PASSAGES")"""
COUNT = """from collections import Counter
from itertools import combinations
rows = [line.split(" ", 1) for reply in replies if not reply.startswith("NOT IN") for line in reply.splitlines()]
print(len(rows), "entries")
{count}"""
PIECE = 20_000
"""Characters of a piece that the sub-model reads."""


def root_model(manner: Manner, labels: Mapping[str, str]) -> ScriptedModel:
    """Writes cells, and answers from passages."""

    def reply(messages: Sequence[BaseMessage]) -> str:
        if messages[0].text.startswith(READER_ROLE):
            return _read(messages[-1].text, labels)
        assert messages[0].text.startswith(ROOT_ROLE)
        question = messages[1].text.removeprefix("QUESTION\n").partition("\n\nCONTEXT\n")[0]
        cells = cells_for(question, manner)
        done = sum(message.type == "ai" for message in messages)
        return f"```repl\n{cells[min(done, len(cells) - 1)]}\n```"

    return ScriptedModel(reply, name="scripted-root", usage="auto", window=128_000)


def sub_model(labels: Mapping[str, str]) -> ScriptedModel:
    """Reads pieces: classifies entries, or answers a look-up from them."""

    def reply(messages: Sequence[BaseMessage]) -> str:
        assert messages[0].text.startswith(SUB_ROLE)
        task, _, text = messages[-1].text.partition("\n\n")
        if task == CLASSIFY:
            return "\n".join(f"{user} {labels[entry]}" for user, entry in _ENTRY.findall(text)) or NOT_FOUND
        return look_up(task, text)[0] or NOT_FOUND

    return ScriptedModel(reply, name="scripted-sub", usage="auto", window=128_000)


def cells_for(question: str, manner: Manner) -> list[str]:
    """The cells of a run, one for each turn."""
    if any(pattern.search(question) for pattern, _ in _LOOK_UPS):
        if manner == "searches":
            return [SEARCH.format(question=question), ASK_HITS.format(question=question)]
        return [PROBE, ASK_ALL.format(size=PIECE, task=question), TAKE_FOUND]
    return [PROBE, ASK_ALL.format(size=PIECE, task=CLASSIFY), COUNT.format(count=_counting_code(question))]


def _counting_code(question: str) -> str:
    """What a model that has understood the question computes from users and labels."""
    kinds, user, least = understood(question)
    if "List all pairs" in question:
        return (
            "counts = Counter((user, kind) for user, kind in rows)\n"
            f"able = sorted({{user for (user, kind), n in counts.items() if kind in {kinds!r} and n >= {least}}}, key=int)\n"
            'FINAL("; ".join(f"{a}-{b}" for a, b in combinations(able, 2)) or "none")'
        )
    if "do more ask" in question:
        return (
            f"counts = [sum(kind == one for _, kind in rows) for one in {kinds!r}]\n"
            f'FINAL("equally many" if counts[0] == counts[1] else {kinds!r}[counts.index(max(counts))])'
        )
    return f"FINAL(str(sum(kind in {kinds!r} and {user!r} in (None, user) for user, kind in rows)))"


def understood(question: str) -> tuple[list[str], str | None, int]:
    """The kinds, the user and the least number that a question about entries names."""
    asked = question.partition(". ")[2]
    kinds = [label for label in LABELS if re.search(rf"\ba {label}\b", asked)]
    user, least = re.search(r"of user (\d+)", asked), re.search(r"at least (\d+)", asked)
    return kinds, user and user[1], int(least[1]) if least else 1


def look_up(question: str, text: str) -> tuple[str, str]:
    """The answer to a look-up and the sentence it stands in; two empty texts when it is not there."""
    for pattern, field in _LOOK_UPS:
        if asked := pattern.search(question):
            for found in _PERSON.finditer(text):
                if found["name"] == asked[1]:
                    return found[field], found[0]
    return "", ""


def _read(prompt: str, labels: Mapping[str, str]) -> str:
    """An answer from passages: what stands in them, or what can be counted in them."""
    passages, _, question = prompt.partition("\n\nQUESTION\n")
    parts = re.split(r"\[data (\d+) · [^\n]*\]\n", passages)[1:]
    if any(pattern.search(question) for pattern, _ in _LOOK_UPS):
        for number, text in zip(parts[::2], parts[1::2], strict=True):
            answer, sentence = look_up(question, text)
            if answer:
                return f'{answer} [{number}]\n{QUOTES}\n[{number}] "{sentence}"'
        return f"{NOT_FOUND}: nobody of that name."
    seen = {entry for text in parts[1::2] for entry in _ENTRY.findall(text) if entry[1] in labels}
    return f"{counted(question, [(user, labels[text]) for user, text in sorted(seen)])} [1]"


def counted(question: str, rows: Sequence[tuple[str, str]]) -> str:
    """The answer to a question about entries, of those that are given."""
    kinds, user, least = understood(question)
    if "List all pairs" in question:
        counts = Counter(rows)
        able = sorted({u for (u, kind), n in counts.items() if kind in kinds and n >= least}, key=int)
        return "; ".join(f"{a}-{b}" for a, b in combinations(able, 2)) or "none"
    if "do more ask" in question:
        one, other = (sum(kind == wanted for _, kind in rows) for wanted in kinds)
        return "equally many" if one == other else kinds[0] if one > other else kinds[1]
    return str(sum(kind in kinds and user in (None, u) for u, kind in rows))
