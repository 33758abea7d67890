"""Provisioning, from bare hosts on, with the real command over real ssh."""

import re

import pytest

from e2e.byhand import answers, containers
from e2e.fleet import apps
from e2e.provisioned import Project
from proc import running, wait_until

SECRET = "planted-value-0815"
FILE_SECRET = "planted-line-4712"
PATHS = ("/etc/default/shop.env", "/etc/default/shop.env.next", "/etc/default/shop.secrets", "/run/shop/a.env",
         "/run/shop/web.sock", "/run/shop/a", "/var/www/shop/media")


@pytest.fixture(scope="module")
def images(fleet):
    return {name: fleet.registry.push(apps.echo("v1"), f"{name}:v1") for name in ("shop", "other")}


@pytest.fixture(scope="module")
def first(fleet, images, tmp_path_factory):
    """Three bare hosts, provisioned once: the project, and what was said."""
    fleet.reset("web1", "web2", "work1")
    project = Project(fleet, tmp_path_factory.mktemp("a project"), "shop", images["shop"].rpartition(":")[0])
    return project, project.provision()


@pytest.fixture(scope="module")
def serving(first, images):
    """The same after the first start by hand, with settings staged."""
    project, _ = first
    lines = f"SECRET_KEY={SECRET}\nGREETING=good day\n"
    assert project.deploy("env", "set", "SECRET_KEY", "GREETING", input=lines).returncode == 0
    assert project.deploy("env", "set-file", "SIGNING_KEY", "-", input=f"{FILE_SECRET}\nx\n").returncode == 0
    project.start("web1", "web2", "work1", image=images["shop"])
    wait_until(lambda: containers(project.fleet.hosts["work1"]).keys() == {"shop-worker-a", "shop-beat"}, 30)
    return project


@pytest.fixture
def project(serving):
    """That project. What a test changes in its file is put back, and provisioned."""
    settings, hosts = dict(serving.settings), {name: dict(host) for name, host in serving.hosts.items()}
    yield serving
    if (serving.settings, serving.hosts) != (settings, hosts):
        serving.settings, serving.hosts = settings, hosts
        serving.provision()


def started(host):
    """Container → when it was started, and the engine's process."""
    format = "{{.Name}} {{.State.StartedAt}}"
    return host.run(f"docker inspect --format '{format}' $(docker ps -q) | sort; pidof dockerd")


def state(host, *units):
    return host.ssh(f"systemctl is-active {' '.join(units)}").stdout.split()


def test_every_host_of_a_bare_fleet_is_provisioned(first):
    """The first run reports its changes, a line each with the hosts it holds for, and a sum."""
    _, said = first
    lines = said.splitlines()
    assert "web1, web2, work1: add user shop" in lines
    assert "work1: write /etc/systemd/system/shop-beat.service" in lines
    assert re.fullmatch(r"\d+ changes \(web1 \d+, web2 \d+, work1 \d+\)", lines[-1])


def test_a_second_run_changes_nothing(first):
    """Once provisioned, provisioning finds nothing to do, and says so; so does --check, with exit 0."""
    project, _ = first
    assert project.provision() == "0 changes (web1 0, web2 0, work1 0)\n"
    assert project.provision("--check") == "0 changes to make (web1 0, web2 0, work1 0)\n"


def test_systemd_has_nothing_to_say(first):
    """systemd-analyze verify finds no fault with what was installed, on the host itself."""
    for host in first[0].fleet.hosts.values():
        verify = "systemd-analyze verify --man=no /etc/systemd/system/shop* docker-service@x.service docker.service"
        done = host.ssh(verify)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_both_hosts_serve_after_the_first_start(serving):
    """After the first start as the docs have it, both web hosts answer through nginx, and so does the balancer."""
    hosts = serving.fleet.hosts
    for name in ("web1", "web2"):
        status, body = answers(hosts[name], "shop")
        assert status == 200 and '"release": "v1"' in body
    assert {answers(hosts["work1"], "shop")[0] for _ in range(4)} == {200}
    asked = hosts["work1"].run("cat /var/log/nginx/shop-balancer.access.log")
    assert hosts["web1"].address in asked and hosts["web2"].address in asked


def test_the_engine_keeps_containers_alive(serving):
    """live-restore holds on every host, beside what daemon.json held before."""
    for host in serving.fleet.hosts.values():
        assert host.run("docker info --format '{{.LiveRestoreEnabled}}'") == "true\n"
        assert "insecure-registries" in host.run("cat /etc/docker/daemon.json")


def test_logs_are_turned_over(serving):
    """logrotate, as it comes, knows the app's log; nginx then writes to the new one."""
    host, log = serving.fleet.hosts["web1"], "/var/log/nginx/shop.access.log"
    answers(host, "shop", "/before")
    host.run("logrotate --force /etc/logrotate.d/nginx")
    answers(host, "shop", "/after")
    wait_until(lambda: "/after" in host.run(f"cat {log}"), 30, "the new log is written to")
    assert "/before" in host.run(f"cat {log}.1") and "/before" not in host.run(f"cat {log}")


# Stands in for certbot: asks itself what Let's Encrypt would ask over http, then signs the certificate itself.
CERTBOT = """#!/bin/sh
set -eu
mkdir -p /var/www/acme/.well-known/acme-challenge /etc/letsencrypt/live/shop.example
echo it is me >/var/www/acme/.well-known/acme-challenge/token
[ "$(curl -s -H 'Host: shop.example' http://localhost/.well-known/acme-challenge/token)" = "it is me" ]
cd /etc/letsencrypt/live/shop.example
openssl req -x509 -nodes -newkey rsa:2048 -subj /CN=shop.example -keyout privkey.pem -out fullchain.pem 2>/dev/null
echo "$*" >>/etc/letsencrypt/asked
"""


def test_certbot_gets_a_certificate_once(project):
    """nginx serves http until certbot has its certificate, then https; the next run asks for none."""
    host = project.fleet.hosts["work1"]
    host.write("/usr/local/bin/certbot", CERTBOT)
    host.run("chmod 755 /usr/local/bin/certbot")
    project.settings.update({"site.tls": "certbot", "site.email": "ops@shop.example"})
    project.provision()
    assert project.changes() == 0
    asked = host.run("cat /etc/letsencrypt/asked").splitlines()
    assert len(asked) == 1 and "--webroot -w /var/www/acme" in asked[0] and asked[0].endswith("-d shop.example")
    page = "curl -sk --resolve shop.example:443:127.0.0.1 https://shop.example/"
    assert '"release": "v1"' in host.run(page)
    moved = host.run("curl -so /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: shop.example' http://localhost/x")
    assert moved == "308 https://shop.example/x"


def test_a_user_with_sudo_is_as_good_as_root(project):
    """Logged in as a user who may sudo, provisioning finds all as root has left it."""
    for name, host in project.hosts.items():
        host["address"] = f"deploy@{name}"
    assert project.changes() == 0


# Stands in for apt-get: brings back what was put aside.
APT_GET = """#!/bin/sh
case $* in *install*python3) mv /usr/bin/python3.away /usr/bin/python3 ;; esac
"""


def test_a_host_without_python_gets_it_first(project):
    """--check says that it sees nothing without one; then it comes before all else."""
    host = project.fleet.hosts["work1"]
    host.write("/usr/local/bin/apt-get", APT_GET)
    host.run("chmod 755 /usr/local/bin/apt-get; mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        project.settings["site.body_limit"] = "13m"
        done = project.deploy("--hosts", "work1", "provision", "--check")
        assert done.returncode == 2 and "on work1: has no python3, without which --check" in done.stderr
        assert host.ssh("command -v python3").returncode, "--check has not brought it"
        assert project.deploy("--hosts", "work1", "provision").stdout == (
            "work1: install python3 …\nwork1: install python3\nwork1: put nginx site shop-balancer in place\n"
            "2 changes (work1 2)\n")
    finally:
        host.run("rm /usr/local/bin/apt-get; [ -e /usr/bin/python3 ] || mv /usr/bin/python3.away /usr/bin/python3")


def test_check_says_what_would_change_and_changes_nothing(project):
    """--check names each change and the hosts, exits 1, and the next --check says the same."""
    project.settings["site.body_limit"] = "7m"
    for _ in range(2):
        done = project.deploy("provision", "--check")
        assert done.returncode == 1, done.stderr
        assert done.stdout == ("web1, web2: would put nginx site shop in place\n"
                               "work1: would put nginx site shop-balancer in place\n"
                               "3 changes to make (web1 1, web2 1, work1 1)\n")
    assert "7m" not in project.fleet.hosts["web1"].run("cat /etc/nginx/shop/app.conf")


def test_what_runs_is_not_restarted(project):
    """New options, units, limits and settings' owners come into place while slot, worker, beat and engine go on."""
    hosts = project.fleet.hosts
    before = {name: started(host) for name, host in hosts.items()}
    settings = hosts["web1"].run("cat /etc/default/shop.env")
    for host in hosts.values():
        host.run("cd /etc/systemd/system; for unit in shop-*.service; do echo '# changed' >>$unit; done;"
                 " systemctl daemon-reload; echo '# changed' >>/usr/local/bin/docker-runner")
    project.settings.update(opts="--label=new=yes", **{"site.body_limit": "9m"})
    said = project.provision()
    for change in ("reload systemd", "start docker-runner.target"):
        assert f"web1, web2, work1: {change}" in said.splitlines()
    assert {name: started(host) for name, host in hosts.items()} == before
    assert "client_max_body_size 9m" in hosts["web1"].run("cat /etc/nginx/shop/app.conf")
    assert "new=yes" in hosts["work1"].run("cat /etc/default/shop")
    assert hosts["web1"].run("cat /etc/default/shop.env") == settings, "only its owner may change what APP.env holds"
    assert project.changes() == 0


def test_a_broken_site_never_replaces_a_working_one(project):
    """nginx refuses the new configuration: that is the report, and files, links and answers are those of before."""
    host = project.fleet.hosts["web1"]
    digest = "find /etc/nginx -type f -o -type l | sort | xargs sha256sum; ls /etc"
    before, workers = host.run(digest), host.run("pgrep -f 'nginx: worker'")
    host.write("/etc/nginx/shop/server.d/mine.conf", "no_such_directive on;\n")
    try:
        project.settings["site.body_limit"] = "8m"
        done = project.deploy("provision")
        assert done.returncode == 1
        assert "on web1: put nginx site shop in place:" in done.stderr
        assert 'unknown directive "no_such_directive" in /etc/nginx/shop/server.d/mine.conf:1' in done.stderr
        assert answers(host, "shop")[0] == 200
    finally:
        host.run("rm -r /etc/nginx/shop/server.d")
    assert (host.run(digest), host.run("pgrep -f 'nginx: worker'")) == (before, workers)
    assert "8m" in project.fleet.hosts["web2"].run("cat /etc/nginx/shop/app.conf"), "other hosts go on"


def test_our_own_mistake_does_not_replace_it_either(project):
    """A certificate that is not there, which only the new files name: nginx finds that out in a copy of its folder."""
    host = project.fleet.hosts["work1"]
    listing = "find /etc/nginx* -type f -o -type l | sort | xargs sha256sum"
    before = host.run(listing)
    project.settings.update({"site.tls": "files", "site.certificate": "/etc/ssl/no.pem", "site.key": "/etc/ssl/no.key"})
    done = project.deploy("--hosts", "work1", "provision")
    assert done.returncode == 1
    assert 'cannot load certificate "/etc/ssl/no.pem"' in done.stderr
    assert host.run(listing) == before
    host.run("nginx -t && systemctl reload nginx")
    assert answers(host, "shop")[0] == 200


@pytest.mark.parametrize("app, whose", [
    ("lock", "/run/lock (of root)"), ("ssh", "/etc/default/ssh (of the package openssh-server)")])
def test_a_name_that_the_server_has_for_something_else(first, tmp_path, app, whose):
    """Whose it is is told, and nothing is done."""
    fleet = first[0].fleet
    done = Project(fleet, tmp_path, app, "registry.example/x").deploy("--hosts", "web1", "provision")
    assert (done.returncode, done.stdout) == (2, "") and f"on web1: has {whose}" in done.stderr, done.stderr
    assert fleet.hosts["web1"].ssh(f"ls /etc/default/{app}.env /var/www/{app}; id {app}").stdout == ""


def test_the_faults_of_all_hosts_are_told_at_once(project):
    """One host is gone, another holds a malformed daemon.json: both are in the report, and nothing is done."""
    hosts = project.fleet.hosts
    project.hosts["web1"]["address"] = "gone"  # the fleet's ssh_config knows no port of it
    hosts["web2"].run("cp /etc/docker/daemon.json /tmp/ && echo '{' >/etc/docker/daemon.json")
    try:
        project.settings["site.body_limit"] = "6m"
        done = project.deploy("provision")
    finally:
        hosts["web2"].run("cp /tmp/daemon.json /etc/docker/daemon.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"^deploy: on web1: cannot be reached: ssh: connect to host", done.stderr, re.MULTILINE)
    assert "deploy: on web2: /etc/docker/daemon.json is no JSON object" in done.stderr
    assert "6m" not in hosts["work1"].run("cat /etc/nginx/shop-balancer/app.conf")


@pytest.fixture
def lock(serving):
    """The lock of a deploy, held on web2."""
    host = serving.fleet.hosts["web2"]
    host.run("systemd-run --quiet --collect --unit=shop-deploy --description='deploy build-7 by ann' sleep 600")
    yield host
    host.run("systemctl stop shop-deploy")


def test_who_comes_second_is_told_who_is_first(project, lock):
    """While a deploy holds a host, provisioning and env exit with 4, say whose it is, and change nothing anywhere."""
    project.settings["site.body_limit"] = "5m"
    for words, input in ((["provision"], None), (["env", "set", "NEW"], "NEW=1\n")):
        done = project.deploy(*words, input=input)
        assert (done.returncode, done.stderr) == (4, "deploy: on web2: locked: deploy build-7 by ann\n")
    assert project.deploy("provision", "--check").returncode == 1, "to look needs no lock"
    for host in project.fleet.hosts.values():
        assert host.ssh("grep -rq 5m /etc/nginx").returncode == 1
        assert host.ssh("test -e /etc/default/shop.env.next").returncode == 1


def test_the_lock_is_free_after_each_run(serving):
    """Whatever ran before, no host is left locked."""
    for host in serving.fleet.hosts.values():
        assert host.run("systemctl list-units --all --no-legend shop-deploy.service") == ""


def test_a_role_that_is_taken_away_stops(project):
    """Beat moves to another host: there it is installed; where it was it is stopped and its unit gone, for good."""
    hosts = project.fleet.hosts
    assert state(hosts["work1"], "shop-beat") == ["active"]
    worker = containers(hosts["work1"])["shop-worker-a"]
    project.hosts["work1"]["roles"], project.hosts["web2"]["roles"] = ["worker"], ["web", "beat"]
    said = project.provision()
    assert "work1: stop shop-beat.service" in said.splitlines()
    assert containers(hosts["work1"]) == {"shop-worker-a": worker}
    assert hosts["work1"].ssh("systemctl cat shop-beat.service").returncode == 1
    assert state(hosts["web2"], "shop-beat", "shop-web@a") == ["inactive", "active"]
    assert project.changes() == 0
    hosts["web2"].run("systemctl start shop.target")
    wait_until(lambda: "shop-beat" in containers(hosts["web2"]), 30, "beat runs on web2 after the next start")


def test_the_balancer_can_move(project):
    """A host that balances no more lets the site go; nothing of nginx is left of it but the team's own folder."""
    del project.hosts["work1"]["balancer"]
    project.provision()
    host = project.fleet.hosts["work1"]
    assert host.run("find /etc/nginx -name '*shop*'").split() in ([], ["/etc/nginx/shop-balancer"])
    assert host.ssh("curl -sf -H 'Host: shop.example' http://localhost/").returncode != 0


def test_a_host_that_is_removed_stops_and_keeps_its_data(project, images):
    """--remove ends and disables everything of the app on a host; settings and releases stay; twice is no harm."""
    host = project.fleet.hosts["web2"]
    said = project.provision("--remove", "web2")
    assert said.splitlines()[-1].endswith("(web2 %s)" % said.splitlines()[-1].split()[0])
    assert containers(host) == {} and host.ssh("systemctl is-enabled shop.target").returncode != 0
    assert host.run("find /etc/systemd /etc/tmpfiles.d /etc/nginx/sites-* -name '*shop*'") == ""
    assert host.run("cat /var/www/shop/TAG").startswith("export TAG=v1")
    assert SECRET in host.run("cat /etc/default/shop.env")
    assert project.provision("--remove", "web2") == "0 changes (web2 0)\n"
    host.power_cut()
    host.power_on()
    assert containers(host) == {}
    project.provision()
    host.run("systemctl start shop.target")
    wait_until(lambda: answers(host, "shop")[0] == 200, 60, "web2 serves again")
    project.provision()  # its web answers now, so balancers send it visitors again


def test_two_apps_on_a_host_do_not_touch_each_other(project, images, tmp_path):
    """A second app comes, serves beside the first, may read nothing of it, and goes; the first never notices."""
    host = project.fleet.hosts["web1"]
    before, files = started(host), "find /etc/*/shop* /var/www/shop | sort | xargs ls -ldn"
    mine = host.run(files)
    other = Project(project.fleet, tmp_path, "other", images["other"].rpartition(":")[0])
    other.hosts = {"web1": {"roles": ["web"]}}
    other.provision()
    assert other.changes() == 0
    assert other.deploy("env", "set", input="OTHER=1\n").returncode == 0
    other.start("web1", image=images["other"])
    assert answers(host, "shop")[0] == 200
    for path in PATHS:
        for command in (f"ls {path}/", f"cat {path}", f"curl -sS --unix-socket {path} http://x/"):
            assert host.ssh(f"setpriv --reuid=other --regid=other --clear-groups {command}").returncode != 0, command
    inside = host.run("docker exec other-web-a /usr/bin/python3 -c \"import os;"
                      f" print([path for path in {PATHS!r} if os.path.exists(path)])\"")
    assert inside == "[]\n"
    other.provision("--remove", "web1")
    assert (started(host), host.run(files)) == (before, mine)
    assert project.changes() == 0


def test_no_secret_shows_anywhere(project):
    """A planted setting and a planted file are in no process list, log, unit or other file of a host, neither while
    they are staged nor while they are live, but where they belong; and those files are root's."""
    host = project.fleet.hosts["web1"]
    grep = f"grep -e {SECRET[:-1]}[5] -e {FILE_SECRET[:-1]}[2]"  # the pattern does not match itself
    watch = "while sleep 0.01; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr '\\0' ' '"
    there = ["ssh", "-F", project.fleet.ssh_config, "web1", watch]
    with running(there) as on_host, running(["sh", "-c", watch]) as here:
        wait_until(lambda: on_host.output() and here.output(), 30, "both are watched")
        said = "".join(done.stdout + done.stderr for done in (
            project.deploy("env", "set", input=f"SECRET_KEY={SECRET}\nMORE=1\n"),
            project.deploy("env", "set-file", "SIGNING_KEY", "-", input=f"{FILE_SECRET}\n"),
            project.deploy("env", "list")))
        seen = on_host.output() + here.output()
    assert "--unit=shop-deploy" in seen, "the commands were seen at work"
    assert SECRET not in seen and FILE_SECRET not in seen
    assert SECRET not in said and "SECRET_KEY" in said
    assert host.ssh(f"journalctl --no-pager | {grep}").stdout == ""
    assert host.ssh(f"docker image inspect $(docker images -q) | {grep}").stdout == ""
    found = host.ssh(f"{grep} -rl --exclude-dir=containerd --exclude-dir=docker /etc /var /run /tmp /usr/local").stdout
    assert {re.sub(r"\.[0-9a-f]{8}$", "", path) for path in found.split()} == {
        *(f"/etc/default/shop.{name}" for name in ("env", "env.next", "secrets/SIGNING_KEY")),
        "/run/shop/a.env"}
    assert set(host.run(f"stat -c '%a %U' {' '.join(found.split())}").splitlines()) == {"600 root", "640 root"}


def test_who_may_nothing_sees_nothing(project):
    """A user without rights finds the planted values in no file and no process, and the engine tells nothing."""
    host = project.fleet.hosts["web1"]
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    look = (f"{nobody} grep -rsl -e {SECRET[:-1]}[5] -e {FILE_SECRET[:-1]}[2] --devices=skip"
            f" /etc /var /run /tmp /usr/local /home; {nobody} ps axeww | grep {SECRET[:-1]}[5]")
    assert host.ssh("sh -s", input=look, timeout=120).stdout == ""
    for command in ("docker inspect shop-web-a", "docker exec shop-web-a true", "docker-runner shop manage check"):
        assert host.ssh(f"{nobody} {command}").returncode != 0, command


def test_a_provision_takes_two_connections_a_host(project):
    """One to look, one to work: sshd sees no more, however much is to be done."""
    host = project.fleet.hosts["web2"]
    count = "journalctl -u ssh --no-pager | grep -c 'Accepted publickey'"
    before = int(host.run(count))
    project.settings["site.body_limit"] = "11m"
    project.provision()
    assert int(host.run(count)) - before - 1 == 2
