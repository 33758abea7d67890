"""Stands in for kind, kubectl and docker, where there is no cluster: simulated.py PROGRAM WORDS… Notes what it was
told, and answers as they would: which release is live, what visitors saw. $SIMULATED is its folder; $AMISS, words of
AMISS, breaks it. kustomize is the real one, of $KUBECTL.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

AMISS = {
    "drops": "a request fails in each change",
    "leaks": "a bad release gets a visitor",
    "half": "an undo forgets the worker",
    "warns": "pods are not of the standard \"restricted\"",
}
BAD = ("crash", "unready")
FOLDER, WRONG = Path(os.environ["SIMULATED"]), os.environ.get("AMISS", "").split()


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class World:
    """Kept in a file from command to command: each Deployment's revisions, the newest last; what visitors saw."""

    def __init__(self):
        kept = FOLDER / "world.json"
        self.__dict__ = json.loads(kept.read_text()) if kept.exists() else {"revisions": {}, "live": "", "seen": []}

    def save(self):
        (FOLDER / "world.json").write_text(json.dumps(self.__dict__))

    def see(self, status, release, count=1):
        self.seen += [f"{time.time():.3f} {status} {release}"] * count

    def goes_live(self, tag):
        if "drops" in WRONG:
            self.see("ConnectionResetError", "none")
        self.live = tag

    # ---- kubectl ----

    def apply(self, words):
        """Of the folder: kustomize must make something of it, and of what -l selects."""
        if "-k" not in words:
            return
        built = subprocess.run([os.environ["KUBECTL"], "kustomize", "."], capture_output=True, text=True, check=True)
        chosen = f"\n    {words[words.index('-l') + 1].replace('=', ': ')}\n" if "-l" in words else ""
        taken = [one for one in built.stdout.split("---\n") if chosen in one]
        processes = [one for one in taken if "\nkind: Deployment\n" in one]
        assert taken and bool(processes) != bool(chosen)
        if "warns" in WRONG:
            print("Warning: would violate PodSecurity \"restricted:latest\"", file=sys.stderr)
        for one in processes:
            name, image = re.search(r"^  name: (\S+)", one, re.MULTILINE)[1], re.search(r"\bimage: (\S+)", one)[1]
            self.revisions[name] = [old for old in self.revisions.get(name, []) if old != image] + [image]

    def rollout(self, words):
        name = words[-1].removeprefix("deployment/")
        mine = self.revisions[name]
        if words[1] == "undo":
            if not ("half" in WRONG and name == "shop-worker"):
                mine[-2:] = mine[:-3:-1]
            print(f"deployment.apps/{name} rolled back")
        elif name == "shop-web" and self.tag(mine[-1]) in BAD:
            self.see("200", self.tag(mine[-1]) if "leaks" in WRONG else self.live, 3)
            sys.exit("error: deployment \"shop-web\" exceeded its progress deadline")
        if name == "shop-web" and self.tag(mine[-1]) not in BAD:
            self.goes_live(self.tag(mine[-1]))

    def tag(self, image):
        return next(tag for tag in ("build-1", "build-2", *BAD) if image.endswith(digest(tag)))

    def logs(self, words):
        self.see("200", self.live, 25)
        print("\n".join(self.seen))

    def get(self, words):
        print(json.dumps({"items": [{"metadata": {"name": name}, "spec": {"template": {"spec": {
            "containers": [{"image": images[-1]}]}}}} for name, images in self.revisions.items()]}))


def kubectl(words):
    world = World()
    do = {"apply": world.apply, "rollout": world.rollout, "logs": world.logs, "get": world.get}.get(words[0])
    assert do or words[0] in ("delete", "wait", "run"), words
    try:
        if do:
            do(words)
    finally:
        world.save()


def docker(words):
    if words[0] == "image" and "RepoDigests" in words[3]:
        name, _, tag = words[-1].rpartition(":")
        print(f"{name}@{digest(tag)}")
    elif words[:2] == ["run", "--rm"]:  # the wheelhouse, as an empty archive
        sys.stdout.buffer.write(bytes(10240))
    elif words[0] == "create":
        sys.exit(1)


def kind(words):
    if words[:2] == ["get", "nodes"]:
        print("slipway-control-plane")


if __name__ == "__main__":
    program, *words = sys.argv[1:]
    with open(FOLDER / "told", "a") as file:
        print(program, *(re.sub(r"\s+", " ", word)[:200] for word in words), file=file)
    {"kubectl": kubectl, "docker": docker, "kind": kind}[program](words)
