"""The options of a face terminal whose push setting is looked after; `config.example.toml` explains each."""

from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.addresses import split_endpoint
from gateway.config.fields import Seconds
from gateway.config.sections import DAY_S, Section
from gateway.config.wording import shown, wrong

_LONGEST_DEST = 1024  # the maker's own limit


def _endpoint(value: str) -> str:
    parts = split_endpoint(value, ("http", "https"), '"http://192.168.1.50" or "http://192.168.1.50:80"')
    if parts.path not in {"", "/"} or parts.query:
        raise wrong(
            f"{shown(value)} has a path, and the gateway adds the path itself",
            suggestion=f'write "{parts.scheme}://{parts.netloc}"',
        )
    return value.rstrip("/")


def _dest(value: str) -> str:
    split_endpoint(value, ("http", "https"), '"http://192.168.1.10:8088/Record"')
    if len(value) > _LONGEST_DEST:
        raise wrong(f"this is longer than the {_LONGEST_DEST} characters that a terminal takes")
    return value


class TerminalSection(Section):
    endpoint: Annotated[str, AfterValidator(_endpoint)]
    check_s: Seconds = Field(default=0.0, ge=0, le=DAY_S)
    reapply: bool = False
    event_dest: Annotated[str, AfterValidator(_dest)] | None = None
    ping: bool = False
