#!/usr/bin/env python3
"""The module and the program `pip` of a virtualenv that make has made: it shows packages, but installs none."""

import ensurepip
import glob
import os
import runpy
import sys

CHANGES = {"install", "uninstall"}
OTHERS = {"cache", "check", "completion", "config", "debug", "download", "freeze", "hash", "help", "index"}
OTHERS |= {"inspect", "list", "lock", "search", "show", "wheel"}

if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    while words and words[0] not in CHANGES | OTHERS:  # the value of an option before the command, such as --proxy
        words = words[1:]
    if words and words[0] in CHANGES:
        sys.exit(
            "pip: make installs only pinned packages here: uv add {}, then repeat your make command; without uv.lock, "
            "add it to requirements.txt".format(" ".join(words[1:]) or "what you need")
        )
    bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
    wheels = [path for folder in (bundled, "/usr/share/python-wheels") for path in glob.glob(folder + "/pip-*.whl")]
    if not wheels:
        sys.exit("pip: this Python comes without pip: uv pip list shows what is installed")
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    sys.path.insert(0, wheels[0])
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
    sys.exit()
raise ImportError("there is no pip in this virtualenv, see docs/make.md")
