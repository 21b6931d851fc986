"""The Python that a session runs before its first cell and after each, where the REPL is not our own worker.

It is source text for interpreters of others: for Monty, which has neither inheritance nor ``del`` nor ``globals()``, and
for whatever has dspy's shape. It does there what ``worker.names`` and ``worker.values`` do in a worker. What cells may
overwrite (``isinstance``, ``list`` …) is used under names of our own, and ``_rlm_host`` is answered by the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from langgraph_rlm.repl.worker.names import EMPTY_ANSWER, OVERWRITABLE
from langgraph_rlm.repl.worker.usual import IMPORTS

OWN = "_rlm_"
"""How the names of our own begin."""
HOST = "_rlm_host"
LAST = "_rlm_last"
"""Variable that takes the value of a cell's last expression."""

PRELUDE = """\
_rlm_isinstance, _rlm_type, _rlm_repr, _rlm_eval, _rlm_print = isinstance, type, repr, eval, print
_rlm_str, _rlm_len, _rlm_sorted, _rlm_enumerate = str, len, sorted, enumerate
_rlm_scalars, _rlm_listed, _rlm_sized = (str, bool, int, float), (list, tuple), (str, bytes, list, tuple, dict, set)
_rlm_list, _rlm_dict, _rlm_sets = list, dict, (set, frozenset)
_rlm_lazy = ("range", "dict_keys", "dict_values", "dict_items", "map", "filter", "zip", "enumerate", "generator")
_rlm_functions = ("function", "builtin_function_or_method", "type", "method")
_rlm_errors = (NameError, TypeError, ValueError)
_rlm_last = None
_rlm_float, _rlm_leaving = float, SystemExit
searched = {"seen": 0, "complete": True}
answer = _rlm_answer = {"content": "", "ready": False}


class CallError:
    def __init__(self, category, message, retryable=False):
        self.category = category
        self.message = message
        self.retryable = retryable

    def __bool__(self):
        return False

    def __repr__(self):
        return f"CallError({self.category!r}, {self.message!r})"


class _rlm_Listing:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def _rlm_kind(value):
    name = _rlm_type(value).__name__
    return ("an " if name[0] in "aeiouAEIOU" else "a ") + name


def _rlm_argument(value, where, depth):
    if value is None or _rlm_isinstance(value, _rlm_scalars):
        if _rlm_isinstance(value, int) and not -9223372036854775808 <= value <= 18446744073709551615:
            raise TypeError(f"{where} is an int of more than 64 bits; pass it as a str")
        return value
    if depth >= 100:
        raise TypeError(f"{where} is nested more than 100 deep")
    if _rlm_isinstance(value, _rlm_listed) or _rlm_type(value).__name__ in _rlm_lazy:
        return [_rlm_argument(item, f"{where}[{at}]", depth + 1) for at, item in _rlm_enumerate(value)]
    if _rlm_isinstance(value, _rlm_dict):
        for key in value:
            if not _rlm_isinstance(key, _rlm_str):
                raise TypeError(f"{where} has the key {key!r:.100}, which is {_rlm_kind(key)}; keys must be str")
        return {key: _rlm_argument(item, f"{where}[{key!r:.60}]", depth + 1) for key, item in value.items()}
    if _rlm_isinstance(value, CallError):
        raise TypeError(f"{where} is a call that failed ({value!r:.300}); look at it before it is used")
    raise TypeError(
        f"{where} is {_rlm_kind(value)}; it must be None, bool, int, float, str, or a list or dict of these"
    )


def _rlm_submission(value, depth):
    if depth == 0 and value is None:
        raise ValueError("None cannot be submitted as the answer")
    if depth == 0 and _rlm_type(value).__name__ in _rlm_functions:
        raise ValueError("a function cannot be submitted as the answer; call it, or put the word in quotes")
    if depth == 0 and _rlm_isinstance(value, CallError):
        raise ValueError(f"a call that failed cannot be submitted as the answer: {value!r:.300}")
    if depth == 0 and _rlm_isinstance(value, _rlm_str) and not value.strip():
        raise ValueError("an empty text cannot be submitted as the answer; say what was found, or that nothing was")
    if value is None or _rlm_isinstance(value, _rlm_scalars):
        if _rlm_isinstance(value, int) and not -9223372036854775808 <= value <= 18446744073709551615:
            return _rlm_str(value)
        if _rlm_isinstance(value, _rlm_float) and value - value != 0:
            return _rlm_str(value)
        return value
    if depth >= 100:
        raise ValueError("the answer is nested more than 100 deep, or contains itself")
    if _rlm_isinstance(value, _rlm_dict):
        return {
            key if _rlm_isinstance(key, _rlm_str) else _rlm_str(key): _rlm_submission(item, depth + 1)
            for key, item in value.items()
        }
    if _rlm_isinstance(value, _rlm_sets):
        try:
            ordered = _rlm_sorted(value)
        except TypeError:
            ordered = _rlm_sorted(value, key=_rlm_repr)
        return [_rlm_submission(item, depth + 1) for item in ordered]
    if _rlm_isinstance(value, _rlm_listed) or _rlm_type(value).__name__ in _rlm_lazy:
        return [_rlm_submission(item, depth + 1) for item in value]
    return _rlm_str(value)


def _rlm_opened(value):
    global searched
    if _rlm_isinstance(value, tuple):
        if value[0] == "failed":
            return CallError(value[1], value[2], value[3])
        searched = {"seen": value[2], "complete": value[3]}
        return value[1]
    if _rlm_isinstance(value, _rlm_list):
        return [_rlm_opened(item) for item in value]
    if _rlm_isinstance(value, _rlm_dict):
        return {key: _rlm_opened(item) for key, item in value.items()}
    return value


def _rlm_function(name):
    def call(*args, **kwargs):
        listed = [_rlm_argument(value, f"{name}() argument {at + 1}", 0) for at, value in _rlm_enumerate(args)]
        named = {key: _rlm_argument(value, f"{name}() argument {key!r}", 0) for key, value in kwargs.items()}
        special, value = _rlm_host("call", name, listed, named)
        return _rlm_opened(value) if special else value

    return call


def _rlm_content():
    content = _rlm_answer.get("content")
    if content is None or (_rlm_isinstance(content, _rlm_str) and not content.strip()):
        raise ValueError('{EMPTY_ANSWER}')
    return content


def FINAL(value):
    _rlm_host("final", _rlm_submission(_rlm_content() if value is _rlm_answer else value, 0))


def exit(code=None):
    if code is None or code == 0:
        raise _rlm_leaving()
    raise _rlm_leaving(_rlm_str(code))


quit = exit


def FINAL_VAR(name):
    if not _rlm_isinstance(name, _rlm_str):
        _rlm_final(name)
        return
    pairs = _rlm_users()
    users = [known for known, value in pairs]
    if name not in users:
        for known, value in pairs:
            if value is name:
                _rlm_final(name)
                return
        raise NameError(_rlm_host("unknown", name, users))
    _rlm_final(_rlm_eval(name))


def SHOW_VARS():
    lines = []
    for name, value in _rlm_users():
        size = f"[{_rlm_len(value):,}]" if _rlm_isinstance(value, _rlm_sized) else ""
        lines.append(f"{name}: {_rlm_type(value).__name__}{size} = {_rlm_short(value)}")
    return _rlm_Listing("\\n".join(lines) if lines else "(no variables)")


_rlm_final = FINAL


def _rlm_short(value):
    if _rlm_isinstance(value, _rlm_listed):
        value = value[:3]
    elif _rlm_isinstance(value, _rlm_str):
        value = value[:70]
    text = _rlm_repr(value)
    return text if _rlm_len(text) <= 75 else text[:70] + "..."


def _rlm_value(_rlm_name):
    return _rlm_eval(_rlm_name)


def _rlm_users():
    found = []
    for name, builtin in _rlm_host("names"):
        try:
            value = _rlm_value(name)
        except _rlm_errors:
            continue
        kind = _rlm_type(value).__name__
        if kind != "module" and not (builtin and kind in ("type", "builtin_function_or_method")):
            found.append((name, value))
    return found


def _rlm_finished(value):
    if value is not None:
        _rlm_print(_rlm_repr(value))
    _rlm_collect()


def _rlm_collect():
    if _rlm_answer.get("ready"):
        _rlm_host("answer", _rlm_submission(_rlm_content(), 0))
""".replace("{EMPTY_ANSWER}", EMPTY_ANSWER)

RESERVED = ("searched",)
"""Names that exist in these cells beside those of ``worker.names``."""
_GIVEN = ("FINAL", "FINAL_VAR", "SHOW_VARS", "CallError")
LEAVE = ("exit", "quit")
"""Functions that a cell may overwrite."""
RECEIVED = "original_context = _rlm_context = context\n_rlm_kept['original_context'] = context\nNone\n"
"""Runs once, when the context is there."""
COLLECTING = "_rlm_collect()\nNone\n"
"""Runs after a cell that left by ``exit()`` or its like: an ``answer`` that is ready is submitted."""


def opening(functions: Sequence[str]) -> str:
    """Runs once: the prelude, and a function for each name that cells may call."""
    bound = [f"{name} = _rlm_function({name!r})" for name in functions]
    kept = ", ".join(f"{name!r}: {name}" for name in (*functions, *_GIVEN))
    return "\n".join([PRELUDE, *bound, f"_rlm_kept = {{{kept}}}", ""])


def ending(code: str) -> str:
    """The cell, followed by what shows its value and takes its answer."""
    return f"{code}\n_rlm_finished({LAST})\n"


def importing(names: Iterable[str]) -> str:
    """Runs before a cell that uses these names and does not import them: brings those that there are."""
    return "".join(f"try:\n    {IMPORTS[name]}\nexcept ImportError:\n    None\n" for name in names)


def restoring(functions: Sequence[str]) -> str:
    """Runs after each cell: reports what was overwritten and whether an answer was ready, and puts both right."""
    names = (*(name for name in functions if name not in OVERWRITABLE), "original_context", *_GIVEN)
    pairs = ", ".join(f"({name!r}, {name})" for name in names)
    back = "\n".join(f"{name} = _rlm_kept[{name!r}]" for name in names)
    # `del answer` and `del context` leave no name behind.
    return (
        f"{LAST} = None\n"
        "try: _rlm_seen = answer\n"
        "except NameError: _rlm_seen = None\n"
        "try: _rlm_now = context\n"
        "except NameError: _rlm_now = None\n"
        f"_rlm_host('after', [n for n, f in [{pairs}] if f is not _rlm_kept[n]],"
        " _rlm_answer.get('ready') is True,"
        " _rlm_seen is not _rlm_answer and _rlm_isinstance(_rlm_seen, _rlm_dict) and _rlm_seen.get('ready') is True,"
        " _rlm_now is not _rlm_context and _rlm_now is not _rlm_kept['original_context'])\n"
        f"{back}\n"
        "_rlm_context, _rlm_seen, _rlm_now = _rlm_now, None, None\n"
        "_rlm_answer.setdefault('content', '')\n"
        "_rlm_answer['ready'] = False\n"
        "None\n"
    )
