"""Takes callbacks of clouds: requests out of the internet, which must show a header before anything of them is read.

They come through a reverse proxy or a tunnel, so the address says nothing about who sent them; the header does. What
it holds is a secret of ours: it is taken out of everything before a source or a letter sees it.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import structlog

from gateway.faults import Faults
from gateway.guard import Request, Response
from gateway.intake import Intake
from gateway.outbox import Outbox
from gateway.receiver import Receiver, Reception
from gateway.source import Post, Reading, Source

log = structlog.get_logger()

_MASK = "***"
_WORD_MIN = 8  # the part behind "token " or "Bearer " is as secret as the whole
_NO = b"This port takes callbacks with the right header only.\n"


@dataclass(frozen=True, slots=True)
class Key:
    """The header that every callback must have, and the values that it may have."""

    header: str
    values: tuple[str, ...] = field(repr=False)

    def objection(self, headers: Mapping[str, str]) -> str | None:
        """Say what is wrong with the header, or None; takes the same time for every wrong value."""
        given = headers.get(self.header.lower())
        if given is None:
            return f"it has no header {self.header}"
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        fits = [hmac.compare_digest(digest, hashlib.sha256(value.encode()).digest()) for value in self.values]
        return None if any(fits) else f"its header {self.header} has another value than secret_file says"

    def without(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Give the headers but for the secret one."""
        return {name: value for name, value in headers.items() if name != self.header.lower()}

    def masked(self, body: bytes) -> bytes:
        """Take the secret out of a body: news about a callback may quote the header that it sends."""
        for secret in self._spellings():
            body = body.replace(secret, _MASK.encode())
        return body

    def _spellings(self) -> set[bytes]:
        secrets = set(self.values) | {value.split()[-1] for value in self.values}
        spelt = {word for word in secrets if len(word) >= _WORD_MIN}
        spelt |= {json.dumps(word)[1:-1] for word in spelt}
        spelt |= {word.replace("/", "\\/") for word in spelt}
        return {word.encode() for word in spelt}


class Callbacks(Receiver):
    """Answers every request on the callbacks port: any path, POST and PUT, in the dialect of its sources."""

    vouched = True  # it showed the header
    port = "callbacks"

    def __init__(
        self, outbox: Outbox, intake: Intake, reception: Reception, faults: Faults, key: Key
    ) -> None:
        super().__init__(outbox, intake, reception, faults)
        self.key = key
        self.unauthorised = 0

    def screen(self, headers: Mapping[str, str], address: str) -> Response | None:
        """Refuse a request by its head alone when it does not show the header."""
        objection = self.key.objection(headers)
        if objection is None:
            return None
        self.unauthorised += 1
        via = forwarded_for(headers)
        who = f"{address} (forwarded for {via})" if via else address or "a connection"
        sentence = f"A callback from {who} was refused: {objection}."
        if self._faults.report("callback_unauthorised", address, sentence):
            log.warning("callback_unauthorised", sender=address, forwarded_for=via, reason=objection)
        return Response(401, _NO, headers={"www-authenticate": "Token", "connection": "close"})

    async def handle(self, request: Request) -> Response | None:
        """Answer one request whose header was right."""
        key = self.key
        request = replace(
            request,
            headers=key.without(request.headers),
            body=key.masked(request.body),
            path=key.masked(request.path.encode()).decode(),
            query=key.masked(request.query.encode()).decode(),
        )
        if request.method in {"POST", "PUT"} and not request.body.strip(b"\0 \t\r\n"):
            self.counters.posts += 1
            reply = await self._keep_letter(self._post(request), None, "the callback is empty")
            return Response(reply.status or 503, reply.body, reply.content_type)
        return await super().handle(request)

    def _visit(self, request: Request) -> Response:
        self.visits.show(request, self.reception.tokens)
        return Response(405, b"Send callbacks with POST or PUT.\n", "text/plain", {"allow": "POST, PUT"})

    def _note_sender(self, post: Post, source: Source, reading: Reading) -> None:
        """Remember no address: all callbacks come from the proxy's."""


def forwarded_for(headers: Mapping[str, str]) -> str:
    """Give the address that the proxy says it was called from, to be shown and for nothing else.

    The last one: it was written by the proxy itself, the ones before it by whoever called.
    """
    last = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    last = last.partition("%")[0]  # the zone of an address may be any words, and is of use on one box only
    try:
        return str(ip_address(last))
    except ValueError:
        return ""
