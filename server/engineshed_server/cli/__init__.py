"""The command ``engineshed-server``: everything an admin does to a portal from a shell.

Data goes to stdout, talk to stderr; ``--json`` where data is printed. The exit codes are those of the
format's ``exits``; ``main`` is the one place that turns an error into a code.
"""

from __future__ import annotations

from engineshed_server.cli.main import main

__all__ = ["main"]
