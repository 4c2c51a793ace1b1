"""The options of each type of sink, and of all of them; `config.example.toml` explains each.

A default that is written here is written in `config.example.toml` too: a test compares them.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.config.addresses import split_endpoint
from gateway.config.fields import Listed, Seconds, Size, Text
from gateway.config.secrets import CertificateOption, KeyOption, SecretOption, SigningSecrets
from gateway.config.sections import KIB, MIB, Section
from gateway.config.wording import shown, wrong

PersonalField = Literal[
    "user_id",
    "name",
    "job_number",
    "ic_number",
    "id_number",
    "remark",
    "description",
    "temperature",
    "mask",
    "score",
    "groups",
    "guest_time",
    "gender",
    "age",
    "age_range",
    "gender_seen",
    "pacs",
]

_NEVER = {
    "pin": "a PIN is never kept, so it cannot be sent",
    "password": "a password is never kept, so it cannot be sent",
    "wifi_password": "a Wi-Fi key is never kept, so it cannot be sent",
    "wifipassword": "a Wi-Fi key is never kept, so it cannot be sent",
    **dict.fromkeys(
        ("picture", "pictures", "image", "photo", "rgb_image", "alarm_photo", "snapshot", "face"),
        "pictures of people never leave the gateway, so they cannot be sent",
    ),
}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1000}[\x21-\x7e])?")
_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|passw|api-?key", re.IGNORECASE)
_OUR_HEADERS = re.compile(
    r"host|connection|transfer-encoding|te|upgrade|expect|idempotency-key|content-.*|webhook-.*|ce-.*",
    re.IGNORECASE,
)


def _personal(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in _NEVER:
        raise wrong(_NEVER[value.lower()], allowed=", ".join(get_args(PersonalField)))
    return value


def _mqtt_version(value: Any) -> Any:
    return {5: "5", 3: "3.1.1", "3": "3.1.1", "5.0": "5"}.get(value, value) if _is_plain(value) else value


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _topic(value: str) -> str:
    if not value or re.search(r"[#+$\s\x00-\x1f\x7f]", value) or "" in value.split("/"):
        raise wrong(
            f"{shown(value)} is not a topic to put others under",
            allowed='words with "/" between them, without white space and # + $',
        )
    return value


def _mqtt_endpoint(value: str) -> str:
    parts = split_endpoint(value, ("mqtts", "mqtt"), '"mqtts://host:8883" or "mqtt://host:1883"')
    if parts.path not in {"", "/"} or parts.query:
        raise wrong(
            f"{shown(value)} has a path, and MQTT has none",
            suggestion='take it out; the topics begin with the option "base"',
        )
    return value


def _https_endpoint(value: str) -> str:
    split_endpoint(value, ("https", "http"), '"https://host/path"')
    return value


def _headers(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
            raise wrong(f"the header {shown(name)} has a name or a value that HTTP does not allow")
        if _SECRET_HEADER.search(name):
            raise wrong(
                f"the header {shown(name)} holds a secret, and this file is not the place for one",
                suggestion="put a bearer token in a file and name the file in bearer_file",
            )
        if _OUR_HEADERS.fullmatch(name):
            raise wrong(f"the header {shown(name)} is set by the gateway itself")
    return value


class SinkSection(Section):
    """What every sink has. ``order`` has another default for each type."""

    enabled: bool = True
    start: Literal["oldest", "now"] = "oldest"
    rate_per_s: float = Field(default=2000.0, ge=0, le=1_000_000, allow_inf_nan=False)
    personal: Annotated[tuple[Annotated[PersonalField, BeforeValidator(_personal)], ...], Listed] = ()
    backoff_max_s: Seconds = Field(default=300.0, ge=1, le=86_400)
    ca_file: CertificateOption = None
    cert_file: CertificateOption = None
    key_file: KeyOption = None


class MqttSection(SinkSection):
    type: Literal["mqtt"]
    endpoint: Annotated[str, AfterValidator(_mqtt_endpoint)]
    order: Literal["live_first", "strict"] = "live_first"
    version: Annotated[Literal["5", "3.1.1"], BeforeValidator(_mqtt_version)] = "5"
    base: Annotated[Text, AfterValidator(_topic)] = "gateway"
    username: Text | None = None
    password_file: SecretOption = None
    client_id: Annotated[Text, Field(min_length=1)] | None = None  # `Config.client_id` says which one is used
    keepalive_s: int = Field(default=30, ge=5, le=65_535)
    window: int = Field(default=500, ge=1, le=10_000)
    inflight: int = Field(default=100, ge=1, le=10_000)
    max_packet_bytes: Size | None = Field(default=None, ge=KIB)
    timeout_s: Seconds = Field(default=30.0, gt=0, le=600)

    @property
    def tls(self) -> bool:
        return urlsplit(self.endpoint).scheme == "mqtts"

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.endpoint).port or (8883 if self.tls else 1883)


class HttpsSection(SinkSection):
    type: Literal["https"]
    endpoint: Annotated[str, AfterValidator(_https_endpoint)]
    order: Literal["live_first", "strict"] = "strict"
    secret_file: SigningSecrets = ()
    bearer_file: SecretOption = None
    headers: Annotated[Mapping[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    batch: int = Field(default=1, ge=1, le=1000)
    batch_bytes: Size = Field(default=256 * KIB, ge=KIB, le=16 * MIB)
    gzip: bool = True
    timeout_s: Seconds = Field(default=20.0, gt=0, le=600)
    window: int = Field(default=500, ge=1, le=10_000)
    insecure_http: bool = False

    @property
    def tls(self) -> bool:
        return urlsplit(self.endpoint).scheme == "https"


AnySink = Annotated[MqttSection | HttpsSection, Field(discriminator="type")]
SINK_TYPES: Mapping[str, type[MqttSection | HttpsSection]] = {"mqtt": MqttSection, "https": HttpsSection}
