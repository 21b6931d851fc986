"""What runs in the other process, where cells are: the trust boundary. Standard library and msgpack, nothing else.

The host never imports these modules to run them: it starts a fresh Python on this folder, under another package name.
What it does import from here are constants that both ends of the wire must agree on, and helpers without state for REPLs
that are no worker of ours and must show the same (``Output``, ``clip``, ``submission``, ``advised``). Both rules are held
by ``tests/unit/repl/test_worker_imports.py``.
"""
