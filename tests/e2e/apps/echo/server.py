"""A stand-in for an app. `run` serves HTTP on $SOCKET or $PORT, `daemon PORT` on that port after making its
$READY_FILE; `worker` and `beat` wait for TERM; a deploy's other commands do nothing. Any further command prints its
words and environment as JSON; `exit N` exits with N. $FAULT breaks the release: see FAULTS. As in the image, it reads
settings from $SETTINGS_FILE, accepts for $DRAIN seconds after TERM, and `healthcheck ready` asks /readyz until it has
answered 200 once."""

import http.client
import json
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

FAULTS = {
    "": "none",
    "crash": "ends with 1 as soon as it starts",
    "needy": "does so until there is a file `migrated` beside its socket; it has a migration, of 5 s, with which the"
    " release before cannot work",
    "error": "answers 500 to all but /healthz",
    "unready": "never gets ready: /readyz answers 503",
    "impostor": "says it is another release",
    "migration": "it cannot tell which migrations are pending, and its migrations fail",
    "idle": "its worker never gets ready",
    "weary": "answers 500 to visitors, from 3 s after the first one on, and well to the deployer",
    "fleeting": "its worker ends 1 s after it has begun to consume",
    "faint": "its beat ends after 4 s",
    "busy": "its worker has a task of 30 s, which it ends first",
    "single": "answers one request at a time: the others queue in the socket's backlog",
}
HONEYMOON = 3  # seconds
ENDS = {("worker", "fleeting"): 1, ("beat", "faint"): 4}  # seconds
FIRST = []  # times of visits
ROLE, WAS_READY = "/dev/shm/role", "/dev/shm/was-ready"
RELEASE, FAULT = os.environ.get("RELEASE", ""), os.environ.get("FAULT", "")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer()

    def answer(self):
        url = urlsplit(self.path)
        time.sleep(min(int(parse_qs(url.query).get("ms", ["0"])[0]), 60_000) / 1000)
        release = "another" if FAULT == "impostor" else RELEASE
        body = json.dumps({"release": release, "host": socket.gethostname(), "path": url.path}).encode() + b"\n"
        self.send_response(status(url.path, self.headers.get("User-Agent") != "slipway-deploy"))
        self.send_header("X-Release", release)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "visitor"  # a unix socket's peer has no address


AT_ONCE = () if FAULT == "single" else (socketserver.ThreadingMixIn,)


class Server(*AT_ONCE, socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 2048
    daemon_threads = False  # server_close waits for requests in progress


class UnixServer(Server):
    address_family = socket.AF_UNIX


def status(path, is_visitor):
    if path == "/healthz":
        return 200
    if path == "/readyz":
        return {"error": 500, "unready": 503}.get(FAULT, 200)
    return 500 if FAULT == "error" or (is_visitor and spoils()) else 200


def spoils():
    """Return True if a visitor gets an error now."""
    FIRST.append(time.monotonic())
    return FAULT == "weary" and FIRST[-1] - FIRST[0] >= HONEYMOON


def bind():
    """Return the server, bound to the environment's socket or port."""
    path = os.environ.get("SOCKET")
    if not path:
        return Server(("0.0.0.0", int(os.environ.get("PORT", "8000"))), Handler)
    if os.path.lexists(path):
        os.unlink(path)
    server = UnixServer(path, Handler)
    os.chmod(path, 0o666)
    return server


def run():
    """Serve until TERM; then answer the requests that have arrived, and exit with 0."""
    if FAULT == "needy" and not os.path.exists(os.path.join(os.path.dirname(os.environ.get("SOCKET", "")), "migrated")):
        sys.exit("no such table")
    tell("")
    server = bind()
    tell("unknown\n" if FAULT == "migration" else f"release {RELEASE}\n{plan()}\n")
    drain = float(os.environ.get("DRAIN") or 0)
    signal.signal(signal.SIGTERM, lambda *_: threading.Timer(drain, server.shutdown).start())
    print(f"{RELEASE} serves at {server.server_address}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()


def daemon(port):
    """Answer at a port with this release's name."""
    server = Server(("0.0.0.0", int(port)), Handler)
    with open(os.environ["READY_FILE"], "w"):
        print(f"{RELEASE} listens at {port}", flush=True)
    server.serve_forever()


def tell(text):
    """Write the migrations, applied or not, to web.plan beside the socket."""
    path = os.path.join(os.path.dirname(os.environ.get("SOCKET", "")), "web.plan")
    if os.path.isabs(path):
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)


def plan():
    listed = "[X]  home.0001_initial"
    return f"{listed}\n[ ]  home.0002_drop_a_column" if FAULT == "needy" else listed


def wait(command):
    """Wait until TERM or the fault's time limit. A worker writes its state to $READY_FILE; it takes no tasks while a
    file worker.pause is beside that."""
    print(f"{RELEASE} waits for work", flush=True)
    path, said, began = os.environ.get("READY_FILE", ""), None, time.monotonic()
    lasts = ENDS.get((command, FAULT), float("inf"))
    while time.monotonic() - began < lasts and not signal.sigtimedwait([signal.SIGTERM, signal.SIGINT], 0.05):
        if path and FAULT != "idle":
            state = "paused" if os.path.lexists(os.path.join(os.path.dirname(path), "worker.pause")) else "consuming"
            if state != said:
                said, began = state, time.monotonic()
                with open(path + ".new", "w") as file:
                    file.write(f"{state} {RELEASE}\n")
                os.rename(path + ".new", path)
    if path and FAULT == "busy":
        time.sleep(30)
        print(f"{RELEASE} has ended its task", flush=True)


def healthcheck(ready=""):
    """Ask /readyz if `ready` and it has not answered 200 yet, else /healthz; exit with 1 unless it answers 200. Applies
    only to a site on a port, and to a worker, which has no port."""
    if os.environ.get("SOCKET") or not os.path.exists(ROLE):
        return
    with open(ROLE) as file:
        role = file.read()
    if role != "run":
        sys.exit(int(role == "worker" and FAULT == "idle"))
    asks_ready = ready and not os.path.exists(WAS_READY)
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=4)
    connection.request("GET", "/readyz" if asks_ready else "/healthz", headers={"User-Agent": "slipway-deploy"})
    if connection.getresponse().status != 200:
        sys.exit(1)
    if asks_ready:
        note(WAS_READY, "")


def note(path, text):
    """Write a file of this container, if possible."""
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError:
        pass


def read_settings(path):
    """Read KEY=value lines into the environment."""
    with open(path) as file:
        lines = [line.rstrip("\n") for line in file]
    os.environ.update(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def migrate():
    if FAULT == "migration":
        sys.exit("django.db.utils.ProgrammingError: told to fail")
    time.sleep(5 if FAULT == "needy" else 0)
    print("No migrations to apply.")


def main(command, *words):
    if FAULT not in FAULTS:
        sys.exit(f"FAULT={FAULT} is none of {', '.join(filter(None, FAULTS))}")
    if FAULT == "crash" and command in ("run", "worker", "beat"):
        sys.exit("told to crash")
    if os.environ.get("SETTINGS_FILE"):
        read_settings(os.environ["SETTINGS_FILE"])
    if command == "exit":
        sys.exit(int(words[0]))
    if command in ("run", "worker", "beat"):
        note(ROLE, command)
        return run() if command == "run" else wait(command)
    if command == "daemon":
        return daemon(*words)
    if command == "healthcheck":
        return healthcheck(*words)
    if command in ("migrate", "collectstatic"):
        return migrate() if command == "migrate" else None
    if [command, *words] == ["manage", "showmigrations", "--plan"]:
        return print(plan())
    print(json.dumps({"command": [command, *words], "uid": os.getuid(), "environment": dict(os.environ)}))
    return None


if __name__ == "__main__":
    if sys.argv[1:2] in (["worker"], ["beat"]):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    main(*(sys.argv[1:] or ["run"]))
