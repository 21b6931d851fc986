"""What reads hostile kinds of files, in a process of its own: standard library, selectolax and pypdf, nothing of ours.

The host never imports these modules to run them but for tests: it starts a fresh Python on this folder, under another
package name (see ``reading``).
"""
