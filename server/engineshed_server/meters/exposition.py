"""Counts and readings as the text that Prometheus reads, version 0.0.4 of its format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engineshed_server.domain.metrics import COUNTERS, GAUGES, Reading
from engineshed_server.meters.shared import Series


def write_metrics(totals: Mapping[Series, int], readings: Sequence[Reading]) -> bytes:
    """Every metric with its help, those without a value too: what is measured can be seen at once."""
    registry = CollectorRegistry()
    registry.register(_Families(totals, readings))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, totals: Mapping[Series, int], readings: Sequence[Reading]) -> None:
        self._totals = totals
        self._readings = readings

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry is made for one answer, and no other names are in it."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families, in the order of the tables."""
        for counter in COUNTERS:
            counted = CounterMetricFamily(counter.name, counter.about, labels=counter.labels)
            known = counter.known if counter.labels else ((),)
            values = dict.fromkeys(known, 0)
            values |= {labels: value for (one, labels), value in self._totals.items() if one is counter}
            for labels, value in sorted(values.items()):
                counted.add_metric(labels, value)
            yield counted
        for gauge in GAUGES:
            family = GaugeMetricFamily(gauge.name, gauge.about, labels=gauge.labels)
            for reading in self._readings:
                if reading.gauge is gauge:
                    family.add_metric(reading.labels, reading.value)
            yield family
