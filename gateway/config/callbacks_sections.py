"""The options of the callbacks port; `config.example.toml` explains each."""

import re
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator

from gateway.config.addresses import CheckedNetwork, ListenHost, Network
from gateway.config.fields import Listed, NotEmpty, Seconds, Size
from gateway.config.secrets import SecretFile, secret_files
from gateway.config.sections import KIB, MIB, Section
from gateway.config.wording import shown, shown_path, wrong

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_TAKEN = frozenset({
    "host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding", "te", "upgrade",
    "expect", "user-agent", "accept", "x-forwarded-for",
})  # fmt: skip
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_SHORTEST = 16
_LONGEST = 1024


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise wrong(f"{shown(value)} is not the name of a header", allowed='a name such as "Authorization"')
    if value.lower() in _TAKEN:
        raise wrong(
            f"every request has a header {shown(value)}, so it proves nothing",
            suggestion='write "Authorization"',
        )
    return value


def _header_secrets(names: Any) -> tuple[SecretFile, ...]:
    listed = secret_files(names)
    if not listed:
        raise wrong("an empty list lets nobody in; leave the option out and set enabled = false instead")
    for item in listed:
        if not _VALUE.fullmatch(item.reveal()) or not _SHORTEST <= len(item.reveal()) <= _LONGEST:
            raise wrong(
                f"{shown_path(item.path)} does not hold a value for a header that nobody can guess",
                allowed=f'{_SHORTEST} to {_LONGEST} characters of ASCII without a blank at the ends, such as "token " '
                "and 32 random characters",
            )
    return listed


def _names_of(files: tuple[SecretFile, ...]) -> list[str]:
    return [file.name for file in files]


def _loopback() -> tuple[Network, ...]:
    return ip_network("127.0.0.0/8"), ip_network("::1/128")


HeaderSecrets = Annotated[tuple[SecretFile, ...], PlainValidator(_header_secrets), PlainSerializer(_names_of)]


class CallbacksSection(Section):
    enabled: bool = False
    host: ListenHost = "127.0.0.1"
    port: int = Field(default=8089, ge=0, le=65_535)
    header: Annotated[str, AfterValidator(_header)] = "Authorization"
    secret_file: HeaderSecrets = ()
    allow: Annotated[tuple[CheckedNetwork, ...], Listed, NotEmpty] = Field(default_factory=_loopback)
    incident_quiet_s: Seconds = Field(default=3600.0, ge=60, le=7 * 86_400)
    connections: int = Field(default=64, ge=1, le=10_000)
    header_bytes: Size = Field(default=16 * KIB, ge=KIB, le=MIB)
    header_deadline_s: Seconds = Field(default=10.0, gt=0, le=300)
    keep_alive_s: Seconds = Field(default=75.0, gt=0, le=3600)
    body_deadline_s: Seconds = Field(default=30.0, gt=0, le=600)
    body_bytes: Size = Field(default=2_000_000, ge=KIB, le=64 * MIB)
    max_bodies_bytes: Size = Field(default=16 * MIB, ge=MIB, le=MIB * 1024)
