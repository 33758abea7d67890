"""How nginx's files take effect: tried in a copy of /etc/nginx, then each by a rename. Builds scripts, runs none."""

from ..decide.site import NGINX, Site


def copy_of(site: Site) -> str:
    return f"{NGINX}.new-{site.name}"


def in_copy(site: Site, path: str) -> str:
    """Where a path of /etc/nginx is in the copy."""
    return path.replace(NGINX, copy_of(site), 1)


def prepare(site: Site) -> str:
    """The script that makes the copy, but for the files that come into it."""
    copy = copy_of(site)
    return "\n".join(["set -e", f"rm -rf {copy}", f"cp -a {NGINX} {copy}",
                      *(f"rm -f {in_copy(site, path)}" for path in site.absent),
                      *(f"mkdir -p {parent(in_copy(site, path))}" for path in (*site.files, *site.links)),
                      *(f"ln -sfn {target} {in_copy(site, path)}" for path, target in site.links.items())])


def test(site: Site) -> str:
    """The script that has nginx read the copy. It sees it as /etc/nginx, in a mount namespace of its own: no other
    process ever does."""
    copy = copy_of(site)
    return f"unshare --mount sh -c 'mount --bind {copy} {NGINX} && nginx -t -q' || {{ rm -rf {copy}; exit 1; }}"


def swap(site: Site) -> str:
    """The script that brings what was tested into place and has nginx read it."""
    lines = ["set -e", "sync"]
    for path in (*site.files, *site.links):
        lines += [f"mkdir -p {parent(path)}", f"mv -fT {in_copy(site, path)} {path}"]
    return "\n".join([*lines, *(f"rm -f {path}" for path in site.absent), f"rm -rf {copy_of(site)}", "sync",
                      "! systemctl --quiet is-active nginx.service || systemctl reload nginx.service"])


def parent(path: str) -> str:
    return path.rpartition("/")[0]
