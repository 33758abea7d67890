"""What the rules measure, as Prometheus measures it: the same as measures.py, by its expressions. Pure."""

from ..config import Fleet, Host
from .rules import DAY, LEAST, Rule

UP = "slipway:hosts_up:count"  # recorded: how many hosts are up
DISKS = 'mountpoint=~"/|/var|/var/.*",fstype!~"tmpfs|overlay|squashfs"'


def up(fleet: Fleet) -> str:
    """Of each host, whether one of its answers was well within ttl."""
    return f'max by (host) (max_over_time(up{{app="{fleet.app}",counts="host"}}[{fleet.watch["ttl"]}s]))'


def counted(fleet: Fleet) -> list[Host]:
    """The hosts that Prometheus can see: those with web, and all where the file names their node exporter."""
    return fleet.app_hosts if fleet.watch["node"] else fleet.with_role("web")


def recorded(fleet: Fleet) -> str:
    """The expression of UP. A host whose figures have gone altogether is not up, either."""
    return f"count({up(fleet)} == 1) or vector(0)"


def measure(fleet: Fleet, rule: Rule) -> str:
    """The expression of what a rule measures; without a result where nobody can tell."""
    watch, app = fleet.watch, f'app="{fleet.app}"'
    over, ttl = f"[{watch['over']}s]", f"[{watch['ttl']}s]"
    if rule.name == "hosts_up":  # whole numbers, as in measures.py
        count = f"{UP}{{{app}}}{over}"
        # Most of what it has to go by, as a Prometheus that has just begun has not asked everybody yet.
        enough = 3 * watch["over"] // (4 * watch["every"])
        return f"sum_over_time({count}) / ({len(counted(fleet))} * (count_over_time({count}) >= {enough}))"
    if rule.name == "errors":
        bad, all_ = (f"sum(increase(http_requests_total{{{which}}}{over}))" for which in (f'{app},status="5xx"', app))
        return f"{bad} / ({all_} >= {LEAST})"
    if rule.name == "figures":
        return (f"(count(count by (host) (last_over_time(http_requests_total{{{app}}}{ttl}))) or vector(0))"
                f' and on () (max(max_over_time(up{{job="{fleet.app}"}}{ttl})) == 1)')
    if rule.name in ("worker", "beat"):
        return (f'min(last_over_time(celery_heartbeat_age_seconds{{{app},part="{rule.name}"}}{ttl}))'
                f" or on () (vector(Inf) and on () count(last_over_time(http_requests_total{{{app}}}{ttl})))")
    if rule.name == "front":
        return f"count(max_over_time(probe_success{{{app}}}{ttl}) == 1) or vector(0)"
    if rule.name == "certificate":
        return f"(min(probe_ssl_earliest_cert_expiry{{{app}}}) - time()) / {DAY}"
    return f"min(last_over_time(node_filesystem_avail_bytes{{{app},{DISKS}}}{ttl}))"


def broken(fleet: Fleet, rule: Rule) -> str:
    """The expression that has a result while the rule is broken."""
    return f"({measure(fleet, rule)}) {'<' if rule.least else '>='} {rule.limit!r}"


def about(fleet: Fleet, rule: Rule) -> str:
    """The expression of those that a broken rule is about, by the label that it also returns; "" without any. A place
    whose exporter is gone has `up` alone."""
    app, ttl = f'app="{fleet.app}"', f'[{fleet.watch["ttl"]}s]'
    return {"hosts_up": f"{up(fleet)} == 0",
            "front": f'count by (place) (up{{{app},place!=""}})'
                     f" unless count by (place) (max_over_time(probe_success{{{app}}}{ttl}) == 1)",
            "disk": f'min by (host) (node_filesystem_avail_bytes{{app="{fleet.app}",{DISKS}}}) < {rule.limit!r}',
            }.get(rule.name, "")
