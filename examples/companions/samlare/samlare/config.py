"""The configuration file, its defaults and its errors."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from pydantic.alias_generators import to_pascal

Milliseconds = Annotated[int, Field(ge=1)]


class Faults(Exception):
    """The configuration is wrong. The message has one line for each error."""


class Shape(BaseModel):
    """Base class of the configuration. In the file, the key of carbon_host is CarbonHost. Unknown keys are errors."""

    model_config = ConfigDict(alias_generator=to_pascal, extra="forbid", frozen=True)


class Endpoint(Shape):
    """A site to ask, and what becomes of its figures."""

    url: HttpUrl = Field(alias="URL")
    prefix: str
    failure_metric: str | None = None
    token: str | None = None
    ignore: tuple[str, ...] = ()
    rename: dict[str, str] = {}


class Config(Shape):
    """The configuration file. `check_interval` and `timeout` are in ms; `buffer` is a number of lines."""

    carbon_host: str = "127.0.0.1"
    carbon_port: int = Field(2003, ge=1, le=65535)
    check_interval: Milliseconds = 10000
    timeout: Milliseconds = 2000
    buffer: int = Field(100_000, ge=1)
    listen: str | None = Field(None, pattern=r".:\d{1,5}$")
    endpoint: tuple[Endpoint, ...]


def load(path: Path) -> Config:
    try:
        return Config.model_validate(tomllib.loads(path.read_text()))
    except ValidationError as error:
        faults = [f"{path}: {where(fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise Faults("\n".join(faults)) from error
    except (OSError, ValueError) as error:
        raise Faults(f"{path}: {error}") from error


def where(keys: tuple[int | str, ...]) -> str:
    return " ".join(str(key + 1 if isinstance(key, int) else key) for key in keys)
