"""Tests of packages from a team's own index: pinned with hashes, installed by them, and no password in the pins."""

import base64
import contextlib
import re
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import wheels
from connect import served
from proc import append, refusal, run
from slipway.make import requirements

from .conftest import BASE_PYTHON

USER, PASSWORD = "ci", "hush-5ecret"
SHARED = "--extra-index-url http://${INDEX_USER}:${INDEX_PASSWORD}@127.0.0.1:{port}/simple/"


class Index(SimpleHTTPRequestHandler):
    """A folder as PEP 503 describes: simple/NAME/ lists its files. With a login if the server wants one."""

    def do_GET(self):
        login = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if not self.server.login or self.headers.get("Authorization") == login:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def index(folder, *packages, login=False):
    """Serve (name, version, text) as wheels. Yield the port. Different texts make two files of one version differ."""
    for name, version, text in packages:
        place = folder / "simple" / name
        place.mkdir(parents=True, exist_ok=True)
        wheels.wheel(place, name, version, {f"{name}.py": f"version = {version!r}  # {text}\n"})
    with served(ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(folder)))) as server:
        server.login = login
        yield server.server_port


@pytest.fixture
def indexes(scratch, tmp_path):
    """Yield (a scratch checkout, our index's port). Its requirements.in wants extra, from the public index, and tiny,
    which is ours: 1.0 is on our index, with a login; the public one has a stranger's 2.0 and another 1.0."""
    ours, theirs = [("tiny", "1.0", "ours")], [("extra", "1.0", ""), ("tiny", "1.0", "bad"), ("tiny", "2.0", "bad")]
    (scratch.folder / "requirements.in").write_text("extra\ntiny\n")
    (scratch.folder / "requirements.txt").unlink()
    shutil.rmtree(scratch.folder / "requirements")
    (scratch.folder / "requirements").mkdir()
    with index(tmp_path / "ours", *ours, login=True) as own, index(tmp_path / "theirs", *theirs) as everybody:
        scratch.env.update(
            PIP_ARGS="",
            UV_OFFLINE="0",
            UV_CACHE_DIR=str(tmp_path / "cache"),
            INSTALLER="uv",
            PIP_INDEX_URL=f"http://127.0.0.1:{everybody}/simple/",
            REQUIREMENTS_UV="uv.txt",
        )
        pin = wheels.pin(scratch.packages["uv-9.9"])
        (scratch.folder / "uv.txt").write_text(f"--find-links {scratch.packages['folder'].as_uri()}\n{pin}")
        yield scratch, own


def with_login(port):
    return f"http://{USER}:{PASSWORD}@127.0.0.1:{port}/simple/"


def told(scratch, port, by="requirements.in"):
    """Name the index there, with its login in the environment, or in pip's settings, or in a variable of pip's or
    uv's."""
    if by == "requirements.in":
        append(scratch.folder / by, SHARED.replace("{port}", str(port)) + "\n")
        scratch.env.update(INDEX_USER=USER, INDEX_PASSWORD=PASSWORD)
    elif by == "pip.conf":
        scratch.env["PIP_CONFIG_FILE"] = str(scratch.folder.parent / by)
        (scratch.folder.parent / by).write_text(f"[global]\nextra-index-url = {with_login(port)}\n")
    else:
        scratch.env[by] = with_login(port)


@pytest.mark.parametrize("by", ["requirements.in", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "pip.conf"])
def test_our_package_is_pinned_from_our_index(indexes, tmp_path, by):
    """Our package is pinned from our index, although the public one has a newer version and another file of the same;
    also by make upgrade. No file and no output has the password. uv, pip and the wheelhouse then install our file."""
    scratch, port = indexes
    told(scratch, port, by)
    digest = wheels.pin(tmp_path / "ours/simple/tiny/tiny-1.0-py3-none-any.whl").split()[1]
    for target in ("requirements", "upgrade"):
        said = scratch.make(target)
        text = (scratch.folder / "requirements.txt").read_text()
        assert said.returncode == 0 and re.findall(r"tiny==\S+ \\\n +(\S+)\n", text) == [digest], said.stderr + text
        assert PASSWORD not in text + said.stdout + said.stderr
    said = scratch.made()
    assert scratch.has("tiny", "extra") == ["1.0", "1.0"] and PASSWORD not in said
    if by == "requirements.in":  # pip reads the others by itself
        taken_by_pip(scratch, tmp_path)


def taken_by_pip(scratch, tmp_path):
    """Check that pip installs it without uv, and that the builder's wheels need only requirements.txt's hashes."""
    scratch.env["INSTALLER"] = "pip"
    shutil.rmtree(scratch.folder / "ve")
    scratch.made()
    assert scratch.has("tiny", "extra") == ["1.0", "1.0"]
    (scratch.folder / "requirements/dev.txt").touch()
    words = ["-m", "pip", "wheel", "--quiet", "--no-cache-dir", "--wheel-dir", tmp_path / "house"]
    pins = ["-r", "requirements.txt", "-r", "requirements/dev.txt"]
    done = run([BASE_PYTHON, *words, *pins], cwd=scratch.folder, env=scratch.env)
    assert done.returncode == 0 and PASSWORD not in done.stdout + done.stderr, done.stderr
    wheel = "tiny-1.0-py3-none-any.whl"
    assert (tmp_path / "house" / wheel).read_bytes() == (tmp_path / "ours/simple/tiny" / wheel).read_bytes()


def test_the_index_stays_in_the_pins(indexes):
    """The pins have the index's line once, as written. A removed line is removed there as well."""
    scratch, port = indexes
    told(scratch, port)
    line, path = SHARED.replace("{port}", str(port)), scratch.folder / "requirements.in"
    for said in ("make: installing uv.txt\n", ""):  # the pinned uv stays
        assert scratch.made("requirements") == said
        assert (scratch.folder / "requirements.txt").read_text().startswith(f"{line}\nextra==1.0 ")
        assert (scratch.folder / "requirements.txt").read_text().count("index-url") == 1
    path.write_text("extra\n")
    scratch.made("requirements")
    assert "index" not in (scratch.folder / "requirements.txt").read_text()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_list_that_powershell_has_written(indexes, encoding):
    """`pip freeze >` of PowerShell writes UTF-16, or begins with a mark, and ends lines by CRLF."""
    scratch, port = indexes
    line = SHARED.replace("{port}", str(port))
    scratch.env.update(INDEX_USER=USER, INDEX_PASSWORD=PASSWORD)
    (scratch.folder / "requirements.in").write_bytes(f"{line}\r\ntiny\r\nextra\r\n".encode(encoding))
    scratch.made("requirements")
    assert (scratch.folder / "requirements.txt").read_text().startswith(f"{line}\nextra==1.0 ")


@pytest.mark.parametrize(
    "file, line, said",
    [
        ("requirements/dev.in", f"--extra-index-url={with_login('PORT')}\n", "line 1 has a password"),
        ("requirements.in", "acme @ git+https://host.example/acme@1.0\n", "line 3 names a git repository"),
        ("requirements.in", "acme @ git+ssh://ann@host.example/a.git@v2\n", "line 3 names a git repository"),
        ("requirements.in", "-e ./local\n", "line 3 names a folder to edit"),
        ("requirements/dev.in", "# caf\udce9\n", "is neither UTF-8 nor UTF-16: save it as UTF-8"),
    ],
)
def test_what_is_refused(indexes, file, line, said):
    """A password, what has no hash, or an encoding that pip does not read. One line names the file, nothing is
    compiled, and the password is not shown."""
    scratch, port = indexes
    with open(scratch.folder / file, "ab") as text:
        text.write(line.replace("PORT", str(port)).encode(errors="surrogateescape"))
    told = refusal(scratch.make("requirements"))
    assert f"make: {file} {said}" in told and PASSWORD not in told
    assert not (scratch.folder / "requirements.txt").exists()


SECRETS = [
    "--extra-index-url https://${USER_NAME}:hunter2@index.example/",
    "acme @ git+https://bob:hunter2@host.example/x",
    "-f https://hunter2@index.example/",
    "-i https://${A}:${B}@index.example/ -f https://a:hunter2@b.example/",
    "--index-url https://bob:hun$ter2@index.example/",
]
NONE = [
    "--extra-index-url https://${NAME}:${PASSWORD}@index.example/",
    "--index-url=https://${TOKEN}@index.example/",
    "acme @ git+ssh://git@host.example/x",
    "acme @ https://host.example/acme@1.whl",
    "django  # ask ann@shop.example",
    "-i https://${A}:${B}@index.example/a@b/ --pre  # of ann@shop.example",
    "--index-url https://__token__:${TOKEN}@index.example",
    "a @ git+ssh://git@host.example/a.git@v2",
]


@pytest.mark.parametrize("line, refused", [*((line, True) for line in SECRETS), *((line, False) for line in NONE)])
def test_where_a_password_may_be(tmp_path, line, refused):
    """A password is refused in any line, however its URL is used. A variable, or git's own user, is no password."""
    (tmp_path / "requirements.in").write_text(f"django\n{line}\n")
    refusal = pytest.raises(SystemExit, match=r"requirements.in line 2 has a")
    with refusal if refused else contextlib.nullcontext() as said:
        requirements.refuse(requirements.PASSWORD, "has a password", [tmp_path / "requirements.in"])
    assert "ter2" not in str(said)


def test_without_the_login(indexes, tmp_path):
    """If an index refuses the login, the compile fails: its package is fetched from no other index. Older pins are not
    installed, and one line says why."""
    scratch, port = indexes
    told(scratch, port)
    scratch.env["INDEX_PASSWORD"] = "wrong"
    done = scratch.make("requirements")
    assert done.returncode == 2 and "401 Unauthorized" in done.stderr, done.stderr
    assert not (scratch.folder / "requirements.txt").exists()
    shutil.rmtree(tmp_path / "theirs/simple/tiny")
    scratch.env["INDEX_PASSWORD"] = PASSWORD
    scratch.made("requirements")
    del scratch.env["INDEX_PASSWORD"]
    line = refusal(scratch.make("ve/sentinel"))
    assert "requirements.txt is not installed: no index has tiny, or one refused the login" in line


def test_a_pin_that_another_index_has_is_installed(indexes):
    """A pin may be older than the team's own index, which has other versions: its hash identifies the file, so it may
    come from any index."""
    scratch, port = indexes
    (scratch.folder / "requirements.in").write_text("tiny\n")
    scratch.made("requirements")
    assert "tiny==2.0" in (scratch.folder / "requirements.txt").read_text()
    told(scratch, port, "PIP_EXTRA_INDEX_URL")
    scratch.made()
    assert scratch.has("tiny") == ["2.0"]
