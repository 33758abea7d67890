"""An app put on a host of the fleet by hand, as docs/server.md says: what deploy/server holds, without provisioning."""

import base64
import sys

from proc import ROOT, wait_until

sys.path.insert(0, str(ROOT))
from slipway.deploy.agent.roles import BUILT_IN  # noqa: E402
from slipway.deploy.server.files import process_unit  # noqa: E402
from slipway.deploy.server.render import render  # noqa: E402
from slipway.deploy.server.site import uploads  # noqa: E402

SECRET = "planted-secret-4711"
ALWAYS = ("APP-slot.service", "APP.target", "docker-service@.service", "docker-runner.target",
          "nginx-first.service", "docker.service.d/restart.conf", "nginx.service.d/restart.conf")


def files(app, image, roles):
    """Path on the server → (text, mode)."""
    values = {"APP": app, "SITE": app, "SCHEME": "http", "SERVER_NAMES": f"{app}.example", "HTTP_PORT": "80",
              "BODY_LIMIT": "20m", "BALANCERS": "", "REAL_IP": "",
              "LOGIN_PATHS": "", **uploads("local")}
    processes = [process_unit(app, BUILT_IN[role]) for role in roles]
    return {
        **{unit.path: (unit.content, "644") for unit in processes},
        **{f"/usr/local/bin/{name}": (render(name, {}), "755") for name in ("docker-runner", "docker-slot")},
        **{f"/etc/systemd/system/{unit.replace('APP', app)}": (render(f"systemd/{unit}", values), "644")
           for unit in ALWAYS},
        f"/etc/tmpfiles.d/{app}.conf": (render("tmpfiles.d/APP.conf", values), "644"),
        f"/etc/nginx/sites-enabled/{app}": (render("nginx/site.conf", values), "644"),
        f"/etc/nginx/{app}/public.conf": (render("nginx/http.conf", values), "644"),
        f"/etc/nginx/{app}/app.conf": (render("nginx/app.conf", values), "644"),
        f"/etc/nginx/{app}/maintenance.html": (render("nginx/maintenance.html", values), "644"),
        f"/etc/default/{app}": (f"IMAGE={image}\nOPTS='--memory 256m'\n", "644"),
        f"/etc/default/{app}.env": (f"SECRET_KEY={SECRET}-{app}\n", "600"),
    }


def put(host, texts):
    """Write files, all in one call. `texts`: path → (text, mode)."""
    lines = ["set -e"]
    for path, (text, mode) in texts.items():
        coded = base64.b64encode(text.encode()).decode()
        lines += [f"mkdir -p \"$(dirname '{path}')\"", f"touch '{path}' && chmod {mode} '{path}'",
                  f"echo {coded} | base64 -d >'{path}'"]
    host.run("sh -s", input="\n".join(lines) + "\n")


def install(host, app, image, roles=("web", "worker", "beat")):
    """Everything but a release."""
    put(host, files(app, image, roles))
    host.run(f"id -u {app} >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin {app}; set -e;"
             f" install -d -o {app} -g www-data -m 2750 /var/www/{app}/media; install -d /var/www/{app}/static;"
             f" rm -f /etc/nginx/sites-enabled/default; systemd-tmpfiles --create {app}.conf; systemctl daemon-reload;"
             " grep -q live-restore /etc/docker/daemon.json ||"
             "   sed -i '0,/{/s//{\"live-restore\": true,/' /etc/docker/daemon.json; systemctl reload docker;"
             f" systemctl enable --quiet {app}.target; nginx -t -q; systemctl reload-or-restart nginx", timeout=120)


def release(host, app, image):
    """Commit a release: pulled, and written to TAG by its id."""
    host.run(f"docker pull -q {image} && printf 'export TAG=%s\\nexport IMAGE_ID=%s\\n' {image.rpartition(':')[2]}"
             f" $(docker image inspect --format '{{{{.Id}}}}' {image}) >/var/www/{app}/TAG", timeout=300)


def answers(host, app, path="/"):
    """What a visitor gets from the host's nginx: (status, body)."""
    said = host.run(f"curl -s -w '\\n%{{http_code}}' -H 'Host: {app}.example' http://localhost{path}")
    body, _, status = said.rpartition("\n")
    return int(status), body


def until_it_answers(host, app, what, seconds=60):
    """Wait until a visitor gets 200 and `what` is in the page."""
    def good():
        status, body = answers(host, app)
        return status == 200 and what in body
    wait_until(good, seconds, f"{app} on {host.name} answers with {what}")


def containers(host):
    """Name → state, of all there are."""
    return dict(line.split() for line in host.run("docker ps -a --format '{{.Names}} {{.State}}'").splitlines())
