"""The agent's first lines on a host: they load its modules, compiled once for each Python, and begin."""

from __future__ import annotations

import marshal
import os
import sys
import types
import zlib


def run(sources: dict[str, str], space: dict[str, object]) -> None:
    """Load the modules, name → text, and do what the command line says. `space`: the globals of what was started. Its
    __file__ is where the agent is kept, or would be; PROGRAM its text, and NEW whether that is to be kept."""
    file, program = str(space.get("__file__", os.devnull + "/agent.py")), space.get("PROGRAM")
    if isinstance(program, bytes) and space.get("NEW"):
        keep(file, program)
    for name, code in loaded(sources, file).items():
        package, _, leaf = name.rpartition(".")
        module = sys.modules[name] = types.ModuleType(name)
        module.__package__, module.__path__ = package, []
        if package:
            setattr(sys.modules[package], leaf, module)
        exec(code, module.__dict__)
    if space.get("__name__") == "__main__":
        sys.modules["agent.serve"].main(sys.argv[1:], program, file)


def loaded(sources: dict[str, str], file: str) -> dict[str, types.CodeType]:
    """Module → its code, as an earlier start has left it beside the agent; else compiled now, and left there."""
    version, compiled = zlib.crc32(sys.version.encode()), file + "c"
    try:
        with open(compiled, "rb") as kept:
            check, content = kept.read(4), kept.read()
        if check == zlib.crc32(content, version).to_bytes(4, "big"):  # whole, and of this very Python
            codes: dict[str, types.CodeType] = marshal.loads(content)
            return codes
    except OSError:
        pass
    codes = {name: compile(text, name.replace(".", "/") + ".py", "exec") for name, text in sources.items()}
    content = marshal.dumps(codes)
    keep(compiled, zlib.crc32(content, version).to_bytes(4, "big") + content)
    return codes


def keep(path: str, content: bytes) -> None:
    """Write a file, whole, for later starts. That there is no room for it is no failure."""
    new = "%s.%d" % (path, os.getpid())
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        os.rename(new, path)
    except OSError:
        try:
            os.unlink(new)
        except OSError:
            pass
