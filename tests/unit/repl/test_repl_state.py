"""A session keeps its variables, shows values as a notebook does, and shows errors by the cell's own lines."""

import re

import pytest

from langgraph_rlm.errors import InvalidInput, ReplError
from langgraph_rlm.repl import ReplContext, ReplLimits


def test_variables_functions_and_imports_stay_from_cell_to_cell(session):
    s = session()
    s.run("import math\nx = 2\ndef twice(y): return 2 * y")
    assert s.shows("twice(x) + math.floor(1.5)") == "5"


def test_variables_set_before_a_cell_raises_stay(session):
    s = session()
    result = s.run("found = [1, 2]\nfound.append(3)\n1 / 0\nfound = None")
    assert result["error"] and "ZeroDivisionError" in result["error"]
    assert s.shows("found") == "[1, 2, 3]"


def test_the_last_expression_is_shown_after_what_was_printed(session):
    assert session().shows("print('a')\n'b'") == "a\n'b'"


@pytest.mark.parametrize("code", ["", "# nothing", "None", "x = 1", "def f():\n    5"])
def test_cells_without_a_value_show_nothing(session, code):
    assert session().shows(code) == ""


def test_a_traceback_shows_the_cells_lines_of_every_cell_and_none_of_ours(session):
    s = session()
    s.run("import json\ndef load(text):\n    return json.loads(text)")
    error = s.run("load('{')")["error"]
    assert [line for line in error.splitlines() if line.strip("~^ ")][:5] == [  # 3.13 underlines more of them
        "Traceback (most recent call last):",
        '  File "<cell 2>", line 1, in <module>',
        "    load('{')",
        '  File "<cell 1>", line 3, in load',
        "    return json.loads(text)",
    ]
    assert re.findall(r'File "([^"]+)"', error) == ["<cell 2>", "<cell 1>"]
    assert "JSONDecodeError" in error.splitlines()[-1]


def test_chained_errors_and_groups_hide_our_frames_as_well(session):
    code = "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ExceptionGroup('two', [KeyError('a')]) from e"
    error = session().run(code)["error"]
    assert set(re.findall(r'File "([^"]+)"', error)) == {"<cell 1>"}
    assert "direct cause" in error and "KeyError" in error


def test_a_syntax_error_points_at_the_place(session):
    error = session().run("x = (1,\ny = 2")["error"]
    assert 'File "<cell 1>", line 1' in error and "SyntaxError" in error and "worker" not in error


@pytest.mark.parametrize(
    "code", ["import sys; sys.exit(3)", "raise SystemExit", "raise KeyboardInterrupt", "raise GeneratorExit"]
)
def test_leaving_by_an_exception_is_an_ordinary_error_of_the_cell(session, code):
    s = session()
    result = s.run(code)
    assert result["error"].splitlines()[0].startswith("Traceback") and not result["killed"]
    assert s.shows("1") == "1"


def test_deep_recursion_is_an_ordinary_error(session):
    result = session().run("def f(): return f()\nf()")
    assert "RecursionError" in result["error"] and len(result["error"]) < 2_000


def test_an_exception_that_cannot_be_shown_does_not_end_the_session(session):
    s = session()
    s.run("class Bad(Exception):\n    def __str__(self): raise ValueError\n    __repr__ = __str__\nraise Bad")
    assert s.shows("1") == "1"


def test_cells_do_not_inherit_the_workers_future_imports(session):
    assert session().shows("def f(x: int): pass\nf.__annotations__['x'] is int") == "True"


def test_dataclasses_and_pickle_find_the_module_of_the_cells(session):
    code = (
        "import pickle, dataclasses\n@dataclasses.dataclass\nclass P:\n    x: 'int'\npickle.loads(pickle.dumps(P(3)))"
    )
    assert session().shows(code) == "P(x=3)"


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (None, "''"),
        (ReplContext("text", [], [0], b""), "''"),
        (ReplContext("text", [], [13], "é 🦜 Ω\n\0x".encode()), repr("é 🦜 Ω\n\0x")),
        (ReplContext("list", [], [1, 0, 4], "a🦜".encode()), "['a', '', '🦜']"),
        (ReplContext("list", [], [], b""), "[]"),
        (ReplContext("fields", ["k", "é"], [2, 1], memoryview("éb".encode())), "{'k': 'é', 'é': 'b'}"),
        (ReplContext("documents", ["d#1"], [1], b"x"), "{'d#1': 'x'}"),
    ],
)
def test_the_context_arrives_as_what_it_is(session, context, expected):
    assert session(context).shows("context") == expected


def test_a_context_larger_than_a_frame_arrives_whole(session):
    text = "0123456789" * 300_000
    s = session(ReplContext("text", [], [len(text)], text.encode()), {"frame_bytes": 1 << 16})
    assert s.shows("len(context), context[2_999_999:], context.count('0')") == "(3000000, '9', 300000)"


def test_a_context_that_is_not_utf8_is_refused_at_the_start(session):
    with pytest.raises(ReplError, match="not UTF-8"):
        session(ReplContext("text", [], [2], b"a\xff"))


def test_variables_given_at_the_start_are_there(session):
    assert session(variables={"context_chunks": [{"text": "a"}], "n": 3}).shows("context_chunks * n") == str(
        [{"text": "a"}] * 3
    )


@pytest.mark.parametrize("name", ["answer", "context", "FINAL", "a b", "class", ""])
def test_names_that_cells_could_not_use_are_refused(factory, name):
    with pytest.raises(InvalidInput, match="cannot be the name"):
        factory.start(None, [name], ReplLimits())
    with pytest.raises(InvalidInput, match="cannot be the name"):
        factory.start(None, [], ReplLimits(), {name: 1})


def test_a_variable_that_cannot_be_sent_is_refused(session):
    with pytest.raises(InvalidInput, match="cannot be sent"):
        session(variables={"x": object()})


def test_overwritten_functions_come_back_with_a_note(session):
    s = session(grep=lambda pattern: "host")
    assert s.shows("grep = FINAL = original_context = None") == (
        "[grep is a function of this REPL; the value assigned to it is not kept]\n"
        "[original_context is what was given as context; the value assigned to it is not kept]\n"
        "[FINAL is a function of this REPL; the value assigned to it is not kept]"
    )
    assert s.shows("original_context, grep('x')") == "('', 'host')"
    assert s.run("FINAL(7)")["final"] == 7


def test_functions_that_a_cell_has_deleted_come_back(plain_session, jailed):
    for start in (plain_session, jailed):
        s = start()
        s.run("del FINAL, answer, context")
        assert s.run("FINAL(7)")["final"] == 7


CONTEXTS = {
    "text": (ReplContext("text", [], [5], b"given"), "'given'"),
    "list": (ReplContext("list", [], [2, 3], b"given"), "['gi', 'ven']"),
    "fields": (ReplContext("fields", ["a"], [5], b"given"), "{'a': 'given'}"),
}


@pytest.mark.parametrize("kind", CONTEXTS)
@pytest.mark.parametrize("change", ["context = 'mine'", "for context in ['mine']: pass", "import json as context"])
def test_a_context_with_another_value_is_told_once_and_can_be_had_back(session, kind, change):
    given, shown = CONTEXTS[kind]
    s = session(given)
    note = "[context has another value now; what was given is original_context]"
    assert s.shows(change) == note
    assert note not in s.shows("context")
    assert s.shows("context = original_context") == ""
    assert s.shows("context") == shown


def test_a_context_that_was_deleted_can_be_had_back(plain_session, jailed):
    for start in (plain_session, jailed):
        s = start(CONTEXTS["text"][0])
        assert "original_context" in s.shows("del context")
        assert s.shows("original_context") == "'given'"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("json.dumps({'a': 1})", "'{\"a\": 1}'"),
        ("re.findall('a+', 'caab')", "['aa']"),
        ("math.floor(1.5), collections.Counter('aab').most_common(1)", "(1, [('a', 2)])"),
        ("Counter('aab')['a'], sorted(defaultdict(list)), datetime.date(2026, 1, 2).year", "(2, [], 2026)"),
        ("def f(x):\n    return [itertools.chain([x]) for _ in range(1)]\nlen(f(1))", "1"),
        ("functools.reduce(lambda a, b: a + b, [1, 2])", "3"),
        ("def f(x: Optional[List[str]]) -> Dict[str, Any]:\n    return {}\nf(None)", "{}"),
        ("re = 5\nre", "5"),
        ("def json(): return 'mine'\njson()", "'mine'"),
        ("x = [math for math in [1, 2]]\nx", "[1, 2]"),
    ],
)
def test_usual_modules_are_there_without_an_import(session, code, shown):
    assert session().shows(code) == shown


@pytest.mark.parametrize("code", ["statistics.mean([1, 3])", "heapq.nsmallest(1, [2, 1])[0]", "string.digits[1]",
                                  "urllib.parse.quote('1')", "textwrap.shorten('1', 5)", "difflib.ndiff and 1"])  # fmt: skip
def test_further_modules_of_the_standard_library_are_there_without_an_import(plain_session, jailed, code):
    for start in (plain_session, jailed):
        assert start().run(code)["error"] is None


def test_a_variable_named_like_a_module_is_never_overwritten(session):
    s = session(variables={"time": 3}, statistics=lambda: 4)
    s.run("copy = 1\nstring = 'x'")
    assert s.shows("time, statistics(), copy, string") == "(3, 4, 1, 'x')"


def test_a_module_that_is_not_there_is_a_plain_name_error(session):
    s = session()
    assert s.run("np.zeros(3)")["error"].endswith("NameError: name 'np' is not defined")
    assert s.shows("1") == "1"


def test_show_vars_lists_what_the_user_has_and_nothing_of_ours(session):
    s = session(grep=lambda pattern: None)
    s.run("import re\nrows = list(range(1000))\ntext = 'ab' * 500\ndef f(): pass")
    shown = s.shows("SHOW_VARS()")
    assert [line.split(" = ")[0] for line in shown.splitlines()] == [
        "context: str[0]",
        "answer: dict[2]",
        "rows: list[1,000]",
        "text: str[1,000]",
        "f: function",
    ]
    assert all(len(line) < 160 for line in shown.splitlines())


def test_random_numbers_and_the_order_of_sets_are_the_same_in_every_session(session):
    code = "import random\n[random.random(), list({'a', 'b', 'c', 'dd', 'é'})]"
    assert session().run(code)["digest"] == session().run(code)["digest"]


def test_two_sessions_share_nothing(session):
    one, two = session(), session()
    one.run("x = 1\nimport math\nmath.pi = 3")
    assert two.run("x")["error"].endswith("NameError: name 'x' is not defined")
    assert two.shows("import math\nmath.pi > 3") == "True"


def test_a_closed_repl_says_so(session):
    s = session()
    s.repl.close()
    s.repl.close()
    assert not s.repl.alive
    with pytest.raises(ReplError, match="ended"):
        s.run("1")
