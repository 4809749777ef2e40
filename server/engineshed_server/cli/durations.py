"""Durations as people write them on a command line: 30m, 24h, 7d."""

from __future__ import annotations

import re

import click

_UNITS_S = {"m": 60, "h": 3600, "d": 86400}


class _Duration(click.ParamType[int]):
    """Becomes seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read *value*; a usage error when it is no duration."""
        found = re.fullmatch(r"([1-9]\d{0,4})([mhd])", str(value), re.ASCII)
        if found is None:
            self.fail(f"found {value!r}, expected a duration such as 30m, 24h or 7d", param, ctx)
        return int(found.group(1)) * _UNITS_S[found.group(2)]


DURATION = _Duration()
