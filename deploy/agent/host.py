"""One app on this host: where its things are, and commands run for it."""

import os
import subprocess
import threading

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
ROLES = ("web", "worker", "beat")


class Problem(Exception):
    """What went wrong here, in a line or a few; `more`: status, body, log."""

    def __init__(self, text, **more):
        super().__init__(text)
        self.more = more


class Host:
    """Paths and commands of an app. Tests give another `root` than /, and a `call` of their own."""

    def __init__(self, app, root=""):
        self.app, self.root = app, root
        self.etc, self.var, self.run = root + "/etc/default/" + app, root + "/var/www/" + app, root + "/run/" + app
        self.env = self.etc + ".env"
        self.tag, self.revert, self.log = self.var + "/TAG", self.var + "/REVERT", self.var + "/releases.log"
        self.web_sock, self.attempt = self.run + "/web.sock", self.run + "/attempt"

    def slot(self, slot, name):
        """A file in a slot's folder: web.sock, worker.ready, worker.pause."""
        return "%s/%s/%s" % (self.run, slot, name)

    def slot_file(self, slot, kind):
        """What a slot runs: `kind` is tag or env, `slot` a, b or beat."""
        return "%s/%s.%s" % (self.run, slot, kind)

    def unit(self, role, slot=""):
        return "%s-%s%s.service" % (self.app, role, "" if role == "beat" else "@" + slot)

    def container(self, role, slot=""):
        return "%s-%s%s" % (self.app, role, "" if role == "beat" else "-" + slot)

    def call(self, *words, timeout=60, check=True, **options):
        """Run a command to its end; the finished process, output as text. Raises Problem when it fails."""
        env = dict(ENVIRONMENT, **options.pop("env", {}))
        source = {} if "input" in options else {"stdin": subprocess.DEVNULL}
        try:
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=timeout,
                                  encoding="utf-8", errors="replace", **source, **options)
        except subprocess.TimeoutExpired:
            raise Problem("%s did not end within %d s" % (" ".join(words[:3]), timeout)) from None
        except OSError as error:
            raise Problem("%s: %s" % (words[0], error.strerror)) from None
        if check and done.returncode:
            raise Problem("%s: %s" % (" ".join(words[:3]), last(done.stderr or done.stdout, done.returncode)))
        return done

    def systemctl(self, *words, **options):
        return self.call("systemctl", *words, **options)

    def docker(self, *words, **options):
        return self.call("docker", *words, **options)

    def has(self, role):
        """Whether this host was provisioned for a role."""
        template = "%s-beat.service" if role == "beat" else "%%s-%s@.service" % role
        return os.path.exists(self.root + "/etc/systemd/system/" + template % self.app)

    def states(self, *units):
        """unit → its properties, all asked at once."""
        names = "Id,ActiveState,SubState,NRestarts,MainPID,Description,ActiveEnterTimestamp"
        shown = self.systemctl("show", "-p", names, *units).stdout
        blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
                  for block in shown.strip().split("\n\n")]
        return {block.get("Id", ""): block for block in blocks}


def at_once(functions):
    """What each returns, in their order, all called at the same time. Raises what the first of them raised."""
    results = [None] * len(functions)

    def call(index):
        try:
            results[index] = functions[index]()
        except Exception as error:
            results[index] = error
    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in (result for result in results if isinstance(result, Exception)):
        raise error
    return results


def last(text, code):
    """The last lines that a command said."""
    return " / ".join(text.strip().splitlines()[-5:]) or "exit %d without a word" % code
