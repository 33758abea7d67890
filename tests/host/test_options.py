"""Docker's options, from deploy/production.toml through /etc/default/APP to docker's own arguments."""

import shlex

import pytest

from slipway.deploy.config import Fleet, Host, validators
from slipway.deploy.server.files import runner_file

from .runner import IMAGE_ID, Server

WORDS = [
    "-e A=a&b",
    "-e A=a|b;c",
    "-e #A",
    "#",
    "-e A=$(touch X)",
    "-e A=`touch X`",
    "-e $HOME ${NO}",
    "A=~ * ?[a]",
    "-e 'A=b c' --memory 1g",
    '-e "A=it\'s"',
    "-e A=\\ b\\&",
    '-e "a\\"$x"',
    "-e 'A=\"'",
    "A=<b >c",
    "a\\\\b ''",
    "",
    "-e A=!b\t-e\tB={1,2}",
    "-e 'A=é'",
]


@pytest.fixture(scope="module")
def server(shell, tmp_path_factory):
    return Server(tmp_path_factory.mktemp("host") / "a server", shell)


def written(server, text):
    """Write this text as the app's file, and run docker-runner."""
    server.put("etc/default/shop", text)
    (server.stub / "log").unlink(missing_ok=True)
    return server("shop", "migrate")


@pytest.mark.parametrize("opts", WORDS)
def test_what_the_file_says_reaches_docker_as_words(server, opts):
    """Quotes group words; no shell on the way interprets anything else, and nothing is run."""
    assert not list(validators.options(opts))
    host = Host("web1", "web1", ("web",), opts="-e LAST=1")
    fleet = Fleet("shop", "r.example/shop", (host,), opts=opts, static={"publish": ""})
    done = written(server, runner_file(fleet, host).content)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    words = [*shlex.split(opts), "-e", "LAST=1", "-v", "/var/www/shop/media:/data/media", IMAGE_ID, "migrate"]
    assert server.ran()[-len(words) :] == words and not list(server.root.rglob("X"))


@pytest.mark.parametrize(
    "opts",
    ["-e A=a&b", "-e A=a|b", "-e A;B", "-e <x", "-e >x", "-e $(id)", "-e `id`", "-e A # no", "# no", "-e A\n# no"],
)
def test_options_by_hand_that_a_shell_takes_otherwise(server, opts):
    """Options that would cut the command short, or run another, are refused in one line; nothing is run."""
    done = written(server, f"IMAGE=shop\nOPTS={shlex.quote(opts)}\n")
    assert done.returncode == 78 and not server.calls("run")
    assert done.stderr.startswith("docker-runner: OPTS in ") and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize(
    "opts, words",
    [
        ("-e 'A=a&b' -e \"B=a|b;#\" -e C=a#b -e D=\\&", ["-e", "A=a&b", "-e", "B=a|b;#", "-e", "C=a#b", "-e", "D=&"]),
        ("--network shop\n    --cap-add CHOWN", ["--network", "shop", "--cap-add", "CHOWN"]),
        ('-e "A=$(printf \'own & %s\' "1")"', ["-e", "A=own & 1"]),
    ],
)
def test_options_by_hand(server, opts, words):
    """Quotes may hold anything; line breaks count as spaces; "$(…)" in quotes is run, as root wrote it."""
    assert written(server, f"IMAGE=shop\nOPTS={shlex.quote(opts)}\n").returncode == 0
    assert server.ran()[-len(words) - 2 :] == [*words, IMAGE_ID, "migrate"]
