"""What every callback of Camio has around its content, and which camera or system it speaks of."""

import hashlib
import json
import re
from dataclasses import dataclass

from gateway.errors import Unreadable
from gateway.event import Device, Json, device_id
from gateway.reading.json_body import read_json
from gateway.sources.camio.parting import part
from gateway.sources.camio.texts import sentence, text, thing_name

SOURCE = "camio"
FAMILY = "camio"
_ID_MAX = 128
_TYPE_MAX = 64
_NAME_MAX = 128
_NOWHERE = "cloud"  # a callback that names neither a camera nor a domain
# The repeats are possessive: a hostile run of white space must not be looked at twice.
_TYPED = re.compile(rb'"type"\s*+:\s*+"[a-z_]++(?:(?>\.[a-z_]++))++"')
_NO_WORD = re.compile(r"[^a-z0-9]+")
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_EDGE = b"\xef\xbb\xbf\0 \t\r\n"


@dataclass(frozen=True, slots=True)
class Callback:
    """One callback, opened."""

    id: str  # Camio's own; "" when it has none
    identity: str  # what tells it from others: the id, or what it says
    type: str
    content: dict[str, Json]  # data.object
    account: frozenset[str]  # words that name the person whose account it is
    repaired: bool

    @property
    def word(self) -> str:
        """Give the type as one of our words: camera_created."""
        return _NO_WORD.sub("_", self.type.lower()).strip("_") or "unknown"


def is_ours(body: bytes) -> bool:
    """Say by a look at the bytes whether this is Camio's envelope: a type with a dot in it, and an object in data."""
    return body[:64].lstrip(_EDGE).startswith(b"{") and b'"data"' in body and _TYPED.search(body) is not None


def open_callback(body: bytes) -> Callback:
    """Read the envelope, or raise `Unreadable`."""
    said, repaired = read_json(body)
    if not isinstance(said, dict):
        raise Unreadable("the callback is not a JSON object")
    kind = sentence(said.get("type"))[:_TYPE_MAX]
    if not kind:
        raise Unreadable('the callback has no "type"')
    data = said.get("data")
    if not isinstance(data, dict):
        raise Unreadable('the "data" of the callback is missing or is not an object')
    inner = data.get("object", data)
    if not isinstance(inner, dict):
        raise Unreadable('the "data.object" of the callback is not an object')
    number = text(said.get("id"), _ID_MAX)
    return Callback(
        id=number if _PLAIN_ID.fullmatch(number) else "",
        identity=number or _digest(kind, inner),
        type=kind,
        content=inner,
        account=_account(inner.get("user")),
        repaired=repaired,
    )


def _digest(kind: str, inner: dict[str, Json]) -> str:
    # Of what may be known of it only: whoever knows the rest could find a person's number by trying.
    said = part(
        {name: value for name, value in inner.items() if name != "events"}, kind.partition(".")[0]
    ).open
    return hashlib.blake2b(json.dumps([kind, said], sort_keys=True).encode(), digest_size=10).hexdigest()


def _account(user: Json) -> frozenset[str]:
    if not isinstance(user, dict):
        return frozenset()
    words = (text(user.get(name)) for name in ("email", "user_id"))
    return frozenset(word for word in words if len(word) > 5)


def camera_of(callback: Callback, name: Json) -> Device:
    """Give the device for a camera; one without a usable name belongs to its domain."""
    named = thing_name(name, callback.account)[:_NAME_MAX]
    if not named:
        return system_of(callback)
    return Device(id=_id(serial=named), source=SOURCE, label=named, site=_domain(callback))


def system_of(callback: Callback) -> Device:
    """Give the device for the system behind a callback: its server, else the domain."""
    server = thing_name(callback.content.get("source_server"), callback.account)[:_NAME_MAX]
    named = server or _domain(callback)
    return Device(id=_id(label=named or _NOWHERE), source=SOURCE, label=named or None, site=_domain(callback))


def _domain(callback: Callback) -> str | None:
    return thing_name(callback.content.get("domain"), callback.account)[:_NAME_MAX] or None


def _id(*, serial: str | None = None, label: str | None = None) -> str:
    return device_id(FAMILY, serial=serial, mac=None, label=label, token=None, address="")
