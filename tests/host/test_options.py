"""Options of docker, from deploy/production.toml through /etc/default/APP to docker's own words."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.deploy.config import checks, Fleet, Host
from slipway.deploy.server.files import runner_file

from .conftest import program
from .test_docker_runner import IMAGE_ID, Server

WORDS = [
    "-e A=a&b", "-e A=a|b;c", "-e #A", "#", "-e A=$(touch X)", "-e A=`touch X`", "-e $HOME ${NO}", "A=~ * ?[a]",
    "-e 'A=b c' --memory 1g", "-e \"A=it's\"", "-e A=\\ b\\&", "-e \"a\\\"$x\"", "-e 'A=\"'", "A=<b >c", "a\\\\b ''",
    "", "-e A=!b\t-e\tB={1,2}", "-e 'A=\u2028é'"]


@pytest.fixture(scope="module", params=["dash", "busybox"])
def server(request, tmp_path_factory):
    shell = [program("busybox"), "sh"] if request.param == "busybox" else [program("dash")]
    return Server(tmp_path_factory.mktemp("host") / "a server", shell)


def reach_docker(server, opts):
    """The words that docker gets of the options in the toml; no problem is found in them here or there."""
    assert not list(checks.options(opts))
    host = Host("web1", "web1", ("web",), opts="-e LAST=1")
    fleet = Fleet("shop", "r.example/shop", (host,), opts=opts)
    server.put("etc/default/shop", runner_file(fleet, host).content)
    (server.stub / "log").unlink(missing_ok=True)
    done = server("shop", "migrate")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    ran = server.ran()
    end = ran.index("LAST=1")
    assert ran[end - 1:] == ["-e", "LAST=1", "-v", "/var/www/shop/media:/data/media", IMAGE_ID, "migrate"]
    return ran[:end - 1]


@pytest.mark.parametrize("opts", WORDS)
def test_what_the_file_says_reaches_docker_as_words(server, opts):
    """Quotes group words; nothing else means anything to a shell on the way, and nothing is run."""
    words = shlex.split(opts)
    assert reach_docker(server, opts)[-len(words):] == words or not words
    assert not list(server.root.rglob("X"))


def splits(text):
    try:
        return not list(checks.options(text))
    except ValueError:
        return False


@settings(max_examples=30)
@given(st.text(st.sampled_from("ab \t'\"\\$`&|;#()<>*?[]{}~!=-\u00e9"), max_size=12).filter(splits))
def test_any_options_reach_docker(server, opts):
    """Whatever `config check` lets pass."""
    words = shlex.split(opts)
    assert reach_docker(server, opts)[-len(words):] == words or not words


@pytest.mark.parametrize("opts", ["-e a\nb", "a\x00", "a\rb", "\x1b", "'", '"', "\\", "a 'b"])
def test_what_is_no_line_of_options_is_refused(opts):
    """Control characters and open quotes have no place in them."""
    assert list(checks.options(opts))


@pytest.mark.parametrize("opts", [
    "-e A=a&b", "-e A=a|b", "-e A;B", "-e <x", "-e >x", "-e $(id)", "-e `id`", "-e A # no", "# no", "-e A\n# no"])
def test_options_by_hand_that_a_shell_takes_otherwise(server, opts):
    """What would cut the command short, or run another, is refused in a line; nothing is run."""
    server.put("etc/default/shop", f"IMAGE=shop\nOPTS={shlex.quote(opts)}\n")
    (server.stub / "log").unlink(missing_ok=True)
    done = server("shop", "migrate")
    assert done.returncode == 78 and not server.calls("run")
    assert done.stderr.startswith("docker-runner: OPTS in ") and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("opts, words", [
    ("-e 'A=a&b' -e \"B=a|b;#\" -e C=a#b -e D=\\&", ["-e", "A=a&b", "-e", "B=a|b;#", "-e", "C=a#b", "-e", "D=&"]),
    ("--network shop\n    --cap-add CHOWN", ["--network", "shop", "--cap-add", "CHOWN"]),
    ("-e \"A=$(printf 'own & %s' \"1\")\"", ["-e", "A=own & 1"])])
def test_options_by_hand(server, opts, words):
    """In quotes all goes; lines are as good as blanks; "$(…)" in quotes is root's own affair."""
    server.put("etc/default/shop", f"IMAGE=shop\nOPTS={shlex.quote(opts)}\n")
    (server.stub / "log").unlink(missing_ok=True)
    assert server("shop", "migrate").returncode == 0
    assert server.ran()[-len(words) - 2:] == [*words, IMAGE_ID, "migrate"]
