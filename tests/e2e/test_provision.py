"""Tests of provisioning, from bare hosts on, with the real command over real ssh."""

import re

import pytest

from e2e import byhand
from e2e.byhand import active, answers, containers
from e2e.fleet import apps
from e2e.provisioned import Project
from proc import running, wait_until

SECRET = "planted-value-0815"
FILE_SECRET = "planted-line-4712"
NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
TAGS = ("v1", "o1")
PATHS = (
    "/etc/default/shop.env",
    "/etc/default/shop.env.next",
    "/etc/default/shop.secrets",
    "/run/shop/a.env",
    "/run/shop/web.sock",
    "/run/shop/a",
    "/var/www/shop/media",
)


@pytest.fixture(scope="module")
def images(fleet):
    return {
        name: fleet.registry.push(apps.echo(tag), f"{name}:{tag}")
        for name, tag in zip(("shop", "other"), TAGS, strict=True)
    }


@pytest.fixture(scope="module")
def first(fleet, images, tmp_path_factory):
    """Provision three bare hosts once. Return the project and the output."""
    fleet.reset("web1", "web2", "work1")
    project = Project(fleet, tmp_path_factory.mktemp("a project"), "shop", images["shop"].rpartition(":")[0])
    return project, project.provision()


@pytest.fixture(scope="module")
def serving(first, images):
    """Stage settings and start the first release by hand. Return the project."""
    project, _ = first
    lines = f"SECRET_KEY={SECRET}\nGREETING=good day\n"
    assert project.deploy("env", "set", "SECRET_KEY", "GREETING", input=lines).returncode == 0
    assert project.deploy("env", "set-file", "SIGNING_KEY", "-", input=f"{FILE_SECRET}\nx\n").returncode == 0
    project.start("web1", "web2", "work1", image=images["shop"])
    wait_until(lambda: containers(project.fleet.hosts["work1"]).keys() == {"shop-worker-a", "shop-beat"})
    return project


@pytest.fixture
def project(serving):
    """Yield that project. If a test changed its file, restore the file and provision again."""
    settings, hosts = dict(serving.settings), {name: dict(host) for name, host in serving.hosts.items()}
    yield serving
    if (serving.settings, serving.hosts) != (settings, hosts):
        serving.settings, serving.hosts = settings, hosts
        serving.provision()


def started(host):
    """Return the start time of each container, and the engine's process id."""
    return byhand.started(host), host.run("pidof dockerd")


def test_every_host_of_a_bare_fleet_is_provisioned(first):
    """The first run prints one line for each change, with its hosts, and a sum. systemd finds no fault in the new
    units, and the engine keeps containers alive. A second run changes nothing, nor does one as a user with sudo."""
    project, said = first
    lines = said.splitlines()
    assert "web1, web2, work1: add user shop" in lines
    assert re.fullmatch(r"\d+ changes \(web1 \d+, web2 \d+, work1 \d+\)", lines[-1])
    for host in project.fleet.hosts.values():
        verify = "systemd-analyze verify --man=no /etc/systemd/system/shop* docker-service@x.service docker.service"
        done = host.ssh(verify)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        assert host.run("docker info --format '{{.LiveRestoreEnabled}}'") == "true\n"
        assert "insecure-registries" in host.run("cat /etc/docker/daemon.json"), "what it held before"
    assert project.provision() == "0 changes (web1 0, web2 0, work1 0)\n"
    for name, host in project.hosts.items():
        host["address"] = f"deploy@{name}"
    assert project.provision("--check") == "0 changes to make (web1 0, web2 0, work1 0)\n"
    for host in project.hosts.values():
        del host["address"]


def test_what_runs_is_not_restarted(project):
    """New options, units, limits and owners of settings are installed while slot, worker, beat and engine run on."""
    hosts = project.fleet.hosts
    before = {name: started(host) for name, host in hosts.items()}
    settings = hosts["web1"].run("cat /etc/default/shop.env")
    for host in hosts.values():
        host.run(
            "cd /etc/systemd/system; for unit in shop-*.service; do echo '# changed' >>$unit; done;"
            " systemctl daemon-reload; echo '# changed' >>/usr/local/bin/docker-runner"
        )
    project.settings.update(opts="--label=new=yes", **{"site.body_limit": "9m"})
    logins = "journalctl --sync; journalctl -u ssh --no-pager | grep -c 'Accepted publickey'"
    known = int(hosts["web2"].run(logins))
    said = project.provision()
    assert int(hosts["web2"].run(logins)) - known - 1 == 3, "one to take keys out, one to look, one to work"
    assert "web1, web2, work1: reload systemd" in said.splitlines()
    assert {name: started(host) for name, host in hosts.items()} == before
    assert "client_max_body_size 9m" in hosts["web1"].run("cat /etc/nginx/shop/common.conf")
    assert "new=yes" in hosts["work1"].run("cat /etc/default/shop")
    assert hosts["web1"].run("cat /etc/default/shop.env") == settings, "only its owner may change what APP.env holds"
    assert project.changes() == 0


def test_a_broken_site_never_replaces_a_working_one(project):
    """If nginx refuses the new configuration, that is reported, and files, links and answers stay as before."""
    host = project.fleet.hosts["web1"]
    digest = "find /etc/nginx -type f -o -type l | sort | xargs sha256sum; ls /etc"
    working = "pgrep -fa '[n]ginx: worker' | grep -v 'shutting down'"
    before, workers = host.run(digest), host.run(working)
    host.write("/etc/nginx/shop/server.d/mine.conf", "no_such_directive on;\n")
    try:
        project.settings["site.body_limit"] = "8m"
        done = project.deploy("provision")
        assert done.returncode == 1
        assert "on web1: install nginx site shop:" in done.stderr
        assert 'unknown directive "no_such_directive" in /etc/nginx/shop/server.d/mine.conf:1' in done.stderr
        assert answers(host, "shop")[0] == 200
    finally:
        host.run("rm -r /etc/nginx/shop/server.d")
    assert (host.run(digest), host.run(working)) == (before, workers)
    assert "8m" in project.fleet.hosts["web2"].run("cat /etc/nginx/shop/common.conf"), "other hosts go on"


def test_a_role_that_is_taken_away_stops(project):
    """If beat moves to another host, it is installed there; on its old host it is stopped and its unit removed. A host
    that no longer balances loses the site, except the team's own folder."""
    hosts = project.fleet.hosts
    assert active(hosts["work1"], "shop-beat") == ["active"]
    worker = containers(hosts["work1"])["shop-worker-a"]
    project.hosts["work1"]["roles"], project.hosts["web2"]["roles"] = ["worker"], ["web", "beat"]
    del project.hosts["work1"]["balancer"]
    said = project.provision()
    assert "work1: stop shop-beat.service, balancer-hosts@shop.service" in said.splitlines()
    assert containers(hosts["work1"]) == {"shop-worker-a": worker}
    assert hosts["work1"].ssh("systemctl cat shop-beat.service").returncode == 1
    assert active(hosts["web2"], "shop-beat", "shop-web@a") == ["inactive", "active"]
    assert project.changes() == 0
    assert hosts["work1"].run("find /etc/nginx -name '*shop*'").split() in ([], ["/etc/nginx/shop-balancer"])
    assert hosts["work1"].ssh("curl -sf -H 'Host: shop.example' http://localhost/").returncode != 0
    hosts["web2"].run("systemctl start shop.target")
    wait_until(lambda: "shop-beat" in containers(hosts["web2"]), 30, "beat runs on web2 after the next start")


def test_two_apps_on_a_host_do_not_touch_each_other(project, images, tmp_path):
    """A second app is installed, serves beside the first, can read none of its files, and is removed, without an effect
    on the first. Its data stays. Removing it twice does no harm."""
    host = project.fleet.hosts["web1"]
    before, files = started(host), "find /etc/*/shop* /var/www/shop | sort | xargs ls -ldn"
    mine = host.run(files)
    other = Project(project.fleet, tmp_path, "other", images["other"].rpartition(":")[0])
    other.hosts = {"web1": {"roles": ["web"]}}
    other.provision()
    other.set(OTHER="1")
    other.start("web1", image=images["other"])
    assert answers(host, "shop")[0] == 200
    for path in PATHS:
        for command in (f"ls {path}/", f"cat {path}", f"curl -sS --unix-socket {path} http://x/"):
            assert host.ssh(f"setpriv --reuid=other --regid=other --clear-groups {command}").returncode != 0, command
    inside = host.run(
        'docker exec other-web-a /usr/bin/python3 -c "import os;'
        f' print([path for path in {PATHS!r} if os.path.exists(path)])"'
    )
    assert inside == "[]\n"
    other.provision("--remove", "web1")
    assert not [name for name in containers(host) if "other" in name]
    assert host.ssh("systemctl is-enabled other.target").returncode != 0
    assert host.run("find /etc/systemd /etc/tmpfiles.d /etc/nginx/sites-* -name '*other*'") == ""
    assert host.run("cat /var/www/other/TAG; cat /etc/default/other.env*").startswith("export TAG=o1")
    assert other.provision("--remove", "web1") == "0 changes (web1 0)\n"
    assert (started(host), host.run(files)) == (before, mine)
    assert project.changes() == 0


def test_no_app_gets_another_apps_visitors(project, images, tmp_path):
    """Of two apps on a web host and a balancer, the one without names gets all visitors but the other's, whichever is
    provisioned first. A second one without names is refused. Status and watch tell if another app answers instead."""
    hosts, other = project.fleet.hosts, Project(project.fleet, tmp_path, "other", images["other"].rpartition(":")[0])
    other.hosts["work1"]["roles"] = []
    del other.hosts["web2"]
    for named, nameless in ((project, other), (other, project)):
        named.settings["site.names"], nameless.settings["site.names"] = [f"{named.app}.example"], []
        named.provision(), nameless.provision()
        if nameless is other:
            other.set(OTHER="1")
            other.start("web1", image=images["other"])
        for name, app in ((f"{named.app}.example", named), ("x.example", nameless), ("localhost", nameless)):
            for host in ("web1", "work1"):
                answer = f'"release": "{images[app.app].rpartition(":")[2]}"'
                ask = f"curl -sS -H 'Host: {name}' http://localhost/"  # nginx's workers may still have to reload
                wait_until(lambda: answer in hosts[host].run(ask), what=f"{app.app} answers as {name} on {host}")
        assert not [app for app in (project, other) if "visitors of" in app.deploy("status").stdout]
        named.settings["site.names"] = []
        refused = named.deploy("provision")
        assert refused.returncode == 2
        assert f"on web1, work1: has {nameless.app} for visitors by any name" in refused.stderr
    hosts["web1"].run("sed -i 's/ default_server//' /etc/nginx/shop/public.conf; systemctl reload nginx")
    for words in (["status"], ["watch", "--once"]):
        done = project.deploy(*words)
        assert done.returncode == 1 and "visitors of localhost get 421" in done.stdout
    for name in other.hosts:
        other.provision("--remove", name)


def test_no_secret_shows_anywhere(project):
    """A planted setting and a planted file are in no process list, log, unit or other file of a host, staged or live,
    except in their own files, which are root's. A user without rights cannot read them, and the engine shows none of
    them."""
    host = project.fleet.hosts["web1"]
    grep = f"grep -e {SECRET[:-1]}[5] -e {FILE_SECRET[:-1]}[2]"  # a pattern that does not match itself
    watch = "while sleep 0.01; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr '\\0' ' '"
    there = ["ssh", "-F", project.fleet.ssh_config, "web1", watch]
    with running(there) as on_host, running(["sh", "-c", watch]) as here:
        wait_until(lambda: on_host.output() and here.output(), 30, "both are watched")
        said = "".join(
            done.stdout + done.stderr
            for done in (
                project.deploy("env", "set", input=f"SECRET_KEY={SECRET}\nMORE=1\n"),
                project.deploy("env", "set-file", "SIGNING_KEY", "-", input=f"{FILE_SECRET}\n"),
                project.deploy("env", "list"),
            )
        )
        host.run("systemctl restart shop-web@a", timeout=120)
        wait_until(
            lambda: host.run("docker-runner shop migrate") and "--env-file /etc/default/shop.env" in on_host.output(),
            120,
            "docker was seen at work",
        )
        seen = on_host.output() + here.output()
    assert "--unit=shop-deploy" in seen, "the commands were seen at work"
    assert SECRET not in seen and FILE_SECRET not in seen
    assert SECRET not in said and "SECRET_KEY" in said
    for place in (
        "journalctl --no-pager",
        "docker image inspect $(docker images -q)",
        "systemctl cat 'shop-*'",
        "docker history --no-trunc $(docker images -q | head -n 1)",
        "systemctl show 'shop-*'",
    ):
        assert host.ssh(f"{place} | {grep}").stdout == "", place
    found = host.ssh(f"{grep} -rl --exclude-dir=containerd --exclude-dir=docker /etc /var /run /tmp /usr/local").stdout
    assert {re.sub(r"\.[0-9a-f]{8}$", "", path) for path in found.split()} == {
        *(f"/etc/default/shop.{name}" for name in ("env", "env.next", "secrets/SIGNING_KEY")),
        "/run/shop/a.env",
    }
    assert set(host.run(f"stat -c '%a %U' {' '.join(found.split())}").splitlines()) == {"600 root", "640 root"}
    look = (
        f"{NOBODY} grep -rsl -e {SECRET[:-1]}[5] -e {FILE_SECRET[:-1]}[2] --devices=skip"
        f" /etc /var /run /tmp /usr/local /home; {NOBODY} ps axeww | grep {SECRET[:-1]}[5]"
    )
    assert host.ssh("sh -s", input=look, timeout=120).stdout == ""
    for command in ("docker inspect shop-web-a", "docker exec shop-web-a true", "docker-runner shop manage check"):
        assert host.ssh(f"{NOBODY} {command}").returncode != 0, command
