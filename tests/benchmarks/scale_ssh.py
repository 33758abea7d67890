"""What real ssh costs: so many connections at once to Debian's sshd on this machine, then deploys through it.

    ve/bin/python tests/benchmarks/scale_ssh.py [--connections 1 10 50 100 200] [--deploys 1 50 200] [--sshd FILE]

Client and sshd share the machine. Deploys go to hosts.py's stand-ins, once by its stand-in for ssh and once by ssh: the
difference is ssh's. Needs openssh-server and busybox; root needs the user sshd, too.
"""

import argparse
import contextlib
import os
import pwd
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hosts
from scale_watch import watched

from slipway.deploy.config.ssh import Ssh

SERVER = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
AuthenticationMethods publickey
MaxStartups 10000
StrictModes no
PidFile none
UsePAM no
LogLevel ERROR
"""
CLIENT = """Host *
HostName 127.0.0.1
Port {port}
User {user}
IdentityFile {folder}/key
IdentitiesOnly yes
HostKeyAlias bench
UserKnownHostsFile {folder}/known
"""
TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """An sshd that has been started. `config` is for its clients."""

    process: subprocess.Popen[bytes]
    config: str

    def pids(self) -> list[int]:
        """All its processes but the one that listens: those of its connections, and what they run."""
        found: list[int] = []
        level = children(self.process.pid)
        while level:
            found += level
            level = [child for pid in level for child in children(pid)]
        return found

    def cpu(self) -> float:
        """Seconds of CPU that it and what has ended of it have taken."""
        numbers = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, numbers[11:15])) / TICK


@contextlib.contextmanager
def server(program: str, port: int, forced: str = "") -> Iterator[Server]:
    """An sshd that listens at 127.0.0.1 and lets us in; `forced`: what it runs, whatever it is asked for."""
    with tempfile.TemporaryDirectory(prefix="sshd", dir="/tmp") as name:
        folder, words = Path(name), {"port": port, "folder": name, "user": pwd.getpwuid(os.geteuid()).pw_name}
        for key in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        (folder / "known").write_text(f"bench {(folder / 'host.pub').read_text()}")
        (folder / "server").write_text(SERVER.format(**words) + (f"ForceCommand {forced}\n" if forced else ""))
        (folder / "client").write_text(CLIENT.format(**words))
        process = subprocess.Popen([program, "-D", "-e", "-f", folder / "server"])
        try:
            found = Server(process, str(folder / "client"))
            answers(found)
            yield found
        finally:
            process.terminate()
            process.wait()


def answers(found: Server) -> None:
    """Wait until it does."""
    for _ in range(100):
        if subprocess.run(Ssh(found.config).command("web", ["true"]), stderr=subprocess.DEVNULL).returncode == 0:
            return
        assert found.process.poll() is None, "sshd has ended"
        time.sleep(0.1)
    raise AssertionError("sshd does not answer")


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    with contextlib.suppress(OSError):
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    return []


def held(pids: list[int]) -> tuple[float, float, int]:
    """(MB that they have in memory, each counting all it maps; MB, shared pages once; open files)."""
    rss, pss, files = 0, 0, 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        rss += int(rollup.partition("Rss:")[2].split()[0])
        pss += int(rollup.partition("Pss:")[2].split()[0])
        files += len(os.listdir(f"/proc/{pid}/fd"))
    return rss / 1024, pss / 1024, files


def connect(found: Server, count: int) -> str:
    """So many connections at once, a line about each one's share."""
    command = Ssh(found.config).command("web", ["sh", "-c", "echo up; exec cat"])
    before, used, began = found.cpu(), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    clients = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
               for _ in range(count)]
    up = [client for client in clients if client.stdout and client.stdout.readline() == b"up\n"]
    seconds = time.monotonic() - began
    ours, theirs = held([client.pid for client in up]), held(found.pids())
    for client in clients:
        client.communicate()
    while found.pids():
        time.sleep(0.05)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    mb, pss, files = (number / len(up) for number in ours)
    return (f"| {count} | {len(up)} | {seconds:.1f} s | {cpu / count * 1000:.0f} ms | {pss:.1f} MB ({mb:.1f}) |"
            f" {files:.0f} | {(found.cpu() - before) / count * 1000:.0f} ms | {theirs[1] / len(up):.1f} MB |")


def deploy(program: str, port: int, count: int) -> Iterator[str]:
    """A deploy to so many hosts by the stand-in for ssh and by ssh, a line each."""
    with (tempfile.TemporaryDirectory(prefix="scale", dir="/tmp") as folder,
          contextlib.closing(hosts.Bench(Path(folder), count, 0, 1)) as bench,
          server(program, port, f"exec busybox nc 127.0.0.1 {bench.port}") as found):
        real = {**bench.env, "PATH": os.environ["PATH"], "SSH_CONFIG": found.config}
        for name, env in (("stand-in", bench.env), ("ssh", real)):
            seen, began = watched(bench.config, env, hosts.ROOT), found.cpu()
            while found.pids():
                time.sleep(0.05)
            yield (f"| {count} | {name} | {seen.code} | {seen.seconds:.1f} s | {seen.span('lock'):.1f} s |"
                   f" {seen.cpu:.1f} s | {seen.theirs:.1f} s |" if seen.code == 0 else f"{name}: {seen.said[-2000:]}")
            assert found.cpu() >= began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 10, 50, 100, 200])
    parser.add_argument("--deploys", type=int, nargs="*", default=[1, 50, 200])
    parser.add_argument("--sshd", default=shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or "sshd")
    parser.add_argument("--port", type=int, default=2299)
    args = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    print("| at once | up | until all are | a client's CPU | its memory (RSS) | files | sshd's CPU for it | memory |")
    with server(args.sshd, args.port) as found:
        for count in args.connections:
            print(connect(found, count), f"load {os.getloadavg()[0]:.0f}", flush=True)
    print("| hosts | by | exit | seconds | locks | the deployer's CPU | its programs' CPU |")
    for count in args.deploys:
        for line in deploy(args.sshd, args.port, count):
            print(line, f"load {os.getloadavg()[0]:.0f}", flush=True)


if __name__ == "__main__":
    main()
