"""A cluster of kind's (0.27 or newer), and a registry that its nodes pull from: as kind's documentation connects them.

Both are made for a run and removed after it; the kubeconfig is the run's own.
"""

import contextlib
import os
import re
import shutil

from proc import ROOT, free_port, run, wait_until

NAME, REGISTRY = "slipway", "slipway-kind-registry"
HERE = ROOT / "tests/kind"


class Cluster:
    """`registry`: what images are called here and there; `env`: the environment of who talks to both."""

    def __init__(self, folder):
        self.registry = f"localhost:{free_port()}"
        kept = {name: os.environ[name] for name in os.environ if not re.match("GIT_|MAKE|MFLAGS", name)}
        self.env = {**kept, "KUBECONFIG": str(folder / "kubeconfig")}

    def run(self, *command, check=True, timeout=600, **options):
        """A command's result; a failure is told with what it wrote."""
        done = run(command, timeout=timeout, env=self.env, **options)
        assert not check or done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def kubectl(self, *words, **options):
        return self.run("kubectl", *words, **options).stdout

    def start(self):
        port = self.registry.rpartition(":")[2]
        self.run("docker", "run", "--detach", "--name", REGISTRY, "--publish", f"127.0.0.1:{port}:5000", "registry:2")
        self.run("kind", "create", "cluster", "--name", NAME, "--kubeconfig", self.env["KUBECONFIG"], "--wait", "180s")
        self.run("docker", "network", "connect", "kind", REGISTRY)
        folder = f"/etc/containerd/certs.d/{self.registry}"
        text = f'[host."http://{REGISTRY}:5000"]\n'
        for node in self.run("kind", "get", "nodes", "--name", NAME).stdout.split():
            self.run("docker", "exec", node, "sh", "-c", f"mkdir -p {folder} && echo '{text}' >{folder}/hosts.toml")
        self.kubectl("apply", "-f", HERE / "services.yaml")
        self.kubectl("wait", "-n", "services", "--for=condition=Available", "--timeout=300s", "deployment", "--all")

    def stop(self):
        self.run("kind", "delete", "cluster", "--name", NAME, "--kubeconfig", self.env["KUBECONFIG"], check=False)
        self.run("docker", "rm", "--force", "--volumes", REGISTRY, check=False)

    def tell(self):
        """What a look at a failure needs."""
        print(self.kubectl("get", "pods,jobs,events", "-A", check=False))
        print(self.kubectl("logs", "-n", "shop", "--all-containers", "--prefix", "--tail=30", "-l",
                           "app.kubernetes.io/name=shop", check=False))


@contextlib.contextmanager
def cluster(folder):
    """One, while the block runs."""
    for program in ("kind", "kubectl", "docker"):
        assert shutil.which(program), f"no {program} here: make kind needs it"
    made = Cluster(folder)
    try:
        made.start()
        yield made
    except Exception:
        made.tell()
        raise
    finally:
        made.stop()


class Visitors:
    """One who asks all the time, in a namespace of its own; `seen()`: (when, status, release) of each answer."""

    def __init__(self, cluster):
        self.cluster = cluster

    def start(self, image):
        script = (HERE / "visitor.py").read_text()
        self.cluster.kubectl("run", "visitors", "-n", "visitors", f"--image={image}", "--restart=Never", "--command",
                             "--", "python", "-c", script, "shop-web.shop", "shop.example")

    def seen(self):
        lines = self.cluster.kubectl("logs", "-n", "visitors", "visitors", check=False).splitlines()
        return [(float(at), status, release) for at, status, release in map(str.split, lines)]

    def meet(self, release, seconds=90):
        """Wait until the last who came all met that release."""
        wait_until(lambda: [found for *_, found in self.seen()[-20:]] == [release] * 20, seconds,
                   f"visitors meet {release}")
