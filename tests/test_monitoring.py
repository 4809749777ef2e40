"""docs/monitoring.md tells of every metric there is, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engineshed_server.domain.metrics import COUNTERS, GAUGES
from engineshed_server.meters.counts import Counts
from tests.server.exposed import Exposed

ROOT = Path(__file__).resolve().parent.parent
METRICS = {metric.name: metric for metric in (*COUNTERS, *GAUGES)}


def table() -> dict[str, set[str]]:
    """Labels by metric, as documented."""
    text = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    rows = re.findall(r"^\| `(engineshed_\w+)` \| (.*?) \|", text, re.MULTILINE)
    assert len(rows) == len({name for name, _ in rows}), "a metric is told twice"
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def test_the_table_of_metrics_is_what_is_exposed() -> None:
    assert table() == {name: set(metric.labels) for name, metric in METRICS.items()}


def test_what_is_exposed_is_what_the_tables_of_the_code_name() -> None:
    families = Exposed(Counts().expose(())).families
    assert set(families) == {name.removesuffix("_total") for name in METRICS}


@pytest.mark.parametrize("name", sorted(METRICS))
def test_names_follow_the_conventions_of_prometheus(name: str) -> None:
    metric = METRICS[name]
    assert re.fullmatch(r"engineshed(_[a-z]+)+", name)
    assert name.endswith("_total") == (metric in COUNTERS)
    assert metric.about.endswith(".")
    assert all(re.fullmatch(r"[a-z]+", label) for label in metric.labels)
