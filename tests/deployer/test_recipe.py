"""What the recipe does on a host, in which order: pyinfra decides with --check, by what it is told of the host."""

import hashlib
import json
import re
import textwrap

from slipway.deploy.provisioning.fitness import Found
from slipway.deploy.server import files
from deployer.conftest import fleet_of
from deployer.recipes import Plan
from proc import ROOT

SYSTEM = "/etc/systemd/system"
CERTIFICATE = "/etc/letsencrypt/live/shop.example/fullchain.pem"


def there(*paths):
    """What the fact Files reads, of empty files at these paths."""
    return "".join(f"f|root|root|644||{path}\n" for path in paths)


def test_a_bare_host_gets_all_of_it_in_order(fleet):
    """First the file that marks the app's name as ours; whoever is needed by others comes before them."""
    names = Plan(fleet, "web1", Found(missing=frozenset({"dockerd", "docker", "nginx"}))).names
    assert names[:5] == ["install docker.io, nginx", "install docker-cli, where Debian has it",
                         "write /etc/default/shop", "add group shop", "add user shop"]
    order = ["make folder /etc/default/shop.secrets", f"make folder {SYSTEM}/docker.service.d",
             f"write {SYSTEM}/docker.service.d/restart.conf", "reload systemd", "enable docker-runner.target",
             "enable docker.service", "reload docker.service", "create what /etc/tmpfiles.d/shop.conf asks for",
             "put nginx site shop in place", "enable nginx.service", "enable shop.target"]
    assert [name for name in names if name in order] == order


def test_a_user_that_is_there_is_not_asked_for_again(fleet):
    """What pyinfra asks of users takes long."""
    plan = Plan(fleet, "web1", Found(user=True))
    assert not [name for name in plan.names if name.startswith("add ")]
    assert not [script for script in plan.host.asked if "/etc/passwd" in script]


def test_files_are_written_with_owner_and_mode(fleet):
    """Of every file that the host holds, and nothing else of the app."""
    written = Plan(fleet, "web1").files
    host = fleet.hosts[0]
    for file in (*files.app_files(fleet, host), *files.unit_files(fleet, host)):
        assert written[file.path] == (file.content, file.mode, file.user, file.group)
    assert written["/etc/tmpfiles.d/shop.conf"][1:] == ("644", "root", "root")


def test_all_files_are_looked_at_in_one_question(fleet):
    """One that is written was asked for before, with all the others; but for Docker's and nginx's."""
    plan = Plan(fleet, "web1", there=there("/usr/local/bin/docker-slot"))
    question = next(script for script in plan.host.asked if "sha256sum" in script)
    for path in plan.files:
        assert path in question or "/etc/nginx" in path or path == files.DAEMON, path


def test_folders_have_the_owners_and_modes_of_the_table(fleet, data):
    """Secrets are the app's to read, what is public is not to be written by it; uploads are its own, without a bucket.
    """
    def made(path, mode, owner):
        return [f"mkdir -p {path}", f"chmod {mode} {path}", f"chown {owner} {path}"]
    plan = Plan(fleet, "web1")
    assert not [name for name in plan.names if "media" in name]
    for path, *owned in (("/etc/default/shop.secrets", "750", "root:shop"), ("/var/www/shop", "755", "root:root"),
                         ("/var/www/shop/static", "755", "root:root")):
        assert plan.commands[f"make folder {path}"] == made(path, *owned)
    for path in ("/var/www/acme", "/etc/docker", f"{SYSTEM}/docker.service.d", f"{SYSTEM}/nginx.service.d"):
        assert plan.commands[f"make folder {path}"] == [f"mkdir -p {path}"], "others use it, too"
    assert "make folder /var/www/shop/data" not in plan.names, "SQLite is for one server"
    one = Plan(fleet_of(data, {"hosts": {"one": {"roles": ["web"]}}, "media": "local"}), "one")
    path = "/var/www/shop/media"
    assert one.commands[f"make folder {path}"] == made(path, "2750", "shop:www-data")
    assert one.commands["make folder /var/www/shop/data"] == made("/var/www/shop/data", "700", "shop:shop")


def test_what_orders_a_shutdown_is_up_before_anything_is_started_anew(fleet):
    """Units that run since before docker-runner.target was there did not ask for it; a reboot waits for them."""
    for name in ("web1", "work"):
        names = Plan(fleet, name).names
        assert names.index("reload systemd") + 1 == names.index("start docker-runner.target")
        assert "enable docker-runner.target" in names
    names = Plan(fleet, "front").names
    assert "reload systemd" in names and not any("docker-runner.target" in text for text in names)


def test_the_engine_is_reloaded_and_not_on_swarm_nodes(fleet):
    """live-restore takes a reload, never a restart; Swarm refuses it, so there daemon.json stays as it is."""
    plan = Plan(fleet, "web1", Found(daemon_json='{"debug": true}'))
    assert json.loads(plan.files[files.DAEMON][0]) == {"debug": True, "live-restore": True}
    assert plan.commands["reload docker.service"] == ["systemctl reload docker.service"]
    swarm = Plan(fleet, "web1", Found(node=True))
    assert files.DAEMON not in swarm.files and "reload docker.service" not in swarm.commands


def test_sockets_are_made_where_there_is_none(fleet):
    """Also where tmpfiles' own file is as it should be; with link and file nothing is to be done."""
    text = files.tmpfiles(fleet).content
    digest = f"{hashlib.sha256(text.encode()).hexdigest()}  /etc/tmpfiles.d/shop.conf\n"
    settled = there("/etc/tmpfiles.d/shop.conf") + digest
    name = "create what /etc/tmpfiles.d/shop.conf asks for"
    assert name in Plan(fleet, "web1", there=settled).names
    assert name not in Plan(fleet, "web1", there=settled + there("/run/shop/web.sock")).names


def test_certbot_is_asked_only_while_there_is_no_certificate(data):
    """Without one: http, so that certbot's question can be answered, then the certificate, then https."""
    fleet = fleet_of(data, {"site.tls": "certbot", "site.email": "ops@shop.example"})
    before, after = Plan(fleet, "front"), Plan(fleet, "front", there=there(CERTIFICATE))
    put, get = "put nginx site shop-balancer in place", "get a certificate for shop.example, www.shop.example"
    assert [name for name in before.names if name in (put, get)] == [put, get, put]
    script, = before.commands[get]
    assert "--email ops@shop.example --webroot -w /var/www/acme" in script
    assert script.endswith("-d shop.example -d www.shop.example")
    assert [name for name in after.names if name in (put, get)] == [put]


def test_what_an_earlier_role_left_is_taken_away(fleet):
    """nginx lets go first, then the units stop, then their files go; what belongs to the present roles stays."""
    plan = Plan(fleet, "work", Found(units=("shop-web@a.service", "shop-worker@a.service", "shop.target")), there(
        f"{SYSTEM}/shop-web@.service", f"{SYSTEM}/shop-worker@.service", "/etc/nginx/sites-enabled/shop",
        "/run/shop/web.sock"))
    gone = [name for name in plan.names if "shop-web@" in name or "site" in name]
    assert gone == ["put nginx site shop away", "stop shop-web@a.service", f"remove {SYSTEM}/shop-web@.service"]
    assert plan.names.index("reload systemd", plan.names.index(gone[-1])) == plan.names.index(gone[-1]) + 1
    assert "rm -f /etc/nginx/sites-enabled/shop" in plan.commands["put nginx site shop away"][-1]


def test_removal_takes_the_units_and_leaves_the_data(fleet):
    """--remove stops everything of the app, and touches neither settings nor /var/www."""
    units = [f"{SYSTEM}/{name}" for name in ("shop-beat.service", "shop-slot.service", "shop-web@.service",
                                             "shop-worker@.service", "shop.target")]
    rest = ["/etc/tmpfiles.d/shop.conf", "/etc/nginx/sites-enabled/shop", "/etc/nginx/shop/app.conf"]
    found = Found(units=("shop-web@b.service", "shop-slot.service", "shop.target"))
    plan = Plan(fleet, "web1", found, there(*units, *rest, "/run/shop/web.sock"), remove=True)
    assert plan.names == ["put nginx site shop away", "stop shop-web@b.service, shop-slot.service, shop.target",
                          *(f"remove {path}" for path in units), "remove /etc/tmpfiles.d/shop.conf", "reload systemd"]
    assert "systemctl --quiet disable shop.target" in plan.scripts()
    assert not [script for script in plan.scripts() if "/var/www" in script or "/etc/default" in script]
    assert plan.files == {}
    assert Plan(fleet, "web1", remove=True).names == []


def test_nothing_is_ever_restarted(fleet):
    """No operation on any host, whatever was found, restarts anything, and no slot's unit is started."""
    for host in fleet.hosts:
        plan = Plan(fleet, host.name, Found(units=("shop-web@a.service",)), there(*files.marks("shop")))
        scripts = plan.scripts()
        assert not [script for script in scripts if "restart" in script.replace("/restart.conf", "")]
        assert {script for script in scripts if "systemctl start" in script} <= {
            f"systemctl start {name}" for name in ("docker.service", "docker-runner.target", "nginx.service")}


def test_the_example_of_the_docs(fleet, tmp_path, monkeypatch):
    """What docs/provision.md says of operations of one's own can be typed as it is there."""
    section = (ROOT / "docs/provision.md").read_text().split("## Operations of your own\n")[1].split("\n- ")[0]
    example = {}
    exec(textwrap.dedent("\n".join(re.findall(r"^(?: {4}.*|)$", section, re.MULTILINE))), example)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/journald.conf").write_text("[Journal]\nSystemMaxUse=1G\n")
    monkeypatch.chdir(tmp_path)
    assert Plan(fleet, "work", team=example["provision"]).names[-2:] == ["write journald's limits", "restart journald"]
    assert "restart journald" not in Plan(fleet, "web1", team=example["provision"]).names
