"""The inspection of a machine before provisioning changes it: names in use, malformed settings, old versions. The real
script runs, which only reads; its output is also replaced by any text."""

import os
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.conftest import fleet_of
from deployer.test_server import files
from proc import executable, put, run
from slipway.deploy.agent.roles import BUILT_IN, Process
from slipway.deploy.config import Fleet, Host
from slipway.deploy.provisioning import fitness
from slipway.deploy.server import services as app_services
from slipway.deploy.server.files import process_unit, timer

# Stand-ins for programs of the machine, which has one user.
STAND_INS = {
    "getent": 'case $2 in messagebus) echo "messagebus:x:101:104::/nonexistent:/usr/sbin/nologin" ;; *) exit 2 ;; esac',
    "systemctl": "echo systemd 252",
    "apt-get": ":",
    "dockerd": ":",
}


@pytest.fixture
def inspect(shell, tmp_path):
    """inspect(app, remove=False): the problems found on the machine below tmp_path that concern names and settings."""
    stubs = tmp_path / "stubs"
    for name, script in STAND_INS.items():
        executable(stubs / name, f"#!/bin/sh\n{script}\n")

    def call(app, remove=False, own=(), timed=(), services=(), site=(("tls", "off"),), role="web"):
        fleet = Fleet(
            app,
            "r.example/x",
            (),
            site=dict(site),
            processes=BUILT_IN | {process.name: process for process in own},
            timed={process.name: process for process in timed},
        )
        _, _, script, *words, envfile = fitness.inspection(
            fleet, Host("one", "one", (role,), services=services), remove
        )
        words = [
            " ".join(f"{tmp_path}{word}" if word.startswith("/") else word for word in one.split()) for one in words
        ]
        done = run(
            [*shell, "-c", script, *words, envfile],
            timeout=60,
            env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "DOCKER_RUNNER_ROOT": str(tmp_path)},
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = call.inspection = fitness.parse(done.stdout.splitlines())
        return [
            text.replace(str(tmp_path), "")
            for text in fitness.problems(found)
            if re.match("has |cannot use |.*shop.env ", text) and "nginx.conf" not in text
        ]

    return call


CURE = ", not made by provisioning: choose another name for the app, or remove them"

TAKEN = {  # app → what already has that name
    "lock": "/run/lock",
    "grub": "/etc/default/grub",
    "default": "/etc/nginx/sites-available/default, /usr/lib/systemd/system/default.target",
    "tmp": "/usr/lib/tmpfiles.d/tmp.conf",
    "messagebus": "the user messagebus, the group messagebus",
}


def test_a_name_that_something_else_goes_by(inspect, tmp_path):
    for path in re.findall("/[^ ,]+", " ".join(TAKEN.values()).replace("/run/lock", "/run/lock/x")):
        put(f"{tmp_path}{path}", "IMAGE=redis:7\n")
    assert {app: inspect(app) for app in TAKEN} == {app: [f"has {said}{CURE}"] for app, said in TAKEN.items()}
    assert inspect("grub", remove=True) == [f"has {TAKEN['grub']}{CURE}"] and inspect("shop") == []


@pytest.mark.parametrize("mark", ["/etc/default/shop", "/etc/systemd/system/shop.target"])
def test_what_provisioning_has_made_is_ours(inspect, tmp_path, fleet, mark):
    put(f"{tmp_path}/run/shop/web.sock", "")
    assert len(inspect("shop")) == 1
    put(f"{tmp_path}{mark}", files(fleet, "web1")[mark])
    assert inspect("shop") == []


def test_a_service_and_an_app_do_not_share_a_name(inspect, tmp_path):
    """shop's Postgres is called shop-postgres, as an app, or the container of another tool, may be already."""
    path = "/etc/default/shop-postgres"
    other = f"has {path}{CURE}"
    put(f"{tmp_path}{path}", f"{app_services.MARK.format('shop')}\n")
    assert inspect("shop", services=["postgres"]) == [] and inspect("shop-postgres") == [other]
    put(f"{tmp_path}{path}", "# For docker-runner; written by provisioning.\n")
    assert inspect("shop", services=["postgres"]) == [other] and inspect("shop", services=["redis"]) == []
    os.remove(f"{tmp_path}{path}")
    assert inspect("shop", services=["postgres"]) == []
    executable(tmp_path / "stubs/docker", '#!/bin/sh\n[ "$1 $2 $3" = "container inspect shop-postgres" ]\n')
    assert inspect("shop", services=["postgres"]) == [f"has the container shop-postgres{CURE}"]


def test_nginx_that_a_killed_provisioning_left_masked(inspect, tmp_path):
    inspect("shop")
    assert not inspect.inspection.masked
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "run/systemd/system/nginx.service").symlink_to("/dev/null")
    inspect("shop")
    assert inspect.inspection.masked


def test_a_host_tells_its_name(inspect):
    inspect("shop")
    assert inspect.inspection.hostname == os.uname().nodename


def test_units_of_processes(inspect, tmp_path):
    """Units and timers that provisioning wrote are found, not those of others or of another app."""
    alerts, digest = Process("alerts", "x", False, "file"), Process("digest", "x", False, "", schedule="daily")
    put(f"{tmp_path}/etc/default/shop", "# For docker-runner; written by provisioning.\n")
    foreign = [f"/etc/systemd/system/shop-{name}" for name in ("alerts.service", "digest.timer", "backup.timer")]
    for path in foreign:
        put(f"{tmp_path}{path}", "[Service]\nExecStart=/usr/bin/alerts\n")
    for app, process in (("shop", BUILT_IN["web"]), ("shop", BUILT_IN["beat"]), ("shop-b", alerts)):
        put(f"{tmp_path}{process_unit(app, process).path}", process_unit(app, process).content)
    assert inspect("shop") == [] and inspect("shop", own=[alerts], timed=[digest]) == [
        f"has {', '.join(foreign[:2])}{CURE}"
    ]
    assert set(inspect.inspection.processes) == {"web@", "beat"}
    for unit in (
        process_unit("shop", alerts),
        process_unit("shop", digest),
        timer("shop", digest),
        timer("shop-b", digest),
    ):
        put(f"{tmp_path}{unit.path}", unit.content)
    assert inspect("shop", own=[alerts], timed=[digest]) == []
    assert set(inspect.inspection.processes) == {"web@", "beat", "alerts", "digest"}


CERTIFICATE = {"tls": "files", "certificate": "/c.pem", "key": "/k.pem"}
COPY = ': copy certificate and key there, for tls = "files" in [site]'


@pytest.mark.needs("openssl")
def test_a_certificate_that_nginx_could_not_use(inspect, tmp_path):
    """It is told before anything changes, on a host whose nginx needs it. `provision --remove` needs none."""

    def make(name):
        run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-subj", "/CN=x", "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.crt"),
            ],
            timeout=60,
        )

    def use(certificate, key):
        shutil.copy(tmp_path / certificate, tmp_path / "c.pem")
        shutil.copy(tmp_path / key, tmp_path / "k.pem")
        return inspect("shop", site=CERTIFICATE)

    assert inspect("shop", site=CERTIFICATE) == [f"has no /c.pem, /k.pem{COPY}"]
    assert inspect("shop", site=CERTIFICATE, role="worker") == [] == inspect("shop", True, site=CERTIFICATE)
    assert inspect("shop", site={**CERTIFICATE, "tls": "elsewhere"}) == []
    make("one")
    make("two")
    assert use("one.crt", "one.key") == []
    assert use("one.crt", "two.key") == [f"cannot use /c.pem with /k.pem (key values mismatch){COPY}"]
    (said,) = use("one.key", "one.key")
    assert said.startswith("cannot use /c.pem with /k.pem (")
    os.remove(tmp_path / "k.pem")
    assert inspect("shop", site=CERTIFICATE) == [f"has no /k.pem{COPY}"]


def test_whose_definition_for_consul_it_is(inspect, tmp_path):
    for content, found in (
        (None, (True, False, False)),
        ("{}", (False, True, False)),
        ('{"notes": "written by provisioning"}', (False, False, True)),
    ):
        if content:
            put(f"{tmp_path}/etc/consul.d/shop.json", content)
        assert inspect("shop") == []
        said = inspect.inspection
        assert ("consul-agent" in said.missing, said.defined, said.registered) == found


def test_settings_that_docker_would_misread(inspect, tmp_path, fleet):
    put(f"{tmp_path}/etc/default/shop", files(fleet, "web1")["/etc/default/shop"])
    put(f"{tmp_path}/etc/default/shop.env", "A=1\nB='planted'\nC\n")
    assert inspect("shop") == [
        "/etc/default/shop.env line 2: B is in quotes, which would be part of it: drop them",
        "/etc/default/shop.env line 3: not KEY=value",
    ]
    assert inspect("shop", remove=True) == []


@pytest.mark.parametrize(
    "path, text, names, reported",
    [
        ("blog/public.conf", "    server_name _;\n", [], ["has blog for visitors by any name"]),
        (
            "blog/public.conf",
            "    server_name blog.example shop.example;\n",
            ["a.example", "Shop.example"],
            ["has blog with the name shop.example: remove it from one [site]"],
        ),
        ("blog/public.conf", "    server_name _;\n", ["a.example"], []),
        ("shop/public.conf", "    server_name _;\n", [], []),
        # An app without names has its own in SITE_URL.
        ("blog/public.conf", "    server_name _;\n", ["www.blog.example"], ["has blog with the name www.blog.example"]),
        ("blog/public.conf", "    server_name _;\n", ["*.Blog.example"], ["has blog with the name www.blog.example"]),
        ("blog/public.conf", "    server_name *.shop.example;\n", [], ["has blog with the name www.shop.example"]),
        ("blog/public.conf", "    server_name www.shop.example;\n", [], ["has blog with the name www.shop.example"]),
        ("blog/public.conf", "    server_name shop.example;\n", [], []),
        ("conf.d/old.conf", "  listen [::]:80 default_server;\n", [], ["has old.conf for visitors by any name"]),
        ("conf.d/old.conf", "  listen 443 ssl default_server;\n  return 444;\n", [], []),
        ("conf.d/old.conf", "  listen 8080 default_server;\n  server_name _;\n", [], []),
    ],
)
def test_whose_visitors_another_site_gets(inspect, tmp_path, data, path, text, names, reported):
    put(f"{tmp_path}/etc/nginx/{path}", text)
    put(f"{tmp_path}/etc/nginx/sites-enabled/{path.partition('/')[0]}", "")
    for app, end in (("shop", "env.next"), ("blog", "env")):
        put(f"{tmp_path}/etc/default/{app}.{end}", f"A=1\nSITE_URL=https://www.{app}.example:8443/x\n")
    assert inspect("shop") == []
    fleet = fleet_of(data, {"site.names": names})
    problems = {host.name: [*fitness.name_problems(inspect.inspection, fleet, host)] for host in fleet.hosts}
    assert all(map(str.startswith, problems["front"], reported)) and len(problems["front"]) == len(reported), problems
    assert problems["work"] == []
    assert not [*fitness.name_problems(fitness.parse(["site  "]), fleet, fleet.balancers[0])]


def test_every_fault_of_a_host_is_told_at_once():
    said = [
        "missing systemd",
        "missing apt-get",
        "missing python3",
        "missing sites-enabled",
        "version systemd 241",
        "version python3 3.7",
        "version Docker 19.03.1",
        "daemon []",
    ]
    assert fitness.problems(fitness.parse(said)) == [
        "has no apt-get: use Debian or Ubuntu",
        "does not run systemd: use Debian or Ubuntu with systemd",
        "has no python3: run apt-get install python3 there",
        "has an nginx.conf without sites-enabled: add 'include /etc/nginx/sites-enabled/*;' in http",
        "systemd is 241, but 247 or newer is needed",
        "python3 is 3.7, but 3.9 or newer is needed",
        "Docker is 19.03.1, but 20.10 or newer is needed",
        "/etc/docker/daemon.json is not a JSON object (no object): correct it",
    ]
    good = ["version systemd 252", "version python3 3.11", "version Docker 20.10.24"]
    assert fitness.problems(fitness.parse(good)) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["version", "daemon", "missing", "swarm", "unit", "x", "malformed"]),
            st.one_of(
                st.text(max_size=8), st.sampled_from(["systemd ²", "nothing 1", "[]", "[[]", "systemd " + "9" * 5000])
            ),
        ).map(" ".join),
        max_size=6,
    )
)
def test_an_inspection_that_says_anything(lines):
    assert all(fitness.problems(fitness.parse(lines)))
