"""Who may ask: the signature over the very bytes, a nonce that rises, one request per second."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

_SPACING_S = 1.0
_LARGEST_NONCE = 2**31 - 1  # the vendor's older text gives the parameter the format int32


@dataclass(slots=True)
class Gate:
    """The keys of an account and what was seen of each."""

    keys: Mapping[str, str]  # public: secret
    spacing_s: float = _SPACING_S
    busy_status: int = 429
    asked: int = 0
    throttled: int = 0
    refused: int = 0
    nonces: dict[str, list[int]] = field(default_factory=dict)
    _last: dict[str, float] = field(default_factory=dict)

    def verdict(self, target: str, headers: Mapping[str, str], now: float) -> tuple[int, int, str] | None:
        """Say why a request is refused, as (HTTP status, code, text); None lets it pass."""
        self.asked += 1
        found = self._wrong(target, headers, now)
        if found is not None:
            self.refused += found[0] != self.busy_status
            self.throttled += found[0] == self.busy_status
        return found

    def _wrong(self, target: str, headers: Mapping[str, str], now: float) -> tuple[int, int, str] | None:
        public = headers.get("x-key", "")
        secret = self.keys.get(public)
        if secret is None:
            return 401, 401, "Invalid API key"
        right = hmac.new(secret.encode(), target.encode("latin-1"), hashlib.sha512).hexdigest()
        if not hmac.compare_digest(right, headers.get("x-sign", "")):
            return 403, 403, f"Signature {headers.get('x-sign', '')} does not match for key {public}"
        last = self._last.get(public)
        if last is not None and now - last < self.spacing_s:
            return self.busy_status, self.busy_status, "Too many requests"
        self._last[public] = now
        return self._nonce(public, target)

    def _nonce(self, public: str, target: str) -> tuple[int, int, str] | None:
        given = dict(parse_qsl(target.partition("?")[2])).get("nonce", "")
        if not given.isascii() or not given.isdigit() or int(given) > _LARGEST_NONCE:
            return 400, 12, "nonce must be an integer"
        seen = self.nonces.setdefault(public, [])
        if seen and int(given) <= seen[-1]:
            return 200, 13, "Nonce must be greater than previous one"
        seen.append(int(given))
        return None
