"""Tests of the project's own image with files in the database, which are lost and come back with a dump."""

import hashlib
import random
import shlex

import pytest

from e2e import checker
from e2e.orders import Orders
from proc import wait_until

pytestmark = pytest.mark.extra
DUMP = "pg_dump --format=custom --file=/tmp/orders.dump orders"
RESTORE = "pg_restore --clean --if-exists --dbname=orders /tmp/orders.dump"
SIZE, PATH = 3_000_000, "/media/in/picture.png"
SAVE = f"""
import random
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as s


print(s.url(s.save("in/picture.png", ContentFile(random.Random(1).randbytes({SIZE})))))
"""
SAVED = hashlib.sha256(random.Random(1).randbytes(SIZE)).hexdigest()


class Gallery(Orders):
    """An app whose releases are the project's own, with the migrations that its build found."""

    def __init__(self, fleet, folder, project_image):
        super().__init__(fleet, folder, project_image)
        self.settings.update({"image": self.image("build-1").rpartition(":")[0], "media": "database"})

    def image(self, tag):
        """Put the release into the registry. Return its name there."""
        return self.project_image(tag)

    def whole(self):
        """Return True if each web host's nginx serves the whole file; its ETag must be its checksum."""
        for host in self.web:
            ask = f"--unix-socket /run/{self.app}/nginx.sock -H 'Host: {self.app}.example' http://localhost{PATH}"
            if host.ssh(f"curl -sSf {ask} | sha256sum").stdout.split()[0] != SAVED:
                return False
            assert {"Content-Type: image/png", f'ETag: "{SAVED}"'} <= set(host.run(f"curl -sSI {ask}").splitlines())
        return True


@pytest.fixture
def shop(fleet, project_image, tmp_path):
    """Return a Shop with build-2 live, which has a file in the database. build-1, before it, had no such storage."""
    fleet.reset()
    shop = Gallery(fleet, tmp_path, project_image)
    shop.first("build-1", "--no-bake")
    assert not shop.query("SELECT 1 FROM pg_tables WHERE tablename LIKE 'slipway_blobs%'")
    shop.image("build-2")
    shop.set(STORAGE_URL="database:")
    shop.good("deploy", "build-2", "--no-bake")
    saved = shop.web[0].run(f"docker-runner {shop.app} manage shell -v 0 -c {shlex.quote(SAVE)}", timeout=120)
    assert saved.strip() == PATH
    return shop


def test_a_restore(shop):
    """A restore reaches both hosts, and both releases."""
    assert shop.whole()
    shop.fleet.services.run(f"su postgres -c '{DUMP}'")
    shop.good("deploy", "build-1", "--no-bake")
    shop.query("TRUNCATE slipway_blobs_blob CASCADE")
    assert not shop.whole()
    shop.fleet.services.run(f"su postgres -c '{RESTORE}'")
    wait_until(shop.whole, 30, "the files are back")
    shop.good("rollback")
    assert checker.tags(shop) == {"build-2"} and shop.whole()
    checker.check(shop)
