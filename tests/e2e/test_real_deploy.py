"""Deploys of the project's own image to bare hosts, with Postgres and Redis: its pages, migrations, tasks and beat."""

import re
import shlex
import signal
import sys
import time
from types import SimpleNamespace

import pytest

from e2e import checker
from e2e.byhand import answers
from e2e.fleet.load import Load
from e2e.orders import Orders, doubled, repeated
from e2e.scenarios import part, settings
from proc import ROOT, run, wait_until

BACK = "taken back: the old release serves everywhere"
# What is done, from which release to which; what is live in the end; the step after which it is interrupted, once the
# new release's worker has begun a task.
STORY = {
    "deploy": ("deploy build-2", "build-1", "build-2", None),
    "rollback": ("rollback", "build-2", "build-1", None),
    "taken back": ("deploy build-2", "build-1", "build-1", "replace"),
}


@pytest.fixture(scope="module")
def first(fleet, project_image, tmp_path_factory):
    """The first deploy ever, to hosts that are provisioned and no more, with an empty database; what it said, and what
    each host then answered to a visitor."""
    fleet.reset()
    shop = Orders(fleet, tmp_path_factory.mktemp("a shop"), project_image)
    shop.provision()
    shop.stage()
    options = shlex.join(["--config", str(shop.path), "--ssh-config", str(fleet.ssh_config)])
    done = run(["make", "deploy", f"TAG={shop.image('build-1')}", f"ARGS={options}", f"PYTHON={sys.executable}"],
               cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {name: answers(host, shop.app) for name, host in shop.machines().items()}
    return SimpleNamespace(shop=shop, said=done.stdout, pages=pages)


@pytest.fixture
def shop(first):
    """The app, for a test that changes it."""
    yield first.shop
    all_is_well(first.shop)


def all_is_well(shop):
    """The invariants hold, there were never two beats, no task is lost, and tasks are sent and done as ever."""
    shop.settled(90)
    checker.check(shop)
    shop.goes_on()
    assert not doubled(shop.journal())


def test_nobody_waits_for_a_hung_engine(shop):
    """The engines of all hosts stand still, longer than it takes to fill the pipe that a web host's log goes through:
    its visitors are answered, beat sends, the worker works."""
    machines, before = shop.machines().values(), shop.ids(what="sent")
    try:
        for host in machines:
            host.run("pkill -STOP -x dockerd")
        with Load(shop.web[0].url, host=f"{shop.app}.example", rate=60, seconds=80, post_path="/",
                  post_every=30) as load:
            time.sleep(20)  # 1,200 requests, and 400 fill it
            wait_until(lambda: shop.ids(what="sent") & shop.ids(what="done") - before, 30, "beat and worker go on")
            result = load.stop()
    finally:
        for host in machines:
            host.run("pkill -CONT -x dockerd")
    assert not result.failures and len(result.records) > 1000, result.summary()


def test_the_first_deploy(first, shop):
    """All migrations are applied, the third-party ones that a live release would forbid too; each host, the balancer
    included, shows the page; worker and beat work."""
    assert "build-1 is live on web1, web2, work1" in first.said
    shown = shop.web[0].run("docker-runner orders manage showmigrations", timeout=120)
    assert "[ ]" not in shown and "[X] 0014_remove_clockedschedule_enabled" in shown, shown
    for name, (status, body) in first.pages.items():
        assert status == 200 and "/static/orders/page." in body, f"{name}: {status} {body}"
    wait_until(lambda: shop.inside("web1", "/readyz?beat")[0] == 200, 90, "/readyz?beat is 200")


# ---- a release, back, and one that is taken back: one load all the while ----

@pytest.fixture(scope="module")
def story(first):
    """What was told, by name; what visitors saw, the journal of that time, and the orders that were written down. Tasks
    that only build-2 knows, "later", are in the old worker's hands from the beginning."""
    shop = first.shop
    shop.bring("build-1"), shop.image("build-2")
    began, known = time.time(), set(shop.query("SELECT id FROM orders_order"))
    for host in shop.web:
        host.run("curl -sSf -X POST -H 'Host: orders.example' 'http://localhost/?task=later'")
    wait_until(lambda: puts_back(shop) >= 2, 30, "the old worker has met both")
    with shop.load(seconds=400) as load:
        told = {name: tell(shop, *STORY[name]) for name in STORY}
        result = load.stop()
    all_is_well(shop)
    ends = [chapter.began for chapter in told.values()][1:] + [float("inf")]
    for chapter, ended in zip(told.values(), ends):
        chapter.seen = part(result, chapter.began, ended)
    orders = set(shop.query("SELECT id FROM orders_order")) - known
    journal = [line for line in shop.journal() if line["at"] > began]
    return SimpleNamespace(told=told, seen=result, journal=journal, orders=orders)


def lines(story, **wanted):
    return [line for line in story.journal if wanted.items() <= line.items()]


def puts_back(shop):
    """How often a worker has put back a task that it does not know."""
    return int(shop.host.run("journalctl --sync; journalctl -t orders-worker-a -t orders-worker-b -o cat |"
                             " grep -c 'unknown task project.orders.tasks.later' || :"))


def tell(shop, words, before, after, interrupted):
    style, began, bake = style_sheet(shop), time.time(), 30 if interrupted else shop.settings["rollout.bake"]
    with settings(shop, bake=bake), shop.rolling(*words.split()) as rolling:
        if interrupted:
            rolling.until(interrupted, state="done")
            wait_until(lambda: just_begun(shop), 20, "the new beat has sent a task, and a worker has begun it")
            rolling.process.send_signal(signal.SIGINT)
        outcome = rolling.finish()
    assert outcome.code == (1 if interrupted else 0), outcome.stderr
    assert checker.tags(shop) == {after}
    checker.check(shop)
    return SimpleNamespace(outcome=outcome, began=began, style=style)


def just_begun(shop):
    """Whether a task, which takes 3 s, has been under way for less than one."""
    return any(line["at"] > time.time() - 1 for line in shop.journal(what="begun", task="tick", release="build-2"))


def style_sheet(shop):
    return re.search(r"/static/orders/page\.[^\"]+", answers(shop.web[0], shop.app)[1])[0]


def test_no_request_fails(story, first):
    """Pages, and orders that are written to the database while it migrates, on both hosts and through the balancer. On
    no host the release before answers a request that was sent after the new one's first answer."""
    assert not story.seen.failures, story.seen.summary()
    asked = {(record.target, record.method) for record in story.seen.records}
    assert len(asked) == 6 and {method for _, method in asked} == {"GET", "POST"}
    for name in ("deploy", "rollback"):
        _, before, after, _ = STORY[name]
        for host in first.shop.web:
            seen = story.told[name].seen.of(host.url)
            assert set(seen.releases) == {before, after} and not seen.late(before, after), seen.summary()


def test_pages_of_both_releases_find_their_files(story, first):
    """After a release and back, each style sheet that a page has named is served by every host."""
    styles = {tag: story.told[name].style for name, tag in (("deploy", "build-1"), ("rollback", "build-2"))}
    assert len(set(styles.values())) == 2
    for host in first.shop.web:
        for tag, path in styles.items():
            assert answers(host, first.shop.app, path) == (200, f"/* {tag} */\n")


def test_what_visitors_queue_is_done_once(story):
    """Each order that a visitor was told of is there, and a worker did its task once; what the old worker got first and
    does not know was kept for the new one."""
    confirmed = [record for record in story.seen.records if record.method == "POST"]
    assert len(story.orders) == len(confirmed) + 2 > 50
    later = lines(story, what="done", task="later")
    done = [line["id"] for line in lines(story, what="done", task="deliver") + later]
    assert sorted(done) == sorted(story.orders)
    assert len(later) == 2 and {line["release"] for line in later} == {"build-2"}


@pytest.mark.parametrize("name", STORY)
def test_a_running_task_is_done_once(story, name):
    """One was under way when its worker was told to take no more, of the release that is taken back one at that time;
    nobody does any task twice."""
    outcome, ticks = story.told[name].outcome, lines(story, task="tick")
    moments = {STORY[name][1]: outcome.at("pause")}
    if STORY[name][3]:
        moments["build-2"] = next(event["at"] for event in outcome.events if event["event"] == "takeback")
    for release, moment in moments.items():
        assert under_way(ticks, release, moment), f"{release} had nothing to do at {moment}"
    assert not repeated(ticks)


def under_way(lines, release, moment):
    """Ids of tasks that a worker of the release had begun and not done at that time, and has done since."""
    begun = {line["id"] for line in lines if line["what"] == "begun" and line["at"] < moment}
    return begun & {line["id"] for line in lines
                    if line["what"] == "done" and line["release"] == release and line["at"] > moment}


def test_beats_take_turns(story):
    """One after the other of five: before and after the deploy, after the rollback, while what is taken back was live
    and afterwards. Never two at a time."""
    sent = lines(story, what="sent")
    assert len({line["container"] for line in sent}) == 5 and {line["host"] for line in sent} == {"work1"}
    assert not doubled(sent)
