"""The configuration file, its defaults and its errors."""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from pydantic.alias_generators import to_pascal

Milliseconds = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Token = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]  # what a header can hold
LABELS = re.compile(r"(?=.{1,253}\Z)([\w-]{1,63}\.)*[\w-]*[^\W\d][\w-]*\.?")  # the last one is no number


def host(text: str) -> str:
    """Refuse what is neither an address nor a host's name. To asyncio, "" and "0" would mean this machine."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if LABELS.fullmatch(text) if address is None else not address.is_unspecified:
        return text
    raise ValueError("write the host's name or address, without a port")


class Faults(Exception):
    """The configuration is wrong. The message has one line for each error."""


class Shape(BaseModel):
    """Base class of the configuration. In the file, the key of carbon_host is CarbonHost. Unknown keys are errors."""

    model_config = ConfigDict(alias_generator=to_pascal, extra="forbid", frozen=True)


class Endpoint(Shape):
    """A site to ask, and what becomes of its figures."""

    url: HttpUrl = Field(alias="URL")
    prefix: Name
    failure_metric: Name | None = None
    token: Token | None = None
    ignore: tuple[Name, ...] = ()
    rename: dict[str, Name] = {}


def at_least_one(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    if endpoints:
        return endpoints
    raise ValueError("name at least one")


class Config(Shape):
    """The configuration file. `check_interval` and `timeout` are in ms; `buffer` is a number of lines."""

    carbon_host: Annotated[str, AfterValidator(host)] = "127.0.0.1"
    carbon_port: int = Field(2003, ge=1, le=65535)
    check_interval: Milliseconds = 10000
    timeout: Milliseconds = 2000
    buffer: int = Field(100_000, ge=1)
    listen: str | None = Field(None, pattern=r".:\d{1,5}$")
    endpoint: Annotated[tuple[Endpoint, ...], AfterValidator(at_least_one)]


def load(path: Path) -> Config:
    try:
        return Config.model_validate(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        faults = [f"{path}: {where(fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise Faults("\n".join(faults)) from error
    except (OSError, ValueError) as error:
        raise Faults(f"{path}: {error}") from error


def where(keys: tuple[int | str, ...]) -> str:
    return " ".join(str(key + 1 if isinstance(key, int) else key) for key in keys)
