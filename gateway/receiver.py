"""Take a device's push: choose the source by the body, keep what it means, answer in its dialect.

The answer leaves after the commit and never before. What cannot be read is kept as a letter and
accepted: a refusal would make the device send it for ever and block what is behind it. What cannot be
stored is refused, so that the device keeps it.
"""

import hashlib
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

import structlog
from anyio import to_thread

from gateway import clock
from gateway.errors import StoreUnavailable, Unadopted, Unreadable
from gateway.faults import Faults
from gateway.guard import Request, Response
from gateway.intake import Intake, Kept
from gateway.outbox import Caller, Letter, Outbox
from gateway.redact import redact_body, redact_path, redact_query
from gateway.source import Post, Reading, Reply, Source

log = structlog.get_logger()

_GET_TEXT = (
    "This is the device port of the gateway {gateway}. It is alive.\n"
    "Devices send their pushes here with POST; type http://{host}{path} into the device's upload URL.\n"
)
_VISITORS = 50
# What a source notices about a device; it is gone when a push of the device comes without it.
_NOTICES = frozenset({"clock_missing", "clock_not_set", "window_without_length", "zone_disagrees"})
ALIVE_PATH = "/gateway-alive"  # the daemon asks itself whether its port answers
_ADDRESSES = 5_000
_FEW = 3
_IN_TURN_S = 900.0  # a lease that changed does not change back so soon
_LETTER_BYTES = (
    262_144  # a letter shows what came; megabytes would only fill the shelf, and masking them takes long
)


@dataclass(frozen=True, slots=True)
class Watched:
    """One push as `gateway tail` shows it: raw beside normalised, secrets masked."""

    post: Post
    source: str | None
    outcome: str
    reading: Reading | None

    @property
    def path(self) -> str:
        """Give the path for a person's eyes."""
        return _shown(self.post)

    def raw(self) -> str:
        """Give the body for a person's eyes."""
        return redact_body(self.post.body).decode("utf-8", "replace")


@dataclass(slots=True)
class Counters:
    """What came in since the start."""

    posts: int = 0
    events: int = 0
    duplicates: int = 0
    letters: int = 0
    refused: int = 0
    held: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """How pushes are understood; replaced as a whole when the configuration is reloaded."""

    sources: Sequence[Source]
    gateway_id: str
    zone: tzinfo | None = None
    paths: Mapping[str, str] = field(default_factory=dict)  # source name: the path that settles ties
    tokens: frozenset[str] = frozenset()


class Receiver:
    """Answers every request on the device port."""

    vouched = False  # True: who gets as far as here need not be adopted
    port = "devices"  # stands in the head of each letter, so that the right receiver reads it again

    def __init__(self, outbox: Outbox, intake: Intake, reception: Reception, faults: Faults) -> None:
        self.reception = reception
        self.counters = Counters()
        self.visitors: deque[dict[str, str]] = deque(maxlen=_VISITORS)
        self.watchers: list[Callable[[Watched], None]] = []
        self.visit_watchers: list[Callable[[Request], None]] = []
        self.last_post: float | None = None  # monotonic
        self._outbox = outbox
        self._intake = intake
        self._faults = faults
        # Which devices of a source were seen at an address: an alarm may come without a serial number.
        self._address_of: OrderedDict[str, tuple[str, str, float]] = OrderedDict()  # now, before, since when
        self._seen_at: OrderedDict[tuple[str, str], set[str]] = OrderedDict()

    def remember(self, source: str, address: str, device: str) -> None:
        """Note where a device was last seen; also used at the start, from the device book."""
        if "-at-" in device:
            return
        seen = self._seen_at.setdefault((source, address), set())
        if len(seen) < _FEW:  # only whether there is exactly one matters
            seen.add(device)
        self._seen_at.move_to_end((source, address))
        if len(self._seen_at) > _ADDRESSES:
            self._seen_at.popitem(last=False)

    async def handle(self, request: Request) -> Response | None:
        """Answer one request; None closes the connection without an answer."""
        if request.method in {"POST", "PUT"}:
            return _response(await self._push(request))
        return self._visit(request)

    # Pushes

    async def _push(self, request: Request) -> Reply:
        self.counters.posts += 1
        self.last_post = time.monotonic()
        if not request.body.strip(b"\0 \t\r\n"):
            self._show_visit(request)
            return Reply(400, b"The body is empty: the device sent nothing to keep.\n")
        post = self._post(request)
        source = self._choose(post)
        if source is None:
            return await self._keep_letter(post, None, _unknown(post))
        if post.address and (known := self._seen_at.get((source.name, post.address))) and len(known) == 1:
            post = self._post(request, known_device=next(iter(known)), at=post.received_at)
        try:
            reading = source.parse(post)
        except Unreadable as unreadable:
            return await self._keep_letter(post, source, str(unreadable))
        except Exception as bug:  # a bug of ours must not cost the device its data
            log.exception("source_failed", source=source.name, sender=post.address)
            return await self._keep_letter(post, source, f"the gateway failed on it ({type(bug).__name__})")
        return await self._keep(post, source, reading)

    async def read_again(self, letter: Letter) -> str | None:
        """Read a letter as if it came in now; None when its events were kept, else why not.

        Secrets and pictures were masked when the letter was written, so a body that was only unreadable
        because of them stays a letter.
        """
        head = letter.head
        post = Post(
            method=str(head.get("method", "POST")),
            path=str(head.get("path", "/")),
            query=str(head.get("query", "")),
            headers={"content-type": str(head.get("content_type", ""))},
            body=letter.body,
            address=letter.sender,
            received_at=datetime.fromtimestamp(letter.received / 1000, UTC),
            zone=self.reception.zone,
            token=self._token_of(head),
        )
        source = self._choose(post)
        if source is None:
            return "no source recognises it"
        known = self._seen_at.get((source.name, post.address), set())
        if len(known) == 1:
            post = replace(post, known_device=next(iter(known)))
        try:
            reading = source.parse(post)
            await self._intake.keep(
                reading.events,
                post.received_at,
                path=_shown(post),
                caller=self._caller(post, reading),
                unsynced=head.get("clock_unsynced") is True,
            )
        except Unreadable as unreadable:
            return str(unreadable)
        except StoreUnavailable:
            raise
        except Exception as bug:  # the same bug as the first time: the letter stays
            log.exception("source_failed", source=source.name, sender=post.address)
            return f"the gateway failed on it ({type(bug).__name__})"
        return None

    async def _keep(self, post: Post, source: Source, reading: Reading) -> Reply:
        if not reading.events and reading.reply is not None:
            self._tell(post, reading)
            self._watch(post, source, "declined", reading)
            return reading.reply
        try:
            kept = await self._intake.keep(
                reading.events,
                post.received_at,
                path=_shown(post),
                pictures=reading.pictures,
                caller=self._caller(post, reading),
            )
        except StoreUnavailable as error:
            return self._refuse(post, source, error)
        except Unreadable as unreadable:  # the store could not give it back as it is
            return await self._keep_letter(post, source, str(unreadable))
        except Exception as bug:  # a bug of ours must not cost the device its data
            log.exception("append_failed", source=source.name, sender=post.address)
            return await self._keep_letter(post, source, f"the gateway failed on it ({type(bug).__name__})")
        self._kept(post, source, reading, kept)
        return reading.reply or source.accepted(post)

    def _tell(self, post: Post, reading: Reading) -> None:
        """Report what the source noticed about the sender, and clear what it no longer notices."""
        subject = reading.events[0].device.id if reading.events else post.address
        noticed = {notice.code for notice in reading.notices}
        for code in _NOTICES - noticed:
            self._faults.clear(code, subject)
        for notice in reading.notices:
            self._faults.report(notice.code, subject, f"{subject}: {notice.sentence}", notice.action)

    def _kept(self, post: Post, source: Source, reading: Reading, kept: Kept) -> None:
        self.counters.events += kept.new
        self.counters.duplicates += kept.duplicates
        self.counters.held += kept.held
        self.counters.ignored += kept.ignored
        outcome = f"kept {kept.new}, known {kept.duplicates}"
        if kept.apart:  # a stranger must not change what is known and shown of the others
            outcome += f", ignored {kept.ignored}" if kept.ignored else f", held {kept.held}"
        else:
            self._tell(post, reading)
            self._note_sender(post, source, reading)
        self._watch(post, source, outcome, reading)

    def _caller(self, post: Post, reading: Reading) -> Caller | None:
        return None if self.vouched or reading.configured else Caller(post.address, post.token)

    def _note_sender(self, post: Post, source: Source, reading: Reading) -> None:
        for device in {event.device.id for event in reading.events}:
            self.remember(source.name, post.address, device)
            self._tell_shared(device, post.address)

    async def _keep_letter(self, post: Post, source: Source | None, reason: str) -> Reply:
        head = {
            "port": self.port,
            "method": post.method,
            "path": _shown(post),
            "token": _digest(post.token) if post.token else None,
            "query": redact_query(post.query),
            "content_type": post.headers.get("content-type", ""),
            "source": source.name if source else None,
            "bytes": len(post.body),
            "cut": len(post.body) > _LETTER_BYTES,
            "clock_unsynced": not clock.vouches(post.received_at),
        }
        try:
            await self._outbox.keep_letter(
                stage="parse",
                sender=post.address,
                reason=reason,
                received_at=post.received_at,
                head=head,
                # In a thread: masking megabytes of nonsense takes a second, and pushes must not wait for it.
                body=await to_thread.run_sync(redact_body, post.body[:_LETTER_BYTES]),
            )
        except StoreUnavailable as error:
            return self._refuse(post, source, error)
        self.counters.letters += 1
        news = self._faults.report(
            "unreadable_pushes", post.address, f"A push from {post.address} could not be read: {reason}"
        )
        if news:
            log.warning("push_unreadable", sender=post.address, path=_shown(post), reason=reason)
        self._watch(post, source, f"letter: {reason}", None)
        return source.accepted(post) if source else Reply(200)

    def _refuse(self, post: Post, source: Source | None, error: StoreUnavailable) -> Reply:
        self.counters.refused += 1
        log.warning("push_refused", sender=post.address, reason=str(error))
        if isinstance(error, Unadopted):
            self._faults.report(
                "devices_refused", post.address, f"A push from {post.address} was refused: {error}."
            )
        self._watch(post, source, f"refused: {error}", None)
        return (
            source.refused(post) if source else Reply(503, b"The gateway cannot store this now; keep it.\n")
        )

    def _choose(self, post: Post) -> Source | None:
        claims = [source for source in self.reception.sources if _claims(source, post)]
        for source in claims[1:] and claims:
            if self.reception.paths.get(source.name) == post.path:
                return source
        return claims[0] if claims else None

    def _post(self, request: Request, *, known_device: str | None = None, at: datetime | None = None) -> Post:
        return Post(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.body,
            address=request.address,
            received_at=at or clock.now(),
            zone=self.reception.zone,
            token=self._token(request.path),
            known_device=known_device,
        )

    def _token(self, path: str) -> str | None:
        if not self.reception.tokens:
            return None
        return next((part for part in path.split("/") if part in self.reception.tokens), None)

    def _token_of(self, head: Mapping[str, object]) -> str | None:
        """Find the token of a letter, which does not hold it."""
        wanted = head.get("token")
        if wanted is None:
            return self._token(str(head.get("path", "/")))
        return next((token for token in self.reception.tokens if _digest(token) == wanted), None)

    def _tell_shared(self, device: str, address: str) -> None:
        """Notice two devices with one identity: they push from two addresses in turn, and would count as one."""
        now = time.monotonic()
        last, before, since = self._address_of.get(device, (address, "", now))
        if address == last:
            self._address_of.setdefault(device, (address, "", now))
            return
        if address == before and now - since < _IN_TURN_S:
            sentence = f"{device} pushes from {address} and {last} in turn: two devices have one identity."
            self._faults.report("identity_shared", device, sentence)
        self._address_of[device] = (address, last, now)
        if len(self._address_of) > _ADDRESSES:
            self._address_of.popitem(last=False)

    def _watch(self, post: Post, source: Source | None, outcome: str, reading: Reading | None) -> None:
        if self.watchers:
            watched = Watched(post, source.name if source else None, outcome, reading)
            for show in self.watchers:
                show(watched)

    # Everything that is not a push

    def _visit(self, request: Request) -> Response:
        """Answer a request that is no push; never 200, which a face terminal takes for a door server."""
        if request.method == "GET" and request.path.lower() == "/utctime":
            if not clock.plausible():  # better the device's own clock than a guess of ours
                return Response(503, b"The gateway does not know the time yet.\n", "text/plain")
            # Brickstream counters set their clock by these 14 digits (protocols: MMddyyyyHHmmss, UTC).
            return Response(200, clock.now().strftime("%m%d%Y%H%M%S").encode(), "text/html")
        if request.path == ALIVE_PATH:
            return Response(405, b"", "text/plain")
        self._show_visit(request)
        if request.method in {"GET", "HEAD"}:
            host = request.headers.get("host", "")
            text = _GET_TEXT.format(
                gateway=self.reception.gateway_id, host=_plain(host), path=_plain(request.path)
            )
            return Response(404, text.encode(), "text/plain; charset=utf-8")
        return Response(405, b"Send pushes with POST.\n", "text/plain", {"allow": "POST, PUT"})

    def _show_visit(self, request: Request) -> None:
        """Let the installer see who came without a push."""
        for show in self.visit_watchers:
            show(request)
        self.visitors.append(
            {
                "time": clock.now().isoformat(timespec="seconds"),
                "address": request.address,
                "method": request.method[:16],
                "path": redact_path(request.path[:256], self.reception.tokens),
            }
        )


def _claims(source: Source, post: Post) -> bool:
    try:
        return source.recognises(post)
    except Exception:  # a bug of ours must not cost the device its data: the body becomes a letter
        log.exception("source_failed", source=source.name, sender=post.address)
        return False


def _response(reply: Reply) -> Response | None:
    if reply.status is None:
        return None
    return Response(reply.status, reply.body, reply.content_type)


def _shown(post: Post) -> str:
    """Give the path as it may be kept and shown."""
    return redact_path(post.path, frozenset({post.token} if post.token else ()))


def _digest(token: str) -> str:
    return hashlib.blake2b(token.encode(), digest_size=8).hexdigest()


def _plain(text: str) -> str:
    """Show a stranger's text without letting it act."""
    shown = "".join(char if char.isprintable() and char not in "<>&\"'" else "?" for char in text[:200])
    # A terminal that reads this must not find the word that opens its door.
    return re.sub("pass", "????", shown, flags=re.IGNORECASE)


def _unknown(post: Post) -> str:
    """Say what a body looks like without quoting it: it may begin with a secret."""
    first = post.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    looks = {b"<": "looks like XML", b"{": "looks like JSON", b"[": "looks like JSON"}.get(
        first, "is no XML and no JSON"
    )
    return f"no source recognises this body, which {looks} ({len(post.body)} bytes)"
