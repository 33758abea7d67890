"""The one ssh connection to a host during a deploy, and the agent at its other end."""

import contextlib
import json
import queue
import subprocess
import tempfile
import threading

from . import answers
from .agent import bundle
from .answers import Nonsense
from .errors import HostProblem
from .input import Input
from .remote import MARK, HostLocked, last_words, why
from .together import start

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


class Asked:
    """What the agent was told to do, and its answer when it has come: a message, or the HostProblem that none will."""

    def __init__(self, number, do):
        self.number, self.do, self.answer = number, do, queue.Queue()


class Connection:
    """`ask` may be called by several threads at once. `events` hears what the agent tells meanwhile; `share`, the path
    of a socket, lets the connection be used for more. It is there when `open` has returned."""

    def __init__(self, host, ssh, app, events=lambda host, event: None, share=""):
        self.host, self.events, self.said = host, events, tempfile.TemporaryFile()
        self.waiting, self.number, self.counting = {}, 0, threading.Lock()
        self.marks, self.marked, self.locking, self.lost = queue.Queue(), 0, None, None
        self.stop, self.heard, self.ended, self.dead_after = threading.Event(), threading.Event(), False, 30
        words = ["python3", "-I", "-S", "-u", "-c", BOOT, "look", app]
        self.process = subprocess.Popen(  # in a session of its own: Ctrl-C is ours, not ssh's
            ssh.command(host.address, words, share, owner=bool(share)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.said, start_new_session=True)
        self.input = Input(self.process)

    def open(self, patience=LOOK):
        """Start the agent. Raises HostProblem."""
        threading.Thread(target=self._read, daemon=True).start()
        program = bundle().encode()
        start(self._write, b"%8d\n" % len(program) + program)  # more than a pipe takes: waits until ssh reads it
        try:
            self._mark(patience)
        except HostProblem:
            self.close()
            raise
        return self

    # ---- what the deployer does with it ----

    def ask(self, do, timeout=LOOK, **args):
        """Have the agent do something; its answer. Raises StepProblem when it could not, Lost without an answer."""
        return self._answer(self._send(do, args), timeout)

    def lock(self, description, dead_after):
        """Take the host's lock: from now on the agent may change things, and the host takes itself back when it hears
        nothing for `dead_after` seconds. Raises HostLocked when somebody else has it."""
        self.dead_after = dead_after
        asked = self._send("lock", {"description": description, "dead_after": dead_after})
        if self._mark(180) == "refused":
            self.locking = None
            answer = self._answer(asked, 10)
            if answer.get("locked"):
                raise HostLocked(f"locked: {answer['locked']}")
            raise HostProblem(f"cannot be locked: {' / '.join(answer.get('said', [])) or 'systemd-run failed'}")
        threading.Thread(target=self._beat, daemon=True).start()

    def end(self, timeout=60):
        """Give the lock back after all went well."""
        self.stop.set()
        if self.locking is not None and not self.lost:
            with contextlib.suppress(HostProblem):
                if not self.ended:
                    self._send("end", {})
                return self._ended(timeout)
        return None

    def abort(self, **why):
        """Have the host take itself back, now. Does not wait: see `aborted`."""
        self.stop.set()  # the unit that would answer is about to end
        if self.locking is not None and not self.lost and not self.ended:
            with contextlib.suppress(HostProblem):
                self._line({"abort": why})

    def aborted(self, timeout):
        """How the host is after an abort; None when that cannot be known."""
        if self.locking is None:
            return {}
        with contextlib.suppress(HostProblem):
            return self._ended(timeout)
        return None

    def close(self):
        self.stop.set()
        self.input.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)
        self.process.kill()  # nothing, where it has ended
        self.process.wait()

    # ---- lines ----

    def _send(self, do, args):
        with self.counting:
            self.number += 1
            asked = self.waiting[self.number] = Asked(self.number, do)
            self.locking = asked if do == "lock" else self.locking
        if self.lost:
            self._fail(self.lost)
        self._line({"id": asked.number, "do": do, "args": args})
        return asked

    def _answer(self, asked, timeout):
        try:
            answer = asked.answer.get(timeout=timeout)
        except queue.Empty:
            raise Lost(f"no answer within {timeout:.0f} s") from None
        if isinstance(answer, HostProblem):
            raise answer
        if "problem" in answer:
            raise StepProblem(answer["problem"], answer["more"])
        return answer["ok"]

    def _ended(self, timeout):
        answer = self._answer(self.locking, timeout)
        self.stop.set()
        self.locking = None
        return answer

    def _mark(self, timeout):
        try:
            mark = self.marks.get(timeout=timeout)
        except queue.Empty:
            raise Lost(f"no answer within {timeout} s") from None
        if isinstance(mark, HostProblem):
            raise mark
        return mark

    def _line(self, message):
        self._write(json.dumps(message).encode() + b"\n")

    def _write(self, data):
        try:
            self.input.write(data)
        except (OSError, ValueError):
            raise self.lost or Lost(self._why()) from None

    def _beat(self):
        """Every now and then a word each way; without one from there within `dead_after` the host counts as lost."""
        silent = 0.0
        pause = max(0.5, min(5.0, self.dead_after / 5))
        while not self.stop.wait(pause):
            silent = 0.0 if self.heard.is_set() else silent + pause
            self.heard.clear()
            if silent >= self.dead_after:
                self._lose(Lost(f"no word for {self.dead_after} s"))
                self.process.kill()
                return
            with contextlib.suppress(HostProblem):
                self._line({"do": "alive"})

    def _read(self):
        lines, lost = answers.Lines(), Lost("its answers could not be taken")
        try:
            while more := self.process.stdout.read1(65536):
                for line in lines.add(more):
                    self._hear(line)
            lost = Lost(self._why())
        except Nonsense as problem:
            self.process.kill()
            lost = Lost(*problem.args)
        finally:  # however this ends: nobody waits for an answer that nobody reads
            self._lose(lost)

    def _hear(self, line):
        """A line of the host. What comes before the first mark is a login's greeting."""
        if line.rstrip() == MARK.encode():
            self.marked += 1
            if self.marked > 2:  # of looking, and of working
                raise Nonsense("it begins a third time")
            self.marks.put("mark")
        elif self.marked:
            self._take(answers.parse(line))

    def _take(self, message):
        self.heard.set()
        if "event" in message:
            self.events(self.host, answers.event(message))
        elif "alive" not in message:
            asked = self.waiting.pop(message["id"], None) if type(message.get("id")) is int else None
            if asked is None:
                raise Nonsense("an answer to nothing that was asked")
            try:
                answers.answer(message, asked.do)
            except Nonsense as problem:
                asked.answer.put(Lost(*problem.args))
                raise
            if asked is self.locking:  # what looked before the lock was taken goes on looking
                self.ended = True
                self.stop.set()
                self.marks.put("refused")
                self._fail(Lost("the agent has ended"))
            asked.answer.put(message)

    def _lose(self, problem):
        self.lost = self.lost or problem
        self._fail(self.lost)
        self.marks.put(self.lost)

    def _fail(self, problem):
        """Whoever waits for an answer hears that there will be none."""
        for number in [*self.waiting]:
            asked = self.waiting.pop(number, None)
            if asked:
                asked.answer.put(problem)

    def _why(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        return why(self.process.poll(), last_words(self.said))
