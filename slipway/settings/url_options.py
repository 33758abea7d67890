"""Check the options of URLs, such as ?sslmode=require: a wrong one would be an error of each page, much later."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl


class Kind(NamedTuple):
    """The values that an option may have, as a regular expression and as people read it."""

    pattern: str
    text: str


def choice(*words: str) -> Kind:
    return Kind("|".join(map(re.escape, words)), f"one of {', '.join(words)}")


NUMBER = Kind("[0-9]{1,9}", "a whole number")
COUNT = Kind("[1-9][0-9]{0,8}", "a whole number above 0")
SECONDS = Kind(r"(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?", "a number of seconds above 0")
FLAG = Kind("(?i:true|false)", "true or false")
SWITCH = choice("0", "1")
WORD = Kind(r"\S+", "a text without spaces")
TEXT = Kind(r"[\s\S]+", "a text")
FILE = Kind(r"[\s\S]+", "the path of a file that can be read")

TLS = {
    "ssl_ca_certs": FILE,
    "ssl_cert_reqs": choice("none", "optional", "required"),
    "ssl_certfile": FILE,
    "ssl_check_hostname": FLAG,
    "ssl_keyfile": FILE,
}
UNIX = {
    "client_name": WORD,
    "db": NUMBER,
    "health_check_interval": NUMBER,
    "max_connections": COUNT,
    "protocol": choice("2", "3"),
    "retry_on_timeout": FLAG,
    "socket_connect_timeout": SECONDS,
    "socket_timeout": SECONDS,
}
REDIS = {**UNIX, "socket_keepalive": FLAG}
# By scheme; of redis-py's options those for a cache, any other would be an error of each page that uses the cache.
CACHE = {"redis": REDIS, "rediss": {**REDIS, **TLS}, "unix": UNIX}
AMQP = {"heartbeat": NUMBER, "login_method": choice("PLAIN", "AMQPLAIN", "EXTERNAL")}
# Celery knows these by other words, too.
CELERY_TLS = {
    **TLS,
    "ssl_cert_reqs": choice("none", "optional", "required", "CERT_NONE", "CERT_OPTIONAL", "CERT_REQUIRED"),
}
BROKER = {
    "redis": CELERY_TLS,
    "rediss": CELERY_TLS,
    "redis+socket": {"virtual_host": NUMBER},
    "amqp": AMQP,
    "amqps": AMQP,
}

SQLITE = {
    "cached_statements": NUMBER,
    "init_command": TEXT,
    "timeout": SECONDS,
    "transaction_mode": choice("DEFERRED", "IMMEDIATE", "EXCLUSIVE"),
}
PROTOCOLS = choice("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
# Options of Django or its driver, which libpq does not know.
DJANGO = {
    "assume_role": WORD,
    "currentSchema": TEXT,
    "isolation_level": choice("1", "2", "3", "4"),
    "pool": TEXT,  # service_urls checks it
    "prepare_threshold": NUMBER,
    "server_side_binding": FLAG,
}
POSTGRES = {
    **DJANGO,
    **dict.fromkeys(("connect_timeout", "tcp_user_timeout"), NUMBER),
    **dict.fromkeys(("keepalives_count", "keepalives_idle", "keepalives_interval"), NUMBER),
    **dict.fromkeys(("keepalives", "sslcompression", "sslsni"), SWITCH),
    **dict.fromkeys(("ssl_max_protocol_version", "ssl_min_protocol_version"), PROTOCOLS),
    **dict.fromkeys(("sslcert", "sslcrl", "sslkey", "sslrootcert"), FILE),
    **dict.fromkeys(("channel_binding", "gssencmode"), choice("disable", "prefer", "require")),
    "load_balance_hosts": choice("disable", "random"),
    "port": NUMBER,
    "sslmode": choice("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": choice("postgres", "direct"),
    "target_session_attrs": choice("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}


def check(query: str, kinds: Mapping[str, Kind], others: bool = False) -> None:
    """Raise ValueError if an option is none of `kinds`, is given twice, or has a value of another kind. With `others`,
    unknown options may be there. The text quotes no value, nor an unknown name: either may be a part of a password."""
    options = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in options]
    if not others and not {*names} <= {*kinds}:
        raise ValueError(
            f"has an option that is none of {', '.join(sorted(kinds))}" if kinds else "has options: remove ?…"
        )
    for name, value in options:
        kind = kinds.get(name, TEXT)
        fits = re.fullmatch(kind.pattern, value) and (kind is not FILE or value == "system" or os.path.isfile(value))
        if not fits or names.count(name) > 1:
            known = f"the option {name}" if name in kinds else "an option"
            raise ValueError(f"has {known} twice" if fits else f"has {known} that is not {kind.text}")
