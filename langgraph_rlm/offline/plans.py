"""The cells that the offline root model writes: one plan of a few steps for each kind of question.

Whatever comes from a question enters the code by ``repr`` alone, so that no question can write code.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from langgraph_rlm.graphs.prompts import NOT_FOUND
from langgraph_rlm.offline.forms import Form
from langgraph_rlm.offline.quoting import Query

MOST_SHOWN = 20
"""Documents with their counts in an answer; the others are counted."""


class Step(NamedTuple):
    """One turn of a plan."""

    thought: str
    code: str


def counting_plan(form: Form) -> list[Step]:
    """Probe, count, count again in another way, submit."""
    steps = [Step("First the sizes of what there is.", _PROBE)]
    if form.kind in ("count_files", "list_files"):
        steps.append(Step("The question is about the documents themselves: their ids answer it.", _listing(form)))
        return _marked(steps)
    steps += [
        Step("Find every place with the literal text; raise the limit until the search is complete.", _find(form)),
        Step("Check the largest counts against the documents themselves.", _check(form)),
        Step("Cite places that prove it, then submit.", _count_answer(form)),
    ]
    return _marked(steps)


def quoting_plan(
    question: str, functions: Collection[str], *, context: bool, chunks: bool, calls_left: int
) -> list[Step]:
    """Probe, search, ask the sub-model about the best spans, check and cite, submit.

    Args:
        question: the question.
        functions: names that exist in the cells.
        context: whether the run has a context.
        chunks: whether ``context_chunks`` is there.
        calls_left: model calls that are left.
    """
    query = Query.of(question)
    asked = max(0, min(12, calls_left - 3))
    lists = "list_documents" in functions
    steps = [
        Step("First the sizes of what there is.", _PROBE if lists else "documents = []"),
        Step("Search with the question and with its rare words.", _search(question, query, functions, context, chunks)),
        Step("Ask the sub-model what each of the best spans says.", _ask(question, functions, asked)),
        Step("Keep what stands in the text word for word, best first, and cite it.", _JUDGE),
        Step("Submit the quotations.", _QUOTE_ANSWER),
    ]
    return _marked(steps)


def giving_up(reason: str) -> Step:
    """The cell that ends a run whose cells keep failing."""
    return Step("The cells keep failing, so this is what is known.", f"FINAL({reason!r})")


def done_mark(number: int, steps: int) -> str:
    """The last line that a step prints when it ran to its end."""
    return f"step {number} of {steps} done"


def _marked(steps: list[Step]) -> list[Step]:
    last = len(steps)
    return [
        Step(thought, code if i == last else f"{code}\nprint({done_mark(i, last)!r})")
        for i, (thought, code) in enumerate(((step.thought, step.code.strip("\n")) for step in steps), 1)
    ]


# --- what there is ---------------------------------------------------------------------------------------------------

_PROBE = """
documents = list_documents()
print(len(documents), "documents,", sum(d["chars"] for d in documents), "characters, such as")
for d in documents[:3]:
    print(d["doc_id"], d["chars"])"""


def _scope(form: Form) -> str:
    """``in_scope(doc_id)``: whether the path of a document has the part that the question names."""
    if not form.scope:
        return "inside = documents"
    return f"""scopes = {form.scopes()!r}
def in_scope(doc_id):
    path = doc_id.split("/")
    bare = path[:-1] + [path[-1].rsplit(".", 1)[0]]
    return any([p[i:i + len(s)] == s for s in scopes for p in (path, bare) for i in range(len(p))])
inside = [d for d in documents if in_scope(d["doc_id"])]"""


def _where(form: Form) -> str:
    return f" under {form.scope}" if form.scope else ""


def _listing(form: Form) -> str:
    names = """
    text = text[:-1] + ":" + "".join(["\\n- " + d["doc_id"] for d in inside[:100]])
    if len(inside) > 100:
        text = text + f"\\n- and {len(inside) - 100:,} more\""""
    return f"""{_scope(form)}
for d in [d for d in inside if d["chars"] > 0][:3]:
    cite(d["doc_id"], 0, min(80, d["chars"]))
count = {{0: "is no document", 1: "is 1 document"}}.get(len(inside), f"are {{len(inside):,}} documents")
text = "There " + count + {_where(form) + "."!r}
if inside:
    print("so far:", len(inside), "documents"){names if form.kind == "list_files" else ""}
FINAL(text)"""


# --- counting --------------------------------------------------------------------------------------------------------

_WHOLE_WORD = """
def whole_word(hit):
    start, end = hit["metadata"]["match"]
    before = hit["text"][:start - hit["start"]][-1:]
    after = hit["text"][end - hit["start"]:][:1]
    return not (before.isalnum() or before == "_" or after.isalnum() or after == "_")"""


def _find(form: Form) -> str:
    keep = ['in_scope(hit["doc_id"])'] * bool(form.scope) + ["whole_word(hit)"] * form.word
    return f"""target = {form.target!r}
{_scope(form)}{_WHOLE_WORD if form.word else ""}
for most in (2000, 20000, 100000):
    hits = search(target, max_matches=most)
    if hits.complete:
        break
found = [hit for hit in hits{" if " + " and ".join(keep) if keep else ""}]
counts = {{}}
for hit in found:
    counts[hit["doc_id"]] = counts.get(hit["doc_id"], 0) + 1
ranking = sorted(counts, key=lambda doc_id: (-counts[doc_id], doc_id))
print("matches in all documents:", hits.seen, "- all seen:", hits.complete)
print("so far:", len(found), "occurrences in", len(ranking), {"documents" + _where(form)!r})
for doc_id in ranking[:5]:
    print(counts[doc_id], doc_id)"""


def _check(form: Form) -> str:
    if form.word:  # str.count knows no words: show the lines instead
        compare = """for hit in found[:3]:
    print(hit["doc_id"], hit["line"], hit["text"][:80])"""
    else:
        compare = """for doc_id in ranking[:3]:
    again = read(doc_id).count(target)
    print(doc_id, counts[doc_id], "by search,", again, "by str.count")
    if again != counts[doc_id]:
        different.append(doc_id)"""
    loose = "search(target, max_matches=2000, ignore_case=True)"
    if form.scope:
        loose = f'[hit for hit in {loose} if in_scope(hit["doc_id"])]'
    return f"""different = []
{compare}
loose = 0 if found else len({loose})
print(len(inside), "documents looked at;", loose, "further matches when case is ignored")"""


def _count_answer(form: Form) -> str:
    target = f"`{form.target}`" if "`" not in form.target and form.target.isprintable() else repr(form.target)
    how = f"{_where(form)} (counted as a {'whole word' if form.word else 'literal text'}, case-sensitive)"
    nowhere = f"\nThere is no document{_where(form)}."
    if form.kind == "count_files_with":
        lead = f"""files + (" contains " if len(ranking) == 1 else " contain ") + {target + how!r}"""
    else:
        lead = f"""{target + " occurs "!r} + f"{{len(found):,}} {{times}} in {{files}}" + {how!r}"""
    return f"""times = "time" if len(found) == 1 else "times"
files = f"{{len(ranking):,}} {{'file' if len(ranking) == 1 else 'files'}}"
text = {lead} + (":" if ranking else ".")
for doc_id in ranking[:{MOST_SHOWN}]:
    text = text + f"\\n- {{doc_id}}: {{counts[doc_id]:,}}"
if ranking[{MOST_SHOWN}:]:
    rest = ranking[{MOST_SHOWN}:]
    text = text + f"\\n- and {{len(rest):,}} more with {{sum([counts[d] for d in rest]):,}} together"
if not hits.complete:
    text = text + "\\nThe search ended before it had seen everything: these numbers are lower bounds."
if different:
    text = text + "\\nCounting again in another way gave other numbers for: " + ", ".join(different)
if not inside:
    text = text + {nowhere!r}
if loose:
    text = text + f"\\nWith case ignored there would be {{loose:,}}{{' or more' if loose >= 2000 else ''}}."
cited = [[hit for hit in found if hit["doc_id"] == doc_id][0] for doc_id in ranking[:8]]
cited = cited + [hit for hit in found if hit not in cited][:max(0, 3 - len(cited))]
for hit in cited:
    cite(hit)
FINAL(text)"""


# --- quoting ---------------------------------------------------------------------------------------------------------


def _search(question: str, query: Query, functions: Collection[str], context: bool, chunks: bool) -> str:
    """``spans``: what all engines that exist have found, the most promising first."""
    rare = " ".join(dict.fromkeys([*query.names, *query.terms])) or question
    names = [name.rsplit(".", 1)[-1] for name in query.names if name.strip()][:4]
    engine = next((name for name in ("hybrid_search", "bm25_search", "vector_retrieve") if name in functions), None)
    queries = [text for text in dict.fromkeys([question.strip(), rare]) if text.strip()]
    lines = ["import re", f"terms = {list(query.terms)!r}", f"names = {names!r}"]
    sources = ["list(context_chunks)"] * chunks
    if engine and queries:
        sources.append(f"list({engine}({queries!r}, k=12))")
    lines.append(f"found = {' + '.join(sources) or '[]'}")
    lines.append("places = []")
    if names and "grep" in functions:
        lines += [
            "for name in names:",
            r"    places = places + list(grep(r'\b(?:def|class) ' + re.escape(name) + r'\b', max_matches=5))",
            "    places = places + list(search(name, max_matches=20))",
        ]
    if context:  # no ranked search over it: its words have to be looked up
        lines += [
            "for term in terms[:12]:",
            "    places = places + list(search(term, in_='context', max_matches=200, ignore_case=True))",
        ]
    lines += [
        "windows = []",
        "for place in places:",
        "    window = (place['doc_id'], place['start'] // 1500)",
        "    if window not in windows:",
        "        windows.append(window)",
        "for doc_id, number in windows[:400]:",
        "    start = max(0, number * 1500 - 300)",
        "    text = read(doc_id, start, number * 1500 + 2200)",
        "    found.append({'doc_id': doc_id, 'start': start, 'end': start + len(text), 'text': text})",
        "low = [(hit['doc_id'] + ' ' + hit['text']).lower() for hit in found]",
        "weight = {term: 1 / (1 + len([1 for text in low if term in text])) for term in terms}",
        "def worth(i):",
        "    text = low[i]",
        "    exact = len([1 for name in names if name in found[i]['text']])",
        "    there = found[i]['text']",
        "    defined = len([1 for name in names if 'def ' + name in there or 'class ' + name in there])",
        "    return sum(weight[term] for term in terms if term in text) + exact + defined - i / 100000",
        "spans = []",
        "for i in sorted(range(len(found)), key=worth, reverse=True):",
        "    hit = found[i]",
        "    near = [s for s in spans if s['doc_id'] == hit['doc_id'] and abs(s['start'] - hit['start']) < 200]",
        "    if not near and len(spans) < 12:",
        "        spans.append(hit)",
        "print(len(found), 'spans found; the best', len(spans))",
        "for span in spans:",
        "    print(span['doc_id'], span['start'], span['end'], repr(span['text'][:60]))",
    ]
    return "\n".join(lines)


def _ask(question: str, functions: Collection[str], most: int) -> str:
    task = f"Quote the words of the text that answer the question, or reply {NOT_FOUND}."
    if "llm_query_batched" in functions and most:
        helper, ask = "", "llm_query_batched(prompts) if prompts else []"
    else:  # no sub-model: the best line of each span has to do
        ask = "[best_line(span['text']) for span in asked]"
        helper = """def best_line(text):
    return max(text.split("\\n"), key=lambda line: sum(weight[term] for term in terms if term in line.lower()))[:400]
"""
    return f"""question = {question!r}
{helper}asked = spans[:{most or 3}]
task = {task!r} + "\\n\\nQUESTION\\n" + question
prompts = [task + "\\n\\nTEXT OF " + span["doc_id"] + "\\n" + span["text"] for span in asked]
replies = {ask}
for span, reply in zip(asked, replies):
    print(span["doc_id"], repr(reply[:100]) if isinstance(reply, str) else reply)"""


_JUDGE = f"""
total = sum([weight[term] for term in terms]) or 1
best = []
for i in range(len(replies)):
    reply, span = replies[i], asked[i]
    if not isinstance(reply, str) or {NOT_FOUND!r} in reply:
        continue
    place = span["text"].find(reply.strip())
    if not reply.strip() or place < 0:
        print("not word for word:", span["doc_id"])
        continue
    low = (span["doc_id"] + " " + reply).lower()
    defined = len([1 for name in names if "def " + name in reply or "class " + name in reply])
    value = sum([weight[term] for term in terms if term in low]) / total + 0.5 * defined - i / 1000
    best.append((value, span["doc_id"], span["start"] + place, reply.strip()))
best = sorted(best, key=lambda entry: -entry[0])
chosen = []
for entry in best:
    again = [c for c in chosen if c[3] == entry[3] or (c[1] == entry[1] and abs(c[2] - entry[2]) < 400)]
    if len(chosen) < 3 and entry[0] >= 0.75 * best[0][0] and not again:
        chosen.append(entry)
for value, doc_id, start, words in chosen:
    citation = cite(doc_id, start, start + len(words))
    print("so far:", doc_id, "line", citation["line"], repr(words[:200]))
print(len(chosen), "of", len(best), "quotations kept")"""

_QUOTE_ANSWER = f"""
if chosen:
    text = "\\n".join("“" + " ".join(entry[3].split()) + "” — " + entry[1] for entry in chosen)
else:
    text = f": none of the {{len(asked)}} best spans{{f' of {{len(documents):,}} documents' if documents else ''}} holds words that fit the question."
    text = {NOT_FOUND!r} + text
FINAL(text)
"""
