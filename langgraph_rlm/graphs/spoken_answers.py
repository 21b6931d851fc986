"""An answer that ends the prose of a reply: ``FINAL(…)`` outside of all fences, and the cell that submits it.

The words in it may be a value, an expression over the session's variables, or plain words. Values and expressions are
evaluated where the variables are, in the REPL; what names something that is not there is an error that the model sees.
"""

from __future__ import annotations

import ast
import re

from langgraph_rlm.calls.python_source import parsed

_LAST = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]++)?+(?P<bold>\*{1,3}|_{2,3})?+[ \t]*+(?P<kind>FINAL_VAR|FINAL)"
    r"(?P<closed>\*{1,3}|_{2,3})?+[ \t]?+\(",
    re.MULTILINE,
)
_END = re.compile(r"\)[ \t]*+[;.]?[ \t]*+\Z")
_NAME = re.compile(r"[\"'`]?([A-Za-z_]\w*)[\"'`]?")
_QUOTED = re.compile(r"\A([\"'])((?:(?!\1)[^\\]|\\.)*+)\1", re.DOTALL)
_ANSWERS = frozenset(("yes", "no", "true", "false", "none", "unknown", "nothing", "never", "null"))
_KEYWORDS = frozenset(("answer", "value", "final_answer", "result", "content", "text"))
_WORD_OPERATORS = (ast.Sub, ast.Div, ast.FloorDiv, ast.BitAnd, ast.BitOr, ast.Add)


def spoken_answer(prose: str) -> str | None:
    """The cell that submits the answer with which the prose ends; None when it ends otherwise.

    Example:
        >>> spoken_answer("I have it.\\nFINAL(The total is 42)"), spoken_answer("FINAL(len(rows))"), spoken_answer("Paris")
        ("FINAL('The total is 42')", 'FINAL(len(rows))', None)
    """
    text = prose.rstrip()
    if "FINAL" not in text or not text.endswith((")", ".", ";", "*", "_")):
        return None
    lines = list(_LAST.finditer(text))
    if not lines:
        return None
    found = lines[-1]
    bold = None if found["closed"] else found["bold"]
    if bold:
        text = text.removesuffix(bold).rstrip()
    if (end := _END.search(text, max(found.end(), len(text) - 200))) is None:
        return None
    inner = text[found.end() : end.start()].strip()
    if bold and inner.endswith(bold) and bold not in inner.removesuffix(bold):
        inner = inner.removesuffix(bold)
    if not inner:
        return None
    if found["kind"] == "FINAL_VAR":
        return f"FINAL_VAR({name[1]!r})" if (name := _NAME.fullmatch(inner)) else _submitting(inner, words=False)
    return _submitting(inner, words=True)


def _submitting(inner: str, *, words: bool) -> str | None:
    """The cell for what stood between the parentheses."""
    call = _call(inner)
    if call is None:
        return _said(inner) if words else None
    value, starred = call.args[0] if call.args else None, any(isinstance(a, ast.Starred) for a in call.args)
    if starred or len(call.args) > 1 or (call.keywords and (value is not None or len(call.keywords) > 1)):
        return (_either(inner) if _are_names(call.args) and not call.keywords else _said(inner)) if words else None
    if call.keywords:
        keyword = call.keywords[0]
        if keyword.arg not in _KEYWORDS:
            return _said(inner) if words else None
        value, inner = keyword.value, inner.partition("=")[2].strip()
    if value is None:
        return None  # nothing but a comment
    if isinstance(value, ast.Name):
        return _of_name(value.id)
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not) and isinstance(value.operand, ast.Name):
        return _said(inner)  # "not found"
    if isinstance(value, ast.Constant):
        return _of_constant(value.value, inner)
    if _is_value(value):
        return f"FINAL({inner})"
    if not words:
        return f"FINAL({inner})"
    if not any(isinstance(node, ast.Name | ast.JoinedStr) for node in ast.walk(value)):
        return f"FINAL({inner})" if _is_sum(value) else _said(inner)
    return _either(inner) if _reads_as_words(value, inner) else f"FINAL({inner})"


def _call(inner: str) -> ast.Call | None:
    tree = parsed(f"FINAL({inner}\n)")
    if tree is None or len(tree.body) != 1 or not isinstance(statement := tree.body[0], ast.Expr):
        return None
    call = statement.value
    is_final = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "FINAL"
    return call if is_final else None  # type: ignore[return-value]


def _of_name(name: str) -> str | None:
    """A lone name is a variable; one that programmers would not give to a variable may be just a word."""
    if name == "context":
        return "FINAL('context')"  # never the whole text
    is_word = not name.isascii() or name.lower() in _ANSWERS or _is_title(name)
    return _either(name) if is_word else f"FINAL({name})"


def _is_title(name: str) -> bool:
    return name[:1].isupper() and (len(name) == 1 or name[1:].islower()) and name.isalpha()


def _of_constant(value: object, inner: str) -> str | None:
    if isinstance(value, str):
        return f"FINAL({value!r})" if value.strip() else f"FINAL({inner})"  # an empty one is told in the cell
    if value is ...:
        return None  # a placeholder
    if isinstance(value, bool) or (isinstance(value, int | float) and value not in (float("inf"), float("nan"))):
        return f"FINAL({inner})"
    return _said(inner)


def _is_value(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return isinstance(node, ast.List | ast.Dict | ast.Set | ast.Tuple | ast.UnaryOp)


def _is_sum(node: ast.expr) -> bool:
    """Whether numbers are to be computed: ``3 * 4`` is, ``10-12`` and ``1/2`` are a range and a fraction."""
    parts = list(ast.walk(node))
    operators = [part.op for part in parts if isinstance(part, ast.BinOp)]
    if any(isinstance(part, ast.Compare | ast.BoolOp | ast.Tuple) for part in parts):
        return False
    called = any(isinstance(part, ast.Call | ast.Subscript | ast.Attribute) for part in parts)
    return called or (bool(operators) and not any(isinstance(op, ast.Sub | ast.Div) for op in operators))


def _are_names(nodes: list[ast.expr]) -> bool:
    """Whether Python could take enumerated words for variables."""
    return all(isinstance(node, ast.Name) for node in nodes)


def _reads_as_words(node: ast.expr, inner: str) -> bool:
    """Whether Python could read it, and so could anybody: ``well-known``, ``README.md``, ``Rome or Athens``."""
    names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    capitals = all(_is_title(name) or not name.isascii() for name in names)
    for part in ast.walk(node):
        if isinstance(part, ast.BinOp):
            glued = " " not in inner and isinstance(part.op, ast.Sub | ast.Div)
            if not glued and not (capitals and isinstance(part.op, _WORD_OPERATORS)):
                return False
        elif isinstance(part, ast.Call):
            if not isinstance(part.func, ast.Name) or f"{part.func.id} (" not in inner or not capitals:
                return False
        elif isinstance(part, ast.Compare):
            if not all(isinstance(op, ast.In | ast.NotIn | ast.Is | ast.IsNot) for op in part.ops):
                return False
        elif not isinstance(part, ast.Name | ast.Attribute | ast.Constant | ast.BoolOp | ast.operator | ast.boolop | ast.cmpop | ast.expr_context):  # fmt: skip
            return False
    return True


def _either(inner: str) -> str | None:
    """The value where its names are variables, else the words."""
    said = _said(inner)
    return said and f"try:\n    FINAL({'(' + inner + ')' if ',' in inner else inner})\nexcept NameError:\n    {said}"


def _said(inner: str) -> str | None:
    """The words as they stand, without the quotes around all of them; None when the parenthesis was closed before their end."""
    if (quoted := _QUOTED.fullmatch(inner)) is not None:
        return f"FINAL({quoted[2]!r})"
    for quote in "\"'":
        if inner.count(quote) == 1 and len(inner) > 1:  # the other one is missing
            inner = inner.removeprefix(quote) if inner.startswith(quote) else inner.removesuffix(quote)
    if inner.endswith(")") and inner.count(")") == inner.count("(") + 1 and _is_one_argument(inner[:-1]):
        return _said(inner[:-1].rstrip())  # one parenthesis too many
    return f"FINAL({inner!r})" if _is_one_argument(inner) else None


def _is_one_argument(argument: str) -> bool:
    """Whether the parenthesis opened before it stays open: in ``FINAL(a) or FINAL(b)`` it does not, that is prose."""
    depth = 0
    for character in argument:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return True
