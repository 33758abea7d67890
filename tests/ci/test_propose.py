"""make/propose.sh: newer pins as a pull request on GitHub and a merge request on GitLab, with stand-ins for both."""

import base64
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from proc import ROOT, run

OLD = "amqp==1.0 \\\n    --hash=sha256:aa\ndjango==5.2.1 \\\n    --hash=sha256:bb\n"
NEW = "asgiref==3 \\\n    --hash=sha256:dd\ndjango==5.2.2 \\\n    --hash=sha256:cc\n"
MAKE = """#!/bin/sh
echo "make $*" >>"$CALLS"
case $1 in
    upgrade) cp "$NEWEST" requirements.txt; cp "$NEWEST" requirements/dev.txt ;;
    test) echo evil >README.md; echo evil >.git/hooks/post-commit; exit "$TESTS" ;;
esac
"""
GH = """#!/bin/sh
echo "gh $*" >>"$CALLS"
[ "$2" != list ] || echo "$OPEN"
"""
HOOK = """#!/bin/sh
env | sed -n 's/^GIT_PUSH_OPTION_[0-9]*=//p' >>"$CALLS"
"""


class Checkout:
    """A clone whose origin is a folder, and stand-ins for make and gh."""

    def __init__(self, folder):
        self.folder, self.origin, self.calls = folder / "clone", folder / "group/shop.git", folder / "calls"
        self.upgrade = folder / "upgrade"
        self.env = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), "CALLS": str(self.calls),
                    "NEWEST": str(folder / "newest"), "TESTS": "0", "OPEN": "0", "GIT_CONFIG_NOSYSTEM": "1"}
        (folder / "newest").write_text(NEW)
        (folder / "bin").mkdir()
        for path, text in [(folder / "bin/make", MAKE), (folder / "bin/gh", GH)]:
            path.write_text(text)
            path.chmod(0o755)
        self.git("init", "-q", "--bare", "-b", "main", self.origin, cwd=folder)
        self.git("config", "receive.advertisePushOptions", "true", cwd=self.origin)
        (self.origin / "hooks/pre-receive").write_text(HOOK)
        (self.origin / "hooks/pre-receive").chmod(0o755)
        self.git("clone", "-q", self.origin, self.folder, cwd=folder)
        for path in ("requirements.txt", "requirements/dev.txt", "make/propose.sh", "README.md", "notes.txt"):
            (self.folder / path).parent.mkdir(exist_ok=True)
            (self.folder / path).write_text(OLD)
            (self.folder / path).with_suffix(".in").touch() if path.startswith("requirements") else None
        (self.folder / ".gitignore").write_text("/var/\n")
        shutil.copy(ROOT / "make/propose.sh", self.folder / "make/propose.sh")
        self.git("add", ".")
        self.git("-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qm", "Start")
        self.git("push", "-q", "origin", "HEAD:main")
        self.calls.unlink(missing_ok=True)

    def git(self, *words, cwd=None):
        done = run(["git", *words], cwd=cwd or self.folder, env=self.env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def propose(self, system, **env):
        """The two jobs after each other, each on a checkout of its own; the second one alone has the token."""
        done = self.job(system, "pins", UPGRADE_TOKEN="", **env)
        shutil.move(self.folder / "var/upgrade", self.upgrade) if (self.folder / "var/upgrade").exists() else None
        self.code = done.returncode
        shutil.rmtree(self.folder)
        self.git("clone", "-q", self.origin, self.folder, cwd=self.origin.parent)
        return self.job(system, "propose", self.upgrade, **env)

    def job(self, system, *words, **env):
        known = {"github": {"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "main"},
                 "gitlab": {"GITLAB_CI": "true", "CI_SERVER_URL": f"file://{self.origin.parent.parent}",
                            "CI_PROJECT_PATH": "group/shop", "CI_DEFAULT_BRANCH": "main", "UPGRADE_TOKEN": "hush"}}
        return run(["make/propose.sh", *words], cwd=self.folder, env={**self.env, **known.get(system, {}), **env})

    def told(self):
        return self.calls.read_text() if self.calls.exists() else ""

    def proposed(self):
        return self.git("log", "-1", "--format=%B", "upgrade-pins", cwd=self.origin)


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_newer_pins_are_proposed(checkout, system):
    """One commit on main, that says which versions changed and that they are tested, and touches pins alone; main
    stays. Another one next week takes its place."""
    for _ in range(2):
        done = checkout.propose(system)
        assert (done.returncode, checkout.code) == (0, 0), done.stderr
        assert checkout.proposed().split("\n\n")[:3] == [
            "Upgrade the pins", "- amqp 1.0 -> (gone)\n- asgiref (new) -> 3\n- django 5.2.1 -> 5.2.2",
            "make test passes."]
        changed = checkout.git("diff", "--name-only", "main", "upgrade-pins", cwd=checkout.origin).split()
        assert changed == ["requirements.txt", "requirements/dev.txt"]
        assert checkout.git("rev-list", "--count", "upgrade-pins", cwd=checkout.origin) == "2\n"
        assert checkout.told().startswith("make upgrade\nmake test\n") and "hush" not in checkout.told() + done.stderr
        shutil.rmtree(checkout.upgrade)


def test_a_pull_request_is_opened_once(checkout):
    """The next week's takes the branch and the text of the one that is open."""
    checkout.propose("github")
    assert "gh pr create --head upgrade-pins --base main --title Upgrade the pins --body - amqp" in checkout.told()
    checkout.calls.unlink()
    checkout.propose("github", OPEN="1")
    assert "gh pr edit upgrade-pins --body - amqp" in checkout.told() and "create" not in checkout.told()


def test_a_merge_request_comes_with_the_push(checkout):
    """GitLab makes it of the push's options."""
    checkout.propose("gitlab")
    options = checkout.told().split("\n")
    assert {"merge_request.create", "merge_request.target=main", "merge_request.title=Upgrade the pins"} <= set(options)


def test_gitlab_is_asked_with_the_token(checkout):
    """By a helper of git, so in no command line, and no other login of the machine is tried."""
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            self.send_response(404 if asked[-1] else 401)
            self.send_header("WWW-Authenticate", "Basic realm=git")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = checkout.propose("gitlab", CI_SERVER_URL=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert done.returncode and asked == [None, "Basic " + base64.b64encode(b"pins:hush").decode()]
    assert "hush" not in done.stdout + done.stderr


def test_what_fails_its_tests_is_proposed_and_fails(checkout):
    """The change says so, and the job is red."""
    done = checkout.propose("github", TESTS="2")
    assert (done.returncode, checkout.code) == (0, 2) and "make test FAILS" in checkout.proposed()
    assert "gh pr create" in checkout.told()


def test_nothing_newer_is_nothing_to_propose(checkout):
    """Neither tests nor branch. An upgrade that fails leaves no patch, and is told by both jobs."""
    done = checkout.propose("github", NEWEST="/nowhere")
    assert checkout.code and done.returncode == 1 and "no patch of pins in" in done.stderr
    (checkout.folder.parent / "newest").write_text(OLD)
    done = checkout.propose("github")
    assert (done.returncode, checkout.code) == (0, 0) and "nothing newer" in done.stdout
    assert "make test" not in checkout.told() and "gh" not in checkout.told()
    assert checkout.git("branch", cwd=checkout.origin).split() == ["*", "main"]


def test_packages_see_no_token(checkout):
    """Where they are tested a token is refused, as where GitLab gives it to every job."""
    done = checkout.job("gitlab", "pins")
    assert done.returncode == 1 and "would see the token" in done.stderr and checkout.told() == ""


@pytest.mark.parametrize("change", [
    "echo x >>notes.txt", "echo x >new.txt; touch new.in", "echo x >>make/propose.sh", "git rm -q requirements.txt",
    "chmod +x requirements.txt", "ln -sf /etc/hosts requirements.txt", "git mv README.md requirements/README.txt"])
def test_a_patch_of_more_than_pins_is_refused(checkout, change):
    """What ran could write any patch: one that touches another file, by whatever means, is not proposed."""
    done = run(["sh", "-ec", f"echo x >>requirements/dev.txt; {change}; git add .; git diff --cached >../p.patch;"
                " git reset -q --hard; mkdir ../upgrade; mv ../p.patch ../upgrade/pins.patch"], cwd=checkout.folder)
    assert done.returncode == 0, done.stderr
    done = checkout.job("github", "propose", checkout.upgrade)
    assert done.returncode == 1 and "which holds no pins: nothing is proposed" in done.stderr
    assert checkout.told() == "" and checkout.git("branch", cwd=checkout.origin).split() == ["*", "main"]


@pytest.mark.parametrize("system, words, edit, code, said", [
    ("", ["pins"], False, 64, "runs in GitHub Actions or GitLab CI"), ("github", ["pins"], True, 1, "not committed"),
    ("github", [], False, 64, "usage"), ("github", ["propose"], False, 64, "usage")])
def test_where_it_does_not_run(checkout, system, words, edit, code, said):
    """On somebody's machine, or with edits: a line, and nothing is done."""
    if edit:
        (checkout.folder / "README.md").write_text("mine\n")
    done = checkout.job(system, *words)
    assert done.returncode == code and said in done.stderr and done.stderr.count("\n") == 1 and checkout.told() == ""
