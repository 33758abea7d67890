"""The file of HAProxy, which passes visitors on from each web host's nginx to the containers of a swarm. Pure but for
reading the template."""

from ..config import Fleet
from ..server.render import render
from .workloads import PORT

SPARE = 4  # more than twice as many as are wanted: what has died is forgotten a second later than DNS forgets it


def config(fleet: Fleet) -> str:
    """The file. An update has twice as many containers of web as there are to be."""
    return render("haproxy.cfg", {"COUNT": str(fleet.engine["replicas"]["web"] * 2 + SPARE), "PORT": str(PORT)})
