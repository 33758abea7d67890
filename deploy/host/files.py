"""Reads files of a host and writes them whole, in two halves: what can fail fails in the first, and is undone.

Sent by the deployer and run on the host; standard library only, Python 3.9. It reads requests from stdin, a JSON
object a line, and answers each: {"read": [path…]}, {"write": [{path, text, mode, owner, group}…], "remove": [path…]},
{"commit": true}. Text is base64. Whatever else ends it leaves everything as it was.
"""

import base64
import contextlib
import grp
import json
import os
import pwd
import sys


def read(paths):
    """path → its content, or None where there is none."""
    contents = {}
    for path in paths:
        contents[path] = None
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            contents[path] = base64.b64encode(file.read()).decode()
    return {"files": contents}


def prepare(request):
    """Write everything beside its place; path → the new file."""
    done = {}
    for file in request["write"]:
        new = done[file["path"]] = file["path"] + ".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as out:
            out.write(base64.b64decode(file["text"]))
            out.flush()
            os.fchown(descriptor, pwd.getpwnam(file["owner"]).pw_uid, grp.getgrnam(file["group"]).gr_gid)
            os.fchmod(descriptor, int(file["mode"], 8))
            os.fsync(descriptor)
    return done


def commit(written, removed):
    """Bring it all into place. In the order given: what a file names is there before it."""
    folders = {os.path.dirname(path) for path in [*written, *removed]}
    for path, new in written.items():
        os.rename(new, path)
    for path in removed:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def undo(request):
    for file in request.get("write", ()):
        with contextlib.suppress(OSError):
            os.unlink(file["path"] + ".new")


def answer(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def serve():
    """Answer requests until there is no more."""
    request = {}
    try:
        for line in iter(sys.stdin.buffer.readline, b""):
            message = json.loads(line)
            if "read" in message:
                answer(read(message["read"]))
            elif "write" in message:
                request = message
                written = prepare(request)
                answer({"prepared": True})
            elif message.get("commit"):
                commit(written, request["remove"])
                answer({"committed": True})
                request = {}
    except (OSError, KeyError) as error:
        said = error.strerror if isinstance(error, OSError) else "is not known here"
        name = error.filename if isinstance(error, OSError) else error.args[0]
        answer({"problems": [f"{name}: {said}"]})
    finally:
        undo(request)


serve()
