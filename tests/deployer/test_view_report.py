"""The page of `slipway view` in one file."""

import json
from html.parser import HTMLParser

import pytest

from deployer import viewed
from deployer.viewed import NOW, shown
from slipway.deploy.view import report

EVIL = "</script><!--<script>alert(1)</script>\u2028]]>"
SECRET = "of-a-visitor"


class Elements(HTMLParser):
    """The names of a page's elements, and the texts in its scripts."""

    def __init__(self, text):
        super().__init__()
        self.names, self.scripts, self.in_script = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.in_script = tag == "script"
        if self.in_script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.in_script = False

    def handle_data(self, data):
        if self.in_script:
            self.scripts[-1] += data


def with_everywhere(value, text):
    """Return the value with this text in place of each text in it."""
    if isinstance(value, dict):
        return {key: with_everywhere(each, text) for key, each in value.items()}
    if isinstance(value, list):
        return [with_everywhere(each, text) for each in value]
    return text if isinstance(value, str) else value


def test_no_text_of_a_host_ends_the_element_that_has_it():
    """Nor begins another one: a browser reads the same elements as of an empty page, and the same texts."""
    state = shown(viewed.watched())
    odd = Elements(report.report(with_everywhere(state, EVIL)))
    assert odd.names == Elements(report.report(state)).names and odd.names.count("script") == 2
    assert json.loads(odd.scripts[0]) == {**with_everywhere(state, EVIL), "saved": True}


def told(watched):
    watched["web1"].answers["errors"].value["groups"][0].update(
        message=SECRET, text=SECRET, latest=[[NOW, "3f2a3f2a", f"GET /{SECRET}", "v1"]]
    )
    for each in watched.values():
        if facts := each.value("facts"):
            facts["records"][-1]["cause"] = SECRET
    pulse = watched["web1"].answers["pulse"].value
    pulse["underway"] = {"action": "deploy", "tag": "v2", "who": "", "seconds": 1, "takeback": SECRET}
    return shown(watched)


def test_a_page_without_errors_has_nothing_of_visitors():
    """Neither a message, nor what a release was taken back for."""
    state = told(viewed.watched())
    assert json.dumps(state).count(SECRET) == 5
    short = report.without_errors(state)
    assert SECRET not in report.report(short)
    assert short["underway"]["takeback"] == "" and len(short["releases"]) == len(state["releases"])
    assert json.dumps(state).count(SECRET) == 5, "the page itself keeps them"


@pytest.mark.parametrize("takeback", [None, ""])
def test_a_deploy_stays_in_a_page_without_errors(takeback):
    state = {**shown(viewed.watched()), "underway": {"takeback": takeback}}
    assert report.without_errors(state)["underway"] == {"takeback": takeback}


def test_the_page_s_policy_allows_its_own_script_alone():
    text = report.report(shown(viewed.watched()))
    script = Elements(text).scripts[1]
    assert f"script-src '{report.digest(script)}'" in text and "default-src 'none'" in text
    assert "import " not in script and "export " not in script
