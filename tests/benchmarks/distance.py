"""Bring a server far away, as ssh's ProxyCommand: `distance.py MILLISECONDS LOSS HOST PORT`.

Each byte arrives after half of the milliseconds. Of a hundred packets LOSS arrive RETRY later, and what follows waits
for them, as TCP sends a lost one again. (The kernel's netem does this for whole interfaces, where it is built in.)
"""

import asyncio
import os
import random
import sys

RETRY = 0.25  # seconds: TCP's timeout of at least 200 ms, and the way
PACKET = 1448  # bytes


async def carry(read, write, delay, loss):
    """Pass on what is read, in its order, until its end."""
    loop, pending = asyncio.get_running_loop(), asyncio.Queue()
    delivering = asyncio.create_task(deliver(pending, write))
    due = 0
    while data := await read(PACKET):
        late = RETRY if random.random() * 100 < loss else 0
        due = max(due, loop.time() + delay + late)
        pending.put_nowait((due, data))
    pending.put_nowait((due, b""))
    await delivering


async def deliver(pending, write):
    while True:
        due, data = await pending.get()
        await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))
        await write(data)
        if not data:
            return


async def main(milliseconds, loss, host, port):
    delay = float(milliseconds) / 2000
    loop = asyncio.get_running_loop()
    await asyncio.sleep(2 * delay)  # to connect
    reader, writer = await asyncio.open_connection(host, int(port))
    typed = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(typed), sys.stdin)

    async def send(data):
        writer.write(data)
        if not data:
            writer.write_eof()
        await writer.drain()

    async def show(data):
        while data:
            data = data[await loop.run_in_executor(None, os.write, 1, data) :]

    there = asyncio.create_task(carry(typed.read, send, delay, float(loss)))
    await carry(reader.read, show, delay, float(loss))
    there.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
