"""Start the agent on a host: load its modules, and cache their compiled code for this version of Python."""

from __future__ import annotations

import marshal
import os
import sys
import types
import zlib


def run(sources: dict[str, str], space: dict[str, object]) -> None:
    """Load the modules (name → text). If this is the main program, run the command line.
    `space`: the program's globals, such as PROGRAM (the program's text) and NEW (True: save this text)."""
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
    """Return each module's compiled code, from the cache beside the agent. Without a valid cache, compile and save."""
    version, compiled = zlib.crc32(sys.version.encode()), file + "c"
    try:
        with open(compiled, "rb") as kept:
            check, content = kept.read(4), kept.read()
        if check == zlib.crc32(content, version).to_bytes(4, "big"):  # the cache is whole and of this version of Python
            codes: dict[str, types.CodeType] = marshal.loads(content)
            return codes
    except OSError:
        pass
    codes = {name: compile(text, name.replace(".", "/") + ".py", "exec") for name, text in sources.items()}
    content = marshal.dumps(codes)
    keep(compiled, zlib.crc32(content, version).to_bytes(4, "big") + content)
    return codes


def keep(path: str, content: bytes) -> None:
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
