"""Programs that end, many at the same moment."""

import sys

from proc import ROOT, run

# Programs end while the loop is busy: as many signals come as of that many more. Another block has come in between.
SCRIPT = """
import asyncio, os, signal, sys
from slipway.deploy.ssh import process
from slipway.deploy.ssh.interrupts import heeded

async def main(more):
    running = [await process.start(["true"]) for _ in range(3)]
    with heeded():
        for _ in range(more):
            os.kill(os.getpid(), signal.SIGCHLD)
        async with asyncio.timeout(30):
            print([await program.ended() for program in running])
        for program in running:
            await program.close()
asyncio.run(main(int(sys.argv[1])))
"""


def test_more_ends_than_the_loop_is_told_of():
    """What wakes the loop has room for fewer: it hears of all the same, and Python does not complain of the rest."""
    done = run([sys.executable, "-c", SCRIPT, "600"], cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 0, 0]\n", "")
