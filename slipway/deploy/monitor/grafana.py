"""A dashboard for Grafana: what each rule measures, with its limit, and what explains it. Pure."""

import json
from typing import Any

from ..config import Fleet
from . import promql
from .prometheus import known
from .rules import Rule

UNITS = {"share": "percentunit", "seconds": "s", "days": "d", "bytes": "bytes", "": "short"}
WIDE, HIGH = 8, 7  # of a panel; a row has 24
SOURCE = {"type": "prometheus", "uid": "${source}"}
# What explains the rules: title, unit, expression of an app, legend.
MORE = (
    ("answers a second", "reqps", 'sum by (status) (rate(http_requests_total{%s}[1m]))', "{{status}}"),
    ("95 % of answers within", "s",
     'histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{%s}[5m])))', "p95"),
    ("requests in flight", "short", 'http_requests_in_flight{%s}', "{{host}}"),
    ("tasks waiting", "short", 'max by (queue) (celery_tasks_waiting{%s})', "{{queue}}"),
    ("dead tasks", "short", 'max(celery_tasks_dead{%s})', "dead"),
    ("memory", "bytes", 'sum by (host) (process_resident_memory_bytes{%s})', "{{host}}"),
    ("releases", "short", 'count by (release) (release_info{%s})', "{{release}}"),
)


def dashboard(fleet: Fleet) -> str:
    """The text of grafana.json."""
    app = f'app="{fleet.app}"'
    panels = [of_rule(fleet, rule) for rule in known(fleet)]
    panels += [panel(title, unit, expression % app, legend) for title, unit, expression, legend in MORE]
    for number, one in enumerate(panels):
        one |= {"id": number + 1, "gridPos": {"x": number * WIDE % 24, "y": number * WIDE // 24 * HIGH, "w": WIDE,
                                              "h": HIGH}}
    return json.dumps({
        "title": fleet.app, "uid": f"slipway-{fleet.app}", "schemaVersion": 37, "editable": True, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "annotations": {"list": []}, "panels": panels,
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
    }, indent=1, ensure_ascii=False) + "\n"


def of_rule(fleet: Fleet, rule: Rule) -> dict[str, Any]:
    """The panel of a rule: what breaks it is red."""
    found = panel(rule.name, UNITS[rule.unit], promql.measure(fleet, rule), rule.name)
    colours = ("red", "green") if rule.least else ("green", "red")
    steps = [{"color": colours[0], "value": None}, {"color": colours[1], "value": rule.limit}]
    found["fieldConfig"]["defaults"] |= {"thresholds": {"mode": "absolute", "steps": steps},
                                         "custom": {"thresholdsStyle": {"mode": "line+area"}}}
    return found | {"description": f"broken: {rule.breach}"}


def panel(title: str, unit: str, expression: str, legend: str) -> dict[str, Any]:
    """A panel with one query."""
    return {"title": title, "type": "timeseries", "datasource": SOURCE,
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [{"refId": "A", "datasource": SOURCE, "expr": expression, "legendFormat": legend}]}
