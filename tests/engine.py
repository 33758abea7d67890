"""Docker, for the tests of the image."""

import json

from proc import run, wait_until


def docker(*words, timeout=300, check=True, **options):
    """Run a docker command. Return its result, with stdout stripped."""
    done = run(["docker", *words], timeout=timeout, **options)
    assert not check or done.returncode == 0, f"docker {words[0]}: {done.stderr or done.stdout}"
    done.stdout = done.stdout.strip()
    return done


class Container:
    """A running container."""

    def __init__(self, id):
        self.id = id

    def port(self, inner=8000):
        """Return the loopback port at which it answers."""
        return int(docker("port", self.id, str(inner)).stdout.splitlines()[0].rpartition(":")[2])

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port()}{path}"

    def logs(self):
        done = docker("logs", self.id)
        return done.stdout + done.stderr

    def entries(self):
        """Return its log, one dict a line."""
        return [json.loads(line) for line in self.logs().splitlines()]

    def execute(self, *words, **options):
        return docker("exec", self.id, *words, **options)

    def state(self):
        return json.loads(docker("inspect", "--format", "{{json .State}}", self.id).stdout)

    def stop(self):
        """Stop the container with a timeout of 30 s. Return its exit code."""
        docker("stop", "--time=30", self.id)
        return self.state()["ExitCode"]

    def says(self, text, seconds=120):
        """Wait until the log contains the text."""
        wait_until(lambda: text in self.logs() or not self.state()["Running"], seconds, f"{text!r} in the log")
        assert text in self.logs(), self.logs()


def layers(image):
    """Return the digests of the image's layers, from the bottom up."""
    return json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image).stdout)
