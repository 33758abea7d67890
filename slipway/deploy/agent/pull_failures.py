"""Says what to do if an image cannot be pulled, by the words of Docker and the registry. docker-service, in sh, tells
the same causes apart for the images of services."""

from __future__ import annotations

import re

# Words in Docker's error → what to do; the first that fits counts, as a name server may be "denied", too.
CURES = (
    (r"no space left|quota exceeded", "the disk is full: free some space there"),
    (
        r"no such host|server misbehaving|name resolution|lookup \S+( on \S+)?: ",
        "the name {registry} cannot be resolved there: check the name, and the server's DNS",
    ),
    (r"toomanyrequests|rate limit", "{registry} allows no more pulls for now: wait, or log in"),
    (r"access denied.* does not exist", "there is no such image, or no access to it: check its name and the login"),
    (
        r"unauthorized|denied|forbidden|authentication required|no basic auth",
        "{registry} gives no access: set registry.login, or run docker login there as root",
    ),
    (r"x509|certificate|tls: |http response to https", "TLS with {registry} fails: check its certificate and address"),
    (
        r"time-?out|timed out|deadline exceeded|refused|unreachable|no route|reset by peer|broken pipe|\beof\b"
        "|proxyconnect",
        "{registry} cannot be reached from there: check network, firewall and proxy",
    ),
    (r"not found|unknown|no such image|does not exist", "there is no such image: push it, or check its name"),
)


def cure(why: str, registry: str) -> str:
    """Return what to do, or "" if the cause is none of these."""
    texts = (text for words, text in CURES if re.search(words, why, re.IGNORECASE))
    return next(texts, "").format(registry=registry)
