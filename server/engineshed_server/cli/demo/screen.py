"""What the demo shows: numbered steps with their times, then what a person wants to know. Data is stdout."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click

from engineshed_packages.jsontext import escape_controls
from engineshed_server.cli.demo.pausing import Ended

TEXT_CHARS = 60


class Screen:
    """Prints the steps; coloured on a terminal unless NO_COLOR is set."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._colours = self._live and not os.environ.get("NO_COLOR")
        self._number = 0
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._started_s

    @contextmanager
    def step(self, who: str, text: str) -> Iterator[None]:
        """One step of *who*: a line with the time it took, once it is done."""
        self._number += 1
        line = f"{self._number:>3}  {self._styled(f'{who:<7}', 'cyan')}  {text:<{TEXT_CHARS}}"
        began_s = time.monotonic()
        if self._live:
            click.echo(line + " …", nl=False)
        try:
            yield
        except Ended:
            self._finish(line, self._styled("ended", "yellow"))
            raise
        except BaseException:
            self._finish(line, self._styled("failed", "red"))
            raise
        self._finish(line, f"{time.monotonic() - began_s:5.1f} s")

    def _finish(self, line: str, result: str) -> None:
        click.echo(f"\r{line}{result}" if self._live else f"{line}{result}")

    def title(self, text: str) -> None:
        """A heading with an empty line above."""
        click.echo("\n" + self._styled(text, "bold"))

    def end_line(self) -> None:
        """Begin a new line below the ``^C`` of a terminal; one that is gone needs none."""
        if self._live:
            with suppress(OSError):
                click.echo("")

    def lines(self, lines: Sequence[str]) -> None:
        """Lines as they are, indented; control characters written out."""
        for line in lines:
            click.echo(f"     {escape_controls(line)}".rstrip())

    def _styled(self, text: str, style: str) -> str:
        if not self._colours:
            return text
        return click.style(text, bold=True) if style == "bold" else click.style(text, fg=style)
