"""Tests of deploys of the project's own image to bare hosts with Postgres and Redis: pages, migrations, tasks, beat."""

import re
import shlex
import signal
import sys
import time
from types import SimpleNamespace

import pytest

from e2e import checker
from e2e.byhand import answers
from e2e.fleet.apps import made_project
from e2e.fleet.load import Load
from e2e.orders import Orders, doubled, repeated
from e2e.scenarios import part, settings
from proc import output, wait_until

BACK = "taken back: the old release serves everywhere"
# For each chapter: the command, the old release, the release that is live at the end, and the step after which the
# deploy is interrupted, once the new release's worker has begun a task.
STORY = {
    "deploy": ("deploy build-2", "build-1", "build-2", None),
    "rollback": ("rollback", "build-2", "build-1", None),
    "taken back": ("deploy build-2", "build-1", "build-1", "replace"),
}


@pytest.fixture(scope="module")
def first(fleet, project_image, tmp_path_factory):
    """Run the first deploy ever, to freshly provisioned hosts with an empty database. Return its output, and each
    host's answer to a visitor."""
    fleet.reset()
    shop = Orders(fleet, tmp_path_factory.mktemp("a shop"), project_image)
    tag = shop.image("build-1")
    make(shop, "provision")
    shop.stage()
    said = make(shop, "deploy", f"TAG={tag}")
    pages = {name: answers(host, shop.app) for name, host in shop.machines().items()}
    return SimpleNamespace(shop=shop, output=said, pages=pages)


def make(shop, *words):
    """Run make in the project, which has slipway only as a wheel."""
    shop.write()
    options = shlex.join(["--config", str(shop.path), "--ssh-config", str(shop.fleet.ssh_config)])
    return output(
        [
            "make",
            *words,
            f"ARGS={options}",
            f"PYTHON={sys.executable}",
        ],
        cwd=made_project().folder,
        timeout=400,
    )


@pytest.fixture
def shop(first):
    """Yield the app for a test that changes it, and check afterwards that all is well."""
    yield first.shop
    all_is_well(first.shop)


def all_is_well(shop):
    """Assert that the invariants hold, two beats never ran, no task is lost, and tasks are still sent and done."""
    shop.settled(90)
    checker.check(shop)
    shop.goes_on()
    assert not doubled(shop.journal())


def test_nobody_waits_for_a_hung_engine(shop):
    """The engines of all hosts hang for longer than it takes to fill the pipe of a web host's log. Still visitors get
    answers, beat sends, and the worker works."""
    machines, before = shop.machines().values(), shop.ids(what="sent")
    try:
        for host in machines:
            host.run("pkill -STOP -x dockerd")
        with Load(
            shop.web[0].url, host=f"{shop.app}.example", rate=60, seconds=80, post_path="/", post_every=30
        ) as load:
            time.sleep(20)  # 1,200 requests; 400 fill the pipe
            wait_until(lambda: shop.ids(what="sent") & shop.ids(what="done") - before, 30, "beat and worker go on")
    finally:
        for host in machines:
            host.run("pkill -CONT -x dockerd")
    assert len(load.result.records) > 1000


def test_the_first_deploy(first, shop):
    """All migrations are applied, even third-party ones that would be refused beside a live release. Each host, and the
    balancer, shows the page. Worker and beat work."""
    assert "build-1 is live on web1, web2, work1" in first.output
    shown = shop.web[0].run("docker-runner orders manage showmigrations", timeout=120)
    assert "[ ]" not in shown and "[X] 0014_remove_clockedschedule_enabled" in shown, shown
    for name, (status, body) in first.pages.items():
        assert status == 200 and "/static/orders/page." in body, f"{name}: {status} {body}"
    wait_until(lambda: shop.inside("web1", "/readyz?beat")[0] == 200, 90, "/readyz?beat is 200")


# ---- a deploy, a rollback, and a deploy that is taken back, under one load ----


@pytest.fixture(scope="module")
def story(first):
    """Run all of STORY. Return the results by name, visitors' requests, the journal of that time, and the stored
    orders. From the beginning, the old worker has tasks "later", which only build-2 knows."""
    shop = first.shop
    shop.bring("build-1"), shop.image("build-2")
    began, known = time.time(), set(shop.query("SELECT id FROM orders_order"))
    for host in shop.web:
        host.run("curl -sSf -X POST -H 'Host: orders.example' 'http://localhost/?task=later'")
    wait_until(lambda: puts_back(shop) >= 2, what="the old worker has met both")
    with shop.load(may_fail=True) as load:
        told = {name: tell(shop, *STORY[name]) for name in STORY}
    all_is_well(shop)
    ends = [*[chapter.began for chapter in told.values()][1:], float("inf")]
    for chapter, ended in zip(told.values(), ends, strict=True):
        chapter.seen = part(load.result, chapter.began, ended)
    orders = set(shop.query("SELECT id FROM orders_order")) - known
    journal = [line for line in shop.journal() if line["at"] > began]
    return SimpleNamespace(outcomes=told, seen=load.result, journal=journal, orders=orders)


def lines(story, **expected):
    return [line for line in story.journal if expected.items() <= line.items()]


def puts_back(shop):
    """Return the number of times that a worker has put back a task that it does not know."""
    return int(
        shop.host.run(
            "journalctl --sync; journalctl -t orders-worker-a -t orders-worker-b -o cat |"
            " grep -c 'unknown task project.orders.tasks.later' || :"
        )
    )


def tell(shop, words, before, after, interrupted):
    style = re.search(r"/static/orders/page\.[^\"]+", answers(shop.web[0], shop.app)[1])[0]
    began, bake = time.time(), 90 if interrupted else shop.settings["rollout.bake"]
    with settings(shop, bake=bake), shop.rolling(*words.split()) as rolling:
        if interrupted:
            rolling.until(interrupted, state="done")
            wait_until(lambda: under_way_now(shop), what="the new beat has sent a task, and a worker has begun it")
            rolling.process.send_signal(signal.SIGINT)
        outcome = rolling.finish()
    assert outcome.code == (1 if interrupted else 0), outcome.stderr
    assert checker.tags(shop) == {after}
    checker.check(shop)
    return SimpleNamespace(outcome=outcome, began=began, style=style)


def under_way_now(shop):
    """Return the ids of tasks that build-2's worker has begun and not done."""
    return shop.ids(what="begun", task="tick", release="build-2") - shop.ids(what="done", task="tick")


def test_no_request_fails(story, first):
    """No page and no order fails, although orders are written to the database while it migrates, on both hosts and
    through the balancer. On no host the old release answers a request sent after the new one's first answer."""
    assert not story.seen.failures, story.seen.summary()
    asked = {(record.target, record.method) for record in story.seen.records}
    assert len(asked) == 6 and {method for _, method in asked} == {"GET", "POST"}
    for name in ("deploy", "rollback"):
        _, before, after, _ = STORY[name]
        for host in first.shop.web:
            seen = story.outcomes[name].seen.of(host.url)
            assert set(seen.releases) == {before, after} and not seen.late(before, after), seen.summary()


def test_pages_of_both_releases_find_their_files(story, first):
    """After a deploy and a rollback, every host serves each style sheet that a page has named."""
    styles = {tag: story.outcomes[name].style for name, tag in (("deploy", "build-1"), ("rollback", "build-2"))}
    assert len(set(styles.values())) == 2
    for host in first.shop.web:
        for tag, path in styles.items():
            assert answers(host, first.shop.app, path) == (200, f"/* {tag} */\n")


def test_what_visitors_queue_is_done_once(story):
    """Each order confirmed to a visitor is stored, and its task was done once. Tasks that the old worker received but
    does not know were kept for the new one."""
    confirmed = [record for record in story.seen.records if record.method == "POST"]
    assert len(story.orders) == len(confirmed) + 2 > 50
    later = lines(story, what="done", task="later")
    done = [line["id"] for line in lines(story, what="done", task="deliver") + later]
    assert sorted(done) == sorted(story.orders)
    assert len(later) == 2 and {line["release"] for line in later} == {"build-2"}


@pytest.mark.parametrize("name", STORY)
def test_a_running_task_is_done_once(story, name):
    """A task was running when each worker was told to stop taking tasks, also that of the release that is taken back.
    No task is done twice."""
    outcome, ticks = story.outcomes[name].outcome, lines(story, task="tick")
    moments = {STORY[name][1]: max(event["at"] for event in outcome.done() if event["step"] == "pause")}
    if STORY[name][3]:
        moments["build-2"] = next(event["at"] for event in outcome.events if event["event"] == "takeback")
    for release, moment in moments.items():
        assert under_way(ticks, release, moment), f"{release} had nothing to do at {moment}"
    assert not repeated(ticks)


def under_way(lines, release, moment):
    """Return the ids of tasks that a worker of the release had begun before that time and has done after it."""
    begun = {line["id"] for line in lines if line["what"] == "begun" and line["at"] < moment}
    return begun & {
        line["id"] for line in lines if line["what"] == "done" and line["release"] == release and line["at"] > moment
    }


def test_beats_take_turns(story):
    """Five beats run one after the other, never two at a time: before and after the deploy, after the rollback, in the
    release that is taken back, and afterwards."""
    sent = lines(story, what="sent")
    assert len({line["container"] for line in sent}) == 5 and {line["host"] for line in sent} == {"work1"}
    assert not doubled(sent)
