"""Test of docs/one-server.md: what it says to type, from a bare server to a site that survives a power cut."""

import re
import secrets
import shlex

import pytest

from checkout import NOTHING_TO_INSTALL
from documented import block, commands
from e2e import repository
from e2e.fleet import apps
from proc import ROOT, VE_PYTHON, edit, output, wait_until
from slipway.fleet.names import of_folder

PAGE = ROOT / "docs/one-server.md"
SITE = "curl -sS --cacert /etc/letsencrypt/live/shop.example/fullchain.pem --connect-to ::127.0.0.1:"
# Stands in for certbot, as Let's Encrypt cannot reach a test server. It also proves that the name leads to this server,
# once nginx's workers have reloaded; then it signs the certificate itself.
CERTBOT = r"""#!/bin/sh
set -e
while [ $# -gt 0 ]; do case $1 in -w) root=$2 ;; -d) name=$2 ;; esac; shift; done
mkdir -p "$root/.well-known/acme-challenge" "/etc/letsencrypt/live/$name"
echo proof >"$root/.well-known/acme-challenge/token"
curl -fsS --retry 9 --retry-all-errors --retry-delay 1 --resolve "$name:80:127.0.0.1" \
    "http://$name/.well-known/acme-challenge/token" | grep -qx proof
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
    -keyout "/etc/letsencrypt/live/$name/privkey.pem" -out "/etc/letsencrypt/live/$name/fullchain.pem" 2>/dev/null
"""


class Reader:
    """A reader who follows the page, with a server and a project."""

    def __init__(self, fleet):
        self.server, self.project = fleet.hosts["web1"], apps.made_project()
        [self.wheel] = self.project.folder.glob("vendor/*.whl")
        image = f"{of_folder(ROOT).fleet}-shop"
        self.env = {**self.project.env, "SSH_CONFIG": str(fleet.ssh_config), "IMAGE": image}
        self.project.git("init", "--quiet")  # else the page's commit would go into this checkout, which contains it

    def type_in_project(self, line, answers=""):
        """Type a line of the page in the project."""
        name, *words = shlex.split(line)
        programs = {
            "make": ["make", *NOTHING_TO_INSTALL],
            # this Python has what provisioning needs
            "slipway": ["env", f"PYTHONPATH={self.wheel}", str(VE_PYTHON), "-B", "-m", "slipway"],
        }
        output(
            [*programs.get(name, [name]), *words],
            cwd=self.project.folder,
            env=self.env,
            timeout=1800,
            input=answers,
            stdin=None,
        )

    def describe(self):
        """Write the page's servers' file, with the test server's name in place of the address."""
        path = self.project.folder / "deploy/production.toml"
        path.write_text(block(PAGE, "app ="))
        edit(path, "root@203.0.113.7", self.server.name)

    def answers(self):
        """Return what the page says to type for each setting."""
        rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `(.*)`", PAGE.read_text(), re.MULTILINE))
        rows["SECRET_KEY"] = secrets.token_hex(32)
        return "".join(f"{name}={value}\n" for name, value in rows.items())

    def acquaint(self, nas):
        """Let root of the server in at the place of the backups, and have the page name that."""
        repository.empty(nas)
        repository.let_in(nas, self.server, PAGE)
        self.place = repository.place(nas, "shop")

    def back_up(self):
        """Add what the page says about backups to the servers' file."""
        path = self.project.folder / "deploy/production.toml"
        text = block(PAGE, "[backup]").replace("sftp:backup@nas.example:shop", self.place)
        path.write_text(f"{path.read_text()}\n{text}")

    def password(self):
        """Return what somebody types who has kept the backups' password."""
        return self.server.run("sed -n s/^RESTIC_PASSWORD=//p /etc/default/shop.backup")

    def asks(self, url, options=""):
        """Return what a visitor gets."""
        return self.server.ssh(f"{SITE} {options} '{url}'").stdout


@pytest.mark.extra
def test_from_nothing(fleet, project_image):
    """The site answers by https with database, broker, worker and beat of the same server, also after a power cut.
    Nothing but ssh and nginx listens to others. A backup comes back."""
    fleet.reset("web1")
    project_image()  # a build that takes minutes; that of the page takes seconds
    reader, server = Reader(fleet), fleet.hosts["web1"]
    server.run("cat >/usr/local/bin/certbot && chmod +x /usr/local/bin/certbot", input=CERTBOT)
    server.run("DEBIAN_FRONTEND=noninteractive apt-get purge -q -y nginx nginx-common")  # which test servers have
    for image in ("postgres:17", "redis:7"):
        apps.official(image)  # to this machine's engine, as the server may reach no registry
    reader.describe()
    reader.acquaint(fleet.services)
    for line in commands(PAGE):
        if line.startswith(("make ", "slipway ")):
            answers = {"env set": reader.answers, "backup --password": reader.password}
            reader.type_in_project(line, answers.get(" ".join(line.split()[1:3]), str)())
        elif line.startswith("ssh-copy-id"):
            reader.back_up()
        elif line.startswith(of_server := "ssh root@203.0.113.7 "):
            server.run(line.removeprefix(of_server))
        elif line.startswith("git "):
            reader.project.git("add", "-A")
            reader.project.git("commit", "-qm", "Describe the server")
    started = server.run('date -d "$(systemctl show -P ExecMainStartTimestamp nginx)" +%s')
    assert server.run("stat -c %Z /etc/nginx/sites-enabled/shop") <= started, "nginx never served Debian's page"
    assert "Location: https://shop.example/" in reader.asks("http://shop.example/", "-I")
    for _ in range(2):
        wait_until(lambda: '"ready": true' in reader.asks("https://shop.example/readyz?beat"), 180, "all parts work")
        assert reader.asks("https://shop.example/", "-o /dev/null -w '%{http_code}'") == "200"
        assert set(re.findall(r" (?:0\.0\.0\.0|\*|\[::\]):(\d+) ", server.run("ss -Htln"))) == {"22", "80", "443"}
        server.power_cut()
        server.power_on()
