"""Dashboard, alert rules and documentation name what is there, by its right name, type and labels."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from trio_cursor.alarms import RULES
from trio_cursor.metrics import METRICS

ROOT = Path(__file__).parent.parent
NAMES = {metric.name: metric for metric in METRICS}
#: What Prometheus itself puts on every figure.
OUTSIDE = {"instance", "job"}
#: Of a name that is asked for: which metric, and what more it has.
PARTS = {"_bucket": {"le"}, "_sum": set(), "_count": set()}


def dashboard():
    return json.loads((ROOT / "conf/grafana-dashboard.json").read_text(encoding="utf-8"))


def alerts():
    content = yaml.safe_load((ROOT / "conf/prometheus-alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in content["groups"] for rule in group["rules"]]


def documented_queries():
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    return re.findall(r"```promql\n(.*?)\n```", text, re.DOTALL)


def panel_queries():
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]


def known(name):
    """The metric that a name in a query asks for, and the labels that it has there."""
    if name in NAMES and NAMES[name].kind != "histogram":
        return NAMES[name], set(NAMES[name].labels) | OUTSIDE
    for ending, more in PARTS.items():
        metric = NAMES.get(name.removesuffix(ending))
        if name.endswith(ending) and metric and metric.kind == "histogram":
            return metric, set(metric.labels) | more | OUTSIDE
    raise AssertionError(f"there is no {name}")


def faults(query):
    """What is wrong with a query, in words."""
    asked = re.findall(r"([a-z]+\()?(trio_cursor_[a-z_]+)(\{[^}]*\})?(\[)?", query)
    labels_of_all = [known(name)[1] for _, name, _, _ in asked]
    for function, name, selector, window in asked:
        metric, labels = known(name)
        for label in re.findall(r"([a-z_]+)(?:=|!)", selector):
            if label not in labels:
                yield f"{name} has no {label}"
        is_rising = metric.kind in ("counter", "histogram")
        if is_rising != (function in ("rate(", "increase(")) or is_rising != bool(window):
            yield f"{name} is a {metric.kind}, and asked for as {function or 'it is'}"
    for group in re.findall(r"by \(([^)]*)\)", query):
        for label in re.split(r",\s*", group):
            if not any(label in labels for labels in labels_of_all):
                yield f"nothing has {label}"


def test_two_queries_are_explained():
    assert len(documented_queries()) == 2


@pytest.mark.parametrize("query", [*panel_queries(), *documented_queries()])
def test_a_query_asks_for_what_is_there(query):
    assert "trio_cursor_" in query
    assert list(faults(query)) == []


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_there_and_says_what_to_do(rule):
    assert "trio_cursor" in rule["expr"]
    assert list(faults(rule["expr"])) == []
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description"}
    asked = [known(name)[1] for name in re.findall(r"trio_cursor_[a-z_]+", rule["expr"])] or [OUTSIDE]
    for label in re.findall(r"\$labels\.([a-z_]+)", str(rule["annotations"])):
        assert label in asked[0]


#: Kinds of alarms that have a rule of their own, over what they are about.
OWN_RULES = {
    "log": "TrioCursorLogBroken",
    "no_pass": "TrioCursorNotLooking",
    "unknown_schema": "TrioCursorUnknownSchema",
    "database": "TrioCursorDatabasesInTrouble",
    "quarantine": "TrioCursorQuarantine",
    "output": "TrioCursorOutputDown",
    "behind": "TrioCursorOutputBehind",
    "rollback": "TrioCursorOutputRollback",
    "dead_events": "TrioCursorOutputDeadEvents",
    "gap": "TrioCursorGap",
    "lost": "TrioCursorEventsLost",
}


def test_every_kind_of_alarm_has_a_rule():
    rules = {rule["alert"]: rule["expr"] for rule in alerts()}
    assert set(OWN_RULES.values()) <= rules.keys()
    [others] = re.findall('kind=~"(.*?)"', rules["TrioCursorAlarm"])
    assert sorted([*OWN_RULES, *others.split("|")]) == sorted(RULES)


@pytest.mark.parametrize(
    "query",
    [
        "trio_cursor_nothing",
        "trio_cursor_lock_seconds",
        "trio_cursor_reads_total_bucket",
        "trio_cursor_reads_total",
        "rate(trio_cursor_ready[5m])",
        'trio_cursor_databases{state="error"}',
        "sum by (path) (trio_cursor_databases)",
        "rate(trio_cursor_reads_total)",
    ],
)
def test_a_wrong_query_is_found(query):
    try:
        found = list(faults(query))
    except AssertionError as fault:
        found = [str(fault)]
    assert found


def test_panels_lie_beside_each_other():
    taken = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_the_documentation_has_every_metric():
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(trio_cursor_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", text, re.MULTILINE)
    assert rows == [
        (metric.name, metric.kind, " ".join(f"`{label}`" for label in metric.labels), metric.meaning)
        for metric in METRICS
    ]


def test_names_are_as_prometheus_wants_them():
    for metric in METRICS:
        assert re.fullmatch(r"trio_cursor_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.name.endswith("_info") == (metric.kind == "info")
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert metric.meaning.endswith(".")
    assert len(NAMES) == len(METRICS)
