"""What a spec may say: read and written, and everything that is refused before anything runs, with its place."""

from __future__ import annotations

import re

import pytest

from langgraph_rlm import GraphSpec, InvalidSpec
from langgraph_rlm.specs.documents import MOST_BYTES
from tests.specs import EXAMPLE, FULL


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidSpec) as caught:
        GraphSpec.from_yaml(text)
    assert caught.value.problems
    return [str(one) for one in caught.value.problems]


def test_the_example_of_the_format_is_a_spec_as_it_stands() -> None:
    spec = GraphSpec.from_yaml(EXAMPLE)
    assert [step.name for step in spec.steps] == ["store_docs", "find_revenue", "answer"]
    assert {name: one.type for name, one in spec.inputs.items()} == {"documents": "context", "question": "text"}
    assert spec.output == {"answer": "{{answer.text}}"}


@pytest.mark.parametrize("text", [EXAMPLE, FULL], ids=["example", "full"])
def test_a_spec_that_is_written_and_read_is_equal(text: str) -> None:
    spec = GraphSpec.from_yaml(text)
    again = GraphSpec.from_yaml(spec.to_yaml())
    assert again == spec
    assert again.digest == spec.digest
    assert GraphSpec.of(spec.data()) == spec


def test_words_that_other_yaml_takes_for_values_stay_words() -> None:
    spec = GraphSpec.from_yaml(
        "- {name: a, model: no, input: {a: off, b: 1:30, c: 2020-01-01, d: 0o7, e: .nan, f: 1_000, g: 12345678901234567890, h: '{{input.h}}'}}"
    )
    step = spec.steps[0]
    assert step.model == "no"  # type: ignore[union-attr]
    assert step.input == {  # type: ignore[union-attr]
        "a": "off", "b": "1:30", "c": "2020-01-01", "d": "0o7", "e": ".nan", "f": "1_000", "g": "12345678901234567890", "h": "{{input.h}}",
    }  # fmt: skip
    assert GraphSpec.from_yaml(spec.to_yaml()) == spec


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("{{find_revenue.matches}}", "{{later.text}}", (19, 24), "there is no step 'later'"),
        ("max_matches: 20", 'max_matches: "{{answer.text}}"', (13, 18), "a loop: find_revenue waits for answer"),
        ("docs.txt\n    max", 'docs.txt\n    before: "{{find_revenue.count}}"\n    max', (13, 13), "wait for itself"),
        ("local_grep", "local_grap", (9, 9), "did you mean 'local_grep'"),
        ("{{find_revenue.matches}}", "{{input.documents}}", (18, 5), "must not enter a prompt"),
        ("max_matches", "limit", (13, 12), "takes pattern, file, max_matches"),
        ("max_matches: 20", "max_matches: many", (13, 18), "valid integer"),
        ("max_matches: 20", "max_matches: 0", (13, 18), "greater than or equal to 1"),
        ("find_revenue.matches", "find_revenue.hits", (19, 24), "gives matches, count, seen"),
        ("{{find_revenue.matches}}", "{{find_revenue.__class__}}", (19, 24), "is no template"),
        ("{{find_revenue.matches}}", "{{find_revenue.matches | upper}}", (19, 24), "is no template"),
        ("{{find_revenue.matches}}", "{{ 7 * 7 }}", (19, 24), "is no template"),
        ("max_matches: 20", "max_matches: !!python/object/apply:os.system ['x']", (13, 18), "the tag"),
        ("max_matches: 20", "max_matches: !custom 3", (13, 18), "the tag"),
        ("field_name: documents", "field_name: &a documents", (5, 17), "anchors and aliases"),
        ("revenue|", "(?=a)", (11, 14), "lookahead"),
        ("revenue|", "(", (11, 14), "pattern"),
        ("revenue|", "a" * 1_001, (11, 14), "too long"),
        ("file: docs.txt", "file: /etc/passwd", (12, 11), "no step above stores a file"),
        ("file: docs.txt", 'file: "{{input.question}}"', (12, 11), "is no file"),
        ("filename: docs.txt", 'filename: "*"', (5, 5), "is no name"),
        ("tool: local_grep", "toool: local_grep", (8, 3), "exactly one of the keys"),
        ("tool: local_grep", "tool: local_grep\n  model: m", (8, 3), "exactly one of the keys"),
        ("max_matches: 20", "max_matches: 20\n    max_matches: 3", (14, 5), "a second 'max_matches'"),
        ("name: answer", "name: find_revenue", (15, 9), "a second step"),
        ("name: answer", "name: input", (15, 9), "cannot be the name"),
        ("name: answer", "name: a-b", (15, 9), "is no name"),
        ("model: gpt-4o-mini", "model: gpt-4o-mini\n  outputs: 3", (17, 12), "did you mean 'output'"),
        ("model: gpt-4o-mini", "model: gpt-4o-mini\n  output: {a: strng}", (17, 11), "not a JSON schema"),
        ("model: gpt-4o-mini", "model: gpt-4o-mini\n  output: {a: {$ref: 'http://x/y'}}", (17, 11), "points to nothing"),
        ("model: gpt-4o-mini", 'model: gpt-4o-mini\n  each: "{{find_revenue.count}}"', (17, 9), "is no list"),
        ("model: gpt-4o-mini", 'model: gpt-4o-mini\n  each: "{{input.documents}}"', (17, 9), "split it"),
        ("model: gpt-4o-mini", 'model: gpt-4o-mini\n  each: "all {{find_revenue.matches}}"', (17, 9), "one template"),
        ("{{find_revenue.matches}}", "{{item.text}}", (19, 24), "only in a step with 'each'"),
        ("model: gpt-4o-mini", "model: gpt-4o-mini\n  when: {value: 1, is: like}", (17, 24), "Input should be"),
        ("model: gpt-4o-mini", "model: gpt-4o-mini\n  when: {value: 1, is: above}", (17, 9), "needs 'than'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(old: str, new: str, place: tuple[int, int], words: str) -> None:
    assert old in EXAMPLE
    found = problems(EXAMPLE.replace(old, new, 1))
    line, column = place
    assert any(one.startswith(f"line {line}, column {column}: ") and words in one for one in found), found


def test_every_problem_is_told_at_once() -> None:
    found = problems(EXAMPLE.replace("local_grep", "grep_it").replace("input.question", "input.query.x | y"))
    assert len(found) == 2


def test_a_step_below_is_not_seen() -> None:
    text = (
        "- {name: a, model: m, input: {x: '{{b.text}}'}}\n"
        "- {name: b, model: m, input: {x: '{{input.q}}'}}\n"
        "- {name: c, model: m, input: {x: '{{a.text}}{{b.text}}'}}"
    )
    assert "b stands below" in problems(text)[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a: [", "no YAML"),
        ("a\0b", "no YAML"),
        ("--- 1\n--- 2", "one document"),
        ("just words", "a mapping with 'steps'"),
        ("steps: []", "at least one"),
        ("steps: 3", "a list of steps"),
        ("[" * 200 + "]" * 200, "deep"),
        ("{" * 5_000, "deep"),
        ("x" * (MOST_BYTES + 1), "bytes"),
        ("ä" * (MOST_BYTES // 2 + 1), "bytes"),
        ("\n".join(f"- {{name: s{n}, model: m, prompt: x}}" for n in range(41)), "41 steps"),
        ("? [a]\n: b", "a plain name"),
        ("version: 2\nsteps: [{name: a, model: m, prompt: x}]", "version"),
        ("steps: [{name: a, model: m, prompt: x}]\noutput: {}", "at least one output"),
        ("steps: [{name: a, model: m, prompt: x}]\ninputs: {}", "at least one input"),
        ("steps: [{name: a, model: m, prompt: '{{input.x}}'}]\noutput: {usage: '{{a.text}}'}", "the graph's own"),
        ("steps: [{name: a, model: m, prompt: '{{input.x}}'}]\noutput: {rlm_x: '{{a.text}}'}", "no name"),
        ("steps: [{name: a, model: m, prompt: '{{input.x}}'}]\noutput: {x: '{{a.text}}'}", "is an input already"),
        ("steps: [{name: a, model: m, input: {x: 1e999, y: '{{input.x}}'}}]", "no number"),
        ("steps: [{name: a, tool: codex_exec, args: {command: 'echo {{input.x}}'}}]", "no template may stand here"),
        ("steps: [{name: a, model: m}]\ninputs: {x: {type: text}}", "neither prompt nor input"),
    ],
)  # fmt: skip
def test_texts_that_are_no_specs_are_refused(text: str, words: str) -> None:
    assert words in "\n".join(problems(text))


def test_a_billion_laughs_are_refused_before_the_first() -> None:
    laughs = "\n".join(
        ["a: &a [x, x]"] + [f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]" for n in range(20)]
    )
    assert "anchors and aliases" in problems(laughs)[0]


def test_chunks_and_contexts_enter_prompts_only_one_by_one() -> None:
    spec = FULL.replace('items: "{{each_part.results}}"', 'items: "{{parts.chunks}}"')
    assert re.search(r"are chunks: map over them", "\n".join(problems(spec)))
    spec = FULL.replace("{{item.text}}", "{{parts.chunks}}")
    assert re.search(r"are chunks: map over them", "\n".join(problems(spec)))


def test_a_spec_given_as_data_is_checked_like_yaml() -> None:
    with pytest.raises(InvalidSpec, match=r"steps\.0\.args"):
        GraphSpec.of([{"name": "a", "tool": "reduce", "args": {"items": object()}}])
    with pytest.raises(InvalidSpec):
        GraphSpec.of({"steps": [{"name": "a", "model": "m", "input": {"x": {1: 2}}}]})
