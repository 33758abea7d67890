"""The one ssh connection to a host during a deploy, and the agent at its other end."""

import contextlib
import json
import queue
import subprocess
import tempfile
import threading

from .agent import bundle
from .errors import HostProblem
from .remote import MARK, HostLocked, why

# Reads the agent and runs it; what it says begins after the mark, as a login may greet first.
BOOT = """import os
def read(size, text=b""):
    while len(text) < size:
        text += os.read(0, size - len(text)) or exit(1)
    return text
text = read(int(read(9)))
exec(compile(text, "<agent>", "exec"), {"__name__": "__main__", "PROGRAM": text.decode()})"""
LOOK = 60  # seconds that reading may take


class StepProblem(HostProblem):
    """A step failed on the host, for the reason it gives; `more`: status, body, log."""

    def __init__(self, text, more):
        super().__init__(text)
        self.more = more


class Lost(HostProblem):
    """The host does not answer any more."""


class Connection:
    """`ask` may be called by several threads at once. `events` hears what the agent tells meanwhile; `share`, the path
    of a socket, lets the connection be used for more."""

    def __init__(self, host, ssh, app, events=lambda host, event: None, share=""):
        self.host, self.events, self.said = host, events, tempfile.TemporaryFile()
        self.answers, self.number, self.writing = {}, 0, threading.Lock()
        self.marks, self.lock_answer, self.lost = queue.Queue(), None, None
        self.stop, self.dead_after = threading.Event(), 30
        self.heard = threading.Event()
        words = ["python3", "-I", "-S", "-u", "-c", BOOT, "look", app]
        self.process = subprocess.Popen(  # in a session of its own: Ctrl-C is ours, not ssh's
            ssh.command(host.address, words, share, owner=bool(share)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.said, start_new_session=True)
        threading.Thread(target=self._read, daemon=True).start()
        program = bundle().encode()
        try:
            self._write(b"%8d\n" % len(program) + program)
            self._mark(LOOK)
        except HostProblem:
            self.close()
            raise

    # ---- what the deployer does with it ----

    def ask(self, do, timeout=LOOK, **args):
        """Have the agent do something; its answer. Raises StepProblem when it could not, Lost without an answer."""
        return self._answer(self._send(do, args), timeout)

    def lock(self, description, dead_after):
        """Take the host's lock: from now on the agent may change things, and the host takes itself back when it hears
        nothing for `dead_after` seconds. Raises HostLocked when somebody else has it."""
        self.dead_after = dead_after
        self._send("lock", {"description": description, "dead_after": dead_after})
        if self._mark(180) == "refused":
            answer = self._answer(self.lock_answer, 10)
            self.lock_answer = None
            if answer.get("locked"):
                raise HostLocked(f"locked: {answer['locked']}")
            raise HostProblem(f"cannot be locked: {' / '.join(answer.get('said', [])) or 'systemd-run failed'}")
        threading.Thread(target=self._beat, daemon=True).start()

    def end(self, timeout=60):
        """Give the lock back after all went well."""
        self.stop.set()
        if self.lock_answer is not None and not self.lost:
            with contextlib.suppress(HostProblem):
                self._send("end", {})
                return self._ended(timeout)
        return None

    def abort(self, **why):
        """Have the host take itself back, now. Does not wait: see `aborted`."""
        self.stop.set()  # the unit that would answer is about to end
        if self.lock_answer is not None and not self.lost:
            with contextlib.suppress(HostProblem):
                self._line({"abort": why})

    def aborted(self, timeout):
        """How the host is after an abort; None when that cannot be known."""
        if self.lock_answer is None:
            return {}
        with contextlib.suppress(HostProblem):
            return self._ended(timeout)
        return None

    def close(self):
        self.stop.set()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # ---- lines ----

    def _send(self, do, args):
        with self.writing:
            self.number += 1
            number = self.number
            self.answers[number] = queue.Queue()
            self.lock_answer = number if do == "lock" else self.lock_answer
        self._line({"id": number, "do": do, "args": args})
        return number

    def _answer(self, number, timeout):
        try:
            answer = self.answers[number].get(timeout=timeout)
        except queue.Empty:
            raise Lost(f"no answer within {timeout:.0f} s") from None
        if "problem" in answer:
            raise StepProblem(answer["problem"], answer["more"])
        if "lost" in answer:
            raise Lost(answer["lost"])
        return answer["ok"]

    def _ended(self, timeout):
        answer = self._answer(self.lock_answer, timeout)
        self.stop.set()
        self.lock_answer = None
        return answer

    def _mark(self, timeout):
        try:
            mark = self.marks.get(timeout=timeout)
        except queue.Empty:
            raise Lost(f"no answer within {timeout} s") from None
        if mark == "lost":
            raise Lost(self.lost)
        return mark

    def _line(self, message):
        self._write(json.dumps(message).encode() + b"\n")

    def _write(self, data):
        try:
            with self.writing:
                self.process.stdin.write(data)
                self.process.stdin.flush()
        except (OSError, ValueError):
            raise Lost(self._why()) from None

    def _beat(self):
        """Every now and then a word each way; without one from there within `dead_after` the host counts as lost."""
        silent = 0.0
        pause = max(0.5, min(5.0, self.dead_after / 5))
        while not self.stop.wait(pause):
            silent = 0.0 if self.heard.is_set() else silent + pause
            self.heard.clear()
            if silent >= self.dead_after:
                self._lose(f"no word for {self.dead_after} s")
                self.process.kill()
                return
            with contextlib.suppress(HostProblem):
                self._line({"do": "alive"})

    def _read(self):
        for line in self.process.stdout:
            if line.rstrip() == MARK.encode():
                self.marks.put("mark")
                continue
            with contextlib.suppress(ValueError):
                self._take(json.loads(line))
        self._lose(self._why())

    def _take(self, message):
        self.heard.set()
        if "event" in message:
            self.events(self.host, message)
        elif "id" in message:
            if message["id"] == self.lock_answer:
                self.marks.put("refused")
                self._lose("the agent has ended", but=self.lock_answer)
            self.answers[message["id"]].put(message)

    def _lose(self, text, but=None):
        """Whoever waits for an answer hears that there will be none."""
        self.lost = self.lost or text
        for number, waiting in list(self.answers.items()):
            if number != but:
                waiting.put({"lost": self.lost})
        self.marks.put("lost")

    def _why(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.said.seek(0)
        return why(self.process.poll(), self.said.read())
