"""The YAML of specs, read and written: plain data of YAML 1.2, each value with the line and column where it stands.

A spec may come from a model or a stranger: tags, aliases, several documents, deep nesting and equal keys are refused, and
nothing but str, int, float, bool, null, lists and mappings can come of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from langgraph_rlm.errors import InvalidSpec, SpecProblem
from langgraph_rlm.shortening import shortened

MOST_BYTES = 100_000
"""Of a spec: forty steps with long prompts are a third of it."""
_MOST_DEPTH = 20
"""Levels of lists and mappings: steps, args and a JSON schema in them."""

Path = tuple[str | int, ...]
"""Of a value in the document: ``("steps", 2, "args", "pattern")``."""


class Mark(NamedTuple):
    """Where a value stands, both counted from 1."""

    line: int
    column: int


class Marks:
    """Where the values of a document stand. Equal to any other: where a spec was written is no part of what it says.

    Args:
        known: by path.
    """

    def __init__(self, known: Mapping[Path, Mark] | None = None) -> None:
        self._known = dict(known or {})

    def of(self, path: Path) -> Mark | None:
        """The place of a value, or of what it would stand in; None for a document that was not read from text."""
        for length in range(len(path), -1, -1):
            if (found := self._known.get(path[:length])) is not None:
                return found
        return None

    def under(self, *outer: str | int) -> Marks:
        """The marks of a document that stands at this path of a larger one."""
        moved = {(*outer, *path): mark for path, mark in self._known.items()}
        return Marks({(): self._known[()], **moved} if () in self._known else moved)

    def problem(self, path: Path, message: str) -> SpecProblem:
        """What is wrong with a value, with its place."""
        mark = self.of(path)
        line, column = (None, None) if mark is None else mark
        return SpecProblem(message, ".".join(map(str, path)), line, column)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks)

    def __hash__(self) -> int:
        return 0


_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_INT = re.compile(r"^[-+]?[0-9]{1,18}$")
_FLOAT = re.compile(r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$")
_KINDS = (  # of YAML 1.2's core schema, in its order; PyYAML's own is 1.1, where `no` is a bool and `1:30` a number
    ("tag:yaml.org,2002:bool", _BOOL, "tTfF"),
    ("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", _INT, "-+0123456789"),
    ("tag:yaml.org,2002:float", _FLOAT, "-+.0123456789"),
)


_BREAKS = re.compile(r"[\r\x85\u2028\u2029\ufeff]")
"""What YAML 1.1 takes for the end of a line, beside ``\\n``, or for no character."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's way; filled below, once


class _Dumper(yaml.SafeDumper):  # with the words of YAML 1.1 too, so that readers of that take none of them for a value
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _written(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """A text: in double quotes where PyYAML would fold its line ends away, as a block where it has plain lines."""
    style = None
    if _BREAKS.search(text):
        style = '"'
    elif "\n" in text and all(line == line.strip() and "\t" not in line for line in text.split("\n")):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _written)
for _tag, _expression, _first in _KINDS:
    _Loader.add_implicit_resolver(_tag, _expression, list(_first))
    _Dumper.add_implicit_resolver(_tag, _expression, list(_first))


def read_yaml(text: str) -> tuple[Any, Marks]:
    """The data of a document, and where each value stands.

    Raises:
        InvalidSpec: it is too large, or no YAML of the kind that specs may be.
    """
    if not isinstance(text, str):
        raise InvalidSpec([SpecProblem(f"a spec is YAML text, not {type(text).__name__}")])
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidSpec([SpecProblem("the text holds a lone surrogate, which no YAML has")]) from None
    if size > MOST_BYTES:
        raise InvalidSpec([SpecProblem(f"the spec has {size:,} bytes, and {MOST_BYTES:,} are the most")])
    try:
        _check_events(text)
        nodes = list(yaml.compose_all(text, _Loader))
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        where = (None, None) if at is None else (at.line + 1, at.column + 1)
        raise InvalidSpec([SpecProblem(f"no YAML: {error.problem or error.context}", "", *where)]) from None
    except yaml.YAMLError as error:
        raise InvalidSpec([SpecProblem(f"no YAML: {shortened(' '.join(str(error).split()), 200)}")]) from None
    if len(nodes) != 1 or nodes[0] is None:
        raise InvalidSpec([SpecProblem("the spec is empty" if not nodes else "one document is wanted, not several")])
    marks: dict[Path, Mark] = {}
    return _value(nodes[0], (), marks), Marks(marks)


def write_yaml(data: Any) -> str:
    """YAML that :func:`read_yaml` reads as the same data."""
    written: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return written


def _check_events(text: str) -> None:
    """Refuse what could run code, grow or nest without bound, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        at = _place(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidSpec([SpecProblem("anchors and aliases (&, *) are not taken: write the value out", "", *at)])
        if (tag := getattr(event, "tag", None)) is not None:
            raise InvalidSpec(
                [SpecProblem(f"the tag {shortened(repr(tag))} is not taken: specs hold plain values", "", *at)]
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_DEPTH:
            raise InvalidSpec([SpecProblem(f"nested more than {_MOST_DEPTH} deep", "", *at)])


def _value(node: yaml.Node, path: Path, marks: dict[Path, Mark]) -> Any:
    marks[path] = _place(node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        return [_value(one, (*path, number), marks) for number, one in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return dict(_entries(node, path, marks))
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return node.value.lower() == "true"
        case "int":
            return int(node.value)
        case "float":
            return float(node.value)
    return node.value


def _place(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def _entries(node: yaml.MappingNode, path: Path, marks: dict[Path, Mark]) -> Iterator[tuple[str, Any]]:
    seen = set[str]()
    for key, value in node.value:
        at = _place(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            raise InvalidSpec([SpecProblem("a key must be a plain name", ".".join(map(str, path)), *at)])
        if key.value in seen:
            raise InvalidSpec([SpecProblem(f"a second {shortened(repr(key.value))}", ".".join(map(str, path)), *at)])
        seen.add(key.value)
        yield key.value, _value(value, (*path, key.value), marks)
