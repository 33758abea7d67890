"""Commands of the team, run here and fed the record of a deploy as JSON."""

import json
import subprocess
import sys

from .errors import Refused

SECONDS = 300


def run(command, record, must=False):
    """Run a hook, if there is one. Only where it `must` succeed does its failure count: then Refused is raised."""
    if not command:
        return
    try:
        done = subprocess.run(["sh", "-c", command], input=json.dumps(record).encode(), timeout=SECONDS,
                              stdout=sys.stderr, start_new_session=True)
        said = f"exit {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        said = f"no end within {SECONDS} s"
    if said and must:
        raise Refused(f"hooks.before forbids it: {command}: {said}")
    if said:
        print(f"deploy: hook failed, and nothing else with it: {command}: {said}", file=sys.stderr)
