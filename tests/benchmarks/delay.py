"""A connection to a host that is far away, as ssh's ProxyCommand: every byte takes that long, each way.

    python3 delay.py MILLISECONDS HOST PORT
"""

import os
import queue
import socket
import sys
import threading
import time


def relay(read, write, seconds):
    """Copy from one to the other until the end, which is copied too: each piece so long after it came."""
    under_way = queue.SimpleQueue()

    def arrive():
        data = b"more"
        while data:
            due, data = under_way.get()
            time.sleep(max(0, due - time.monotonic()))
            write(data)
    arriving = threading.Thread(target=arrive)
    arriving.start()
    data = b"more"
    while data:
        data = read(65536)
        under_way.put((time.monotonic() + seconds, data))
    arriving.join()


def main(milliseconds, host, port):
    seconds = int(milliseconds) / 1000
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    time.sleep(2 * seconds)  # as connecting takes one there and back

    def there(data):
        connection.sendall(data) if data else connection.shutdown(socket.SHUT_WR)

    def here(data):
        while data:
            data = data[os.write(1, data):]
    threading.Thread(target=relay, args=(lambda size: os.read(0, size), there, seconds), daemon=True).start()
    relay(connection.recv, here, seconds)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
