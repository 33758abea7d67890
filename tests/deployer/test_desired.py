"""What a host should hold: decided without a host, so compared as it is."""

import json
import re
import shlex

import pytest

from deploy import config, desired, probe
from deploy.errors import HostProblem
from deploy.site import swap, trial
from deploy.things import Absent, Certificate, File, Folder, Found, Group, Packages, Service, Site, Stopped, merged


def flat(steps):
    """All things, those in groups too."""
    for step in steps:
        yield step
        if isinstance(step, Group):
            yield from flat(step.things)


def steps(fleet, name, found=Found()):
    return list(desired.steps(fleet, next(host for host in fleet.hosts if host.name == name), found))


def files(fleet, name, found=Found()):
    """Path → content of every file on the host, nginx's included."""
    things = list(flat(steps(fleet, name, found)))
    return {thing.path: thing.content for thing in things if isinstance(thing, File)} | {
        path: content for thing in things if isinstance(thing, Site) for path, content in thing.files.items()}


def of_kind(kind, things):
    return [thing for thing in flat(things) if isinstance(thing, kind)]


def units(fleet, name):
    return {path.rpartition("/")[2] for path in files(fleet, name) if path.startswith("/etc/systemd/system/shop")}


def test_units_follow_roles(fleet):
    """A host has the units of its roles and those every host of the app has; one that only balances has none."""
    both = {"shop-slot.service", "shop.target"}
    assert units(fleet, "web1") == {"shop-web@.service"} | both
    assert units(fleet, "work") == {"shop-worker@.service", "shop-beat.service"} | both
    assert units(fleet, "front") == set()


def test_what_orders_a_shutdown_is_up_before_anything_is_started_anew(fleet):
    """Units that run since before docker-runner.target was there did not ask for it; a reboot waits for them."""
    for name, asked in (("web1", True), ("work", True), ("front", False)):
        assert (Service("docker-runner.target", running=False) in steps(fleet, name)) == asked
        reload, = [step.then for step in steps(fleet, name) if isinstance(step, Group) and "daemon-reload" in step.then]
        assert reload.endswith(" && systemctl start docker-runner.target") == asked
    assert "\n[Install]\n" in files(fleet, "web1")["/etc/systemd/system/docker-runner.target"]


def test_owners_and_modes_are_those_of_the_table(fleet):
    """Settings are root's alone, secrets the app's to read, what is public is not to be written by the app."""
    things = list(flat(steps(fleet, "web1")))
    owned = {thing.path: (thing.mode, thing.owner, thing.group) for thing in of_kind((File, Folder), things)}
    assert owned["/etc/default/shop.env"] == ("600", "root", "root")
    assert owned["/etc/default/shop.secrets"] == ("750", "root", "shop")
    assert owned["/etc/default/shop"] == ("644", "root", "root")
    assert owned["/var/www/shop"] == owned["/var/www/shop/static"] == ("755", "root", "root")
    assert owned["/usr/local/bin/docker-runner"] == owned["/usr/local/bin/docker-slot"] == ("755", "root", "root")
    assert [thing.path for thing in things if isinstance(thing, File) and thing.once] == ["/etc/default/shop.env"]


def test_a_folder_that_others_use_is_left_as_it_is(fleet):
    """Of folders that are not the app's alone it is only asked that they are there."""
    shared = {"/var/www", "/var/www/acme", "/etc/docker", "/etc/systemd/system/docker.service.d"}
    folders = of_kind(Folder, steps(fleet, "web1"))
    assert {folder.path for folder in folders if not folder.mode} >= shared


def test_docker_runner_gets_image_and_options(data):
    """/etc/default/APP holds shell assignments: the image, options for all, for this host, and the media folder."""
    data["hosts"] = {"one": {"roles": ["web"], "opts": "--memory=2g"}}
    data.update(media="local", opts="-e 'A=it is'")
    fleet = config.build(data, {}, "test")
    words = shlex.split(files(fleet, "one")["/etc/default/shop"], comments=True)
    assert words == ["IMAGE=registry.example/shop",
                     "OPTS=-e 'A=it is' --memory=2g -v /var/www/shop/media:/data/media"]
    media = next(thing for thing in flat(steps(fleet, "one")) if getattr(thing, "path", "") == "/var/www/shop/media")
    assert (media.mode, media.owner, media.group) == ("2750", "shop", "www-data")


@pytest.mark.parametrize("memory, line", [("auto", ""), ("off", "MEMORY=0\n"), ("2g", "MEMORY=2g\n")])
def test_docker_runner_gets_the_memory_of_a_container(data, memory, line):
    """Nothing is said of the usual share, which each server knows; "off" is none, as docker spells it."""
    data["memory"] = memory
    text = files(config.build(data, {}, "test"), "web1")["/etc/default/shop"]
    assert text.endswith("\nOPTS=''\n" + line)


def test_no_media_folder_with_a_bucket(fleet):
    """Uploads in a bucket need no folder and no mount."""
    assert "media" not in files(fleet, "web1")["/etc/default/shop"]
    assert not [folder for folder in of_kind(Folder, steps(fleet, "web1")) if "media" in folder.path]


@pytest.mark.parametrize("name, missing, names", [
    ("web1", {"dockerd", "docker", "nginx", "python3", "logrotate"},
     ["python3", "logrotate", "docker.io", "docker-cli", "nginx"]),
    ("work", {"dockerd", "docker", "nginx"}, ["docker.io", "docker-cli"]),
    ("front", {"dockerd", "docker", "nginx"}, ["nginx"]),
    ("web1", {"certbot", "unattended-upgrade"}, None),
])
def test_packages_are_what_commands_are_missing(fleet, name, missing, names):
    """A command that is there, from wherever, is not installed again; nor what the host's roles do not need."""
    found = of_kind(Packages, steps(fleet, name, Found(missing=frozenset(missing))))
    assert found == ([Packages(tuple(names))] if names else [])


def test_more_packages_and_security_updates(data):
    """The file can ask for other packages, and for updates by themselves."""
    data["server"] = {"packages": ["htop", "vim"], "security_updates": True}
    fleet = config.build(data, {}, "test")
    missing = frozenset({"htop", "unattended-upgrade"})
    found = of_kind(Packages, steps(fleet, "web1", Found(missing=missing)))
    assert found == [Packages(("unattended-upgrades", "htop"))]
    assert 'Unattended-Upgrade "1"' in files(fleet, "web1")["/etc/apt/apt.conf.d/20auto-upgrades"]


def test_every_template_is_filled_in(fleet):
    """No placeholder is left in any file of any host."""
    for host in fleet.hosts:
        for path, content in files(fleet, host.name).items():
            code = "\n".join(line for line in content.splitlines() if not line.startswith("#"))
            assert not re.search(r"@[A-Z_]+@", code), path


def test_nginx_of_a_web_host_believes_its_balancer_alone(fleet):
    """A web host serves all names, and takes a visitor's address only from the balancer's."""
    wanted = files(fleet, "web1")
    assert "server_name shop.example www.shop.example;" in wanted["/etc/nginx/shop/public.conf"]
    assert "set_real_ip_from 10.0.0.10;" in wanted["/etc/nginx/shop/app.conf"]
    assert "10.0.0.10 balancer;" in wanted["/etc/nginx/sites-available/shop"]
    links = [site.links for site in of_kind(Site, steps(fleet, "web1"))]
    assert links == [{"/etc/nginx/sites-enabled/shop": "../sites-available/shop"}]


def test_nginx_knows_who_may_see_figures_and_where_passwords_go(data):
    """Nobody without a token, and the admin's, unless the file says otherwise; a dot in a path is a dot."""
    path = "/etc/nginx/sites-available/shop"
    usual = files(config.build(data, {}, "test"), "web1")[path]
    assert "default  visitor;\n    \n}" in usual and '\n    "~^POST:/admin/login/$" 1;\n}' in usual
    data["site"] |= {"metrics_from": ["10.0.0.9", "2001:db8::/64"], "login_paths": ["/a.b/", "/in/"]}
    wanted = files(config.build(data, {}, "test"), "web1")[path]
    assert "    10.0.0.9 named;\n2001:db8::/64 named;\n}" in wanted
    assert '    "~^POST:/a\\.b/$" 1;\n"~^POST:/in/$" 1;\n}' in wanted and "/admin/" not in wanted


def test_nginx_of_a_balancer_knows_all_web_hosts(fleet):
    """A balancer passes on to every web host, at its inner address."""
    site = files(fleet, "front")["/etc/nginx/sites-available/shop-balancer"]
    assert re.findall(r"^\s*server (\S+)", site, re.MULTILINE) == ["10.0.0.11", "10.0.0.12:8080"]


def test_a_balancer_believes_the_proxies_before_it(data):
    """Where TLS ends before the balancer, proxies are its business: it takes their word, and not its own."""
    data["site"].update(tls="elsewhere", proxies=["192.0.2.0/24"])
    wanted = files(config.build(data, {}, "test"), "front")
    assert "set_real_ip_from 192.0.2.0/24;\n" in wanted["/etc/nginx/shop-balancer/app.conf"]
    assert "    default  \"\";\n    192.0.2.0/24 proxy;\n}" in wanted["/etc/nginx/sites-available/shop-balancer"]
    assert not any("10.0.0.10" in content for path, content in wanted.items() if "/nginx/" in path)


def test_tls_ends_at_the_balancer_where_there_is_one(data):
    """With a balancer, the web hosts behind it speak http, and say https of the visitor's request."""
    data["site"].update(tls="files", certificate="/etc/ssl/shop.pem", key="/etc/ssl/shop.key")
    fleet = config.build(data, {}, "test")
    assert "ssl_certificate /etc/ssl/shop.pem;" in files(fleet, "front")["/etc/nginx/shop-balancer/public.conf"]
    assert "ssl" not in files(fleet, "web1")["/etc/nginx/shop/public.conf"]
    assert "~^private:      https;" in files(fleet, "web1")["/etc/nginx/sites-available/shop"]
    del data["hosts"]["front"]
    assert "ssl_certificate /etc/ssl/shop.pem;" in files(
        config.build(data, {}, "test"), "web1")["/etc/nginx/shop/public.conf"]


def test_certbot_is_asked_only_while_there_is_no_certificate(data):
    """Without one: http, so that certbot's question can be answered, then the certificate, then https."""
    data["site"].update(tls="certbot", email="ops@shop.example")
    fleet = config.build(data, {}, "test")
    before = [step for step in steps(fleet, "front") if isinstance(step, (Site, Certificate))]
    assert [type(step) for step in before] == [Site, Certificate, Site]
    assert before[1] == Certificate(("shop.example", "www.shop.example"), "ops@shop.example")
    public = "/etc/nginx/shop-balancer/public.conf"
    assert "ssl" not in before[0].files[public] and "ssl_certificate" in before[2].files[public]
    found = Found(paths=frozenset({"/etc/letsencrypt/live/shop.example/fullchain.pem"}))
    assert [type(step) for step in steps(fleet, "front", found) if isinstance(step, (Site, Certificate))] == [Site]


@pytest.mark.parametrize("before, after", [
    ("", {"live-restore": True}),
    ('{"debug": false, "live-restore": false}', {"debug": False, "live-restore": True}),
    ('{"live-restore": true}', None),
])
def test_live_restore_is_merged_in(before, after):
    """What daemon.json holds stays; where live-restore is on, nothing is written."""
    text = merged(before, {"live-restore": True})
    assert (json.loads(text) if text else None) == after


def test_the_engine_is_reloaded_and_not_on_swarm_nodes(fleet):
    """live-restore takes a reload, never a restart; Swarm refuses it, so there daemon.json stays as it is."""
    group = next(step for step in steps(fleet, "web1") if isinstance(step, Group) and "docker.service" in step.then)
    assert group.then.split() == ["systemctl", "reload", "docker.service"]
    assert "/etc/docker/daemon.json" not in files(fleet, "web1", Found(swarm=True))


def test_what_an_earlier_role_left_is_taken_away(fleet):
    """nginx lets go first, then the units stop, then their files go; what belongs to the present roles stays."""
    system = "/etc/systemd/system"
    found = Found(units=("shop-web@a.service", "shop-worker@a.service", "shop.target"),
                  paths=frozenset({f"{system}/shop-web@.service", f"{system}/shop-worker@.service",
                                   "/etc/nginx/sites-enabled/shop", "/run/shop/web.sock"}))
    gone = [step for step in steps(fleet, "work", found) if isinstance(step, (Site, Stopped))
            or isinstance(step, Group) and isinstance(step.things[0], Absent)]
    assert gone == [Site("shop", {}, {}, ("/etc/nginx/sites-enabled/shop",)), Stopped(("shop-web@a.service",)),
                    Group((Absent(f"{system}/shop-web@.service"),), "systemctl daemon-reload")]


def test_removal_takes_the_units_and_leaves_the_data(fleet):
    """--remove stops everything of the app, and touches neither settings nor /var/www."""
    paths = frozenset(desired.paths_that_matter(fleet))
    found = Found(units=("shop-web@b.service", "shop-slot.service", "shop.target"), paths=paths)
    things = list(flat(desired.removal(fleet, fleet.hosts[0], found)))
    assert of_kind(Stopped, things) == [Stopped(found.units)]
    gone = {thing.path for thing in of_kind(Absent, things)} | {
        path for site in of_kind(Site, things) for path in site.absent}
    assert gone == paths - {"/run/shop/web.sock"}
    assert not [path for path in gone if path.startswith(("/var", "/etc/default"))]
    assert desired.removal(fleet, fleet.hosts[0], Found()) == []


def test_nothing_is_ever_restarted(fleet):
    """No step for any host, whatever was found, restarts anything, and no slot's unit is started."""
    for host in fleet.hosts:
        found = Found(paths=frozenset(desired.paths_that_matter(fleet)))
        commands = [step.then for step in of_kind(Group, steps(fleet, host.name, found))]
        assert not [command for command in commands if "restart" in command]
        assert {service.name for service in of_kind(Service, steps(fleet, host.name)) if service.running} <= {
            "docker.service", "docker-runner.target", "nginx.service"}


def test_nginx_tests_a_copy_before_anything_moves():
    """The files are put into a copy of /etc/nginx, which nginx tests as its own; each then comes by one rename."""
    changed, links = {"/etc/nginx/shop/app.conf": "x"}, {"/etc/nginx/sites-enabled/shop": "../sites-available/shop"}
    folder, prepare, test = trial("shop", changed, links, ["/etc/nginx/sites-enabled/default"])
    assert folder == "/etc/nginx.new-shop"
    assert f"ln -sfn ../sites-available/shop {folder}/sites-enabled/shop" in prepare
    assert not re.search(r"(mv|rm|ln|mkdir)[^\n]* /etc/nginx/", prepare + test)
    script = swap("shop", changed, links, ["/etc/nginx/sites-enabled/default"])
    assert f"mv -fT {folder}/shop/app.conf /etc/nginx/shop/app.conf" in script
    assert script.endswith("systemctl reload nginx.service")


# ---- the probe ----

GOOD = "version systemd 252\nversion python3 3.11\nversion Docker 20.10.24\n"


def test_what_the_probe_says_is_read():
    """Each line of the probe finds its place in Found."""
    daemon = "eyJkZWJ1ZyI6IHRydWV9"
    output = f"missing nginx\n{GOOD}path /run/shop/web.sock\ndaemon {daemon}\nswarm active\nunit shop.target\n" \
             "unit shop.target\nend\n"
    assert probe.parse(output) == Found(frozenset({"nginx"}), ("shop.target",), frozenset({"/run/shop/web.sock"}),
                                        '{"debug": true}', True)


def test_every_fault_of_a_host_is_told_at_once():
    """Too old programs, a malformed daemon.json and what the script itself found make one report."""
    output = "problem does not run systemd\nversion systemd 241\nversion python3 3.7\nversion Docker 19.03.1\n" \
             "daemon W10=\nend\n"
    with pytest.raises(HostProblem) as caught:
        probe.parse(output)
    assert caught.value.args == (
        "does not run systemd", "systemd is 241, and 247 or newer is needed",
        "python3 is 3.7, and 3.9 or newer is needed", "Docker is 19.03.1, and 20.10 or newer is needed",
        "/etc/docker/daemon.json is no JSON object (no object): correct it")


def test_a_probe_cut_short_is_not_believed():
    """Without its last line, what the probe has not said counts as unknown, not as absent."""
    with pytest.raises(HostProblem, match="ended early"):
        probe.parse(GOOD)
