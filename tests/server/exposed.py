"""What a portal exposes, read by prometheus_client's own parser."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


class Exposed:
    """One answer of ``/metrics``, taken apart."""

    def __init__(self, data: bytes) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(data.decode())}
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                series = (sample.name, frozenset(sample.labels.items()))
                assert series not in self._values, f"{series} is told twice"
                self._values[series] = sample.value

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the one series with exactly these labels; None when there is none."""
        return self._values.get((name, frozenset(labels.items())))

    def total(self, name: str, **labels: str) -> float:
        """The sum of all series with these labels among theirs."""
        wanted = frozenset(labels.items())
        return sum(value for (one, found), value in self._values.items() if one == name and wanted <= found)

    def series(self, name: str) -> list[Mapping[str, str]]:
        """The labels of every series of that name."""
        return [dict(labels) for one, labels in self._values if one == name]
