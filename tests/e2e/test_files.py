"""The project's own image with its files in the database: two web hosts, no bucket, through deploys and a rollback."""

import hashlib
import random
import re
import shlex

import pytest

from e2e import checker
from e2e.fleet.load import Load
from e2e.orders import Orders
from proc import ROOT, wait_until

pytestmark = pytest.mark.extra
OPERATIONS = ROOT / "docs/operations.md"
DUMP, ASIDE, SWAP = "all of a dump is of one moment:", "(`createuser --pwprompt shop`).", "the two renames is needed."
SIZE = 3_000_000
SAVE = """
import random
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as s


print(s.url(s.save("in/picture.png", ContentFile(random.Random(1).randbytes(%d)))))
""" % SIZE
SAVED = hashlib.sha256(random.Random(1).randbytes(SIZE)).hexdigest()
PATH = "/media/in/picture.png"


class Gallery(Orders):
    """Releases are the project's own, with what its build found of migrations."""

    def __init__(self, fleet, folder, project_image):
        super().__init__(fleet, folder, project_image)
        self.settings.update({"image": self.image("build-1").rpartition(":")[0], "media": "database"})

    def image(self, tag):
        """The release is in the registry; where."""
        return self.project_image(tag)

    def on_a_host(self, name, *words):
        """What a command says in the release that is live."""
        return self.fleet.hosts[name].run(f"docker-runner {self.app} manage {shlex.join(words)}", timeout=120)

    def as_told(self, after, *edits):
        """Do on the database's machine what docs/operations.md tells after some words, for the database orders of the
        role app; each edit is (what stands there, what to take)."""
        told = re.search(f"{re.escape(after)}[^\n]*\n\n((?:    .*\n)+)", OPERATIONS.read_text())[1]
        script = told.replace("\n    ", "\n").replace("--owner=shop", "--owner=app").replace("shop", "orders")
        for was, becomes in edits:
            assert was in script
            script = script.replace(was, becomes)
        self.postgres("sh -es", input=script)

    def postgres(self, command, **options):
        self.fleet.services.run(f"cd /tmp && su postgres -s /bin/sh -c {shlex.quote(command)}", **options)

    def restore(self, dump="orders.dump"):
        self.as_told(ASIDE, ("orders.dump", dump))
        self.as_told(SWAP)
        self.postgres("dropdb orders_lost")

    def switch_on(self):
        """By the environment alone, with build-2, whose build had judged the tables; one file is saved."""
        self.image("build-2")
        done = self.deploy("env", "set", input="STORAGE_URL=database:\n")
        assert done.returncode == 0, done.stderr
        rolled(self, "deploy", "build-2", "--no-bake")
        assert self.on_a_host("web1", "shell", "-v", "0", "-c", SAVE).strip() == PATH


@pytest.fixture(scope="module")
def shop(fleet, project_image, tmp_path_factory):
    """build-2 is live and has files in the database; before it was build-1, without them. Each test leaves it so."""
    fleet.reset()
    shop = Gallery(fleet, tmp_path_factory.mktemp("a shop"), project_image)
    shop.provision()
    shop.stage()
    rolled(shop, "deploy", "build-1", "--no-bake")
    assert not shop.query("SELECT 1 FROM pg_tables WHERE tablename LIKE 'slipway_blobs%'")
    shop.switch_on()
    return shop


def rolled(shop, *words):
    outcome = shop.roll(*words)
    assert outcome.code == 0, outcome.stderr


def head(shop, name):
    """The lines of a web host's answer to a HEAD."""
    return set(shop.inside(name, PATH, "-sSI")[1].splitlines())


def whole(shop):
    """Each web host's nginx hands out the file, whose ETag is its checksum."""
    for name in ("web1", "web2"):
        said = shop.fleet.hosts[name].run(f"curl -sS --unix-socket /run/{shop.app}/nginx.sock"
                                          f" -H 'Host: {shop.app}.example' http://localhost{PATH} | sha256sum")
        assert said.split()[0] == SAVED, name
        assert {"Content-Type: image/png", f"Content-Length: {SIZE}", f'ETag: "{SAVED}"'} <= head(shop, name), name
    return True


def statuses(shop):
    """What the web hosts answer to who asks for the file."""
    return [shop.inside(name, PATH, "-sS -o /dev/null")[0] for name in ("web1", "web2")]


def test_files_of_two_web_hosts(shop):
    """What one host saves both hand out, while releases come and go."""
    assert whole(shop)
    with Load(*[host.url.rstrip("/") + PATH for host in shop.web], host=f"{shop.app}.example", rate=4, seconds=240,
              post_every=0) as load:
        rolled(shop, "deploy", "build-1", "--no-bake")
        rolled(shop, "rollback")
        result = load.stop()
    assert not result.failures, result.summary()
    assert checker.tags(shop) == {"build-2"} and whole(shop)
    assert [line for line in head(shop, "web2") if "default-src 'none'; sandbox" in line]
    checker.check(shop)


def test_a_restore(shop):
    """What docs/operations.md tells brings the files back to both hosts, and to releases before and after: where rows
    were lost. After a dump without them each is a 404."""
    shop.postgres("dropdb --if-exists orders_lost; dropdb --if-exists orders_restored")
    shop.as_told(DUMP)
    shop.as_told(DUMP, ("--file=orders.dump", "--exclude-table-data='slipway_blobs_*' --file=rows.dump"))
    rolled(shop, "deploy", "build-1", "--no-bake")
    shop.query("TRUNCATE slipway_blobs_blob CASCADE")
    assert statuses(shop) == [404, 404]
    shop.restore()
    wait_until(lambda: statuses(shop) == [200, 200], 30, "the files are back")
    assert whole(shop)
    rolled(shop, "rollback")
    assert checker.tags(shop) == {"build-2"} and whole(shop)
    shop.restore("rows.dump")
    wait_until(lambda: statuses(shop) == [404, 404], 30, "rows are back, files are not")
    shop.restore()
    wait_until(lambda: statuses(shop) == [200, 200], 30, "the files are back")
    rolled(shop, "deploy", "build-1", "--no-bake")
    assert whole(shop)
    rolled(shop, "rollback")
    assert whole(shop)
    checker.check(shop)
