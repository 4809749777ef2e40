"""Golden files: one example of every format that is written, signed or sent, kept for ever.

``python -m tests.golden`` (``make golden``) writes the files of today's formats into ``v1/``. What was once
released there is never changed: a format that moves on gets a folder of its own, and every reader goes on
reading all of them. ``tests/test_golden.py`` makes the files again and compares byte for byte.

The bundle and its root are the exception: they hold metadata signed with keys that were thrown away,
so they are written once and then only read.
"""
