"""What a container logged, and what nginx answered to visitors."""

import json
import os

from .host import Problem
from .http import AGENT

BEFORE = 200_000  # bytes of nginx's log that tell how it was before


def said(host, name, since):
    """The last 50 lines that a container logged since that time (seconds since the epoch)."""
    done = host.call("journalctl", "-t", name, "-n", "50", "-o", "cat", "--no-pager", "--since", "@%d" % since,
                     check=False)
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


class Answers:
    """The answers of this host's nginx to visitors, before and after now."""

    def __init__(self, host):
        self.path = "%s/var/log/nginx/%s.access.log" % (host.root, host.app)
        self.inode, self.offset = self.where()
        self.good = self.bad = 0
        self.share_before = share(*count(self.text(max(0, self.offset - BEFORE))))

    def where(self):
        try:
            status = os.stat(self.path)
            return status.st_ino, status.st_size
        except OSError:
            return 0, 0

    def text(self, offset):
        try:
            with open(self.path, "rb") as file:
                file.seek(offset)
                return file.read()
        except OSError:
            return b""

    def look(self, most, least=20):
        """Count what is new. Raises Problem when, of at least `least` answers, more than the share `most` and more
        than before were errors."""
        if self.where()[0] != self.inode:  # turned over
            self.inode, self.offset = self.where()[0], 0
        text = self.text(self.offset)
        text = text[:text.rfind(b"\n") + 1]
        self.offset += len(text)
        good, bad = count(text)
        self.good, self.bad = self.good + good, self.bad + bad
        wrong = share(self.good, self.bad)
        if self.good + self.bad >= least and wrong > most and wrong > self.share_before:
            raise Problem("of %d answers to visitors %d were errors (before: %.1f %%)" % (
                self.good + self.bad, self.bad, self.share_before * 100))


def count(text):
    """(good, bad) answers in lines of the access log, our own questions aside."""
    good = bad = 0
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            if entry["user_agent"] != AGENT:
                bad, good = (bad + 1, good) if int(entry["status"]) >= 500 else (bad, good + 1)
        except (ValueError, KeyError, TypeError):
            continue
    return good, bad


def share(good, bad):
    return bad / (good + bad) if good + bad else 0.0
