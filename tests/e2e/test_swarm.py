"""Tests of a swarm of three hosts, set up as a team does it, for the promises and limits of docs/swarm.md."""

import json
import signal

import pytest

from e2e import swarms
from e2e.orders import Orders, doubled
from e2e.rollouts import Shop
from e2e.test_view import counts_each_visitor, viewed
from proc import wait_until

pytestmark = pytest.mark.extra
RUNNING = (
    "docker ps --filter label=slipway.id --format"
    " '{{.Label \"com.docker.swarm.service.name\"}} {{.Image}}' | grep -v ^shop_proxy"
)


class SwarmShop(Shop):
    """A swarm of three managers: web on two hosts; worker, beat and the balancer on the third."""

    def __init__(self, fleet, folder):
        super().__init__(fleet, folder)
        self.settings |= self.as_swarm()

    def as_swarm(self):
        """Return the engine's settings for its file."""
        return swarms.engine(self.fleet, web=3, worker=1, beat=1)

    def begin(self, tag):
        """Form the swarm on bare hosts, and deploy. Return self."""
        self.fleet.reset()
        self.provision()
        swarms.form(self, "manager")
        self.stage()
        self.good("deploy", self.image(tag))
        return self

    def status(self):
        """Return (problems, the releases of all services, updates in progress), from `status --json`."""
        said = json.loads(self.deploy("status", "--json").stdout)
        services = said["services"].values()
        return (
            said["problems"],
            {one["release"] for one in services},
            {one["update"] for one in services} & {"updating", "rollback_started"},
        )

    def alone(self, tag):
        """Wait until only this release runs, without problems, and with the right number of each container."""
        wanted = sorted(
            f"shop_{role}"
            for role in ("web", "worker", "beat")
            for _ in range(self.settings[f"engine.replicas.{role}"])
        )

        def is_alone():
            said = "".join(host.ssh(RUNNING).stdout for host in self.machines().values())
            lines = [line.split() for line in said.splitlines()]
            return (
                self.status() == ([], {tag}, set())
                and sorted(name for name, _ in lines) == wanted
                and len({image for _, image in lines}) == 1
            )

        wait_until(is_alone, 180, f"{tag} alone runs")

    def bring(self, tag):
        wait_until(lambda: not self.status()[2], 180, "no update is under way")
        if self.status()[:2] != ([], {tag}):
            self.good("deploy", self.image(tag), "--no-bake")
        self.alone(tag)

    def environment(self):
        """Return the environment of a command in the live release."""
        return json.loads(self.deploy("run", "--host=web1", "show").stdout)["environment"]


@pytest.fixture(scope="module")
def swarm(fleet, tmp_path_factory):
    """Return the app on a swarm, with v1 live."""
    return SwarmShop(fleet, tmp_path_factory.mktemp("swarm")).begin("v1")


@pytest.fixture
def shop(swarm):
    """Return that app with v1 live, whatever an earlier test left."""
    swarm.bring("v1")
    return swarm


def test_provisioning_leaves_a_swarm_alone(shop):
    """A second run changes nothing. live-restore stays off, and nothing of slots is installed."""
    shop.provision()  # now balancers include the hosts that answer
    assert shop.changes() == 0
    for host in shop.machines().values():
        assert host.run("docker info --format '{{.LiveRestoreEnabled}}'") == "false\n"
        programs = host.run("ls /etc/systemd/system /usr/local/bin")
        assert not any(name in programs for name in ("shop", "docker-runner", "docker-slot"))


def test_no_request_fails(shop):
    """A deploy with one more container and another proxy, and its rollback, fail no request. Each visitor gets one of
    the two releases."""
    with shop.load() as load:
        shop.settings["engine.replicas.web"] = 4
        there = shop.good("deploy", shop.image("v2"))
        shop.alone("v2")
        shop.settings["engine.replicas.web"] = 3
        shop.good("rollback")
    assert len(load.result.records) > 100
    assert set(load.result.releases) == {"v1", "v2"}, load.result.summary()
    assert [event["step"] for event in there.done()] == ["pull", "migrate", "update"]
    shop.alone("v1")


@pytest.mark.parametrize(
    "fault, message",
    [
        ("crash", "web: "),
        pytest.param("unready", "web: ", marks=pytest.mark.rare),  # takes as long as a release may need to get ready
        ("fleeting", "worker: "),
        ("migration", "told to fail"),
    ],
)
def test_what_is_bad_is_taken_back(shop, fault, message):
    """The whole release is taken back, whichever service is bad. No visitor meets a release that is not ready."""
    with shop.load() as load:
        outcome = shop.roll("deploy", shop.image(fault, fault))
    assert outcome.code == 1 and message in outcome.stderr and "v1 serves" in outcome.stderr, outcome.stderr
    shop.alone("v1")
    assert fault not in load.result.releases or fault == "fleeting", load.result.summary()


def test_a_rollback_brings_the_settings(shop):
    """A rollback restores the settings of its release. A secret is a file in the container."""
    shop.set(COLOUR="blue")
    assert shop.deploy("env", "set-file", "CERT", "-", input="a\nb\n").returncode == 0
    assert "COLOUR" not in shop.environment()
    shop.good("deploy", shop.image("v3"), "--no-bake")
    found = shop.environment()
    assert found["COLOUR"] == "blue" and found["CERT_FILE"].startswith("/run/secrets/CERT.")
    assert (
        shop.fleet.hosts["web1"].run(
            f"docker exec $(docker ps -qf name=^shop_web | head -n1) sh -c 'cat {found['CERT_FILE']}'"
        )
        == "a\nb\n"
    )
    shop.good("rollback")
    assert "COLOUR" not in shop.environment()
    assert shop.deploy("env", "unset", "COLOUR", "CERT_FILE").returncode == 0


def begun(shop, rolling):
    """Wait until Swarm updates services."""
    rolling.until("update")
    wait_until(lambda: "updating" in shop.status()[2], 60, "Swarm has begun")


def test_a_killed_deployer(shop):
    """Swarm continues the update; no visitor notices, and the next deploy brings one release everywhere."""
    with shop.load(), shop.rolling("deploy", shop.image("v2")) as rolling:
        begun(shop, rolling)
        assert "an update is under way" in shop.roll("rollback").stderr
        rolling.process.kill()
        shop.alone("v2")


def test_an_interrupted_deployer(shop):
    """The deployer takes the whole release back before it exits."""
    with shop.rolling("deploy", shop.image("v2")) as rolling:
        begun(shop, rolling)
        rolling.process.send_signal(signal.SIGTERM)
        assert rolling.finish().code == 130
    shop.alone("v1")


def test_a_lost_manager(shop):
    """If the deployer loses the host that it works through, it continues by another one; containers start elsewhere."""
    first = shop.fleet.hosts["web1"]
    with shop.rolling("deploy", shop.image("v2")) as rolling:
        begun(shop, rolling)
        wait_until(lambda: first.ssh("pgrep -f '[s]tack deploy'").returncode, 60, "Swarm was told all")
        first.power_cut()
        try:
            assert rolling.finish().code == 0, rolling.stderr
        finally:
            first.power_on()
    shop.alone("v2")


def test_what_is_asked_of_it(shop):
    """status, logs, run, plan and releases work as on hosts. A command without a meaning there is refused."""
    assert '["hello", "world"]' in shop.deploy("run", "--host=web1", "hello", "world").stdout
    assert " web1 web" in shop.deploy("logs", "--role", "web", "-n", "20").stdout
    assert "update" in shop.deploy("plan", "v1").stdout and " v1 " in shop.deploy("releases").stdout
    assert "does not work with" in shop.deploy("watch").stderr
    shop.web[0].run("docker node update --availability drain work1")
    wait_until(lambda: "worker: 0 of 1 containers run" in shop.deploy("status").stdout, 60, "status tells of it")
    shop.web[0].run("docker node update --availability active work1")
    shop.alone("v1")


def test_the_page(shop):
    """It has what `slipway status` prints, and all visitors. A deploy may open it, and says how it ended."""
    with viewed(shop) as view:
        services = json.loads(shop.deploy("status", "--json").stdout)["services"]
        assert {each["role"]: (each["release"], each["state"]) for each in view.host("swarm")["processes"]} == {
            name: (each["release"], f"{each['running']} of {each['expected']} containers")
            for name, each in services.items()
        }
        counts_each_visitor(shop, [view])
    with viewed(shop, "deploy", shop.image("v2"), "--view") as view:
        wait_until(lambda: view.state()["own"]["result"], 300, "the page tells how it ended")
        assert "v2 is live" in view.state()["own"]["result"] and view.process.wait(20) == 0
    shop.alone("v2")


class RealShop(Orders, SwarmShop):
    """The project's own image on a swarm."""

    def __init__(self, fleet, folder, project_image):
        Orders.__init__(self, fleet, folder, project_image)
        self.settings |= self.as_swarm() | {"engine.replicas.web": 2}
        for host in self.hosts.values():
            del host["opts"]


def test_the_projects_own_image(fleet, project_image, tmp_path):
    """A release with a migration loses no request and no task. Settings are a file, the disk is read-only, the database
    changes once, and two beats never run at a time."""
    shop = RealShop(fleet, tmp_path, project_image).begin("build-1")
    wait_until(lambda: shop.ids(what="done", release="build-1"), 90, "beat sends, and the worker does it")
    with shop.load() as load:
        shop.good("deploy", shop.image("build-2"))
    assert set(load.result.releases) == {"build-1", "build-2"}, load.result.summary()
    known = shop.ids(what="sent")
    wait_until(lambda: shop.done(known), 90, "all that beat has sent is done")
    wait_until(lambda: shop.ids(what="done", release="build-2"), 90, "the new beat and worker go on")
    assert not doubled(shop.journal())
