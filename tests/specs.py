"""Specs that several tests use."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = (Path(__file__).parents[1] / "examples" / "financial_qa.yaml").read_text("utf-8")
"""The example of the format, as its authors show it."""

FULL = """
version: 1
name: counted
graph_type: rlm
inputs:
  question: {type: text, description: what is asked}
  documents: {type: context}
steps:
- name: store
  tool: materialize_context
  args: {field_name: documents, filename: docs.txt}
- name: parts
  tool: split
  args: {file: docs.txt, chars: 200}
- name: each_part
  model: small
  prompt: |
    Count the lines that say "yes".
    Reply with the number: {"n": 3}
  each: "{{parts.chunks}}"
  input: {part: "{{item.text}}"}
  output: {n: integer}
- name: total
  tool: reduce
  args: {items: "{{each_part.results}}", how: sum, field: n}
- name: find
  tool: local_search
  args: {pattern: "yes", file: "{{store.file}}", max_matches: 3}
  when: {value: "{{total.value}}", is: above, than: 0}
- name: answer
  model: large
  prompt: "{{input.question}} Say how often, and quote."
  input: {total: "{{total.value}}", lines: "{{find.matches}}"}
output: {answer: "{{answer.text}}", total: "{{total.value}}"}
"""
"""Every kind of thing but rlm and shell."""
