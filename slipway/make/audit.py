"""Check pins for known vulnerabilities: `audit PROGRAM… FILE…` runs pip-audit. An error of its service is one line."""

import subprocess
import sys

from slipway.make.waiting import still


def main(words: "list[str]") -> int:
    with still("asking for known vulnerabilities"):
        done = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    if lines:
        print("make: " + lines[-1], file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
