"""What a host has, by its units."""

from slipway.deploy.agent import disk, facts, roles, serve
from slipway.deploy.agent.host import Host
from slipway.deploy.server.files import process_unit
from deployer.simulated import OWN, Simulated


def test_units_of_this_app_that_run_containers():
    """Built-in roles in their order, then a team's by name. A team's unit of another kind is no role, nor is another
    app's."""
    files = {unit.path.rpartition("/")[2]: unit.content
             for unit in (process_unit("shop", process) for process in (*reversed(OWN), *roles.BUILT_IN.values()))}
    others = {"shop-backup.service": "ExecStart=/bin/true\n", "shop-b-web.service": files["shop-beat.service"],
              "blog-beat.service": files["shop-beat.service"], "shop-beat.timer": ""}
    found = roles.processes_in("shop", files | others)
    assert list(found) == ["web", "worker", "beat", "alerts", "mail"]
    assert found["web"] is roles.BUILT_IN["web"]
    assert [(one.name, one.overlap, one.ready) for one in (found["alerts"], found["mail"])] == [
        ("alerts", False, "seconds 5"), ("mail", True, "file")]


def test_each_question_before_the_lock_reads_them_anew(tmp_path, monkeypatch):
    """A deploy that waits for a provisioning finds what that has written."""
    host, said = Simulated(tmp_path / "root"), []

    def lines():
        yield {"id": 1, "do": "facts", "args": {}}
        unit = process_unit(host.app, OWN[0])
        disk.write(host.root + unit.path, unit.content)
        yield {"id": 2, "do": "facts", "args": {}}
    monkeypatch.setattr(serve, "Host", lambda app: Host(app, host.root))
    monkeypatch.setattr(serve, "lines", lines)
    monkeypatch.setattr(serve, "say", said.append)
    monkeypatch.setattr(facts, "collect", lambda host: list(host.processes))
    serve.read("shop", b"", "/agent")
    assert said == [{"id": 1, "ok": ["web", "worker", "beat"]}, {"id": 2, "ok": ["web", "worker", "beat", "alerts"]}]
