"""The rules and the scrape configuration for Prometheus: of the right shape, and about metrics that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from engineshed_server.domain.metrics import COUNTERS, GAUGES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
METRICS = {metric.name: metric for metric in (*COUNTERS, *GAUGES)}
OF_PROMETHEUS = {"up"}
# Of an expression; every other word is a metric or a label.
WORDS = {
    *("by", "on", "sum", "unless", "changes", "increase", "predict_linear", "rate"),
}
DURATION = "^([0-9]+[smhdw])+$"

# What Prometheus reads of a file of alerts; what it does not know it refuses.
_TEXTS = {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}}
RULES = {
    "type": "object",
    "additionalProperties": False,
    "required": ["groups"],
    "properties": {
        "groups": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "rules"],
                "properties": {
                    "name": {"type": "string"},
                    "interval": {"type": "string", "pattern": DURATION},
                    "rules": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["alert", "expr", "labels", "annotations"],
                            "properties": {
                                "alert": {"type": "string", "pattern": "^Engineshed[A-Za-z]+$"},
                                "expr": {"type": "string"},
                                "for": {"type": "string", "pattern": DURATION},
                                "labels": {
                                    **_TEXTS,
                                    "properties": {"severity": {"enum": ["page", "ticket"]}},
                                    "required": ["severity"],
                                },
                                "annotations": {**_TEXTS, "required": ["summary", "description"]},
                            },
                        },
                    },
                },
            },
        }
    },
}


def read(name: str) -> Any:
    """A YAML file's values: of whatever kind, and looked at only through the schema or by its own shape."""
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def rules() -> Iterator[dict[str, Any]]:
    for group in read("engineshed-alerts.yml")["groups"]:
        yield from group["rules"]


ALERTS = {rule["alert"]: rule for rule in rules()}


def test_the_alerts_are_what_prometheus_reads() -> None:
    jsonschema_rs.validate(RULES, read("engineshed-alerts.yml"))


def test_a_file_that_prometheus_would_refuse_is_found() -> None:
    values = read("engineshed-alerts.yml")
    values["groups"][0]["rules"][0]["expression"] = "up"
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(RULES, values)


def test_no_two_alerts_have_one_name() -> None:
    assert len(ALERTS) == len(list(rules()))


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_asks_for_metrics_and_labels_that_exist(alert: str) -> None:
    expression = re.sub(r'"[^"]*"', "", ALERTS[alert]["expr"])
    names = set(re.findall(r"[a-z_]\w*", re.sub(r"\[\w+\]", "", expression), re.IGNORECASE)) - WORDS
    metrics = names & (set(METRICS) | OF_PROMETHEUS)
    assert metrics
    labels = {label for name in metrics - OF_PROMETHEUS for label in METRICS[name].labels}
    assert names - metrics - labels - {"job", "instance"} == set()


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_tells_only_of_labels_that_its_expression_keeps(alert: str) -> None:
    expression, told = ALERTS[alert]["expr"], " ".join(ALERTS[alert]["annotations"].values())
    used = set(re.findall(r"\$labels\.(\w+)", told))
    grouped = re.search(r"\bby \(([^)]*)\)", expression)
    if grouped is not None:
        kept = set(re.findall(r"\w+", grouped[1]))
    else:
        kept = {
            "instance",
            *(label for name in METRICS if name in expression for label in METRICS[name].labels),
        }
    assert used - kept == set()


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_brackets_and_quotes_of_an_expression_are_closed(alert: str) -> None:
    expression = re.sub(r'"[^"]*"', "", ALERTS[alert]["expr"])
    assert '"' not in expression
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


def test_codes_and_checks_that_alerts_name_exist() -> None:
    documented = "".join(
        (ROOT / "docs" / name).read_text("utf-8") for name in ("monitoring.md", "protocol.md")
    )
    for rule in ALERTS.values():
        for alternatives in re.findall(r'(?:code|check|outcome)!?=~?"([^"]*)"', rule["expr"]):
            for value in alternatives.split("|"):
                assert f"`{value}`" in documented, (rule["alert"], value)


def test_every_alert_is_documented() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    documented = re.findall(r"^\| `(Engineshed\w+)` \|", text, re.MULTILINE)
    assert sorted(documented) == sorted(ALERTS)


def test_the_scrape_configuration_asks_where_the_portal_answers_with_a_token_from_a_file() -> None:
    values = read("scrape.yml")
    (job,) = values["scrape_configs"]
    assert (job["job_name"], job["metrics_path"], job["scheme"]) == ("engineshed", "/metrics", "https")
    assert set(job["authorization"]) == {"type", "credentials_file"}
    assert [Path(path).name for path in values["rule_files"]] == ["engineshed-alerts.yml"]
