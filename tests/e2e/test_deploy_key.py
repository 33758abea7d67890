"""A key that may deploy one app: what works with it, and what a thief of it can do."""

import base64
import json
import shlex
import socket
import subprocess

import pytest

from e2e import checker
from e2e.rollouts import Shop
from e2e.scenarios import good, live, often
from e2e.test_view import viewed
from matrix.columns import EVERY
from proc import free_port, passed, run, running, wait_until
from slipway.deploy.server import gate
from slipway.deploy.ssh import bootstrap

pytestmark = pytest.mark.extra
CANARY = "canary-8e1f73b0"
REFUSAL = "this key may deploy shop, and nothing else: use an administrator's key"


class Thief:
    """Whoever has the key, and nothing else. `got`: all bytes that came back."""

    def __init__(self, shop, folder, key=None):
        self.shop, self.key, self.got = shop, key or folder / "key", b""
        if not key:
            passed(run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ci", "-f", self.key]))
        self.public = self.key.with_suffix(".pub").read_text().strip()
        self.config = folder / f"ssh_config_{shop.app}"
        lines = shop.fleet.ssh_config.read_text().splitlines()
        kept = [line for line in lines if not line.strip().lower().startswith("identityfile")]
        self.config.write_text("\n".join([f'IdentityFile "{self.key}"', "IdentitiesOnly yes", *kept]) + "\n")

    def words(self, program, *options):
        return [program, "-F", str(self.config), "-o", f"User={self.shop.app}-deploy", *options]

    def ssh(self, *options, host="web1", input="", program="ssh"):
        """Return the finished ssh, or another program of OpenSSH."""
        words = [word.replace("HOST", host) for word in self.words(program, *options)]
        done = subprocess.run(words, input=input.encode(), capture_output=True, timeout=60, check=False)
        self.got += done.stdout + done.stderr
        return done

    def command(self, *words):
        """Return the words of a command of Slipway, as CI runs it."""
        command = type(self.shop).command(self.shop, *words)
        command[command.index("--ssh-config") + 1] = self.config
        return ["env", f"DEPLOY_USER={self.shop.app}-deploy", *command]

    def deploy(self, *words):
        done = run(self.command(*words), timeout=300, cwd=self.shop.checkout)
        self.got += (done.stdout + done.stderr).encode()
        return done


@pytest.fixture(scope="module")
def thief(shop, tmp_path_factory):
    thief = Thief(shop, tmp_path_factory.mktemp("a stolen key"))
    thief.looker = Thief(shop, tmp_path_factory.mktemp("a key that may look"))
    shop.set(TOKEN=CANARY)
    shop.settings |= {"deploy_keys": [thief.public], "watch_keys": [thief.looker.public]}
    shop.provision()
    assert shop.changes() == 0
    for host in shop.machines().values():
        host.write("/etc/default/blog.env", f"TOKEN={CANARY}\n")
        host.write("/root/.docker/config.json", f'{{"auths": {{"other.example": {{"auth": "{CANARY}"}}}}}}')
    yield thief
    for host in shop.machines().values():
        host.run("rm -f /etc/default/blog.env /root/.docker/config.json")
    del shop.settings["deploy_keys"], shop.settings["watch_keys"]
    shop.provision()
    assert shop.changes() == 0
    assert thief.ssh("HOST", "true").returncode == 255, "the key is out"
    assert "shop-deploy" not in shop.web[0].run("getent passwd; ls /etc/sudoers.d /var/lib /usr/local/sbin")


def test_what_ci_does_works_with_it(shop, thief):
    """A deploy that is taken back, one that goes live, and a rollback, with nothing lost; and all that looks."""
    with shop.load():
        bad = thief.deploy("deploy", shop.image("key-1", "error"))
        assert bad.returncode == 1 and "taken back" in bad.stderr, bad.stderr
        passed(thief.deploy("deploy", shop.image("key-2"), "--allow-incompatible"))
        checker.check(shop)
        assert live(shop) == "key-2"
        passed(thief.deploy("rollback"))
        passed(thief.deploy("deploy", "key-2", "--allow-incompatible"))
    for words in ("status",), ("releases",), ("errors",), ("logs", "-n", "5"), ("plan", "key-2"), ("watch", "--once"):
        done = thief.deploy(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert "key-2" in thief.deploy("status").stdout and "web1" in thief.deploy("logs", "--role", "web").stdout


def test_the_page_shows_as_much_with_it(shop, thief, monkeypatch):
    monkeypatch.setattr(shop, "command", thief.command)
    with viewed(shop) as view:
        assert [host["silent"] for host in view.state()["hosts"]] == [""] * len(shop.hosts)
        assert view.state()["releases"] and view.host("web1")["processes"]


@pytest.mark.parametrize("step", often(EVERY, ("start", "flip", "commit")))
def test_a_killed_deployer_leaves_every_host_whole(shop, thief, monkeypatch, step):
    monkeypatch.setattr(shop, "command", thief.command)
    with shop.load(), shop.rolling("deploy", good(shop), "--allow-incompatible") as rolling:
        rolling.until(step)
        rolling.process.kill()
        shop.settled(90)
    checker.check(shop, divided=step == "promise")


def test_a_key_that_may_look_changes_nothing(shop, thief):
    assert "web1" in passed(thief.looker.deploy("status")).stdout
    refused = thief.looker.deploy("deploy", shop.image("key-2"), "--allow-incompatible")
    assert refused.returncode == 2 and "this key may watch shop, not" in refused.stderr, refused.stderr


def test_a_certificate_of_some_minutes_is_enough(shop, thief, tmp_path):
    """As docs/ci.md describes it, without a key in production.toml."""
    ci, web1 = Thief(shop, tmp_path), shop.fleet.hosts["web1"]
    passed(run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "authority"]))
    limits = ["-O", "clear", "-O", "force-command=sudo -n /usr/local/sbin/shop-gate", "-V", "-1m:+5m"]
    words = ["ssh-keygen", "-q", "-s", tmp_path / "authority", "-I", "ci", "-n", "shop-deploy", *limits]
    passed(run([*words, ci.key.with_suffix(".pub")]))
    web1.write("/etc/ssh/authority.pub", (tmp_path / "authority.pub").read_text())
    web1.write("/etc/ssh/sshd_config.d/authority.conf", "TrustedUserCAKeys /etc/ssh/authority.pub\n")
    web1.run("systemctl restart ssh")  # a reload would close connections a moment later
    try:
        assert "web1" in passed(ci.deploy("status", "--hosts", "web1")).stdout
        assert ci.ssh("HOST", "id").returncode == 77
    finally:
        web1.run("rm /etc/ssh/sshd_config.d/authority.conf && systemctl restart ssh")


def test_no_way_of_ssh_leads_further(shop, thief):
    """No shell, no file, no forwarding."""
    assert thief.ssh("-tt", "HOST").returncode == 255, "no terminal"
    for words in (
        [],
        [shlex.join(bootstrap.command("blog"))],
        ["sh"],
        ["id"],
        ["cat", "/etc/shadow"],
        ["internal-sftp"],
        ["scp", "-t", "/"],
    ):
        done = thief.ssh("HOST", *words)
        assert done.returncode == 77 and done.stderr.decode().strip().endswith(REFUSAL), done
    assert thief.ssh("-b", "-", "HOST", program="sftp", input="ls\n").returncode != 0
    stolen = thief.key.parent / "stolen"
    for options in ((), ("-O",)):
        assert thief.ssh(*options, "HOST:/etc/shadow", str(stolen), program="scp").returncode != 0
    assert not stolen.exists()
    sets = [f"SetEnv={name}=/tmp/x" for name in ("LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "PYTHONSTARTUP")]
    for option in sets:
        assert thief.ssh("-o", option, "HOST", "id").returncode == 77
    for options in (("-A",), ("-X",), ("-w", "any")):
        assert thief.ssh(*options, "HOST", "id").returncode in (77, 255)
    web1 = shop.fleet.hosts["web1"]
    said = web1.run("journalctl -t shop-gate -n 1 -o cat")
    fingerprint = passed(run(["ssh-keygen", "-lf", f"{thief.key}.pub"])).stdout.split()[1].partition(":")[2]
    assert said.strip() == f"key {fingerprint}: {REFUSAL}; it asked: 'id'"
    assert web1.run("id -nG shop-deploy").strip() == "shop-deploy"
    assert web1.ssh("runuser -u shop-deploy -- ls /run/shop/a /etc/default/shop.secrets").returncode != 0


def test_no_port_or_socket_is_forwarded(thief):
    """Neither the app's database port nor Docker's socket."""
    for target in ("127.0.0.1:22", "/run/docker.sock"):
        port = free_port()
        with running(thief.words("ssh", "-N", "-L", f"{port}:{target}", "web1")):
            wait_until(lambda port=port: answered(port) == b"", 30, "the port leads nowhere")
    for options in (["-R", "0:127.0.0.1:22"], ["-R", "/tmp/x.sock:127.0.0.1:22"]):
        done = thief.ssh("-o", "ExitOnForwardFailure=yes", "-N", *options, "HOST")
        assert done.returncode == 255, done


def answered(port):
    """Return what a server at this port answers; b"" if it closes the connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /info HTTP/1.0\r\n\r\n")
            return connection.recv(100)
    except ConnectionResetError:
        return b""


def test_the_agent_alone_gives_no_secret(shop, thief):
    """Whatever is asked of it: none of the secrets comes back in any form."""
    start = shlex.join(bootstrap.command("shop"))
    asked = [
        '{"id": 1, "do": "read_settings", "args": {"secrets": true}}',
        '{"id": 2, "do": "command", "args": {"script": "cat /etc/default/shop.env"}}',
        '{"id": 3, "do": "facts", "args": {"paths": ["/etc/default/shop.env", "/etc/default/blog.env"]}}',
        '{"id": 4, "do": "last_lines", "args": {"name": "sshd", "since": 1, "until": 2}}',
        '{"id": 5, "do": "lock", "args": {"description": "x", "dead_after": 30, "bare": true}}',
        '{"id": 6, "do": "facts", "args": {"health": true}}',
        '{"id": 7, "do": "errors", "args": {}}',
    ]
    done = thief.ssh("HOST", start, input="\n".join(asked) + "\n")
    answers = done.stdout.decode().splitlines()
    assert answers[0] == "--8<-- slipway" and len(answers) == 8, done
    assert all('"problem"' in answer for answer in answers[1:6]) and all('"ok"' in answer for answer in answers[6:])
    forms = (CANARY.encode(), base64.b64encode(CANARY.encode()).rstrip(b"="), CANARY.encode().hex().encode())
    files = "/etc/default/*.env /etc/default/shop.secrets/* /etc/shadow /root/.docker/config.json"
    hashes = shop.fleet.hosts["web1"].run(f"sha256sum {files} 2>/dev/null | cut -d ' ' -f 1; :").encode().split()
    assert len(hashes) > 3 and not [form for form in (*forms, *hashes) if form in thief.got]
    with_lock = [
        '{"id": 1, "do": "lock", "args": {"description": "x", "dead_after": 30}}',
        '{"id": 2, "do": "command", "args": {"script": "id"}}',
        '{"id": 3, "do": "end", "args": {}}',
    ]
    done = thief.ssh("HOST", start, input="\n".join(with_lock) + "\n")
    assert b"not command: use an administrator" in done.stdout and b"uid=0" not in done.stdout, done


def test_another_app_of_the_host_is_out_of_reach(shop, thief, tmp_path):
    """With shop's key nothing of the app forum, which has a key of its own, can be read or changed."""
    web1, forum = shop.fleet.hosts["web1"], Shop(shop.fleet, tmp_path, "forum")
    owner, as_forum = Thief(forum, tmp_path), Thief(forum, thief.key.parent, thief.key)
    forum.hosts, forum.settings["deploy_keys"] = {"web1": {"roles": ["web"]}}, [owner.public]
    forum.provision()
    forum.set(TOKEN=CANARY)
    forum.start("web1", image=f"{forum.settings['image']}:v1")
    try:
        files = "find /etc/*/forum* /var/www/forum -type f | sort | xargs sha256sum; docker ps -q --filter name=forum-"
        before = web1.run(files)
        assert as_forum.ssh("HOST", "id").returncode == 255, "shop's key opens shop's account alone"
        log = ["journalctl", *gate.FIXED, "-t"]
        assert thief.ssh("HOST", shlex.join([*log, "shop-web-a"])).returncode == 0
        for words in (bootstrap.command("forum"), [*log, "forum-web-a"]):
            done = thief.ssh("HOST", shlex.join(words))
            assert (done.returncode, done.stderr.decode().strip()) == (77, REFUSAL)
        image = forum.settings["image"]
        asked = [
            {"do": "facts", "args": {"paths": ["/etc/default/forum"]}},
            {"do": "last_lines", "args": {"name": "forum-web-a", "since": 1, "until": 2}},
            {"do": "resolve", "args": {"image": image, "tag": "v1"}},
            {"do": "pull", "args": {"image": image}},
        ]
        lines = "".join(json.dumps({**message, "id": 1}) + "\n" for message in asked)
        for lock in ("", '{"id": 1, "do": "lock", "args": {"description": "x", "dead_after": 30}}\n'):
            done = thief.ssh("HOST", shlex.join(bootstrap.command("shop")), input=lock + lines)
            answers = [json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")]
            assert sum("problem" in answer for answer in answers) >= len(asked), answers
        assert "v1" in owner.deploy("status").stdout, "forum's own key works"
        assert web1.run(files) == before and CANARY.encode() not in thief.got + owner.got
        checker.check(shop)
    finally:
        forum.provision("--remove", "web1")


def test_a_server_with_another_agent_says_so(shop, thief):
    """After an update an administrator provisions first."""
    gate = "/usr/local/sbin/shop-gate"
    web1 = shop.fleet.hosts["web1"]
    web1.run(f"sed -i 's/agent\\.[0-9a-f]\\{{16\\}}/agent.0000000000000000/g' {gate}")
    refused = thief.deploy("deploy", shop.image("key-3"), "--allow-incompatible")
    assert refused.returncode == 2, refused.stderr
    assert "on web1: this server's agent is of another version: run slipway provision" in refused.stderr
    assert shop.changes() == 1
    passed(thief.deploy("deploy", "key-3", "--allow-incompatible"))
