"""deploy/production.toml, and the variables in its place: valid values, and the messages about wrong ones."""

import re
import tomllib

import pytest

from deployer.conftest import fleet_of
from proc import ROOT
from slipway.deploy import config
from slipway.deploy.agent import roles
from slipway.deploy.config import schema
from slipway.deploy.errors import Refused

SHIPPED = ROOT / "deploy/production.toml"


def problems(data, env=None):
    """Return the problems of a file, without the file's name before each."""
    try:
        config.build(data, env or {}, "x.toml")
    except Refused as refused:
        assert refused.exit_code == 2
        return [line.removeprefix("x.toml: ") for line in str(refused).splitlines()]
    return []


def paths(data, before=""):
    """Yield every key in parsed data, with * for the names of hosts and processes."""
    for key, value in data.items():
        path = f"{before}.{key}".removeprefix(".")
        if not isinstance(value, dict) or not value:
            yield re.sub(r"^(hosts|process)\.\w+", r"\1.*", path)
        else:
            yield from paths(value, path)


def test_the_annotated_file_describes_every_key():
    # Its commented keys and tables count, too: lines like #key = and #[table].
    data = tomllib.loads(re.sub(r"^#(?=[a-z_]+ = |\[)", "", SHIPPED.read_text(), flags=re.MULTILINE))
    below = {**schema.TABLES, "hosts.*": schema.HOST, "process.*": schema.PROCESS}
    below |= {f"service.{kind}": schema.SERVICE for kind in roles.SERVICES}
    below["service.redis"] = {key: value for key, value in schema.SERVICE.items() if key != "extensions"}
    assert {*paths(data)} == {key for key in schema.TOP if key not in {*below, "hosts", "process", "service"}} | {
        f"{name}.{key}" for name, keys in below.items() for key in keys
    }
    assert all(data[name] == schema.defaults(name) for name in ("rollout", "watch"))
    keys = ("tls", "body_limit", "proxies")
    assert {key: data["site"][key] for key in keys} == {key: schema.defaults("site")[key] for key in keys}


def test_every_default_is_filled_in(fleet):
    assert [(host.name, host.address) for host in fleet.hosts] == [
        ("web1", "root@web1.example"),
        ("web2", "web2"),
        ("work", "work"),
        ("front", "front"),
    ]
    assert fleet.rollout["smoke"] == ["/"] and fleet.rollout["bake"] == 10
    for found, names in (
        (fleet.with_role("web"), "web1 web2"),
        (fleet.app_hosts, "web1 web2 work"),
        (fleet.balancers, "front"),
        (fleet.chosen("work, web1"), "web1 work"),
        (fleet.chosen(""), "web1 web2 work"),
        (fleet.chosen("", balancers=True), "web1 web2 work front"),
    ):
        assert [host.name for host in found] == names.split()
    with pytest.raises(Refused, match="there is no 'web3'; the hosts are: web1, web2, work"):
        fleet.chosen("web1,web3")
    for text in ("front", " , "):
        with pytest.raises(Refused, match=f"'{text}': the app does not run there; the hosts are: web1"):
            fleet.chosen(text)


def test_app_and_image_may_come_from_make(data):
    """IMAGE replaces the file's, as in CI; APP does not, as it names files on the servers."""
    for image in ("", "registry.example/other"):
        fleet = config.build(data, {"APP": "other", "IMAGE": image}, "test")
        assert (fleet.app, fleet.image) == ("shop", image or "registry.example/shop")
    del data["image"]
    assert config.build(data, {}, "test").image == "shop"  # as in files of today, whose image make has named so
    del data["app"]
    fleet = config.build(data, {"APP": "other", "IMAGE": "registry.example/other"}, "test")
    assert (fleet.app, fleet.image) == ("other", "registry.example/other")
    assert problems(data) == [
        "app: is missing: set it here, or set APP",
        "image: is missing: set it here, or set IMAGE",
    ]


# A change of the valid fleet (path, value), and all messages about it.
WRONG = [
    (
        "hosts.web1.roles",
        ["web", "wroker"],
        ["hosts.web1.roles: 'wroker' is not one of web, worker, beat, postgres, redis"],
    ),
    ("hosts.web1.role", ["web"], ["hosts.web1.role: unknown; did you mean roles?"]),
    ("hosts.web1.address", "-oX=x", ["hosts.web1.address: '-oX=x' is not a name or an address for ssh"]),
    (
        "hosts.web1.roles",
        [],
        [
            "hosts.web1.roles: is empty: add a role, or delete the host here, then run provision --remove"
            " root@web1.example"
        ],
    ),
    ("hosts.web2.address", "work", ["hosts.work.address: 'work' is also the address of web2"]),
    ("hosts.web2.roles", ["web", "beat"], ["hosts: only one host may have the role beat, not web2, work"]),
    (
        "hosts.front.internal",
        "front.example",
        ["hosts.front.internal: must be the IP address from which the balancer reaches the web hosts"],
    ),
    (
        "hosts.front.roles",
        ["web"],
        ["hosts.front.balancer: a host with the role web listens on the same ports: use another host"],
    ),
    ("hosts", {}, ["hosts: there is no host: add [hosts.web1]"]),
    ("media", "local", ['media: "local" files would differ between web1, web2; use "database" or "bucket"']),
    ("app", "shop\n", ["app: 'shop\\n' is not a name of up to 24 characters (a-z, 0-9, -) that begins with a-z"]),
    ("app", "docker", ["app: 'docker' is taken on servers: choose another name"]),
    ("image", "shop:latest", ["image: 'shop:latest' is not an image's name without a tag"]),
    ("opts", "-e A=\u2028b", ["opts: '-e A=\\u2028b' is not a line of options, or a quote is not closed"]),
    ("rollout", {"bake": True}, ["rollout.bake: True is not a whole number from 0 to 86400"]),
    ("rollout", {"max_errors": 2}, ["rollout.max_errors: 2 is not a number from 0 to 1"]),
    ("registry", "docker", ["registry: 'docker' is neither \"ssh\" nor a table"]),
    ("site.tls", "elsewhere", ['site.proxies: is needed for tls = "elsewhere"']),
    ("site.tls", "files", ['site.certificate: is needed for tls = "files"', 'site.key: is needed for tls = "files"']),
    ("site.names", ["a.example; }"], ["site.names[0]: 'a.example; }' is not the name of a site"]),
    ("site.body_limit", "\u0663m", ["site.body_limit: '\u0663m' is not a size such as 20m"]),
    ("site.proxies", ["10.0.0.0/255.0.0.0"], ["site.proxies[0]: '10.0.0.0/255.0.0.0' is not an address or a network"]),
    (
        "rollout",
        {"smoke": [f"/{number}" for number in range(101)]},
        ["rollout.smoke: has 101 entries, but 100 are the most"],
    ),
    ("rollout", {"smoke": ["/\u00fc"]}, ["rollout.smoke[0]: '/\u00fc' is not a path that begins with /"]),
    (
        "process",
        {"web": {"command": "x"}, "migrate": {"command": "x"}},
        [f"process.{name}: the name is taken: choose another one" for name in ("web", "migrate")],
    ),
    ("process", {"mail": {"command": " "}}, ["process.mail.command: the command is empty"]),
    (
        "process",
        {"mail": {"command": "x", "ready": "seconds 60"}},
        ["process.mail.ready: 60 s must be less than rollout.ready, 60 s"],
    ),
    (
        "process",
        {"mail": {"command": "x", "ports": ["2525"]}},
        ["process.mail.ports[0]: '2525' is not a port such as 2525:2525 or 127.0.0.1:2525:2525"],
    ),
    (
        "process",
        {"mail": {"command": "x", "overlap": True, "ports": ["25:25"]}},
        ["process.mail.ports: needs overlap = false: two containers cannot publish one port at once"],
    ),
    (
        "process",
        {"digest": {"command": "x", "schedule": "daily\nUser=root"}},
        ["process.digest.schedule: 'daily\\nUser=root' is not a time for systemd's OnCalendar, such as *-*-* 06:30"],
    ),
    (
        "process",
        {"digest": {"command": "x", "schedule": "@daily"}},
        ["process.digest.schedule: '@daily' is for crontab: write the time for systemd's OnCalendar, \"daily\""],
    ),
    (
        "process",
        {"digest": {"command": "x", "schedule": "0 4 1 * mon"}},
        [
            "process.digest.schedule: '0 4 1 * mon' is for crontab: write the time for systemd's OnCalendar, such as"
            ' "daily" or "*-*-* 04:00"'
        ],
    ),
    (
        "process",
        {"digest": {"command": "x", "schedule": "daily", "ports": ["25:25"], "ready": "file"}},
        [f"process.digest.{key}: has no effect with a schedule: remove it" for key in ("ports", "ready")],
    ),
    ("hooks", {"soon": "x"}, ["hooks.soon: unknown; keys: before, committed, failed, alert"]),
    (
        "static.publish",
        "s3://key:secret@s3.example/shop",
        ["static.publish: 's3://key:secret@s3.example/shop' is not a bucket such as s3://bucket/folder"],
    ),
]


@pytest.mark.parametrize("path, value, message", WRONG, ids=[f"{path}={value!r:.30}" for path, value, _ in WRONG])
def test_what_is_wrong_is_named_by_its_path(data, path, value, message):
    with pytest.raises(Refused) as refused:
        fleet_of(data, {path: value})
    assert str(refused.value).splitlines() == [f"test: {line}" for line in message]


def test_the_classic_variables_make_a_fleet():
    env = {
        "HOSTS": "app1 deploy@2001:db8::1",
        "CELERY_HOSTS": "app3 app1",
        "BEAT_HOSTS": "app3",
        "APP": "shop",
        "IMAGE": "r.example/shop",
    }
    fleet = config.find(env)
    assert [(host.name, host.address, host.roles) for host in fleet.hosts] == [
        ("app1", "app1", ("web", "worker")),
        ("2001-db8--1", "deploy@2001:db8::1", ("web",)),
        ("app3", "app3", ("worker", "beat")),
    ]
    assert (fleet.app, fleet.image, fleet.rollout["bake"]) == ("shop", "r.example/shop", 10)
    with pytest.raises(Refused, match="only one host may have the role beat, not app3, app4"):
        config.from_environment({**env, "BEAT_HOSTS": "app3 app4"})


def test_which_configuration_is_meant(tmp_path):
    env = {"HOSTS": "app1", "APP": "a", "IMAGE": "b"}
    assert config.find(env, SHIPPED).app == "slipway"
    assert config.find(env).app == "a"
    assert [host.name for host in config.find({"ENV": "staging", "IMAGE": "b"}).hosts] == ["staging"]
    with pytest.raises(Refused, match=r"^servers/nowhere.toml: there is no such file"):
        config.find({"ENV": "nowhere", "DEPLOY_FOLDER": "servers"})
