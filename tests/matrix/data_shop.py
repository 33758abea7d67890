"""The app of the data's matrix: one host with its database and backups, and a writer whose rows name the one before."""

import json
import re
import time
from itertools import pairwise

from e2e.test_backups import WithBackups, begun
from proc import passed

ROLES = ["web", "worker", "beat", "postgres", "redis"]
LOG = "/root/written"
# The only one that writes there: each row is committed before the next one is made. It tells rows that are committed.
WRITER = """\
while :; do
    docker exec -i orders-postgres sh -c \
        'PGPASSWORD=$POSTGRES_PASSWORD exec psql -h /run/orders-postgres -U postgres -qAt orders' <<'SQL'
INSERT INTO chain SELECT coalesce(max(id), 0) + 1, coalesce(max(id), 0), clock_timestamp() FROM chain
    RETURNING 'row', id, extract(epoch FROM at) \\watch 0.2
SQL
    sleep 0.3
done >>/root/written 2>/dev/null
"""
TABLE = "CREATE TABLE chain (id bigint PRIMARY KEY, before bigint NOT NULL, at timestamptz NOT NULL)"
# The number of rows, the last one, and how many do not name the one before.
CHAIN = "SELECT count(*), coalesce(max(id), 0), count(*) FILTER (WHERE before <> id - 1) FROM chain"
COPY = f'docker exec orders-restored psql -h /tmp -U postgres -qAt orders -c "{CHAIN}"'
BEFORE_THE_NEXT = 0.02  # seconds: a moment lies so long before a row, and the row before it is committed by then
ROW = re.compile(r"^row\|(\d+)\|([\d.]+)$", re.MULTILINE)


class Chain(WithBackups):
    """The app, whose database has the chain."""

    def begin(self):
        """Deploy, with a base backup and a drill that passed; then the writer writes."""
        begun(self)
        self.sql(TABLE)
        passed(self.deploy("drill"))
        self.data.write("/root/writer", WRITER)
        self.write_rows()
        return self

    def write_rows(self):
        """Let the writer run. After a power cut it does not by itself."""
        self.data.run(
            "systemctl is-active --quiet writer || systemd-run --quiet --collect --unit=writer sh /root/writer"
        )

    def rows(self):
        """Return (id, seconds) of all rows that the writer was told are committed, in the order of their commits."""
        said = self.data.console(f"cat {LOG}").stdout
        return [(int(row), float(at)) for row, at in ROW.findall(said)]

    def moments(self):
        """Return (seconds, the last row of then) of all moments that are known exactly: shortly before a row that
        follows the one before in one session."""
        return [(later[1] - BEFORE_THE_NEXT, row[0]) for row, later in pairwise(self.rows()) if follows(row, later)]

    def whole(self):
        """Return the last row of the living chain. Raise AssertionError if a row is missing, or names another one."""
        count, last, wrong = map(int, self.sql(CHAIN)[0].split("|"))
        assert (count, wrong) == (last, 0), f"the living chain has {count} rows up to {last}, {wrong} are wrong"
        return last

    def offered(self):
        """Return the moments that `slipway backups` offers now."""
        listed = json.loads(self.data.run("docker-backup list orders", timeout=120))
        bases = listed["bases"]
        begin, end = min(base["at"] for base in bases), max(base["until"] for base in bases)
        gaps = [(since, until or time.time()) for since, until in listed["lost_since"]]
        return [
            (at, row)
            for at, row in self.moments()
            if begin < at < end and not any(since <= at <= until for since, until in gaps)
        ]

    def comes_back(self, chance, count):
        """Bring back `count` random moments beside the living database. Return what was wrong, a line each."""
        offered = self.offered()
        chosen = chance.sample(offered, min(count, len(offered)))
        return [wrong for at, row in chosen if (wrong := self.wrong_at(at, row))] if offered else ["nothing is offered"]

    def wrong_at(self, at, row):
        """Return what is wrong with the database of that moment, which ends with that row; "" if it is right."""
        done = self.data.ssh(f"docker-backup beside orders @{at:.3f}", timeout=240)
        if done.returncode:
            return f"{at:.3f} is offered, and does not come back: {done.stderr.strip()[-200:]}"
        said = self.data.run(COPY).strip()
        self.data.run("docker-backup discard orders", timeout=120)
        return "" if said == f"{row}|{row}|0" else f"at {at:.3f} the chain had {row} rows; what came back has {said}"


def follows(row, later):
    return later[0] == row[0] + 1 and later[1] - row[1] > 0.15


def made(fleet, folder, project_image):
    """Return the app on a bare host."""
    fleet.reset("web1")
    return Chain(fleet, folder, project_image, web1=ROLES).begin()
