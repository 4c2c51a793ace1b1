"""Standard Webhooks signatures: HMAC-SHA256 over id, timestamp and body.

The body that is signed is the JSON before compression: it is what a receiver's framework hands to the
verifier, and what a proxy that unpacks on the way leaves unchanged.
"""

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Decode one secret; the message of the error never repeats it."""
    if secret.startswith("whsk_"):
        raise ValueError("secrets: whsk_ is an Ed25519 key, which is not supported; use a whsec_ secret")
    if not secret.startswith(_PREFIX):
        raise ValueError("secrets: a signing secret starts with whsec_")
    text = secret.removeprefix(_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("secrets: what follows whsec_ is not Base64; copy the secret again") from error
    if not 24 <= len(key) <= 64:
        raise ValueError(f"secrets: a signing secret has 24 to 64 bytes, this one has {len(key)}")
    return key


class Signer:
    """Signs with every secret it was given, so that a secret can be changed without a gap."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._keys = tuple(key_of(secret) for secret in secrets)

    def headers(self, request_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """Give the headers of one attempt; without a secret only id and timestamp."""
        headers = {
            "webhook-id": request_id,
            "webhook-timestamp": str(timestamp),
            "idempotency-key": request_id,
        }
        if self._keys:
            start = f"{request_id}.{timestamp}.".encode("ascii")
            headers["webhook-signature"] = " ".join(_v1(key, start, body) for key in self._keys)
        return headers


def _v1(key: bytes, start: bytes, body: bytes) -> str:
    mac = hmac.new(key, start, hashlib.sha256)
    mac.update(body)
    return "v1," + base64.b64encode(mac.digest()).decode("ascii")
