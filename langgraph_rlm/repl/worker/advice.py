"""A sentence of help for mistakes that models make again and again, found by the last line of an error."""

from __future__ import annotations

_SUBMIT = "Submit the answer with FINAL(value), or FINAL_VAR('name') for a variable."
_LINES = (
    'A string in simple quotes ends with its line: write a text of several lines in triple quotes, FINAL("""…"""), or '
    "put it into a variable first."
)
_ADVICE = (
    # Names by which other REPLs of this kind take an answer.
    (
        r"NameError: name '(?:SUBMIT|submit|submit_answer|final_answer|FINAL_ANSWER|Final|final|finish|FINISH)' ",
        _SUBMIT,
    ),
    # As CPython 3.11 to 3.13 and Monty's parser have it, and dspy's interpreter tells it.
    (
        r"SyntaxError: .{0,40}?(?:unterminated (?:f-)?string literal|missing closing quote|f-string: unterminated string)",
        _LINES,
    ),
)


def advised(error: str) -> str:
    """The text of an error, with the sentence that helps where there is one.

    Example:
        >>> advised("NameError: name 'SUBMIT' is not defined").splitlines()[1]
        "Submit the answer with FINAL(value), or FINAL_VAR('name') for a variable."
    """
    import re  # 5 ms that a fresh process need not wait for

    last = error.rpartition("\n")[2]
    for pattern, sentence in _ADVICE:
        if re.match(pattern, last):
            return f"{error}\n{sentence}"
    return error
