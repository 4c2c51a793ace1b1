"""What makes a request acceptable: signature, compression, and CloudEvents that are really CloudEvents."""

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from hmac import compare_digest, digest
from time import time
from typing import Any

from gateway.errors import GatewayError

_TOLERANCE_S = 300
_MOST_UNPACKED = 64 * 1024 * 1024
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class Malformed(GatewayError):
    """The request is not what it claims to be."""


def signature_holds(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> bool:
    """Say whether one of the signatures was made with one of the secrets, for this body, not long ago."""
    name, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not name or not moment.isascii() or not moment.isdigit() or abs(time() - int(moment)) > _TOLERANCE_S:
        return False
    signed = b".".join((name.encode("latin-1"), moment.encode("ascii"), body))
    offered = [part[3:] for part in headers.get("webhook-signature", "").split(" ") if part.startswith("v1,")]
    for secret in secrets:
        right = digest(base64.b64decode(secret.partition("_")[2]), signed, hashlib.sha256)
        for text in offered:
            try:
                if compare_digest(base64.b64decode(text, validate=True), right):
                    return True
            except binascii.Error:
                continue
    return False


def unpacked(body: bytes, encoding: str) -> bytes:
    """Undo the compression that the request names."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Malformed(f"content-encoding {encoding} is unknown")
    reader = zlib.decompressobj(wbits=31)
    try:
        plain = reader.decompress(body, _MOST_UNPACKED)
    except zlib.error as error:
        raise Malformed(f"this is not gzip: {error}") from error
    if not reader.eof or reader.unused_data:
        raise Malformed("the gzip body is cut off, too large, or followed by something else")
    return plain


def cloud_events(body: bytes, content_type: str) -> list[Mapping[str, Any]]:
    """Read a structured event or a batch of them."""
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        content = json.loads(body)
    except ValueError as error:
        raise Malformed(f"this is not JSON: {error}") from error
    if media_type == "application/cloudevents+json":
        content = [content]
    elif media_type != "application/cloudevents-batch+json" or not isinstance(content, list):
        raise Malformed(f"content-type {media_type} is not what the body is")
    for event in content:
        _check(event)
    return content


def _check(event: Any) -> None:
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise Malformed("this is not a CloudEvent 1.0")
    for name in ("id", "source", "type", "subject", "eventid", "revision", "sequence"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise Malformed(f"attribute {name} must be text")
    if not _TIME.fullmatch(str(event.get("time"))):
        raise Malformed("attribute time must be an instant")
    if event["id"] != f"{event['eventid']}:{event['revision']}" or not event["revision"].isdigit():
        raise Malformed("attribute id must be made of event id and revision")
    if event.get("datacontenttype") != "application/json" or not isinstance(event.get("data"), dict):
        raise Malformed("data must be a JSON object")
    for name in event:
        if not _ATTRIBUTE.fullmatch(name):
            raise Malformed(f"{name} cannot be the name of an attribute")
