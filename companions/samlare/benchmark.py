"""How many endpoints samlare looks at in a second, and what that costs: make companion-benchmark NAME=samlare.

Endpoints are paths of one server, each shows 20 numbers; carbon is a program that reads and forgets. Prints for each
number of endpoints: looks a second, the share of a core that samlare took, its memory."""

import asyncio
import json
import resource
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SECONDS = 10
FIGURES = {"figures": {f"number{index}": index for index in range(20)}}


async def serve() -> None:
    """Run the server and carbon for ever. Prints their ports."""
    body = json.dumps(FIGURES).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def endpoint(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)

    async def carbon(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass

    servers = [await asyncio.start_server(each, "127.0.0.1", 0) for each in (endpoint, carbon)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()
