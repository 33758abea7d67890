"""A server's units, nginx and slots with the real systemd and engine, and whatever may befall them."""

import re
import time

import pytest

import proc
from e2e import byhand
from e2e.byhand import answers, containers, until_it_answers
from e2e.fleet import apps
from e2e.fleet.docker import docker
from e2e.fleet.load import Load
from host.test_units import UPSTART, stanzas
from proc import wait_until

ALL = ("shop-web-a", "shop-worker-a", "shop-beat")


@pytest.fixture(scope="module")
def images(fleet):
    faults = {"v1": "", "v2": "", "busy": "busy"}
    return {release: fleet.registry.push(apps.echo(release, fault), f"shop:{release}")
            for release, fault in faults.items()}


@pytest.fixture(scope="module")
def installed(fleet, images):
    """A server with the app shop in all roles and release v1 committed."""
    fleet.reset("web1")
    host = fleet.hosts["web1"]
    byhand.install(host, "shop", images["v1"].rpartition(":")[0])
    assert answers(host, "shop")[0] == 503, "no release is up yet"
    byhand.release(host, "shop", images["v1"])
    return host


@pytest.fixture
def host(installed):
    """That server, all its units up in slot a."""
    installed.run("systemctl start docker shop.target")
    until_it_answers(installed, "shop", "v1")
    wait_until(lambda: running(installed) == set(ALL), 30, "all containers run, and no other")
    return installed


def active(host, *units):
    """What systemd says of each, in order."""
    return host.ssh(f"systemctl is-active {' '.join(units)}").stdout.split()


def running(host):
    """The names of all containers that run."""
    return {name for name, state in containers(host).items() if state == "running"}


def started(host):
    """Container → when it was started."""
    return dict(line.split() for line in host.run(
        "docker inspect --format '{{.Name}} {{.State.StartedAt}}' $(docker ps -q)").splitlines())


def load(host, **options):
    return Load(host.url, host="shop.example", **{"rate": 50, "seconds": 120, **options})


def test_the_target_starts_and_stops_it_all(host):
    """`systemctl stop APP.target` leaves no container, nginx says 503; `start` brings the live slot and beat back."""
    host.run("systemctl stop shop.target", timeout=60)
    assert containers(host) == {} and answers(host, "shop")[0] == 503
    assert active(host, "shop-web@a", "shop-worker@a", "shop-beat") == ["inactive"] * 3
    host.run("systemctl start shop.target")
    until_it_answers(host, "shop", "v1")


def test_logs_are_in_the_journal_once(host):
    """What a container prints is one line of the journal, under the container's name."""
    wait_until(lambda: host.run("journalctl --sync; journalctl -t shop-web-a -b -o cat").count("v1 serves at") >= 1)
    since = host.run("date '+%F %T'").strip()
    host.run("sleep 1; systemctl restart shop-web@a")
    until_it_answers(host, "shop", "v1")
    shown = host.run(f"journalctl --sync; journalctl --since '{since}' -o cat")
    assert shown.count("v1 serves at") == 1


@pytest.mark.parametrize("how", ["systemctl restart docker", "pkill -9 -x dockerd"])
def test_docker_restarted_or_killed_costs_no_request(host, how):
    """Under load Docker goes away three times within a minute: nothing is lost, no container or unit restarts."""
    before, restarts = started(host), "systemctl show -P NRestarts shop-web@a shop-worker@a shop-beat"
    counted = host.run(restarts)
    with load(host) as visitors:
        for _ in range(3):
            host.run(how)
            time.sleep(1)  # visitors go on meanwhile
            wait_until(lambda: host.ssh("docker info >/dev/null 2>&1").returncode == 0, 60, "Docker answers again")
        result = visitors.stop()
    assert not result.failures, result.summary()
    assert started(host) == before and host.run(restarts) == counted
    assert active(host, "shop-web@a", "shop-worker@a", "shop-beat") == ["active"] * 3


def test_a_unit_stopped_in_its_first_second_leaves_no_container(host):
    """Whenever the stop comes, it does not take long, and when systemd says the unit is stopped there is no container
    of its name."""
    left = host.run("systemctl stop shop-worker@a; for ms in $(seq -w 000 50 950); do systemctl start shop-worker@a;"
                    " sleep 0.$ms; systemctl stop shop-worker@a;"
                    " [ -z \"$(docker ps -aq --filter name=shop-worker-a)\" ] || echo after $ms ms; done", timeout=300)
    assert left == "" and active(host, "shop-worker@a") == ["inactive"]


RETURNS = {
    "its container killed": "docker kill -s KILL shop-web-a",
    "its main process killed": "kill -9 $(docker top shop-web-a -o pid,comm | awk '/python3/ {print $1; exit}')",
    "its container removed": "docker rm -f shop-web-a",
    "nginx killed": "pkill -9 -x nginx",
}


def test_a_killed_docker_runner_costs_no_request(host):
    """Its container is adopted by the next one, of web, worker and beat; nothing is started anew."""
    before, restarts = started(host), "systemctl show -P NRestarts shop-web@a shop-worker@a shop-beat"
    counted = [int(number) for number in host.run(restarts).split()]
    with load(host) as visitors:
        host.run("systemctl kill -s KILL --kill-who=main shop-web@a shop-worker@a shop-beat")
        wait_until(lambda: [int(number) - 1 for number in host.run(restarts).split()] == counted, 30, "they come back")
        host.run("systemctl kill -s KILL --kill-who=all shop-web@a")
        wait_until(lambda: int(host.run(f"{restarts} | head -n 1")) == counted[0] + 2, 30, "it comes back again")
        wait_until(lambda: active(host, "shop-web@a", "shop-worker@a", "shop-beat") == ["active"] * 3)
        result = visitors.stop()
    assert not result.failures, result.summary()
    assert started(host) == before


def start_busy(host, image):
    """Slot b, with a worker that has 30 s of work left when it is told to stop."""
    host.run(f"docker pull -q {image}; printf 'export TAG=busy\\nexport IMAGE_ID=%s\\n'"
             f" $(docker image inspect --format '{{{{.Id}}}}' {image}) >/run/shop/b.tag;"
             " cp /etc/default/shop.env /run/shop/b.env;"
             " systemctl start shop-web@b shop-worker@b shop-beat", timeout=120)
    wait_until(lambda: {"shop-web-b", "shop-worker-b", "shop-beat"} <= running(host), 60, "slot b runs")
    wait_until(lambda: host.ssh("test -e /run/shop/b/worker.ready").returncode == 0, 30, "its worker works")


@pytest.mark.parametrize("seconds", ["0.1", *(pytest.param(one, marks=pytest.mark.rare) for one in ("0", "0.5"))])
def test_no_stop_keeps_the_engine_away(host, images, seconds):
    """dockerd is killed at some moment of a stop: it is back while a worker still ends its task, and stops that need
    no time have ended without it."""
    units = "shop-web@b shop-worker@b shop-beat"
    start_busy(host, images["busy"])
    host.run(f"systemctl stop --no-block {units}; sleep {seconds}; pkill -9 -x dockerd")
    try:
        ended = ["inactive", "deactivating", "inactive"]
        wait_until(lambda: active(host, *units.split()) == ended, 15, "two have ended")
        wait_until(lambda: host.ssh("timeout 5 docker info >/dev/null 2>&1").returncode == 0, 15, "the engine is back")
        assert active(host, "shop-worker@b") == ["deactivating"]
        assert "docker.service" not in host.run("systemctl list-jobs --no-legend")
        assert not running(host) & {"shop-web-b", "shop-beat"} and "shop-worker-b" in running(host)
    finally:
        host.run("systemctl start docker")
        host.ssh("docker kill shop-worker-b")  # on a busy machine its 30 s are over by now
    wait_until(lambda: active(host, "shop-worker@b") in (["inactive"], ["failed"]), 15, "the stop has ended")
    assert "shop-worker-b" not in running(host)


def test_a_stop_under_a_hung_engine(host):
    """dockerd stands still: web, worker and beat stop all the same, and nothing of them runs on; later it all comes
    back, and what was left is tidied up."""
    assert host.run("pgrep -u shop"), "what runs is seen"
    host.run("pkill -STOP -x dockerd")
    try:
        began = time.monotonic()
        host.run("systemctl stop shop.target", timeout=45)
        assert time.monotonic() - began < 30
        assert host.ssh("pgrep -u shop").returncode == 1, "none is found"
    finally:
        host.run("pkill -CONT -x dockerd")
    host.run("systemctl start shop.target")
    until_it_answers(host, "shop", "v1")


def test_a_reboot_ends_what_is_under_way(host, images):
    """A request of 8 s and a task of 30 s end as they should when the server goes down in good order."""
    start_busy(host, images["busy"])
    slow = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: shop.example", f"{host.url}/?ms=8000"]
    with proc.running(slow) as request:
        wait_until(lambda: host.run("grep shop/a/web.sock /proc/net/unix"), 10, "it is being answered")
        host.console("systemctl reboot")
        assert request.wait(60) == 0 and request.output() == "200"
        wait_until(lambda: "false" in docker("inspect", "--format={{.State.Running}}", host.machine.container).stdout,
                   90, "the server is off")
    host.power_on()
    host.run("journalctl -t shop-worker-b -o cat | grep 'busy has ended its task'")
    until_it_answers(host, "shop", "v1")


@pytest.mark.parametrize("fault", RETURNS)
def test_it_comes_back_by_itself(host, fault, measured):
    """After each fault visitors are answered again, without anybody's help; and what runs is what should, once each."""
    old = started(host)["/shop-web-a"]
    with load(host, rate=20) as visitors:
        host.run(RETURNS[fault])
        wait_until(lambda: started(host).get("/shop-web-a", old) != old or fault == "nginx killed", 60)
        until_it_answers(host, "shop", "v1")
        result = visitors.stop()
    assert result.failures, "the fault was felt"
    measured(fault, result.failures[-1].ended - result.failures[0].due)
    wait_until(lambda: running(host) == set(ALL), 30, "everything runs, and nothing else")


def test_a_strangers_container_with_the_units_name(host, measured):
    """A container of the unit's name that is not the wanted one makes way."""
    host.run("systemctl stop shop-web@a; docker run -d --init --name shop-web-a --entrypoint sleep"
             " $(docker images -q | head -n 1) 600")
    began = time.monotonic()
    host.run("systemctl start shop-web@a")
    until_it_answers(host, "shop", "v1")
    measured("a stale container with the unit's name, from the unit's start", time.monotonic() - began)


def test_a_full_disk_at_the_start_is_waited_out(host, measured):
    """While no container can be made the unit tries again and again; once there is room it runs, unaided."""
    host.run("systemctl stop shop-web@a")
    restarts = "systemctl show -P NRestarts shop-web@a"
    with host.full("/var/lib/docker/containers"):
        host.run("systemctl start shop-web@a")
        wait_until(lambda: int(host.run(restarts)) >= 3, 60, "it tries again")
        assert answers(host, "shop")[0] == 503
    began = time.monotonic()
    until_it_answers(host, "shop", "v1")
    measured("full disk at the start, from when there is room", time.monotonic() - began)


@pytest.mark.rare
def test_docker_starts_a_minute_after_the_boot(host, measured):
    """Booted without Docker, the units wait for it, and need no restart when it comes."""
    host.run("systemctl mask docker.service docker.socket 2>&1; sync")
    try:
        host.power_cut()
        host.power_on()
        booted = time.monotonic()
        wait_until(lambda: "waiting for it" in host.run("journalctl --sync; journalctl -b -t shop-web-a -o cat"))
        time.sleep(60 - (time.monotonic() - booted))  # the minute is the matter
        assert active(host, "shop-web@a", "shop-worker@a", "shop-beat") == ["active"] * 3
        assert answers(host, "shop")[0] == 503
    finally:
        host.run("systemctl unmask docker.service docker.socket 2>&1; systemctl start docker")
    began = time.monotonic()
    until_it_answers(host, "shop", "v1")
    measured("Docker starting a minute after boot, from its start", time.monotonic() - began)
    assert host.run("systemctl show -P NRestarts shop-web@a shop-worker@a shop-beat").split() == ["0"] * 3


def test_a_power_cut_ends_in_the_committed_release_in_slot_a(host, images, measured):
    """Live was slot b with an uncommitted release: after the power cut slot a serves TAG, settings and all."""
    host.run(f"docker pull -q {images['v2']}; printf 'export TAG=v2\\nexport IMAGE_ID=%s\\n'"
             f" $(docker image inspect --format '{{{{.Id}}}}' {images['v2']}) >/run/shop/b.tag;"
             " cp /etc/default/shop.env /run/shop/b.env; systemctl start shop-web@b")
    wait_until(lambda: host.ssh("curl -sf --unix-socket /run/shop/b/web.sock http://x/").returncode == 0)
    with load(host, rate=100) as visitors:
        host.run("cd /run/shop && ln -s b/web.sock new && mv -T new web.sock")
        until_it_answers(host, "shop", "v2")
        result = visitors.stop()
    assert not result.failures and not result.late("v1", "v2"), result.summary()
    host.run("sync")
    host.power_cut()
    began = time.monotonic()
    host.power_on()
    until_it_answers(host, "shop", "v1")
    measured("power cut, from power on", time.monotonic() - began)
    assert host.run("readlink /run/shop/web.sock") == "a/web.sock\n"
    wait_until(lambda: running(host) == set(ALL), 30, "slot a and beat run, and nothing else")
    assert host.run("cmp /run/shop/a.tag /var/www/shop/TAG; stat -c %a /run/shop/a.env") == "600\n"


def test_a_slot_keeps_what_it_was_started_with(host, images):
    """A commit changes TAG and APP.env; a unit of the old slot that dies after that comes back as it was."""
    host.run("cp /var/www/shop/TAG /root/TAG; printf 'export TAG=v2\\n' >/var/www/shop/TAG")
    try:
        host.run("docker kill shop-web-a")
        until_it_answers(host, "shop", "v1")
    finally:
        host.run("cp /root/TAG /var/www/shop/TAG")


def test_no_secret_is_seen(host):
    """A setting's value is in no process list while units and commands start, in no journal, unit, image layer or
    log, nor where another user may look."""
    watch = "while sleep 0.01; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr '\\0' ' '"
    with proc.running(["ssh", "-F", host.ssh_config, host.name, watch]) as watched:
        wait_until(watched.output)
        host.run("systemctl restart shop-web@a; docker-runner shop migrate", timeout=120)
        until_it_answers(host, "shop", "v1")
        wait_until(lambda: "--env-file /etc/default/shop.env" in watched.output(), 30, "docker was seen at work")
        assert byhand.SECRET not in watched.output()
    for place in ("journalctl --sync; journalctl -b", "systemctl cat 'shop-*'", "cat /var/log/nginx/*",
                  "docker history --no-trunc $(docker images -q | head -n 1)", "systemctl show 'shop-*'"):
        assert byhand.SECRET not in host.run(place), place
    assert host.ssh(f"grep -rl {byhand.SECRET} /var/lib/docker/overlay2").stdout == ""
    for command in ("docker inspect shop-web-a", "cat /run/shop/a.env", "cat /etc/default/shop.env"):
        assert host.ssh(command, user="deploy").returncode, command
    assert byhand.SECRET not in host.ssh("cat /proc/[0-9]*/environ; ps axeww", user="deploy").stdout


def test_two_apps_do_not_touch_each_other(host, images):
    """A second app on the server: each answers under its name, and neither's containers see the other's socket or
    settings; stopping one leaves the other alone."""
    byhand.install(host, "my-blog", images["v1"].rpartition(":")[0], roles=("web",))
    byhand.release(host, "my-blog", images["v2"])
    try:
        host.run("systemctl start my-blog.target")
        until_it_answers(host, "my-blog", "v2")
        until_it_answers(host, "shop", "v1")
        seen = host.run("docker exec shop-web-a ls -A /run/shop/a").split()
        assert {"web.sock"} <= set(seen) <= {"web.sock", "web.plan", "worker.ready"}
        for path in ("/run/my-blog", "/run/shop/b", "/etc/default/shop.env", "/var/www/shop"):
            assert host.ssh(f"docker exec shop-web-a ls {path}").returncode, path
        reach = "curl -s --unix-socket /run/my-blog/{} http://x/"
        for socket in ("a/web.sock", "web.sock", "nginx.sock"):
            assert host.run(reach.format(socket))
            assert host.ssh(f"setpriv --reuid shop --regid shop --clear-groups {reach.format(socket)}").returncode
        host.run("systemctl stop my-blog.target")
        until_it_answers(host, "shop", "v1")
    finally:
        host.run("systemctl disable --now --quiet my-blog.target; rm -rf /etc/nginx/sites-enabled/my-blog"
                 " /etc/systemd/system/my-blog* /etc/tmpfiles.d/my-blog.conf; systemctl daemon-reload;"
                 " systemctl reload nginx")


def test_another_image_as_a_service(host, images):
    """docker-service@NAME runs any image by /etc/default/NAME, without TAG or user, and leaves nothing when stopped."""
    host.run(f"docker pull -q {images['v2']};"
             f" echo 'IMAGE={images['v2']} OPTS=\"-p 127.0.0.1:9000:8000\"' >/etc/default/echo;"
             " systemctl start docker-service@echo")
    try:
        wait_until(lambda: '"v2"' in host.ssh("curl -s http://127.0.0.1:9000/").stdout)
    finally:
        host.run("systemctl stop docker-service@echo")
    assert "echo" not in containers(host)


@pytest.mark.parametrize("job", UPSTART)
def test_upstarts_scripts(host, job):
    """An upstart job's stanzas, run by `sh -e` as upstart would: its container runs the committed TAG, and is gone."""
    host.run("systemctl stop shop.target")
    scripts = stanzas(job)
    name = re.search(r"--unit (\S+)", scripts["script"])[1]
    for stanza, text in scripts.items():
        byhand.put(host, {f"/root/{stanza}": (text, "644")})
    host.run("rm -rf /run/shop; [ ! -e /root/pre-start ] || sh -e /root/pre-start")
    host.run("EXTRA='-e SOCKET=/run/shop/a/web.sock' systemd-run --quiet --unit=job -E EXTRA sh -e /root/script")
    try:
        wait_until(lambda: containers(host).get(name) == "running")
        if "web" in job:
            until_it_answers(host, "shop", "v1")
    finally:
        host.run("sh -e /root/pre-stop; systemctl stop job; sh -e /root/post-stop; systemd-tmpfiles --create shop.conf")
    assert name not in containers(host)
