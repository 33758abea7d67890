"""Operations that pyinfra lacks: a file that is written whole, and nginx's files, which nginx tests first."""

from collections.abc import Generator, Mapping
from typing import Any

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation
from pyinfra.context import host
from pyinfra.operations.util.files import chmod, chown

from ..server.files import File
from ..server.site import Site
from .facts import Entry, Files
from .nginx_scripts import copy_script, in_copy, swap_script, test_script

Commands = Generator[PyinfraCommand | str, None, None]


class PutWhole(PyinfraCommand):
    """pyinfra's command that has the connector write a file whole, with its owner and mode from the start."""

    def __init__(self, path: str, content: str, mode: str = "644", user: str = "root", group: str = "root") -> None:
        super().__init__()
        self.words = path, content.encode(), int(mode, 8), user, group

    def execute(self, state: Any, host: Any, connector_arguments: Any) -> bool:
        """Write it. Raises HostProblem."""
        host.connector.put(*self.words)
        return True


@operation()
def whole_file(file: File, seen: Mapping[str, Entry] | None = None) -> Commands:
    """Put a file in place by one rename. A file with `once` keeps the content that it has. `seen`: the fact Files, if
    it was asked for already."""
    if seen is None:
        seen = host.get_fact(Files, paths=[file.path])
    there = seen.get(file.path)
    owned = there and (there.user, there.group, there.mode) == (file.user, file.group, file.mode)
    if not there or not file.once and not (there.kind == "f" and owned and there.holds(file.content)):
        yield PutWhole(file.path, file.content, file.mode, file.user, file.group)
    elif not owned:
        yield chown(file.path, file.user, file.group)
        yield chmod(file.path, file.mode)
    else:
        host.noop(f"{file.path} is as it should be")


@operation()
def nginx_site(site: Site) -> Commands:
    """Put a site's files in place, all or none, once nginx has tested them in a copy of its folder."""
    there = host.get_fact(Files, paths=site.paths)
    rest = Site(site.name, {path: content for path, content in site.first.items()  # others include them
                            if path not in there or there[path].holds("")}
                | {path: content for path, content in site.files.items()
                   if path not in there or not there[path].holds(content)},
                {path: target for path, target in site.links.items()
                 if path not in there or there[path].target != target},
                tuple(path for path in site.absent if path in there))
    if not rest.paths:
        return
    yield copy_script(rest)
    for path, content in rest.files.items():
        yield PutWhole(in_copy(rest, path), content)
    yield test_script(rest)
    yield swap_script(rest)
