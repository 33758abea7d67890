import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from pydantic.alias_generators import to_pascal

NAME = re.compile(r"[A-Za-z0-9_\-%:#]+(\.[A-Za-z0-9_\-%:#]+)*")  # a metric name that Graphite accepts


class Faults(Exception):
    """The configuration is wrong. The message has one line for each error."""


def metric(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no metric name: use letters, digits, _-%:# and single dots between")
    return text


def address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (host and re.fullmatch(r"\d{1,5}", port) and int(port) < 65536):
        raise ValueError('should be IP:PORT, such as "127.0.0.1:8126"')
    if host != "localhost":
        ip_address(host.strip("[]"))
    return text


Metric = Annotated[str, AfterValidator(metric)]
Milliseconds = Annotated[int, Field(ge=1)]


class Shape(BaseModel):
    """Base class of the configuration. In the file, the key of carbon_host is CarbonHost, or its own name. Unknown keys
    are errors."""

    model_config = ConfigDict(alias_generator=to_pascal, populate_by_name=True, extra="forbid", frozen=True)


class Endpoint(Shape):
    url: HttpUrl = Field(alias="URL")
    prefix: Metric
    failure_metric: Metric | None = None
    socket: Path | None = None
    token: str | None = None
    ignore: tuple[str, ...] = ()


class Config(Shape):
    """The configuration file. `check_interval`, `timeout` and `resend` are in ms; `buffer` is a number of lines."""

    carbon_host: str = "127.0.0.1"
    carbon_port: int = Field(2003, ge=1, le=65535)
    check_interval: Milliseconds = 10000
    timeout: Milliseconds = 2000
    buffer: int = Field(100_000, ge=1)
    resend: int = Field(10_000, ge=0)
    listen: Annotated[str, AfterValidator(address)] | None = None
    endpoint: tuple[Endpoint, ...]


def load(path: Path) -> Config:
    try:
        return Config.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise Faults(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Faults(f"{path}: {error}") from error
    except ValidationError as error:
        faults = [f"{path}: {where(fault['loc'])}: {told(fault['msg'])}" for fault in error.errors()]
        raise Faults("\n".join(faults)) from error


def where(keys: tuple[int | str, ...]) -> str:
    return " ".join(str(key + 1 if isinstance(key, int) else key) for key in keys)


def told(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Extra inputs are not permitted", "no such key")
