"""What cells print: both streams, all threads, head and tail of what is too much."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm.repl.worker.output import Output, clip


@settings(deadline=None)
@given(st.text(max_size=300), st.integers(0, 200))
def test_a_clipped_text_keeps_to_its_limit_and_a_short_one_is_untouched(text, limit):
    clipped = clip(text, limit)
    assert len(clipped) <= limit
    assert len(text) > limit or clipped == text


@settings(deadline=None)
@given(st.lists(st.integers(1, 40_000), max_size=12), st.integers(100, 3_000))
def test_output_in_pieces_is_clipped_like_the_whole(sizes, limit):
    text = "".join(chr(97 + at % 26) * size for at, size in enumerate(sizes))
    output = Output(limit)
    output.begin()
    at = 0
    for size in sizes:
        output.write(text[at : at + size])
        at += size
    assert output.end() == clip(text, limit)


def test_long_output_keeps_its_head_and_its_tail(session):
    shown = session(limits={"output_chars": 200}).run("for i in range(100_000): print(i)")["stdout"]
    assert len(shown) <= 200 and shown.startswith("0\n1\n2\n") and shown.endswith("99998\n99999\n")
    assert "[... 588,7" in shown and "characters cut ...]" in shown


def test_a_huge_value_and_a_huge_error_are_clipped(session):
    s = session(limits={"output_chars": 300})
    assert len(s.run("'x' * 10_000_000")["stdout"]) <= 300
    error = s.run("raise KeyError('x' * 1_000_000)")["error"]
    assert len(error) <= 300 and error.startswith("Traceback")


def test_stderr_is_shown_in_the_order_of_printing(session):
    code = "import sys\nprint('a')\nprint('b', file=sys.stderr)\nsys.stdout.write('c\\n')\nsys.stdout.flush()\nsys.stdout.close()"
    assert session().shows(code) == "a\nb\nc"


def test_logging_set_up_in_one_cell_works_in_the_next(session):
    s = session()
    s.run("import logging\nlogging.basicConfig(format='%(message)s', level=10)")
    assert s.shows("logging.info('seen')") == "seen"


def test_words_on_later_versions_of_python_are_not_shown_but_other_warnings_are(plain_session, jailed):
    for start in (plain_session, jailed):
        s = start()
        assert (
            s.shows(
                "import warnings, datetime\nwarnings.warn('old', DeprecationWarning)\nx = datetime.datetime.utcnow()"
            )
            == ""
        )
        assert "UserWarning: seen" in s.shows("warnings.warn('seen')")


def test_a_replaced_stdout_is_put_back_for_the_next_cell(session):
    s = session()
    s.run("import sys, io\nsys.stdout = io.StringIO()\nprint('lost')")
    assert s.shows("print('back')") == "back"


def test_threads_print_into_the_cell_that_runs(session):
    code = "import threading\nts = [threading.Thread(target=print, args=(i,)) for i in range(3)]\n"
    assert sorted(session().shows(code + "for t in ts: t.start()\nfor t in ts: t.join()").split()) == ["0", "1", "2"]


def test_what_a_left_over_thread_prints_between_cells_is_dropped(session):
    s = session(between=lambda: None)
    s.run("import threading\ngo = threading.Event()\ngone = threading.Event()")
    s.run(
        "def late():\n    import sys, time\n    while sys.stdout._open: time.sleep(0.001)\n"
        "    print('dropped')\n    gone.set()\nthreading.Thread(target=late).start()\nprint('first')"
    )
    for _ in range(1000):
        shown = s.shows("gone.wait(0)")
        if shown == "True":
            break
    assert shown == "True"


@pytest.mark.parametrize("text", [r"'\ud800'", r"'a\udcffb'"])
def test_lone_surrogates_are_shown_escaped(session, text):
    s = session()
    assert "\\ud" in s.shows(f"print({text})")
    assert "\\ud" in s.run(f"FINAL({text})")["final"]
    assert "\\ud" in s.run(f"raise ValueError({text})")["error"]


def test_input_has_no_one_to_ask(session):
    assert session().run("input('?')")["error"].endswith("EOFError: EOF when reading a line")
