"""Applications that others wrote, adopted and deployed from their source packages: `make ports`, docs/ports.md."""

import importlib
import urllib.request

import pytest

from checkout import Checkout
from ports import compose
from ports.ported import Ported
from ports.site import Site
from proc import free_port


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A committed clone of this checkout, as others have the template."""
    return Checkout(tmp_path_factory.mktemp("template") / "slipway").folder


@pytest.fixture
def ported(request):
    """The port of that name; what it took is shown in the end, however it went."""
    ported = Ported(importlib.import_module(f"ports.{request.param.replace('-', '_')}").PORT)
    yield ported
    request.node.user_properties.append(("took", "\n".join(ported.table())))


@pytest.mark.parametrize("ported", ["django-ca", "squad"], indirect=True)
def test_port(ported, template, fleet):
    """Adopted with no file of the template's edited; its tests pass, the image is built and is up with compose; two
    releases and a rollback on two hosts, the second release with a migration under load."""
    at_home(ported, template)
    assert ported.taken_over(template) == []
    on_servers(Site(fleet, ported))
    assert ported.taken_over(template) == []


def at_home(ported, template):
    """On the machine of who adopts it."""
    port = ported.port
    with ported.step("unpack"):
        ported.unpack()
    with ported.step("adopt"):
        ported.adopt(template)
    with ported.step("edits"):
        ported.move(port.moves)
        ported.edit(port.edits, "What was left to do by hand")
    with ported.step("requirements"):
        ported.make("requirements")
        ported.commit("Pins")
    with ported.step("its tests"):
        ported.make(*port.tests.split())
    with ported.step("image"):
        ported.make("build", "TAG=build-1")
    with ported.step("up"), compose.images():
        up(ported)


def up(ported):
    """Its page is there while it is up."""
    where, page = free_port(), ported.port.page
    words = ("TAG=build-1", f"PORT={where}")
    compose.forget(ported.port.app)
    try:
        ported.make("up", *words)
        with urllib.request.urlopen(f"http://localhost:{where}{page.path}", timeout=30) as answer:
            assert page.says in answer.read().decode()
    finally:
        ported.make("down", *words)
        compose.forget(ported.port.app)


def on_servers(site):
    """Two releases and the way back."""
    ported, port = site.ported, site.ported.port
    with ported.step("servers"):
        site.ready()
    with ported.step("first release"):
        site.build("build-1")
        site.push("build-1")
        site.make("deploy", "TAG=build-1")
    site.serves("build-1")
    if port.task:
        site.queues()
    with ported.step("second release"):
        ported.edit(port.second, "A migration of our own")
        site.build("build-2")
        site.push("build-2")
        with site.load() as load:
            site.make("deploy", "TAG=build-2")
            result = load.stop()
    assert result.records and not result.failures, result.summary()
    site.serves("build-2")
    app, name = port.migration.split()
    assert f"[X] {name}" in site.make("run", "HOST=web1", f"ARGS=manage showmigrations {app}")
    with ported.step("rollback"):
        site.make("rollback")
    site.serves("build-1")
