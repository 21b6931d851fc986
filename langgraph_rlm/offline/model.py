"""A chat model without a language model: it answers by quoting and by counting, for demos, tests and CI.

``ExtractiveModel`` receives exactly the prompts that any model receives and knows nothing else; it recognises its task
from them. As **root** it writes real cells, step by step. As **sub-model** and as **reader** it quotes the words that
fit the question best, or says that it found none. Follow-ups it **condenses** by rules. It cannot reason, paraphrase
or combine; what it can compute exactly are questions of these forms, over what the search functions return:

- How many times does X occur (in SCOPE)?  · How many occurrences of X are there?
- Which files (of SCOPE) contain X?  · In which files does X occur, and how many times?  · List all files that use X.
- How many files contain X?  · In how many files does X occur?
- How many files are there (in SCOPE)?  · List all files (under SCOPE).

X is quoted (``'…'``, ``"…"``, a pair of backticks) or a bare token. It counts as a literal text, case-sensitive; as a
whole word when the question says "the word X". SCOPE is part of a document's path, such as ``asyncio``,
``json/decoder.py`` or ``json.decoder``. Any other question is answered by quotation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from langgraph_rlm.budget import CHARS_PER_TOKEN
from langgraph_rlm.graphs.prompts import (
    CONDENSE_ROLE,
    NOT_FOUND,
    QUOTES,
    READER_ROLE,
    ROOT_ROLE,
    SUB_ROLE,
    UNDER,
    WRAP_UP,
)
from langgraph_rlm.offline.followups import condensed
from langgraph_rlm.offline.forms import Form, parse_form
from langgraph_rlm.offline.plans import Step, counting_plan, done_mark, giving_up, quoting_plan
from langgraph_rlm.offline.quoting import best_quotes, lines_of, one_line

WINDOW = 128_000
"""Tokens that it says to read at once: as much as common models, so that the router treats it like one of them."""
_MAX_FAILURES = 2
"""Cells that may fail before it submits what is known."""


class ExtractiveModel(BaseChatModel):
    """Answers with no language model, by quoting and counting; costs nothing and always answers the same.

    Example:
        >>> from langgraph_rlm.graphs.prompts import reader_messages
        >>> passages = [("a.txt:1", "The harbour was built in 1901. It has two piers.")]
        >>> ExtractiveModel().invoke(reader_messages("When was the harbour built?", passages)).text.splitlines()[0]
        'The harbour was built in 1901. [1]'
    """

    model_name: str = "extractive"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("profile", {"max_input_tokens": WINDOW})
        super().__init__(**kwargs)

    @property
    def _llm_type(self) -> str:
        return "extractive"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = reply_to(messages)
        used = sum(len(message.text) for message in messages) // CHARS_PER_TOKEN + 1
        wrote = len(text) // CHARS_PER_TOKEN + 1
        message = AIMessage(
            text,
            response_metadata={"model_name": self.model_name, "cost_usd": 0.0},
            usage_metadata=UsageMetadata(input_tokens=used, output_tokens=wrote, total_tokens=used + wrote),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def reply_to(messages: Sequence[BaseMessage]) -> str:
    """The reply to a prompt of :mod:`langgraph_rlm.graphs.prompts`; to any other, the first line that fits its end."""
    system = messages[0].text if messages and messages[0].type == "system" else ""
    human = next((message.text for message in reversed(messages) if message.type == "human"), "")
    if system.startswith(ROOT_ROLE):
        return _as_root(system, messages)
    if system.startswith(READER_ROLE):
        return _as_reader(human)
    if system.startswith(CONDENSE_ROLE):
        return condensed(human)
    return _as_sub_model(human, task_known=system.startswith(SUB_ROLE))


# --- root ------------------------------------------------------------------------------------------------------------


def _as_root(system: str, messages: Sequence[BaseMessage]) -> str:
    """The next step of the plan; a step that failed is written once more."""
    humans = [message.text for message in messages if message.type == "human"]
    task, seen = (humans[0], humans[1:]) if humans else ("", [])
    last = humans[-1].strip() if humans else ""
    if last.endswith(WRAP_UP) or last.startswith(WRAP_UP):
        return _best_so_far(seen)
    question, facts = _question_of(task)
    functions = frozenset(re.findall(r"^- `([A-Za-z_]\w*)\(", _functions_section(system), re.MULTILINE))
    form = parse_form(question)
    if form is not None and "list_documents" in functions:
        plan = counting_plan(form)
    else:
        context, chunks = not facts.startswith("CONTEXT\nnone:"), "\n\ncontext_chunks\n" in facts
        plan = quoting_plan(question, functions, context=context, chunks=chunks, calls_left=_calls_left(last))
    position = failures = 0
    for output in seen:
        if _ends_with(output, done_mark(position + 1, len(plan))):
            position += 1
        else:
            failures += 1
    if failures > _MAX_FAILURES or position >= len(plan):
        return _written(giving_up(_best_so_far(seen)))
    step = plan[position]
    if _is_last_turn(last):  # the last chance: all that is missing in one cell
        step = Step(step.thought, "\n".join(further.code for further in plan[position:]))
    return _written(step)


def _written(step: Step) -> str:
    return f"{step.thought}\n\n```repl\n{step.code}\n```"


def _functions_section(system: str) -> str:
    _, _, after = system.partition("\nFUNCTIONS IN THE CELLS\n")
    return after.partition("\n\n")[0]


def _question_of(task: str) -> tuple[str, str]:
    """The question of a run's first message, and the sections behind it."""
    question, mark, facts = task.removeprefix("QUESTION\n").rpartition("\n\nCONTEXT\n")
    return (question, f"CONTEXT\n{facts}") if mark else (facts, "")


def _limits_line(message: str) -> str:
    return message.rpartition("\n\nLEFT: ")[2]


def _calls_left(message: str) -> int:
    match = re.search(r"\bcalls (\d+) of \d", _limits_line(message))
    return int(match[1]) if match else 500


def _is_last_turn(message: str) -> bool:
    match = re.search(r"\bturn (\d+) of (\d+)", _limits_line(message))
    return match is not None and match[1] == match[2]


_OUTPUT = re.compile(r"\[data \d+ · output of the cell · ([0-9a-f]{12})\]\n")


def _printed(message: str) -> str:
    """What the cells printed, without marks and limits."""
    opening = _OUTPUT.search(message)
    if opening is None:
        return message
    end = message.rfind("\n[end of data ", opening.end(), max(0, message.rfind(f" · {opening[1]}]")))
    return message if end < 0 else message[opening.end() : end]


def _ends_with(message: str, mark: str) -> bool:
    return _printed(message).rstrip().rsplit("\n", 1)[-1] == mark


def _best_so_far(seen: Sequence[str]) -> str:
    """A plain text for when no turn is left: the newest results that a cell has printed."""
    for message in reversed(seen):
        results = [
            line.removeprefix("so far: ") for line in _printed(message).splitlines() if line.startswith("so far: ")
        ]
        if results:
            return "Found so far, not checked to the end: " + "; ".join(results[:5])
    return f"{NOT_FOUND}: the run ended before anything that answers the question was found."


# --- reader and sub-model --------------------------------------------------------------------------------------------


def _as_reader(human: str) -> str:
    passages, question = _passages(human)
    form = parse_form(question)
    if form is not None and passages:
        return _counted(form, passages) if form.target else _named(form, passages)
    quotes = best_quotes(question, passages)
    if not quotes:
        return f"{NOT_FOUND}: no sentence of the {len(passages)} passages fits the question."
    claims, support = [], []
    for quote in quotes:
        text, number = passages[quote.passage][1], quote.passage + 1
        claims.append(f"{_sentence(text[quote.start : quote.end])} [{number}]")
        support += [
            f'[{number}] "{text[start:end]}"' for start, end in list(lines_of(text, quote.start, quote.end))[:6]
        ]
    return "\n".join(claims) + f"\n{QUOTES}\n" + "\n".join(support)


def _sentence(text: str) -> str:
    """A quotation as one line; a definition with its docstring as the signature and what it says."""
    match = re.match(r"\A((?:async )?(?:def|class) .*?:)\s*[rRuU]?(?:\"\"\"|'''|\"|')\s*(.*)", text, re.DOTALL)
    return f"`{one_line(match[1])}` {one_line(match[2])}" if match else one_line(text)


def _counted(form: Form, passages: Sequence[tuple[str, str]]) -> str:
    """Counts within the passages: exact for them, and said to be no more than that."""
    boundary = r"(?<!\w){}(?!\w)" if form.word else "{}"
    pattern = re.compile(boundary.format(re.escape(form.target)))
    scopes = form.scopes()
    found = [
        (number, match)
        for number, (name, text) in enumerate(passages, 1)
        if not scopes or any(_inside(name, scope) for scope in scopes)
        for match in pattern.finditer(text)
    ]
    per: dict[int, int] = {}
    for number, _ in found:
        per[number] = per.get(number, 0) + 1
    how = f"counted as a {'whole word' if form.word else 'literal text'}, case-sensitive"
    if not found:
        return f"{NOT_FOUND}: {one_line(repr(form.target))} occurs in none of the {len(passages)} passages ({how})."
    ranking = sorted(per, key=lambda number: (-per[number], number))
    lines = [
        f"{form.target!r} occurs {len(found):,} {'time' if len(found) == 1 else 'times'} in {len(per):,} of the "
        f"{len(passages):,} given passages ({how}): "
        + ", ".join(f"{one_line(passages[number - 1][0])} {per[number]:,} [{number}]" for number in ranking[:20])
        + (f", and {len(ranking) - 20:,} more." if len(ranking) > 20 else ".")
    ]
    support = []
    for number in ranking[:8]:
        text = passages[number - 1][1]
        match = next(match for holder, match in found if holder == number)
        start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
        line = next(iter(lines_of(text, start, len(text) if end < 0 else end)), None)
        if line and line[1] - line[0] <= 400:
            support.append(f'[{number}] "{text[line[0] : line[1]]}"')
    return "\n".join([*lines, QUOTES, *support])


def _named(form: Form, passages: Sequence[tuple[str, str]]) -> str:
    """The documents that the passages are from."""
    scopes = form.scopes()
    names = {name: number for number, (name, _) in reversed(list(enumerate(passages, 1)))}
    inside = [(name, names[name]) for name in sorted(names) if not scopes or any(_inside(name, s) for s in scopes)]
    if not inside:
        return f"{NOT_FOUND}: none of them is from a document under {one_line(form.scope)}."
    shown = ", ".join(f"{one_line(name)} [{number}]" for name, number in inside[:100])
    more = f", and {len(inside) - 100:,} more" if len(inside) > 100 else ""
    count = "1 document" if len(inside) == 1 else f"{len(inside):,} documents"
    return f"What was given is from {count}{f' under {one_line(form.scope)}' if form.scope else ''}: {shown}{more}."


def _inside(name: str, scope: list[str]) -> bool:
    path = re.sub(r":\d+$", "", name).split("/")
    bare = [*path[:-1], path[-1].rsplit(".", 1)[0]]
    return any(parts[i : i + len(scope)] == scope for parts in (path, bare) for i in range(len(parts)))


def _passages(human: str) -> tuple[list[tuple[str, str]], str]:
    """The passages between marks of the right boundary, and the question.

    The first mark is ours and holds the boundary; a mark with any other is part of a hostile text.
    """
    body = human.removeprefix("PASSAGES\n")
    opening = re.match(r"\A\[data 1 · [^\n]* · ([0-9a-f]{12})\]\n", body)
    found: list[tuple[str, str]] = []
    if opening:
        boundary = opening[1]
        mark = re.compile(rf"\[data (\d+) · ([^\n]*) · {boundary}\]\n")
        while match := mark.match(body):
            end = body.find(f"\n[end of data {match[1]} · {boundary}]", match.end() - 1)
            if end < 0:
                break
            found.append((match[2].partition(UNDER)[0], body[match.end() : end]))
            body = body[end:].removeprefix(f"\n[end of data {match[1]} · {boundary}]").removeprefix("\n\n")
    return found, body.partition("QUESTION\n")[2]


def _as_sub_model(human: str, *, task_known: bool) -> str:
    question, name, text = _task_and_text(human)
    quotes = best_quotes(question, [(name, text)], most=1)
    if not quotes:
        return NOT_FOUND if task_known else "I can only quote and count, and nothing here fits."
    return text[quotes[0].start : quotes[0].end]


def _task_and_text(prompt: str) -> tuple[str, str, str]:
    """Question, name and text of a prompt: of our own cells, or of anybody's with the question first or last."""
    asked, mark, rest = prompt.partition("\n\nTEXT OF ")
    if mark and "QUESTION\n" in asked:
        name, _, text = rest.partition("\n")
        return asked.partition("QUESTION\n")[2], name, text
    first, _, rest = prompt.strip().partition("\n\n")
    if rest:
        before, _, last = rest.rpartition("\n\n")
        if last.rstrip().endswith("?") and not first.rstrip().endswith("?"):
            return last, "", f"{first}\n\n{before}"
        return first, "", rest
    match = re.match(r"\A(.*?[?:\n])\s*+(.*)\Z", prompt.strip(), re.DOTALL)
    return (match[1], "", match[2]) if match else (prompt, "", "")
