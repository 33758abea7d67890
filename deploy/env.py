"""Settings and secrets: `python -m deploy env`. Staged on all hosts, or on none; the next deploy makes them live.

What is staged is a whole file, APP.env.next, that a deploy's commit renames to APP.env. Values come by stdin or an
editor, never as an argument, and none is ever shown.
"""

import base64
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from project.ops import envfile

from .answers import Maybe, Nonsense, Text
from .errors import DeployError, HostProblem, Refused
from .remote import BOOT, each, sessions, who

BOM = "\ufeff"
HOLDS_LINES = "a value of several lines goes by: python -m deploy env set-file NAME FILE"
PROGRAM = (Path(__file__).resolve().parent / "host/files.py").read_text("utf-8")


# ---- pure: from texts to a text ----

def staged(current, following, values, unset):
    """The text of the new APP.env.next, from APP.env, APP.env.next (None where there is none), what to set and unset.

    Lines keep their places, comments included, and every byte of those that stay. NAME and NAME_FILE exclude each
    other. Raises HostProblem when the file there is malformed, or a name to be unset is not in it.
    """
    base = current if following is None else following
    variables, problems = envfile.parse(base, "APP.env" if following is None else "APP.env.next")
    problems += [f"{name} is not set" for name in unset if name not in variables]
    if problems:
        raise HostProblem(*problems)
    unset = {*unset, *(rival(name) for name in values)} - set(values)
    lines, base = [], base.removeprefix(BOM)
    for line in base.removesuffix("\n").split("\n") if base else ():
        name = line.partition("=")[0]
        if name in values and name in variables:
            lines.append(f"{name}={values[name]}")
        elif name not in unset or name not in variables:
            lines.append(line)
    lines += [f"{name}={value}" for name, value in values.items() if name not in variables]
    return "".join(f"{line}\n" for line in lines)


def rival(name):
    return name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE"


def differences(current, following):
    """Every name of either text, and what becomes of it: "", "set", "changed" or "unset"."""
    now, then = (envfile.parse(text, "")[0] for text in (current, current if following is None else following))
    return {name: "" if now.get(name) == then.get(name) else
            "unset" if name not in then else "changed" if name in now else "set" for name in sorted({*now, *then})}


def read_values(content, names):
    """The values in NAME=value lines, given as bytes. Raises Refused with all that is wrong, as with a name that nobody
    asked for."""
    values, problems = envfile.read(content, "input")
    if any("not KEY=value" in problem for problem in problems):
        problems.append(HOLDS_LINES)
    if names:
        problems += [f"no value for {name}" for name in names if not values.get(name) and not problems]
        problems += [f"{name} was not asked for" for name in values if name not in names]
    elif not values and not problems:
        problems.append("nothing to set: give NAME=value lines on stdin")
    problems += [f"{name} has no value: use env unset" for name in values if not values[name] and not names]
    if problems:
        raise Refused("\n".join(problems))
    return values


def check_names(names):
    """Raise Refused for what is no name; a value given as an argument is not repeated."""
    for name in names:
        if "=" in name:
            raise Refused(f"{name.partition('=')[0]}: give the name alone: a value here would show in the process list")
        if not envfile.LINE.fullmatch(f"{name}="):
            raise Refused(f"{name!r} is not the name of a setting")


# ---- what each action does ----

def set_(fleet, ssh, hosts, args):
    check_names(args.names)
    values = read_values(ask(args.names) if sys.stdin.isatty() else sys.stdin.buffer.read(), args.names)
    stage(fleet, ssh, hosts, lambda current, following: staged(current, following, values, ()), ())
    say(f"staged {', '.join(values)}")


def unset(fleet, ssh, hosts, args):
    check_names(args.names)
    stage(fleet, ssh, hosts, lambda current, following: staged(current, following, {}, args.names), ())
    say(f"staged without {', '.join(args.names)}")


def set_file(fleet, ssh, hosts, args):
    """The file gets a name of its own, so that a release that is taken back finds its former one."""
    check_names([args.name])
    content = read_file(args.file)
    path = f"{args.name}.{secrets.token_hex(4)}"
    file = {"path": f"/etc/default/{fleet.app}.secrets/{path}", "mode": "640", "owner": "root", "group": fleet.app,
            "text": base64.b64encode(content).decode()}
    values = {f"{args.name}_FILE": f"/run/secrets/{path}"}
    stage(fleet, ssh, hosts, lambda current, following: staged(current, following, values, ()), [file])
    say(f"staged {args.name}_FILE")


def list_(fleet, ssh, hosts, args):
    """Names, and what is staged; grouped where hosts differ."""
    paths = paths_of(fleet)
    with sessions(hosts, ssh, ["python3", "-c", BOOT], PROGRAM) as opened:
        texts = each(hosts, lambda host: understood(*settings_of(opened[host.name], paths)))
    groups = {}
    for name, (current, following) in sorted(texts.items()):
        lines = tuple(f"  {setting:32} {state and 'staged: ' + state}".rstrip()
                      for setting, state in differences(current, following).items())
        groups.setdefault(lines, []).append(name)
    for lines, names in groups.items():
        print("\n".join([f"{', '.join(names)}:", *(lines or ["  nothing set"])]))


COMMANDS = {"set": set_, "unset": unset, "list": list_, "set-file": set_file}


# ---- doing it ----

def stage(fleet, ssh, hosts, change, files):
    """Write `change(current text, staged text)` as the staged settings, after `files`, on all hosts or on none.

    Raises Refused with the problems of all hosts, Locked when somebody else is at one of them.
    """
    paths = paths_of(fleet)
    with sessions(hosts, ssh, ["python3", "-c", BOOT], PROGRAM, lock=(fleet.app, who("env"))) as opened:
        texts = each(hosts, lambda host: change(*settings_of(opened[host.name], paths)))

        def prepare(host):
            text = base64.b64encode(texts[host.name].encode()).decode()
            settings = {"path": paths[1], "mode": "600", "owner": "root", "group": "root", "text": text}
            return opened[host.name].ask({"write": [*files, settings], "remove": []})
        each(hosts, prepare)
        each(hosts, lambda host: opened[host.name].ask({"commit": True}), DeployError)


def settings_of(session, paths):
    """The texts of APP.env and APP.env.next (None where there is none) on a host."""
    answer = session.ask({"read": paths}, {"files": {path: Maybe(Text("[A-Za-z0-9+/=]*")) for path in paths}})["files"]
    if answer[paths[0]] is None:
        raise HostProblem(f"there is no {paths[0]}: run make provision first")
    try:
        contents = [answer[path] and base64.b64decode(answer[path]) for path in paths]
    except ValueError:
        raise Nonsense("a file is not base64") from None
    try:
        return [content and content.decode("utf-8") for content in contents]
    except UnicodeDecodeError as error:
        raise HostProblem(f"{paths[contents.index(error.object)]} is not UTF-8 text: correct it there") from None


def understood(current, following):
    """The same texts. Raises HostProblem where one of them is malformed."""
    problems = [problem for text, name in ((current, "APP.env"), (following or "", "APP.env.next"))
                for problem in envfile.parse(text, name)[1]]
    if problems:
        raise HostProblem(*problems)
    return current, following


def paths_of(fleet):
    return [f"/etc/default/{fleet.app}.env", f"/etc/default/{fleet.app}.env.next"]


def ask(names):
    """The bytes that the user writes in an editor, which shows the names alone. Raises Refused."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory() as folder:  # only its owner may look in
        path = Path(folder, "settings")
        path.write_text("".join(f"{name}=\n" for name in names) or "# NAME=value, a line each\n", "utf-8")
        try:
            subprocess.run([*editor, str(path)], check=True)
            return path.read_bytes()
        except (OSError, subprocess.CalledProcessError) as error:
            raise Refused(f"{editor[0]}: {error}: set EDITOR, or give the lines on stdin") from None


def read_file(path):
    """The bytes of a file, - being stdin. Raises Refused."""
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    if not content.strip():
        raise Refused(f"{path} is empty")
    return content


def say(text):
    print(f"{text}: live with the next deploy")
