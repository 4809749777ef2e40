"""The commands of the updater, by topic; the only place that prints and knows exit codes."""

from __future__ import annotations

from engineshed_client.cli.main import main

__all__ = ["main"]
