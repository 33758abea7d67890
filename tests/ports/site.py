"""A port on the fleet: its servers described, provisioned and deployed to by its own make targets."""

import json
import re
import secrets
import shlex
from typing import Any

from e2e import checker
from e2e.fleet.load import Load
from e2e.provisioned import Project
from e2e.rollouts import Shop
from ports.ported import Ported
from proc import wait_until


class Site(Shop):
    """The hosts that it is deployed to."""

    def __init__(self, fleet: Any, ported: Ported) -> None:
        port = ported.port
        self.ported, self.page = ported, port.page
        self.image = f"{fleet.registry.local}/{port.app}"  # as the engine here calls it
        Project.__init__(self, fleet, ported.folder / "deploy", port.app, f"{fleet.registry.address}/{port.app}",
                         **{"rollout.smoke": [port.page.path], **port.servers})
        self.path = ported.folder / "deploy/production.toml"
        self.hosts = {name: {"roles": list(roles), "internal": fleet.hosts[name].address}
                      for name, roles in port.roles.items()}

    def make(self, *words: str, input: str | None = None) -> str:
        """A target of the project's, about these hosts."""
        return self.ported.make(*words, input=input, SSH_CONFIG=str(self.fleet.ssh_config))

    def ready(self) -> None:
        """The servers as production.toml describes them, the settings staged, of an empty database."""
        self.fleet.reset(*self.hosts)
        self.write()
        self.ported.keep("The servers")
        self.make("provision")
        redis = self.fleet.services.redis_url.removesuffix("/0")
        self.fleet.services.run("redis-cli flushall")
        settings = {"SITE_URL": "http://localhost", "ALLOWED_HOSTS": f"{self.app}.example",
                    "SECRET_KEY": secrets.token_hex(32),
                    "DATABASE_URL": self.fleet.services.new_database(self.app.replace("-", "_")),
                    "BROKER_URL": f"{redis}/3", "CACHE_URL": f"{redis}/4", **self.ported.port.settings}
        self.make("env", "ARGS=set", input="".join(f"{name}={value}\n" for name, value in settings.items()))

    def build(self, tag: str) -> None:
        self.ported.make("build", f"TAG={tag}", f"IMAGE={self.image}")

    def push(self, tag: str) -> None:
        self.ported.make("push", f"TAG={tag}", f"IMAGE={self.image}")

    def load(self, **options: Any) -> Load:
        """Visitors of its page, on all hosts."""
        return Load(*(host.url + self.page.path for host in self.web), host=f"{self.app}.example", rate=20, seconds=600,
                    post_every=0, **options)

    def serves(self, tag: str) -> None:
        """Each web host answers with its page, as this release; all the other parts are at work, too."""
        for host in self.web:
            status, body = self.inside(host.name, self.page.path)
            assert status == 200 and self.page.says in body, f"{host.name} answers {status}: {body[:2000]}"
            assert json.loads(self.inside(host.name, "/readyz")[1])["release"] == tag
        wait_until(lambda: self.inside(host.name, "/readyz?beat")[0] == 200, 90, "worker and beat are at work")
        self.make("status")
        checker.check(self)

    def queues(self) -> None:
        """A task that a command sends is done by the worker, not by the command."""
        module, _, name = self.ported.port.task.rpartition(".")
        host = next(self.fleet.hosts[name] for name, host in self.hosts.items() if "worker" in host["roles"])
        code = f"from {module} import {name}; print('sent', {name}.delay())"
        said = host.run(f"docker-runner {self.app} manage shell -c {shlex.quote(code)}")
        task = re.search(r"^sent (\S+)$", said, re.MULTILINE)
        assert task, said
        logs = f"docker ps -qf name=^{self.app}-worker- | xargs -n1 docker logs 2>&1"
        wait_until(lambda: f"[{task[1]}] succeeded" in host.run(logs), 30, "the worker has done the task")
