"""How many endpoints samlare looks at in a second, and what that costs: make companion-benchmark NAME=samlare.

Endpoints are paths of one server, each shows 20 numbers; carbon is a program that reads and forgets. Prints for each
number of endpoints: looks a second, the share of a core that samlare took, its memory."""

import asyncio
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from proc import free_port, wait_until

FOLDER = Path(__file__).resolve().parent
SECONDS = 10
FIGURES = {"figures": {f"number{index}": index for index in range(20)}}


async def serve() -> None:
    """Run the server and carbon for ever. Prints their ports."""
    body = json.dumps(FIGURES).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def endpoint(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)

    async def carbon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass

    servers = [await asyncio.start_server(each, "127.0.0.1", 0) for each in (endpoint, carbon)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


def measure(count: int, endpoint: int, carbon: int) -> str:
    """Let samlare look at so many endpoints each second. Returns a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        path, listen = Path(folder) / "samlare.toml", free_port()
        head = f'CarbonPort = {carbon}\nCheckInterval = 1000\nTimeout = 900\nListen = "127.0.0.1:{listen}"\n'
        path.write_text(head + "".join(
            f'[[Endpoint]]\nURL = "http://127.0.0.1:{endpoint}/debug/vars"\nPrefix = "host{number}"\n'
            for number in range(count)))
        process = subprocess.Popen([sys.executable, "-m", "samlare", f"-config={path}"], cwd=FOLDER)
        try:
            wait_until(lambda: counters(listen)["looks"] > count)
            before, used, began = counters(listen), cpu(process.pid), time.monotonic()
            time.sleep(SECONDS)
            after, passed = counters(listen), time.monotonic() - began
            looks, share = (after["looks"] - before["looks"]) / passed, (cpu(process.pid) - used) / passed
            return f"| {count} | {looks:.0f} | {after['failures']} | {share:.2f} | {memory(process.pid):.0f} MB |"
        finally:
            process.terminate()
            process.wait(10)


def counters(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/debug/vars", timeout=5) as answer:
        return dict(json.load(answer)["samlare"])


def cpu(pid: int) -> float:
    """Seconds of CPU that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """What of it is in memory, in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1000


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        endpoint, carbon = map(int, server.stdout.readline().split())
        print("| endpoints, each second | looks a second | failed | of a core | memory |\n|---|---|---|---|---|")
        for count in (100, 500, 1000):
            print(measure(count, endpoint, carbon), flush=True)
        server.terminate()


if __name__ == "__main__":
    asyncio.run(serve()) if sys.argv[1:] == ["serve"] else main()
