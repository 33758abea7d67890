"""Tests of what `make fleet` writes and says. The servers themselves are tested by tests/e2e."""

import io
import json
import tarfile

import pytest

from proc import put
from slipway.deploy import config
from slipway.deploy.ssh.conversation import why_ended
from slipway.fleet import __main__ as command
from slipway.fleet import fleet
from slipway.fleet import machine as machines
from slipway.fleet.docker import Done, FleetError
from slipway.fleet.machine import Machine
from slipway.fleet.names import Names


def made(*names):
    kinds = {**dict.fromkeys(names, "host"), "services": "services", "registry": "registry"}
    return {
        name: Machine(name, f"c-{name}", "n", f"10.200.1.{at}", "i", kind, {80: 20_000 + at, 5000: 25_000})
        for at, (name, kind) in enumerate(kinds.items(), 21)
    }


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "shop/celery.py", "")
    put(tmp_path / "var/fleet/ssh_config", "")
    monkeypatch.setenv("PROJECT", "shop")
    return tmp_path


def test_a_second_call_keeps_what_a_team_changed(project):
    """production.toml stays, and a server that it lacks is named with its table; a team's settings stay."""
    folder = project / "var/fleet"
    command.write_files(made("web1", "web2", "work1"), folder)
    first = (folder / "production.toml").read_text()
    (folder / "production.toml").write_text(first + '[process.tick]\ncommand = "manage tick"\nschedule = "daily"\n')
    (folder / "settings").write_text((folder / "settings").read_text() + "STRIPE_KEY=sk=1\nSITE_URL=http://old\n")
    key = (folder / "settings").read_text().splitlines()[0]
    assert "stays as it is" not in command.write_files(made("web1", "web2", "work1"), folder)
    said = command.write_files(made("web1", "web2", "work1", "web3"), folder)
    assert (folder / "production.toml").read_text().startswith(f"{first}[process.tick]")
    assert 'to use all servers, add:\n[hosts.web3]\nroles = ["web"]\n' in said and "[hosts.web2]" not in said
    settings = (folder / "settings").read_text().splitlines()
    assert settings[0] == key and {"STRIPE_KEY=sk=1", "SITE_URL=http://localhost:20023"} <= {*settings}


@pytest.mark.parametrize(
    "names, jobs, media, roles",
    [(("web1", "web2", "work1"), True, "database", ("worker", "beat")), (("web1", "work1"), False, "local", ())],
)
def test_what_fits_the_project(project, names, jobs, media, roles):
    """Uploads are where the settings put them, which all web hosts reach. Without Celery, no host runs its processes,
    and the settings name no broker."""
    if not jobs:
        (project / "shop/celery.py").unlink()
    folder = project / "var/fleet"
    command.write_files(made(*names), folder)
    settings = (folder / "settings").read_text()
    assert ("STORAGE_URL=database:\n" in settings) == (media == "database") and ("BROKER_URL=" in settings) == jobs
    loaded = config.load(folder / "production.toml", {"APP": "shop", "IMAGE": "shop"})
    assert (loaded.media, loaded.hosts[-1].roles, loaded.hosts[-1].balancer) == (media, roles, True)


def test_what_deploy_keys_need(project):
    """With the line of the comment in place of the two above, the file takes deploy keys."""
    path = project / "var/fleet/production.toml"
    said = command.write_files(made("web1", "work1"), path.parent)
    head, comment, rest = path.read_text().partition("# For deploy keys")
    assert "registry   127.0.0.1:25000\n" in said and head.endswith('\nimage = "app"\nregistry = "ssh"\n')
    key = 'deploy_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKw6Xh1NYkZ3cBbYvYxu0b3o4kVfWZBq2Jr0ZQ8v5n3D ci"]\n'
    path.write_text(head.partition("image")[0] + key + (comment + rest).replace("\n#image", "\nimage"))
    loaded = config.load(path, {})
    assert (loaded.image, loaded.registry, len(loaded.deploy_keys)) == ("127.0.0.1:25000/app", "", 1)


def test_one_name_of_an_image_is_valid_here_and_on_hosts(monkeypatch, project):
    """At each start a host leads the registry's published port to the registry. One that does not is replaced."""
    monkeypatch.setattr(fleet, "network_of", lambda names: "10.200.1")
    monkeypatch.setattr(fleet, "image_of", lambda kind, base: kind)
    kinds = {"registry": "registry", "services": "services", "web1": "host"}
    planned = fleet.plan(Names(1, project), kinds, "debian", {})
    port = planned["registry"].ports[5000]
    assert [machine.registry for machine in planned.values()] == [0, 0, port]
    assert fleet.plan(Names(1, project), kinds, "debian", planned) == planned
    older = machines.from_inspect(
        {"State": {"StartedAt": "2"}, "Config": {"Labels": {"slipway.fleet.machine": saved_before(planned["web1"])}}}
    )
    assert older != planned["web1"]
    assert fleet.plan(Names(1, project), kinds, "debian", {**planned, "web1": older}) == planned
    for name in ("id_ed25519.pub", "host_key"):
        put(project / name, "key")
    units = {name: files_of(machines.identity(project, planned[name])) for name in ("services", "web1")}
    folder = "etc/systemd/system"
    assert [path for path in units["services"] if path.startswith(folder)] == []
    assert units["web1"][f"{folder}/fleet-registry.socket"] == f"[Socket]\nListenStream=127.0.0.1:{port}\n"
    assert units["web1"][f"{folder}/fleet-registry.service"].endswith(" registry:5000\n")
    assert units["web1"][f"{folder}/sockets.target.d/fleet-registry.conf"] == "[Unit]\nWants=fleet-registry.socket\n"


def saved_before(machine):
    """Return the label that a release without `registry` gave to a container."""
    return json.dumps({name: value for name, value in vars(machine).items() if name != "registry"})


def files_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {entry.name: tar.extractfile(entry).read().decode() for entry in tar}


@pytest.mark.parametrize("printed, reported", [("-1\n", True), ("3\n", False)])
def test_a_machine_without_inotify_is_told(monkeypatch, tmp_path, printed, reported):
    monkeypatch.setattr(machines, "docker", lambda *words, **more: Done(words, 0, printed, ""))
    monkeypatch.setattr(machines, "ssh", lambda *words: Done(words, 255, "", "kex_exchange_identification: closed"))
    with pytest.raises(FleetError, match=r"web1 is not up within 0.1 s: kex") as problem:
        machines.wait_running(made("web1")["web1"], tmp_path, 0.1)
    assert ("fs.inotify.max_user_instances" in str(problem.value)) == reported


@pytest.mark.parametrize("up", [True, False])
def test_the_fleet_is_hinted_at(project, up):
    """If ssh knows no such host but test servers are up, the line says how to use them."""
    if not up:
        (project / "var/fleet/ssh_config").unlink()
    said = why_ended(255, b"ssh: Could not resolve hostname web1.example: Name or service not known\r\n")
    assert ("export DEPLOY_FOLDER=var/fleet SSH_CONFIG=var/fleet/ssh_config" in said) == up
    assert ("try ssh by hand" in said) != up
