"""Tests of classic.sh on a real host: it releases by stop and start, and takes a broken release back."""

import os
import tempfile
from pathlib import Path

import pytest

from e2e import byhand
from e2e.byhand import answers, containers, until_it_answers
from e2e.fleet import apps
from host.test_units import upstart_job
from proc import ROOT, run
from slipway.deploy.agent.roles import BUILT_IN

# A stand-in for upstart's initctl, which is no longer available: it runs a job's stanzas with `sh -e`, without respawn.
INITCTL = r"""#!/bin/sh
set -eu
verb=$1 job=$2 file=/etc/init/$2.conf
stanza() { sed -n "/^$1\$/,/^end script\$/p" "$file" | sed '1d;$d' >"/run/$job.$2"; }
extra=$(sed -n 's/^env EXTRA="\(.*\)"$/\1/p' "$file" | sed 's/--log-driver=syslog//')
case $verb in
    start)
        stanza 'pre-start script' pre && sh -e "/run/$job.pre"
        stanza script main
        systemd-run --quiet --collect --unit="upstart-$job" -E EXTRA="$extra" sh -e "/run/$job.main" ;;
    stop)
        stanza 'pre-stop script' end && sh -e "/run/$job.end"
        systemctl stop "upstart-$job.servic[e]" # a pattern: by now it may have ended by itself
        stanza 'post-stop script' after && sh -e "/run/$job.after" ;;
esac
"""


pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def images(fleet):
    releases = {"v1": "", "v2": "", "v2-crash": "crash", "v2-error": "error"}
    return {tag: fleet.registry.push(apps.echo(tag, fault), f"shop:{tag}") for tag, fault in releases.items()}


@pytest.fixture
def host(fleet, images):
    """Install the app shop in all roles on a server, and start its release v1."""
    host = byhand.install(fleet, images["v1"])
    byhand.release(host, images["v1"])
    host.run("systemctl start shop.target")
    until_it_answers(host, "shop", "v1")
    return host


def classic(host, tag, image, user="root", **extra):
    with tempfile.TemporaryDirectory() as folder:  # SSH is split at spaces, and the checkout's path may have some
        config = Path(folder, "ssh_config")
        config.symlink_to(host.ssh_config)
        env = {
            **os.environ,
            "HOSTS": host.name,
            "CELERY_HOSTS": host.name,
            "BEAT_HOSTS": host.name,
            "APP": "shop",
            "IMAGE": image.rpartition(":")[0],
            "TAG": tag,
            "SSH": f"ssh -F {config} -l {user}",
            "READY": "30",
            **extra,
        }
        return run(["sh", ROOT / "slipway/deploy/classic.sh"], env=env, timeout=300)


def files(host):
    """Return {name: the release named in it} of the files in the app's folder."""
    said = host.run(
        "cd /var/www/shop && for file in $(find . -type f); do echo $file $(sed -n 's/^export TAG=//p' $file); done"
    )
    return dict(line.split() for line in said.splitlines())


def test_a_release_there_and_back(host, images):
    """A user with sudo releases v2: all roles run v2. v2 again is only a restart. v1 again is the
    way back. A broken release is taken back with exit 1; one that does not exist changes nothing."""
    done = classic(host, "v2", images["v2"], user="deploy", READY="60")
    assert done.returncode == 0, done.stderr
    assert "v2" in answers(host, "shop")[1] and files(host) == {"./TAG": "v2", "./TAG.before": "v1"}
    v2 = host.run("sed -n 's/^export IMAGE_ID=//p' /var/www/shop/TAG").strip()
    each = host.run(f"docker inspect --format '{{{{.Config.Image}}}}' {' '.join(containers(host))}").split()
    assert each == [v2] * 3
    before = host.run("docker ps -q")
    assert classic(host, "v2", images["v2"], READY="60").returncode == 0
    assert host.run("docker ps -q") != before and files(host) == {"./TAG": "v2", "./TAG.before": "v2"}
    assert classic(host, "v1", images["v1"], READY="60").returncode == 0
    assert "v1" in answers(host, "shop")[1]
    serving = host.run("docker ps -q")
    done = classic(host, "nowhere", images["v1"])
    assert done.returncode == 2 and "pull failed" in done.stderr and "nothing was changed" in done.stderr
    assert host.run("docker ps -q") == serving
    done = classic(host, "v2-error", images["v2-error"])
    assert done.returncode == 1 and "the old release serves" in done.stderr, done.stderr
    assert "v1" in answers(host, "shop")[1] and files(host) == {"./TAG": "v1"}


def test_a_host_with_upstart(host, images):
    """upstart's jobs release v2, and take a broken release back, in slot a's folder and without systemd's units."""
    host.run("systemctl disable --now --quiet shop.target")
    for name in BUILT_IN:
        host.write(f"/etc/init/shop-{name}.conf", upstart_job(name))
    host.write("/usr/local/sbin/initctl", INITCTL)
    host.run("chmod 755 /usr/local/sbin/initctl")
    assert classic(host, "v2", images["v2"], READY="60").returncode == 0
    assert "v2" in answers(host, "shop")[1] and files(host) == {"./TAG": "v2", "./TAG.before": "v1"}
    assert set(containers(host)) == {"shop-web-a", "shop-worker-a", "shop-beat"}
    done = classic(host, "v2-crash", images["v2-crash"])
    assert done.returncode == 1 and "the old release serves" in done.stderr, done.stderr
    assert "v2" in answers(host, "shop")[1] and files(host) == {"./TAG": "v2"}
    assert host.ssh("systemctl is-active shop-web@a").stdout == "inactive\n"
