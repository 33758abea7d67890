"""Rollouts on a real cluster, by the lines of docs/engines.md, under a small load: a deploy, an undo, bad releases.

`make kind` runs them.
"""

import json
import shutil
import time
from dataclasses import dataclass

import pytest

from documented import block, fenced
from image.conftest import copy_checkout
from kind.cluster import HERE, Visitors, cluster
from proc import ROOT

PAGE = ROOT / "docs/engines.md"
ROLLOUT, UNDO = fenced(PAGE, "A rollout, in the namespace"), fenced(PAGE, "An undo by hand")
BUILD, MANIFESTS = block(PAGE, "## Kubernetes").splitlines()
COMMIT = "git add -A && git -c user.name=A -c user.email=a@shop.example -c core.hooksPath=/dev/null commit -qm kind"
# What is done, with which release; which one was live, and which one is afterwards.
STORY = {
    "deploy": ("build-2", "build-1", "build-2"),
    "undo": ("", "build-2", "build-1"),
    "crash": ("crash", "build-1", "build-1"),
    "unready": ("unready", "build-1", "build-1"),
    "deploy after them": ("build-2", "build-1", "build-2"),
}
EACH = pytest.mark.parametrize("name", STORY)


def with_tag(line, tag):
    """A line of the page, of that release."""
    assert "TAG=build-42" in line
    return line.replace("TAG=build-42", f"TAG={tag}")


@dataclass
class Chapter:
    """What the lines said, what visitors saw meanwhile, and the images that run afterwards, by process."""

    said: object
    seen: list
    images: dict


class Shop:
    """The site, made from a copy of this checkout; `digests`: of each release that is pushed."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder, self.digests = cluster, copy_checkout(folder), {}
        self.image = f"{cluster.registry}/shop"
        self.cluster.env |= {"APP": "shop", "IMAGE": self.image}
        shutil.copy(HERE / "production.toml", self.folder / "deploy/production.toml")
        self.lines(COMMIT)

    def build(self, tag):
        """A good release, as the page says."""
        self.lines(with_tag(BUILD, tag))

    def spoil(self, fault):
        """One that is bad."""
        name = f"{self.image}:{fault}"
        self.cluster.run("docker", "build", "--tag", name, "--build-arg", f"GOOD={self.image}:build-1", "--build-arg",
                         f"FAULT={fault}", HERE / "bad")
        self.cluster.run("docker", "push", name)

    def roll_out(self, tag):
        """What the page says of a release that is pushed."""
        self.lines(with_tag(MANIFESTS, tag))
        shutil.copy(HERE / "settings.env", self.folder / "manifests/production")
        text = (self.folder / "manifests/production/kustomization.yaml").read_text()
        self.digests[tag] = text.partition("digest: \"")[2].partition("\"")[0]
        return self.lines(ROLLOUT)

    def lines(self, text):
        return self.cluster.run("sh", "-c", text, cwd=self.folder, timeout=1500)

    def images(self):
        """Process → the image of its pods."""
        found = json.loads(self.cluster.kubectl("get", "deployments", "-n", "shop", "-o", "json"))["items"]
        return {one["metadata"]["name"]: one["spec"]["template"]["spec"]["containers"][0]["image"] for one in found}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        shop = Shop(made, tmp_path_factory.mktemp("project"))
        for tag in ("build-1", "build-2"):
            shop.build(tag)
        for fault in ("crash", "unready"):
            shop.spoil(fault)
        yield shop


@pytest.fixture(scope="module")
def story(shop):
    """All chapters, under one load: name → Chapter."""
    shop.roll_out("build-1")
    visitors = Visitors(shop.cluster)
    visitors.start(f"{shop.image}:build-1")
    visitors.meet("build-1")
    return {name: tell(shop, visitors, *STORY[name]) for name in STORY}


def tell(shop, visitors, tag, before, after):
    began = time.time()
    said = shop.roll_out(tag) if tag else shop.lines(UNDO)
    visitors.meet(after)
    return Chapter(said, [one for one in visitors.seen() if one[0] >= began], shop.images())


@EACH
def test_no_request_fails(story, name):
    assert len(story[name].seen) >= 20
    assert [one for one in story[name].seen if one[1] != "200"] == []


@EACH
def test_visitors_meet_no_other_release(story, name):
    """Those before and after, and never a bad one."""
    _, before, after = STORY[name]
    assert {release for *_, release in story[name].seen} <= {before, after}


@EACH
def test_all_processes_run_what_is_live(shop, story, name):
    image = f"{shop.image}@{shop.digests[STORY[name][2]]}"
    assert story[name].images == {f"shop-{process}": image for process in ("web", "worker", "beat")}


@pytest.mark.parametrize("name", ["crash", "unready"])
def test_the_lines_undo_what_is_bad(story, name):
    """Of its three processes, and say so."""
    assert story[name].said.stdout.count("rolled back") == 3


def test_the_cluster_takes_the_pods_as_restricted(shop, story):
    """Nothing of them was refused or warned of."""
    assert "violate PodSecurity" not in "".join(chapter.said.stderr for chapter in story.values())
