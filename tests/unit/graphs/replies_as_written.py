"""Replies in the shapes that real models write, each with the cells that it asks for."""

from __future__ import annotations

DOCSTRING = 'text = """\n```json\n{"a": 1}\n```\n"""\nprint(len(text))'
FUNCTION = (
    "def show(line):\n    '''Show a line:\n\n    ```python\n    show(3)\n    ```\n    '''\n    print(line)\n\nshow(3)"
)
FSTRING = 'prompt = f"""Quote it:\n```\n{context[:100]}\n```"""\nprint(llm_query(prompt))'

REPLIES: dict[str, tuple[str, list[str]]] = {
    # --- answers
    "a bold FINAL": ("That is all.\n**FINAL**(len(rows))", ["FINAL(len(rows))"]),
    "a blank behind FINAL": ("That is all.\nFINAL (len(rows))", ["FINAL(len(rows))"]),
    "a bold FINAL_VAR with a blank": ("__FINAL_VAR__ (rows)", ["FINAL_VAR('rows')"]),
    # --- openings
    "glued to a sentence": ("The value is 800.```python\nx = 1\n```", ["x = 1"]),
    "glued to a colon": ("I look first:```repl\nx = 1\n```\nDone.", ["x = 1"]),
    "glued, with a second cell behind it": (
        "The value is 800.```python\nx = 1\n```\nThen:\n```repl\ny = 2\n```",
        ["x = 1", "y = 2"],
    ),
    "glued, no cell": ('Here it is:```json\n{"a": 1}\n```\n```repl\ny = 2\n```', ["y = 2"]),
    "a stray end before a cell": ("So it is 800.\n```\n\n```repl\nx = 1\n```", ["x = 1"]),
    "a stray end between cells": ("```repl\nx = 1\n```\n```\n\nNow:\n```repl\ny = 2\n```", ["x = 1", "y = 2"]),
    "code on the line of the fence": ("```python import re\nprint(re.findall('a', context))\n```", ["import re\nprint(re.findall('a', context))"]),
    "a comment on the line of the fence": ("```repl # cell 1\nx = 1\n```", ["# cell 1\nx = 1"]),
    "attributes on the line of the fence": ('```python title="look.py"\nx = 1\n```', ["x = 1"]),
    "braces around the language": ("```{python}\nx = 1\n```", ["x = 1"]),
    "blanks before the language": ("``` repl\nx = 1\n```", ["x = 1"]),
    "blanks behind the language": ("```repl  \nx = 1\n```  ", ["x = 1"]),
    "a list item": ("1. Look:\n   ```python\n   for c in 'ab':\n       print(c)\n   ```\n2. Think.", ["for c in 'ab':\n    print(c)"]),
    "the marks in the list item": ("- ```python\n  x = 1\n  ```\n- done", ["x = 1"]),
    "indented code in a plain fence": ("```python\n    x = 1\n    y = 2\n```", ["x = 1\ny = 2"]),
    "tildes": ("~~~python\nx = 1\n~~~", ["x = 1"]),
    "tildes, and backticks in the code": ("~~~repl\nx = '''\n```\n'''\n~~~", ["x = '''\n```\n'''"]),
    "lines of Windows": ("Look.\r\n```repl\r\nx = 1\r\ny = 2\r\n```\r\nDone.", ["x = 1\ny = 2"]),
    "a byte order mark": ("\ufeff```repl\nx = 1\n```", ["x = 1"]),
    # --- ends
    "a result behind the end": ('```python\nx = 1\n```[{"title": "a"}]\nThen I think.', ["x = 1"]),
    "a tag behind the end": ("```py\nx = 1\n```<end_code>\nThen.", ["x = 1"]),
    "a sentence behind the end": ("```repl\nx = 1\n``` Then I look.\n```repl\ny = 2\n```", ["x = 1", "y = 2"]),
    "glued to the code": ("```repl\nprint(1)```\nThen.\n```repl\nprint(2)\n```", ["print(1)", "print(2)"]),
    "more marks than it began with": ("```repl\nx = 1\n````\nThen.\n```repl\ny = 2\n```", ["x = 1", "y = 2"]),
    "forgotten before the next cell": ("```repl\nx = 1\n```repl\ny = 2\n```", ["x = 1", "y = 2"]),
    "glued to the next cell": ("```repl\nx = 1\n``````repl\ny = 2\n```", ["x = 1", "y = 2"]),
    "missing": ("```repl\nx = 1\nprint(x)", ["x = 1\nprint(x)"]),
    "indented": ("```repl\nx = 1\n  ```\nThen.\n```repl\ny = 2\n```", ["x = 1", "y = 2"]),
    "an apostrophe in a comment": ("```repl\n# it's here\nx = 1\n```\nThat's it.\n```repl\ny = 2\n```", ["# it's here\nx = 1", "y = 2"]),
    "a string that is left open": ("```repl\nx = '''abc\n```\nOh.\n```repl\ny = '''a'''\n```", ["x = '''abc", "y = '''a'''"]),
    # --- fences in strings
    "in a string": (f"```repl\n{DOCSTRING}\n```\nThen.", [DOCSTRING]),
    "in a docstring": (f"```python\n{FUNCTION}\n```", [FUNCTION]),
    "in an f-string": (f"```python\n{FSTRING}\n```", [FSTRING]),
    "in a string of one line": ("```repl\nx = '```'\ny = \"```py\\n```\"\n```\nThen.", ["x = '```'\ny = \"```py\\n```\""]),
    "in a comment": ("```repl\n# ``` is a fence\nx = 1\n```", ["# ``` is a fence\nx = 1"]),
    "in a longer fence": (f"````repl\n{DOCSTRING}\n````", [DOCSTRING]),
    # --- languages
    **{
        f"language {name}": (f"```{name}\nx = 1\n```", ["x = 1"])
        for name in ("repl", "REPL", "python", "Python", "py", "python3", "py3", "python3.11", "ipython", "ipython3", "tool_code", "python-repl")
    },
    "no language": ("I look first.\n```\nprint(context[:500])\n```", ["print(context[:500])"]),
    "no language, twice": ("```\nn = len(context)\n```\nand\n```\nprint(n)\n```", ["n = len(context)", "print(n)"]),
    "no fence": ("hits = grep('total')\nprint(hits[:3])", ["hits = grep('total')\nprint(hits[:3])"]),
    "no fence, behind a colon": ("I look first:\nprint(context[:500])", ["print(context[:500])"]),
    "no fence, behind an empty line": (
        "I look at the beginning first.\n\nfor line in context.splitlines()[:3]:\n    print(line)",
        ["for line in context.splitlines()[:3]:\n    print(line)"],
    ),
    "no fence, with the language": ("repl\nprint(context[:500])", ["print(context[:500])"]),
    "no fence, and it submits": ("n = context.count('a')\nFINAL(n)", ["n = context.count('a')\nFINAL(n)"]),
    # --- FINAL
    "FINAL over two lines": ("FINAL(The total is 3,\nthe mean 1.)", ["FINAL('The total is 3,\\nthe mean 1.')"]),
    "FINAL on lines of its own": ("```repl\nx = 1\n```\nFINAL(\n  x\n)", ["x = 1", "FINAL(x)"]),
    "bold FINAL": ("I have it.\n\n**FINAL(42)**", ["FINAL(42)"]),
    "FINAL_VAR without quotes in prose": ("```repl\nx = 'a b'\n```\nFINAL_VAR(x)", ["x = 'a b'", "FINAL_VAR('x')"]),
    "FINAL_VAR without quotes in a cell": ("```repl\nx = 'a b'\nFINAL_VAR(x)\n```", ["x = 'a b'\nFINAL_VAR('x')"]),
    "FINAL_VAR of a variable that holds a name": ("```repl\nx = 1\nname = 'x'\nFINAL_VAR(name)\n```", ["x = 1\nname = 'x'\nFINAL_VAR(name)"]),
    "FINAL_VAR spoken about in a string": ("```repl\nprint('FINAL_VAR(x)')\n```", ["print('FINAL_VAR(x)')"]),
    # --- what no model meant to run
    "prose": ("The function print(x) shows x. I will call grep(pattern) next.", []),
    "prose with a colon": ("This is how it goes:\nfirst print(x), then stop.", []),
    "JSON": ('```json\n{"print": "context"}\n```', []),
    "JSON without a language": ('```\n{"code": [1, 2]}\n```', []),
    "a shell": ("```bash\ngrep -c total context\n```", []),
    "SQL": ("```sql\nSELECT 1\n```", []),
    "a session of an interpreter": ("```pycon\n>>> print(context)\n```", []),
    "an output": ("```output\nprint(context)\n```", []),
    "a table": ("```\n| a | b |\n|---|---|\n```", []),
    "words": ("```\ncontext\n```", []),
    "a number": ("```\n42\n```", []),
    "a line that parses": ("```\nTotal: 500\n```", []),
    "what the file says": ("The file says:\n```\nprint(context)\n```", []),
    "code in a quoted document": ("The file is\n\n```markdown\n# Usage\n```python\nprint(context)\n```\n```\n", []),
    "code in a quotation": ("> ```python\n> print(context)\n> ```", []),
    "code in a line": ("Use `print(context)` and ```print(context)```.", []),
    "an output behind a cell": ("```repl\nprint(context[:9])\n```\n```\nprint(context)\n```", ["print(context[:9])"]),
    "an output of a language": ("```repl\nprint(1)\n```\n```text\nFINAL(3)\n```", ["print(1)"]),
}  # fmt: skip
