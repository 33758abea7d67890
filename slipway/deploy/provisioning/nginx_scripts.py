"""Scripts that test nginx's files in a copy of /etc/nginx, then move each into place. Builds scripts, runs none."""

from posixpath import dirname

from ..server.site import NGINX, Site


def copy_of(site: Site) -> str:
    """The folder of the copy."""
    return f"{NGINX}.new-{site.name}"


def in_copy(site: Site, path: str) -> str:
    """A path below /etc/nginx, in the copy."""
    return path.replace(NGINX, copy_of(site), 1)


def copy_script(site: Site) -> str:
    """The script that makes the copy, without the site's new files."""
    copy = copy_of(site)
    return "\n".join(["set -e", f"rm -rf {copy}", f"cp -a {NGINX} {copy}",
                      *(f"rm -f {in_copy(site, path)}" for path in site.absent),
                      *(f"mkdir -p {dirname(in_copy(site, path))}" for path in (*site.files, *site.links)),
                      *(f"ln -sfn {target} {in_copy(site, path)}" for path, target in site.links.items())])


def test_script(site: Site) -> str:
    """The script that has nginx test the copy, as /etc/nginx in a mount namespace of its own: no other process sees
    it there."""
    copy = copy_of(site)
    return f"unshare --mount sh -c 'mount --bind {copy} {NGINX} && nginx -t -q' || {{ rm -rf {copy}; exit 1; }}"


def swap_script(site: Site) -> str:
    """The script that moves the tested files into place and reloads nginx."""
    lines = ["set -e", "sync"]
    for path in (*site.files, *site.links):
        lines += [f"mkdir -p {dirname(path)}", f"mv -fT {in_copy(site, path)} {path}"]
    return "\n".join([*lines, *(f"rm -f {path}" for path in site.absent), f"rm -rf {copy_of(site)}", "sync",
                      "! systemctl --quiet is-active nginx.service || systemctl reload nginx.service"])
