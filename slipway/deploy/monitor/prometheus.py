"""What Prometheus and its exporters read, of a fleet. Pure: the same file makes the same bytes."""

from typing import Any

from ..config import Fleet, Host
from ..screen.yaml import dump, made_by
from ..server.site import nginx_address
from . import promql
from .rules import Rule, rules

HERE = "127.0.0.1:9115"  # the blackbox exporter beside Prometheus
MADE = made_by("monitoring", "monitoring.md")
Data = dict[str, Any]


def known(fleet: Fleet) -> tuple[Rule, ...]:
    """The rules that Prometheus can go by."""
    return tuple(rule for rule in rules(fleet, promql.counted(fleet)) if rule.name != "disk" or fleet.watch["node"])


# ---- prometheus.yml ----

def config(fleet: Fleet) -> str:
    """Whom it asks, and for what."""
    watch = fleet.watch
    every = f"{watch['every']}s"
    asked = [figures(fleet), nodes(fleet), *([front(fleet)] if watch["front"] else [])]
    data: Data = {"global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
                  "rule_files": ["rules.yml"],
                  "scrape_configs": [job for job in asked if job["static_configs"]]}
    if watch["alertmanager"]:
        data["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": watch["alertmanager"]}]}]}
    return dump(data, MADE)


def figures(fleet: Fleet) -> Data:
    """The job that asks the web hosts for /metrics."""
    tls = fleet.site["tls"] in ("files", "certbot") and not fleet.balancers
    job: Data = {"job_name": fleet.app, "scheme": "https" if tls else "http"}
    if tls and fleet.site["names"]:
        job["tls_config"] = {"server_name": fleet.site["names"][0].replace("*.", "www.")}
    if not fleet.site["metrics_from"]:
        job["authorization"] = {"credentials_file": f"/etc/prometheus/{fleet.app}.token"}
    return {**job, "static_configs": [target(fleet, host, nginx_address(host.internal_address), "host")
                                      for host in fleet.with_role("web")]}


def nodes(fleet: Fleet) -> Data:
    """The job that asks node exporters. A host without web counts by its own."""
    port = fleet.watch["node"]
    return {"job_name": f"{fleet.app}-node", "static_configs": [
        target(fleet, host, f"{without_port(host)}:{port}", "" if host.has("web") else "host")
        for host in (fleet.app_hosts if port else [])]}


def target(fleet: Fleet, host: Host, address: str, counts: str) -> Data:
    """One target. `counts`: what of the fleet it stands for."""
    return {"targets": [address], "labels": {"app": fleet.app, "host": host.name, "counts": counts}}


def without_port(host: Host) -> str:
    """A host's internal address for another port."""
    address = nginx_address(host.internal_address)
    return address if address.endswith("]") else address.rsplit(":", 1)[0]


def front(fleet: Fleet) -> Data:
    """The job that has the front page asked for from every place."""
    places = [("http", HERE, "here"), *((*probe.split("://"), probe) for probe in fleet.watch["probes"])]
    return {
        "job_name": f"{fleet.app}-front", "metrics_path": "/probe",
        "params": {"module": ["front"], "target": [fleet.watch["front"]]},
        "static_configs": [{"targets": [address], "labels": {"app": fleet.app, "place": place, "__scheme__": scheme}}
                           for scheme, address, place in places]}


def blackbox() -> str:
    """The blackbox exporter's configuration, at each place."""
    http = {"prober": "http", "timeout": "5s", "http": {"preferred_ip_protocol": "ip4"}}
    return dump({"modules": {"front": http}}, MADE)


# ---- rules.yml ----

def rules_file(fleet: Fleet) -> str:
    """The rules as alerts."""
    watch = fleet.watch
    record = {"record": promql.UP, "expr": promql.recorded(fleet), "labels": {"app": fleet.app}}
    group = {"name": fleet.app, "interval": f"{watch['every']}s",
             "rules": [record, *(alert(fleet, rule) for rule in known(fleet))]}
    return dump({"groups": [group]}, MADE)


def alert(fleet: Fleet, rule: Rule) -> Data:
    """One rule as an alert: broken for ttl on end; over when it is kept for `over` on end."""
    return {"alert": rule.name, "expr": promql.broken(fleet, rule), "for": f"{fleet.watch['ttl']}s",
            "keep_firing_for": f"{fleet.watch['over']}s",
            "labels": labels(fleet, rule), "annotations": {"summary": summary(fleet, rule), **named(fleet, rule)}}


def labels(fleet: Fleet, rule: Rule) -> dict[str, str]:
    """The labels of an alert."""
    return {"app": fleet.app, "severity": rule.severity}


def summary(fleet: Fleet, rule: Rule) -> str:
    """What an alert says."""
    return f"{fleet.app}: {rule.breach}"


def named(fleet: Fleet, rule: Rule) -> dict[str, str]:
    """Hosts or places that an alert is about, named when it is sent."""
    query, label = promql.about(fleet, rule), "place" if rule.name == "front" else "host"
    if not query:
        return {}
    words = query.replace("\\", "\\\\").replace('"', '\\"')
    each = f'{{{{ range query "{words}" | sortByLabel "{label}" }}}}'
    return {f"{label}s": f"{each}{{{{ .Labels.{label} }}}} {{{{ end }}}}"}
