"""Mutations of real files of each kind: loaded, indexed and searched, or skipped with a reason; nothing hangs or aborts."""

from __future__ import annotations

import json
import pydoc
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.mutations import mutated
from tests.pdf import pdf, slow_pdf

REPOSITORY = Path(__file__).parents[2]
LIBRARY = Path(json.__file__).parents[1]
MODULES = (
    "json", "csv", "string", "textwrap", "bisect", "heapq", "queue", "shlex", "glob", "stat", "colorsys", "linecache", "sched",
    "hmac", "getpass", "keyword", "reprlib", "tempfile", "calendar", "fractions",
)  # fmt: skip
OTHER_CODE = {
    ".java": "package a.b;\n/** Doc. */\npublic class Fox<T> extends Dog {\n  @Override public int run(int n) throws E { return n; }\n}\n",
    ".js": "// fox\nexport default class Fox { run() { return `a${1}` } }\nconst f = async (a) => /x[/]y/.test(a)\n",
    ".ts": "export interface Fox<T> { name: string }\nexport function run<T>(x: T): T { return x }\n",
    ".go": 'package fox\n\nfunc (f *Fox) Run(n int) error { return nil }\ntype Fox struct { Name string `json:"n"` }\n',
    ".rs": "//! Fox.\npub struct Fox<'a> { n: &'a str }\nimpl<'a> Fox<'a> { pub fn run(&self) -> u8 { 1 } }\n",
    ".c": "#include <a.h>\nstruct fox { int n; };\nstatic int run(struct fox *f) { return f->n; /* n */ }\n",
    ".rb": "module Fox\n  class Dog < Cat\n    def run(n)\n      n\n    end\n  end\nend\n",
    ".sql": "CREATE TABLE fox (id INT PRIMARY KEY, name TEXT); -- dogs\nSELECT * FROM fox WHERE name LIKE '%a%';\n",
}
ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "latin-1",
    "cp1252",
    "cp500",
    "utf-7",
    "shift_jis",
    "koi8-r",
)


def _html() -> Iterator[tuple[str, bytes]]:
    yield (
        ".html",
        b"<!doctype html><title>Fox</title><svg><title>no</title></svg><p>The fox<table><tr><td>1<td>2</table>",
    )
    yield ".htm", b"the fox <b>without</b> a head <pre>a\n  b</pre><script>var a = '<p>'</script><ul><li>x<li>y</ul>"
    for name in MODULES[:18]:
        yield ".html", pydoc.HTMLDoc().docmodule(pydoc.locate(name)).encode()  # type: ignore[arg-type]


def _pdf() -> Iterator[tuple[str, bytes]]:
    for number in range(1, 17):
        yield ".pdf", pdf(*(f"Page {page} of report {number}" for page in range(number)), array=17 * number)
    for number in range(1, 5):
        yield ".pdf", slow_pdf(40 * number)


def _csv() -> Iterator[tuple[str, bytes]]:
    for number in range(20):
        rows = "".join(f'{row},"name {row}, ""quoted""",{row * 0.5}\n' for row in range(number))
        text = f"id,name,price\n{rows}"
        yield (".tsv", text.replace(",", "\t").encode()) if number % 3 == 0 else (".csv", text.encode())


def _json_lines() -> Iterator[tuple[str, bytes]]:
    for number in range(20):
        rows = [
            {"id": row, "text": "fox é " * row, "tags": ["a", {"b": None}], "price": row / 3} for row in range(number)
        ]
        yield (".jsonl", ".ndjson")[number % 2], "".join(json.dumps(row) + "\n" for row in rows).encode()


def _markdown() -> Iterator[tuple[str, bytes]]:
    for path in sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])[:10]:
        yield ".md", path.read_bytes()[:20_000]
    for name in MODULES[:10]:
        yield (
            ".md",
            f"# {name}\n\n- [x](y)\n\n```python\n{pydoc.render_doc(name, renderer=pydoc.plaintext)[:4_000]}\n```\n".encode(),
        )


def _code() -> Iterator[tuple[str, bytes]]:
    for suffix, text in OTHER_CODE.items():
        yield suffix, text.encode()
    for name in MODULES[1:13]:
        yield ".py", (LIBRARY / f"{name}.py").read_bytes()[:20_000]


def _text() -> Iterator[tuple[str, bytes]]:
    for number in range(20):
        name = ENCODINGS[number % len(ENCODINGS)]
        yield ".txt", f"Füchse {number} und Дома, 日本語\u2028 {'wort ' * number}".encode(name, "replace")


KINDS: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
    "html": _html, "pdf": _pdf, "csv": _csv, "json_lines": _json_lines, "markdown": _markdown, "code": _code, "text": _text,
}  # fmt: skip


def write_mutations(kind: str, folder: Path, mutations: int) -> int:
    """Write so many mutations of the files of a kind, and one of them that is as it was."""
    random, seeds = Random(f"{kind} 1"), list(KINDS[kind]())
    suffix, data = seeds[0]
    (folder / f"sound{suffix}").write_bytes(data)
    others = [data for _, data in seeds]
    random.shuffle(seeds)
    for number in range(mutations):
        suffix, data = seeds[number % len(seeds)]
        (folder / f"{number:05}{suffix}").write_bytes(mutated(data, random, others))
    return mutations + 1


def use(folder: Path, index: Path) -> dict[str, Any]:
    """Load, index and search all files; every failure that is not one of ours is raised."""
    from langgraph_rlm import Corpus
    from langgraph_rlm.corpus.files.loaders import load_paths
    from langgraph_rlm.corpus.files.rows import load_rows
    from langgraph_rlm.errors import InvalidInput, RLMError

    files = load_paths([folder])
    with Corpus.open(f"qdrant:{index}") as corpus:
        corpus.add(files)
        for query in ("the fox runs", "Report 3", "run"):
            for mode in ("bm25", "hop"):
                corpus.retrieve(query, mode=mode)  # type: ignore[arg-type]
        corpus.grep(r"(?i)f.{0,9}x", max_matches=5)
        documents = corpus.list_documents()
        for one in documents:
            corpus.links(one["doc_id"])
    rows = failed = 0
    for path in sorted(folder.iterdir()):
        if path.suffix in (".csv", ".tsv", ".jsonl", ".ndjson"):
            try:
                rows += sum(1 for _ in load_rows(path))
            except InvalidInput as error:
                assert isinstance(error, RLMError)
                assert str(error)
                failed += 1
    skipped = [(Path(one.path).name, one.reason) for one in files.skipped]
    loaded = {one["metadata"]["path"] for one in documents}
    return {"documents": len(documents), "loaded": sorted(loaded), "skipped": skipped, "rows": rows, "failed": failed}


def check(kind: str, mutations: int, seconds: float, folder: Path) -> None:
    """Do it in a process of its own: it ends by itself, and each file is loaded or skipped with a reason."""
    given = folder / "files"
    given.mkdir()
    count = write_mutations(kind, given, mutations)
    command = [sys.executable, "-m", "tests.integration.test_fuzz_files", str(given), str(folder / "index")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-4_000:]
    report = json.loads(done.stdout.splitlines()[-1])
    skipped = {name for name, reason in report["skipped"] if reason.strip()}
    assert len(skipped) + len(report["loaded"]) == count
    assert skipped.isdisjoint(report["loaded"])
    assert not any(name.startswith("sound") for name in skipped)
    assert report["documents"] >= len(report["loaded"]) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_mutated_files_are_read_or_skipped_with_a_reason(kind: str, tmp_path: Path) -> None:
    check(kind, 15, 120, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_mutated_files_are_read_or_skipped_with_a_reason(kind: str, tmp_path: Path) -> None:
    check(kind, 600, 1_200, tmp_path)


if __name__ == "__main__":
    print(json.dumps(use(Path(sys.argv[1]), Path(sys.argv[2]))))
