"""Builds and signs one request: the text that is signed is the text that is sent, to the byte."""

import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import quote

from gateway.source import Ask

ROOT = "/service/api/v1/"
_TIMEOUT_S = 30.0


def signature(secret: str, target: str) -> str:
    """Sign path and query with the secret key."""
    return hmac.new(secret.encode(), target.encode("ascii"), hashlib.sha512).hexdigest()


@dataclass(frozen=True, slots=True)
class Keys:
    """The two keys of an account; neither may be shown, logged or sent elsewhere."""

    public: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def mark(self) -> str:
        """Name the public key without showing it: what shares this mark shares nonce and spacing."""
        return "camlytics_cloud:" + hashlib.blake2b(self.public.encode(), digest_size=8).hexdigest()

    def ask(self, method: str, **query: int | str | None) -> Ask:
        """Make the request for one method; parameters without a value are left out."""
        pairs = (f"{name}={quote(str(value), safe='')}" for name, value in query.items() if value is not None)
        target = f"{ROOT}{method}?{'&'.join(pairs)}"
        headers = {
            "X-Key": self.public,
            "X-Sign": signature(self.secret, target),
            "Accept": "application/json",
        }
        return Ask(target=target, headers=headers, timeout_s=_TIMEOUT_S)

    def masked(self, said: str) -> str:
        """Take both keys out of a text that the cloud sent."""
        for key in (self.public, self.secret):
            said = said.replace(key, "***")
        return said
