"""What runs in the other process, where cells are: the trust boundary. Standard library and msgpack, nothing else.

The host never imports these modules to run them: it starts a fresh Python on this folder, under another package name.
What it does import from here are constants and helpers that both ends of the wire must agree on.
"""
