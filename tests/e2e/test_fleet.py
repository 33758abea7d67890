"""The fleet itself: its servers are real enough, its faults happen, and its load generator tells the truth."""

import contextlib
import json
import socket
import socketserver
import struct
import threading
import time

import pytest

from e2e.fleet import apps
from e2e.fleet.docker import FleetError
from e2e.fleet.load import Load, Plan
from proc import run, wait_until

pytestmark = pytest.mark.rare  # what it tests changes seldom, and every other test leans on it
ALL = ("web1", "web2", "work1", "services")


@pytest.fixture(scope="module")
def images(fleet):
    """Releases v1 and v2 of the stand-in app, in the registry."""
    return {release: fleet.registry.push(apps.echo(release), f"echo:{release}") for release in ("v1", "v2")}


@pytest.fixture(scope="module")
def web(fleet, images):
    """web1, bare but for release v1 behind its nginx, at a unix socket. Whoever uses it leaves v1 serving."""
    fleet.reset("web1")
    host = fleet.hosts["web1"]
    host.write("/etc/nginx/sites-enabled/default",
               "server { listen 80; location / { proxy_pass http://unix:/srv/echo/web.sock; } }")
    host.run("systemctl reload nginx")
    serve(host, images["v1"], "v1")
    return host


def serve(host, image, release):
    """Start a release on a socket of its own, wait until it answers, and flip to it."""
    folder = f"/srv/echo/{release}"
    host.run(f"docker run --detach --init --restart=always --name {release} -v {folder}:{folder}"
             f" -e SOCKET={folder}/web.sock {image}", timeout=120)
    wait_until(lambda: host.ssh(f"curl -sf --unix-socket {folder}/web.sock http://x/readyz").returncode == 0, 30,
               f"{release} is ready")
    flip(host, release)


def flip(host, release):
    host.run(f"ln -s {release}/web.sock /srv/echo/next && mv -T /srv/echo/next /srv/echo/web.sock")


def page(host):
    """What the host's nginx answers to itself; empty if nothing good."""
    return host.ssh("curl -sf http://localhost/").stdout


def machine(fleet, name):
    return fleet.services if name == "services" else fleet.hosts[name]


# ---- the servers ----

@pytest.mark.parametrize("name", ALL)
def test_every_unit_of_a_machine_runs(fleet, name):
    """systemd is content: no unit has failed."""
    state = machine(fleet, name).ssh("systemctl is-system-running --wait; systemctl --failed --plain --no-legend")
    assert state.stdout == "running\n"


@pytest.mark.parametrize("user", ["root", "deploy"])
def test_a_user_logs_in_with_the_key_and_may_do_all(fleet, user):
    """Root, and a user with `sudo -n`, come in with the fleet's key; arguments, input and exit code come through."""
    host = fleet.hosts["web1"]
    assert host.run("id -un", user=user).strip() == user
    assert host.run("sudo -n id -u", user=user).strip() == "0"
    assert host.run("cat", user=user, input="a 'b'\n") == "a 'b'\n"
    assert host.ssh("exit 7", user=user).returncode == 7


def test_ssh_uses_nothing_of_the_users_own(fleet):
    """The options that ssh ends up with name the fleet's files and no agent; a changed host key would be refused."""
    shown = run(["ssh", "-G", "-F", fleet.ssh_config, "web1"], timeout=30).stdout.lower().splitlines()
    folder = str(fleet.ssh_config.parent).lower()
    chosen = dict(line.split(" ", 1) for line in shown if " " in line)
    assert chosen["userknownhostsfile"].strip('"') == f"{folder}/known_hosts"
    assert chosen["identityfile"].strip('"') == f"{folder}/id_ed25519"
    assert (chosen["identityagent"], chosen["stricthostkeychecking"]) == ("none", "true")


def test_a_login_leaves_one_line_in_sshds_log(fleet):
    """Connections can be counted: each leaves one "Accepted publickey"."""
    host = fleet.hosts["web2"]

    def logins():
        return int(host.console("journalctl --sync; journalctl -u ssh -o cat | grep -c 'Accepted publickey'").stdout)
    before = logins()
    host.run("true")
    wait_until(lambda: logins() == before + 1, 30, "one more line")


def test_hosts_have_engines_of_their_own(fleet, images):
    """A host pulls from the registry and runs the image, with an init; another host knows nothing of it."""
    command = f"docker run --rm --init {images['v1']} manage shell -c \"print('a b')\""
    said = fleet.hosts["web2"].run(command, timeout=120)
    assert json.loads(said)["command"] == ["manage", "shell", "-c", "print('a b')"]
    assert "No such image" in fleet.hosts["work1"].ssh(f"docker image inspect {images['v1']}").stderr


def test_an_image_comes_to_a_host_without_a_registry(fleet):
    """load_image brings an image through ssh."""
    host, image = fleet.hosts["work1"], apps.echo()
    host.load_image(image)
    assert host.ssh(f"docker run --rm {image} exit 3").returncode == 3


def test_containers_on_hosts_reach_the_services(fleet, images):
    """The URLs of Postgres and Redis hold on a host and inside a container on it."""
    for port in (5432, 6379):
        connect = f"import socket; socket.create_connection(('{fleet.services.address}', {port}), 5)"
        fleet.hosts["web1"].run(f'python3 -c "{connect}"')
        fleet.hosts["web1"].run(f'docker run --rm --entrypoint python3 {images["v1"]} -c "{connect}"', timeout=120)


def test_a_new_database_is_empty_and_opens_with_its_url(fleet):
    """new_database makes one that the role in its URL may fill, and a second call empties it."""
    for _ in range(2):
        url = fleet.services.new_database("fleet_test")
        fill = f"psql -Atq {url} -c 'CREATE TABLE t (n int)' -c 'SELECT count(*) FROM t'"
        assert fleet.services.run(fill) == "0\n"


def test_a_reset_leaves_a_bare_host(fleet):
    """After a reset nothing is left of files, units or containers, and the host answers at the same address."""
    host = fleet.hosts["web2"]
    host.load_image(apps.echo())
    host.run(f"docker run --detach --name left {apps.echo()} worker && touch /etc/left /var/lib/docker/left")
    host.reset()
    assert host.run("ls -d /etc/left /var/lib/docker/left 2>/dev/null; docker ps -aq; docker images -q") == ""


# ---- what befalls them ----

def test_a_power_cut_ends_everything_and_the_host_comes_back(web):
    """Killed without warning, a host refuses connections; switched on it boots, its disk as it was, /run empty."""
    web.run("touch /etc/kept /run/lost")
    web.power_cut()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", web.http_port), 5)
    web.power_on()
    assert web.ssh("ls -d /etc/kept /run/lost").stdout == "/etc/kept\n"
    wait_until(lambda: "v1" in page(web), 30, "v1 is back")


def test_a_host_cut_off_is_silent_and_works_on(web):
    """Nothing comes from a host that is cut off, not even a refusal, until it is back; inside, life goes on."""
    with web.cut_off():
        started = time.monotonic()
        assert "timed out" in web.ssh("true", timeout=60).stderr.lower()
        assert time.monotonic() - started > 5
        assert web.console("curl -sf http://localhost/").stdout
        with Load(web.url, rate=5, seconds=2, timeout=2) as load:
            assert set(load.finish().causes) == {"timeout"}
    assert "v1" in page(web)


def test_a_stalled_host_goes_on_where_it_was(web):
    """While it is stalled nothing answers; afterwards all does, by the same processes."""
    before = web.run("docker inspect --format '{{.State.Pid}}' v1")
    with web.stalled(), Load(web.url, rate=5, seconds=2, timeout=2) as load:
        assert set(load.finish().causes) == {"timeout"}
    assert "v1" in page(web)
    assert web.run("docker inspect --format '{{.State.Pid}}' v1") == before


def test_a_full_folder_takes_no_byte_and_keeps_what_it_had(fleet):
    """In a full folder a write fails with ENOSPC while files there can be read; afterwards there is room."""
    host = fleet.hosts["work1"]
    host.run("rm -rf /srv/full && mkdir /srv/full && echo kept >/srv/full/old")
    with host.full("/srv/full"):
        assert host.run("cat /srv/full/old") == "kept\n"
        assert "No space left" in host.ssh("echo more >/srv/full/new").stderr
    host.run("echo more >/srv/full/new")
    assert host.run("ls -A /srv/full").split() == ["new", "old"]


# ---- the load generator ----

def logged(host):
    """How many requests of the load generator the host's nginx has answered."""
    return int(host.ssh("grep -c fleet-load /var/log/nginx/access.log").stdout)


def test_a_good_server_gets_every_request_and_none_fails(web):
    """At a steady rate all requests arrive, GETs and POSTs, one connection each, and the answers are the release's."""
    before = logged(web)
    with Load(web.url, rate=100, seconds=5, post_every=3) as load:
        result = load.finish()
    assert not result.failures, result.summary()
    assert len(result.records) == 500 and result.releases == {"v1": 500}
    assert sum(record.method == "POST" for record in result.records) == 166
    wait_until(lambda: logged(web) == before + 500, 30, "500 lines in nginx's log")


def test_a_flip_is_seen_and_loses_nothing(web, images):
    """The first answer of v2 is found, nothing sent after it is answered by v1, and a flip back is caught as such."""
    with Load(web.url, rate=50, seconds=120) as load:
        serve(web, images["v2"], "v2")
        assert "v2" in page(web)
        time.sleep(1)  # some of v2's answers
        forward = load.stop()
    assert not forward.failures, forward.summary()
    assert set(forward.releases) == {"v1", "v2"} and not forward.late("v1", "v2")
    with Load(web.url, rate=50, seconds=120) as load:
        time.sleep(1)  # some of v2's answers
        flip(web, "v1")
        time.sleep(1)  # some of v1's
        back = load.stop()
    assert back.late("v1", "v2")


@contextlib.contextmanager
def server(answer):
    """A server here that does `answer(socket)` with each connection; its URL."""
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            answer(self.request)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/"
        listening.shutdown()


def reset(connection):
    connection.recv(1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def says(text):
    def answer(connection):
        connection.recv(1000)
        connection.sendall(text)
    return answer


@pytest.mark.parametrize("cause, answer", [
    ("reset", reset),
    ("empty", lambda connection: connection.recv(1000)),
    ("cut short", says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")),
    ("http 500", says(b"HTTP/1.1 500 Oh\r\nX-Release: v9\r\nContent-Length: 0\r\n\r\n")),
    ("not http", says(b"220 mail.example ESMTP\r\n\r\n")),
    ("timeout", lambda connection: connection.recv(1000) and connection.recv(1000)),
])
def test_a_failure_is_told_by_its_cause(cause, answer):
    """Each way to fail is counted as what it is, for every request, and none is tried again."""
    with server(answer) as url, Load(url, rate=20, seconds=1, timeout=1) as load:
        result = load.finish()
    assert result.causes == {cause: 20}
    assert all(record.release == ("v9" if cause == "http 500" else None) for record in result.records)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_nobody_listening_is_refused(name):
    """A port with no server is "refused", with the time of each request, and the command line ends with 1."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://{name}:{unused.getsockname()[1]}/"
        with Load(url, rate=10, seconds=1) as load:
            result = load.finish()
    assert result.causes == {"refused": 10}
    assert [round(record.due, 3) for record in result.records] == [number / 10 for number in range(10)]
    assert "10 requests, 10 failed" in result.summary() and load.process.returncode == 1


def test_a_slow_server_does_not_slow_the_load():
    """Requests go out by the clock while earlier ones wait, and the latency is the server's."""
    def slow(connection):
        connection.recv(1000)
        time.sleep(0.5)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with server(slow) as url, Load(url, rate=40, seconds=1, post_every=0) as load:
        result = load.finish()
    assert not result.failures and len(result.records) == 40
    assert result.percentile(50) >= 0.5
    assert max(record.started for record in result.records) < min(record.ended for record in result.records) + 1


def test_three_of_ten_are_posts():
    """A share of POSTs that is no whole number's, evenly over time and over targets."""
    def well(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    with server(well) as url, Load(url, f"{url}other", rate=100, seconds=1, post_every=10, posts=3) as load:
        posts = [record for record in load.finish().records if record.method == "POST"]
    assert [sum(record.number // 20 == tenth for record in posts) for tenth in range(5)] == [6] * 5
    assert sum(record.target == url for record in posts) == 15


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"rate": 1e6}, {"seconds": 1e5}, {"count": -1}])
def test_a_load_without_bounds_is_refused(wrong):
    """Rate, time and count have limits, checked before anything is sent."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Plan(("http://127.0.0.1:9/",), **wrong).check()


@pytest.mark.parametrize("targets", [(), ("127.0.0.1:80",), ("ftp://127.0.0.1/",)])
def test_a_load_needs_urls(targets):
    """What is no http URL is refused by name."""
    with pytest.raises(ValueError, match="no URL"):
        Plan(targets).check()


def test_a_degraded_host_is_named_with_its_failed_units(fleet):
    """A machine whose unit has failed is not called up: the unit is named."""
    host = fleet.hosts["web2"]
    assert host.ssh("systemd-run --quiet --unit=broken --wait false").returncode == 1
    try:
        with pytest.raises(FleetError, match="web2 is degraded: broken.service"):
            host.wait_running()
    finally:
        host.run("systemctl reset-failed")
