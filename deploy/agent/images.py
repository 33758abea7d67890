"""Images on this host: what a tag stands for in the registry, pulling, what an image holds, removing old ones."""

import contextlib
import json

from . import contents, disk, releases, slots
from .host import Problem, last

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


@contextlib.contextmanager
def login(host, registry, credentials):
    """The environment with which docker is logged in, for as long as the block runs; credentials: user:password."""
    if not credentials:
        yield {}
        return
    import shutil  # only here: it takes long to load
    import tempfile
    folder = tempfile.mkdtemp(prefix="deploy-", dir="/run")
    try:
        user, _, password = credentials.partition(":")
        done = host.docker("login", "--username", user, "--password-stdin", registry, input=password,
                           env={"DOCKER_CONFIG": folder}, check=False)
        if done.returncode:
            raise Problem("%s lets nobody in as %s (%s): see the variable that registry.login names" % (
                registry, user, last(done.stderr, done.returncode)))
        yield {"DOCKER_CONFIG": folder}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def registry_of(image):
    first, slash, _ = image.partition("/")
    return first if slash and (set(first) & set(".:") or first == "localhost") else "docker.io"


def resolve(host, image, tag, architecture, engine, credentials=""):
    """{"digest"} that a tag stands for. Raises Problem when there is none, or none for this architecture."""
    words = ["manifest", "inspect", "--verbose"]
    words += ["--insecure"] if is_insecure(registry_of(image), engine) else []
    with login(host, registry_of(image), credentials) as env:
        done = host.docker(*words, "%s:%s" % (image, tag), check=False, env=env, timeout=60)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["docker manifest inspect failed"]
        raise Problem("image %s:%s is not to be had: %s" % (image, tag, said[0]))
    found = json.loads(done.stdout)
    found = found if isinstance(found, list) else [found]
    wanted = ARCHITECTURES.get(architecture, architecture)
    for manifest in found:
        platform = manifest["Descriptor"].get("platform") or {}
        if platform.get("architecture", wanted) == wanted and platform.get("os", "linux") == "linux":
            return {"digest": manifest["Descriptor"]["digest"]}
    raise Problem("image %s:%s is for another architecture than %s: build it with PLATFORM=linux/%s" % (
        image, tag, architecture, wanted))


def is_insecure(registry, engine):
    """Whether the engine speaks with that registry without TLS, or does not check it."""
    if registry in engine.get("insecure", ()):
        return True
    import ipaddress  # only here: it takes long to load
    try:
        address = ipaddress.ip_address(registry.rpartition(":")[0] or registry)
    except ValueError:
        return registry.partition(":")[0] == "localhost"
    return any(address in ipaddress.ip_network(network) for network in engine.get("insecure_networks") or ())


def image_id(host, reference):
    """The id of an image that is here, or ""."""
    done = host.docker("image", "inspect", "--format", "{{.Id}}", reference, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def pull(host, image, tag, digest, credentials="", reference=""):
    """Pull by digest (from `reference` instead of `image`, where that is elsewhere), and tag it; the image's id."""
    source = "%s@%s" % (reference or image, digest)
    with login(host, registry_of(reference or image), credentials) as env:
        host.docker("pull", "--quiet", source, timeout=1800, env=env)
    found = image_id(host, source)
    if not found:
        raise Problem("%s was pulled and is not there" % source)
    host.docker("tag", found, "%s:%s" % (image, tag))
    if reference:
        host.docker("rmi", "--no-prune", source)  # the name alone
    return found


def content(host, image, path):
    """The text of a file below the image's working folder, or None."""
    folder = contents.folder(host, image)
    if folder is None:
        return None
    with contents.opened(host, image) as container:
        return contents.text(host, container, "%s/%s" % (folder, path))


def needed(host):
    """Ids of the images that TAG, REVERT, a slot or an attempt need."""
    found = [releases.read_tag(host.tag), releases.read_tag(host.revert), releases.read_attempt(host)]
    found += [slots.release_in(host, slot) for slot in ("a", "b", "beat")]
    return {release.get("image_id") for release in found if release}


def prune(host, image, keep=()):
    """Remove this app's images that nothing needs; their names."""
    form = "{{.ID}} {{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    rows = [line.split(" ") for line in host.docker(
        "image", "ls", "--no-trunc", "--digests", "--format", form, image).stdout.splitlines()]
    kept, gone = needed(host) | set(keep), []
    for found, name, by_digest in rows:
        if found in kept:
            continue
        reference = name if not name.endswith(":<none>") else by_digest
        if reference not in gone and host.docker("rmi", reference, check=False, timeout=300).returncode == 0:
            gone.append(reference)
    disk.sync_folder(host.var)
    return gone
