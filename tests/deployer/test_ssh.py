"""ssh's command line, compared as it is."""

import os

from slipway.deploy.config.ssh import AS_ROOT, Ssh
from proc import run


def test_the_ssh_command_is_as_closed_as_can_be():
    """Nothing is asked, nothing forwarded, a dead host is noticed; words arrive as they are, whatever is in them."""
    command = Ssh("my config").command("deploy@web1", ["echo", "a b", "$(id)"])
    options = [command[index + 1] for index, word in enumerate(command) if word == "-o"]
    assert command[:3] == ["ssh", "-F", "my config"]
    assert {"BatchMode=yes", "ServerAliveInterval=5", "ServerAliveCountMax=3", "RequestTTY=no", "ForwardAgent=no",
            "ClearAllForwardings=yes", "ControlPath=none", "ControlMaster=no"} <= set(options)
    assert not [option for option in options if option.startswith("StrictHostKeyChecking")]
    assert command[-3:-1] == ["--", "deploy@web1"]
    done = run(["sh", "-c", command[-1].replace("id -u", "echo 0")])
    assert done.stdout == "a b $(id)\n"


def test_connections_can_be_shared():
    """The owner opens the socket, others only use it; a port is forwarded over it, with nobody's ssh_config in between,
    and the host chooses its own."""
    owner = Ssh().command("web1", ["true"], share="/tmp/s", owner=True)
    other = Ssh().command("web1", ["true"], share="/tmp/s")
    assert "ControlMaster=yes" in owner and "ControlMaster=no" in other
    assert "ControlPath=/tmp/s" in owner and "ControlPath=/tmp/s" in other
    assert Ssh("config").forward("web1", "/tmp/s", 5000) == [
        "ssh", "-F", "none", "-S", "/tmp/s", "-O", "forward", "-R", "127.0.0.1:0:127.0.0.1:5000", "--", "web1"]


def test_who_is_not_root_uses_sudo(stub):
    """Words run as they are for root, and through `sudo -n` for anybody else."""
    script = AS_ROOT.replace("id -u", "echo $WHO")
    for uid, words in (("0", ["printf", "%s", "root"]), ("1000", ["printf", "%s", "by sudo"])):
        done = run(["sh", "-c", script, "sh", *words], env={**os.environ, "WHO": uid})
        assert done.stdout == words[2]
