"""What no schema sees of Kubernetes' objects: whether they fit each other, the image, and the toml."""

from slipway.health import probes

KINDS = ("Deployment", "Job")


def amiss(objects, settings, names=("shop.example",)):
    """All of it, a line each; empty where there is nothing. `settings`: what each pod must have; `names`: the site's.
    """
    found = [line for check in (selectors, ports, probed, safe, backed, strategies) for line in check(objects)]
    return found + asked(objects, settings) + list(visited(objects, [*names]))


def of_kind(objects, *kinds):
    return [made for made in objects if made["kind"] in kinds]


def name(made):
    return f"{made['kind']} {made['metadata']['name']}"


def template(made):
    return made["spec"]["template"]


def containers(objects):
    return [(made, one) for made in of_kind(objects, *KINDS) for one in template(made)["spec"]["containers"]]


def selected(objects, labels):
    """The Deployments whose pods have these labels."""
    return [made for made in of_kind(objects, "Deployment")
            if labels and labels.items() <= template(made)["metadata"]["labels"].items()]


def selectors(objects):
    """Each selector meets the pods that its object is named after, and no others."""
    for made in of_kind(objects, "Deployment", "Service", "PodDisruptionBudget"):
        selector = made["spec"]["selector"]
        met = [one["metadata"]["name"] for one in selected(objects, selector.get("matchLabels", selector))]
        if met != [made["metadata"]["name"]]:
            yield f"{name(made)}: its selector meets {met}"
    for made in of_kind(objects, "HorizontalPodAutoscaler"):
        target = made["spec"]["scaleTargetRef"]
        if not any(target == {"apiVersion": one["apiVersion"], "kind": one["kind"], "name": one["metadata"]["name"]}
                   and "replicas" not in one["spec"] for one in of_kind(objects, "Deployment")):
            yield f"{name(made)}: scales nothing, or what each apply sets back"


def ports(objects):
    """What a Service or a policy leads to is open."""
    for made in of_kind(objects, "Service"):
        open_ = {port["name"] for one in selected(objects, made["spec"]["selector"])
                 for box in template(one)["spec"]["containers"] for port in box.get("ports", [])}
        yield from (f"{name(made)}: {port['targetPort']} is not open" for port in made["spec"]["ports"]
                    if port["targetPort"] not in open_)
    for made in of_kind(objects, "NetworkPolicy"):
        numbers = {port["containerPort"] for one in selected(objects, made["spec"]["podSelector"]["matchLabels"])
                   for box in template(one)["spec"]["containers"] for port in box.get("ports", [])}
        yield from (f"{name(made)}: {port['port']} is not open" for rule in made["spec"].get("ingress", [])
                    for port in rule["ports"] if port["port"] not in numbers)


def visited(objects, names):
    """One thing brings visitors in: under the site's names, to the site's Service, and a policy lets them pass."""
    doors = of_kind(objects, "Ingress", "HTTPRoute")
    if len(doors) != 1:
        yield f"visitors come by {[name(made) for made in doors]}"
    for made in doors:
        if hostnames(made) != names:
            yield f"{name(made)}: answers to {hostnames(made)}, not {names}"
        for to, port in backends(made):
            led = [(one, there) for one in of_kind(objects, "Service") if one["metadata"]["name"] == to
                   for there in one["spec"]["ports"] if port in (there["name"], there["port"])]
            if not led:
                yield f"{name(made)}: there is no {to} with a port {port}"
            yield from (f"{name(made)}: no policy lets visitors to {name(one)}" for one, there in led
                        if not let_in(objects, one, there["targetPort"]))


def hostnames(made):
    spec = made["spec"]
    return spec.get("hostnames", []) if made["kind"] == "HTTPRoute" else [
        rule["host"] for rule in spec["rules"] if "host" in rule]


def backends(made):
    """(Service, its port's name or number) of an Ingress or a route."""
    if made["kind"] == "HTTPRoute":
        return [(ref["name"], ref["port"]) for rule in made["spec"]["rules"] for ref in rule["backendRefs"]]
    found = [path["backend"]["service"] for rule in made["spec"]["rules"] for path in rule["http"]["paths"]]
    return [(service["name"], service["port"]["name"]) for service in found]


def let_in(objects, service, port):
    """Whether a policy opens the port of that name, of all pods behind the Service, to anybody."""
    pods = selected(objects, service["spec"]["selector"])
    open_ = [(one["metadata"]["name"], allowed["port"]) for made in of_kind(objects, "NetworkPolicy")
             for one in selected(objects, made["spec"]["podSelector"]["matchLabels"])
             for rule in made["spec"].get("ingress", []) if "from" not in rule for allowed in rule["ports"]]
    return pods and all((one["metadata"]["name"], box["containerPort"]) in open_ for one in pods
                        for box in template(one)["spec"]["containers"][0]["ports"] if box["name"] == port)


def probed(objects):
    """Probes of the site ask what it answers, where it listens; visitors wait for /readyz."""
    for made, one in containers(objects):
        if one["name"] != "web":
            continue
        asked = {kind: probe["httpGet"] for kind, probe in one.items() if kind.endswith("Probe")}
        yield from (f"{name(made)}: the site does not answer {get['path']}" for get in asked.values()
                    if get["path"] not in probes.OPEN)
        numbers = [str(port["containerPort"]) for port in one["ports"]]
        listens = [entry["value"] for entry in one["env"] if entry["name"] == "PORT"]
        yield from (f"{name(made)}: {get['port']} is probed, {listens} listens, {numbers} is open"
                    for get in asked.values() if not [str(get["port"])] == numbers == listens)
        if asked.get("startupProbe", {}).get("path") != "/readyz" or "readinessProbe" not in asked:
            yield f"{name(made)}: visitors may come before /readyz says so"


def strategies(objects):
    """The old web stays until the new one is ready; of what may run once only, never two."""
    for made in of_kind(objects, "Deployment"):
        strategy, part = made["spec"]["strategy"], made["metadata"]["labels"]["app.kubernetes.io/component"]
        if part == "web" and strategy.get("rollingUpdate", {}).get("maxUnavailable") != 0:
            yield f"{name(made)}: visitors may find nobody"
        if part == "beat" and (strategy != {"type": "Recreate"} or made["spec"].get("replicas") not in (0, 1)):
            yield f"{name(made)}: two may run"
        grace, hook = template(made)["spec"]["terminationGracePeriodSeconds"], "lifecycle" in template(made)["spec"][
            "containers"][0]
        if part == "web" and not (hook and grace >= 35):
            yield f"{name(made)}: visitors may be cut off"


def safe(objects):
    """The pod security standard "restricted", as https://kubernetes.io/docs/concepts/security/pod-security-standards/
    has it, and a root filesystem that nothing writes to."""
    for made, one in containers(objects):
        pod, own = template(made)["spec"], one["securityContext"]
        kept = (pod["securityContext"].get("runAsNonRoot") is True and pod["securityContext"].get("runAsUser", 1) > 0
                and pod["securityContext"].get("seccompProfile") == {"type": "RuntimeDefault"}
                and own.get("allowPrivilegeEscalation") is False and own.get("capabilities") == {"drop": ["ALL"]}
                and own.get("readOnlyRootFilesystem") is True and pod.get("automountServiceAccountToken") is False
                and not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys() and "privileged" not in own
                and all({"name", "emptyDir"} == volume.keys() for volume in pod["volumes"]))
        if not kept:
            yield f"{name(made)}: is not \"restricted\""
        if "@sha256:" not in one["image"]:
            yield f"{name(made)}: {one['image']} names no digest"


def backed(objects):
    """What pods name is there."""
    there = {(made["kind"], made["metadata"]["name"]) for made in objects}
    for made, one in containers(objects):
        wanted = {("ServiceAccount", template(made)["spec"]["serviceAccountName"])} | {
            ("Secret", entry["valueFrom"]["secretKeyRef"]["name"]) for entry in one["env"] if "valueFrom" in entry}
        yield from (f"{name(made)}: there is no {' '.join(missing)}" for missing in sorted(wanted - there))


def asked(objects, settings):
    """Each pod has all settings, and none that may be missing."""
    found = []
    for made, one in containers(objects):
        has = {entry["name"] for entry in one["env"]
               if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("key") == entry["name"]
               and not entry["valueFrom"]["secretKeyRef"].get("optional")}
        found += [f"{name(made)}: {setting} is not asked for" for setting in settings if setting not in has]
    return found
