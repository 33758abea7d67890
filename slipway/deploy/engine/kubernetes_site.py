"""Kubernetes' objects around what runs: how visitors reach it, and what it may do. Pure."""

from ..config import Fleet
from .kubernetes import Data, labels, named
from .workloads import Workload

PODS: Data = {"namespaceSelector": {}}  # of any namespace; some networks do not count them among addresses
METADATA = ("169.254.169.254/32", "fd00:ec2::254/128")  # where clouds hand out their own credentials, and DNS
DNS = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]


def account(fleet: Fleet) -> Data:
    """The pods' account: it has no rights, and no pod gets its token."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": fleet.app, "labels": labels(fleet)},
            "automountServiceAccountToken": False,
            **({"imagePullSecrets": [{"name": fleet.engine["pull"]}]} if fleet.engine["pull"] else {})}


def service(fleet: Fleet, work: Workload) -> Data:
    """How others reach a process."""
    ports = [{"name": port.name, "port": port.outer, "targetPort": port.name, "protocol": port.protocol}
             for port in work.ports]
    return named(fleet, work.name, "Service", "v1", spec={"selector": labels(fleet, work.name), "ports": ports})


def budget(fleet: Fleet, work: Workload) -> Data:
    """A node that is emptied takes one pod at a time."""
    return named(fleet, work.name, "PodDisruptionBudget", "policy/v1", spec={
        "maxUnavailable": 1, "selector": {"matchLabels": labels(fleet, work.name)}})


def autoscaler(fleet: Fleet, work: Workload) -> Data:
    """More pods under load."""
    return named(fleet, work.name, "HorizontalPodAutoscaler", "autoscaling/v2", spec={
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{fleet.app}-{work.name}"},
        "minReplicas": work.replicas, "maxReplicas": work.most,
        "metrics": [{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]})


def ingress(fleet: Fleet, web: Workload) -> Data:
    """The site's names, and the Secret with their certificate, if the cluster has one."""
    names = names_of(fleet)
    backend = {"service": {"name": f"{fleet.app}-{web.name}", "port": {"name": web.ports[0].name}}}
    rules = [{**({"host": name} if name else {}), "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": backend}]}} for name in names or [""]]
    kind, certificate = fleet.engine["ingress"], fleet.engine["tls"]
    tls = {"tls": [{**({"hosts": names} if names else {}), "secretName": certificate}]} if certificate else {}
    return named(fleet, web.name, "Ingress", "networking.k8s.io/v1", spec={
        **({"ingressClassName": kind} if kind else {}), "rules": rules, **tls})


def route(fleet: Fleet, web: Workload) -> Data:
    """The same by a Gateway that is there; its listeners have the certificates."""
    namespace, _, name = fleet.engine["gateway"].rpartition("/")
    names = names_of(fleet)
    return named(fleet, web.name, "HTTPRoute", "gateway.networking.k8s.io/v1", spec={
        "parentRefs": [{"name": name, **({"namespace": namespace} if namespace else {})}],
        **({"hostnames": names} if names else {}),
        "rules": [{"backendRefs": [{"name": f"{fleet.app}-{web.name}", "port": web.ports[0].outer}]}]})


def names_of(fleet: Fleet) -> list[str]:
    """The site's names as a cluster takes them."""
    return [name.lower() for name in fleet.site["names"]]


def policies(fleet: Fleet, works: list[Workload]) -> list[Data]:
    """Who may reach which pod: anybody the ports that are served, as a controller may be of the node's network, and
    nobody the others. All pods may reach all but the cloud's metadata."""
    everybody = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                 "metadata": {"name": fleet.app, "labels": labels(fleet)},
                 "spec": {"podSelector": {"matchLabels": labels(fleet)}, "policyTypes": ["Ingress", "Egress"],
                          "egress": [{"to": [PODS, {"ipBlock": {"cidr": "0.0.0.0/0", "except": [METADATA[0]]}},
                                             {"ipBlock": {"cidr": "::/0", "except": [METADATA[1]]}}]},
                                     {"to": [{"ipBlock": {"cidr": METADATA[0]}}], "ports": DNS}]}}
    return [everybody, *(policy(fleet, work) for work in works if work.ports)]


def policy(fleet: Fleet, work: Workload) -> Data:
    """One process's open ports."""
    ports = [{"port": port.inner, "protocol": port.protocol} for port in work.ports]
    return named(fleet, work.name, "NetworkPolicy", "networking.k8s.io/v1", spec={
        "podSelector": {"matchLabels": labels(fleet, work.name)}, "policyTypes": ["Ingress"],
        "ingress": [{"ports": ports}]})
