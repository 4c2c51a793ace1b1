"""Take a device's push: choose the source by the body, keep what it means, answer in its dialect.

The answer leaves after the commit and never before. What cannot be read is kept as a letter and
accepted: a refusal would make the device send it for ever and block what is behind it. What cannot be
stored is refused, so that the device keeps it.
"""

from collections.abc import Callable
from dataclasses import replace

import structlog

from gateway import clock
from gateway.errors import StoreUnavailable, Unadopted, Unreadable
from gateway.faults import Faults
from gateway.guard import Request, Response
from gateway.intake import Intake, Kept
from gateway.outbox import Caller, Letter, Outbox
from gateway.receiver import visits
from gateway.receiver.heavy import InTurn
from gateway.receiver.lettering import LETTER_BYTES, head_of, push_of, shown_path, token_in, unknown
from gateway.receiver.pins import WITHOUT_WORD
from gateway.receiver.reception import Counters, Reception, Watched
from gateway.receiver.senders import Senders
from gateway.receiver.visits import Visits
from gateway.receiver.weight import HEAVY, parts, too_much
from gateway.redact import redact_body
from gateway.source import Post, Reading, Reply, Source

log = structlog.get_logger()

_TYPE_THE_WORD = (
    "Type the URL with the word of path_secret_file into the device again: http://…/k/WORD; a terminal gets it from"
    " `gateway pair terminal`. If the device is set right, somebody at that address speaks in its name. See docs/devices.md."
)

# What a source notices about a device; it is gone when a push of the device comes without it.
_NOTICES = frozenset({"clock_missing", "clock_not_set", "window_without_length", "zone_disagrees"})


class Receiver:
    """Answers every request on the device port."""

    vouched = False  # True: who gets as far as here need not be adopted
    port = "devices"  # stands in the head of each letter, so that the right receiver reads it again

    def __init__(self, outbox: Outbox, intake: Intake, reception: Reception, faults: Faults) -> None:
        self.reception = reception
        self.counters = Counters()
        self.watchers: list[Callable[[Watched], None]] = []
        self.visits = Visits()
        self.senders = Senders(faults)
        self.last_post: float | None = None  # in steady seconds
        self._refused_at: dict[str, str] = {}  # by pinned device: the address that was refused last
        self._heavy, self._masking = InTurn(), InTurn()  # what is worked on in threads
        self._outbox = outbox
        self._intake = intake
        self._faults = faults

    async def handle(self, request: Request) -> Response | None:
        """Answer one request; None closes the connection without an answer."""
        pins = self.reception.pins
        vouched = pins.shown(request.path)
        hidden = replace(request, path=pins.masked(request.path)) if pins.by_device else request
        if request.method in {"POST", "PUT"}:
            return _response(await self._push(hidden, vouched))
        return self._visit(hidden)

    # Pushes

    async def _push(self, request: Request, vouched: frozenset[str] = frozenset()) -> Reply:
        self.counters.posts += 1
        self.last_post = clock.steady()
        if not request.body.strip(b"\0 \t\r\n"):
            self.visits.show(request, self.reception.tokens)
            return Reply(400, b"The body is empty: the device sent nothing to keep.\n")
        post = self._post(request, vouched)
        weight = parts(post.body)
        reason = too_much(post.body, weight)
        source = self._choose(post) if reason is None else None
        if source is None:
            return await self._keep_letter(post, None, reason or unknown(post))
        if known := self.senders.only_one_at(source.name, post.address):
            post = replace(post, known_device=known)
        if weight > HEAVY and self._heavy.waits(post.address):
            return self._refuse(post, source, StoreUnavailable("a large push from there waits already"))
        try:
            if weight > HEAVY:  # the others are answered meanwhile; one at a time, or they would not be
                reading = await self._heavy.run(source.parse, post, post.address)
            else:
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
        post = push_of(letter, self.reception.zone, self.reception.tokens)
        source = self._choose(post)
        if source is None:
            return "no source recognises it"
        if known := self.senders.only_one_at(source.name, post.address):
            post = replace(post, known_device=known)
        try:
            reading = source.parse(post)
            if (objection := self._pinned(post, reading)) is not None:
                return objection[1]
            await self._intake.keep(
                reading.events,
                post.received_at,
                path=shown_path(post),
                caller=self._caller(post, reading),
                unsynced=letter.head.get("clock_unsynced") is True,
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
        if (objection := self._pinned(post, reading)) is not None:
            return self._refuse_pinned(post, source, *objection)
        try:
            kept = await self._intake.keep(
                reading.events,
                post.received_at,
                path=shown_path(post),
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

    def _pinned(self, post: Post, reading: Reading) -> tuple[str, str] | None:
        """Say which device may not speak from there, and why."""
        devices = dict.fromkeys(event.device.id for event in reading.events)
        return self.reception.pins.objection(devices, post.address, post.vouched)

    def _refuse_pinned(self, post: Post, source: Source, device: str, reason: str) -> Reply:
        """Keep nothing and never say success: if it is the device after all, it keeps what it has."""
        self.counters.refused += 1
        self._refused_at[device] = post.address
        action = _TYPE_THE_WORD if WITHOUT_WORD in reason else None
        if self._faults.report("pinned_device_refused", device, f"{reason}: it was refused.", action):
            log.warning("pinned_device_refused", device=device, sender=post.address)
        self._watch(post, source, "refused: the device is pinned", None)
        return source.refused(post)

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
        for device, serial in {event.device.id: event.device.serial for event in reading.events}.items():
            self.senders.remember(source.name, post.address, device)
            self.senders.tell_shared(device, post.address)
            self.senders.tell_spelt(device, serial)
            if self._refused_at.get(device) == post.address:  # the owner has corrected the pin
                del self._refused_at[device]
                self._faults.clear("pinned_device_refused", device)

    async def _keep_letter(self, post: Post, source: Source | None, reason: str) -> Reply:
        try:
            await self._outbox.keep_letter(
                stage="parse",
                sender=post.address,
                reason=reason,
                received_at=post.received_at,
                head=head_of(post, source.name if source else None, self.port),
                # In a thread: masking megabytes of nonsense takes a second, and pushes must not wait for it.
                body=await self._masking.run(redact_body, post.body[:LETTER_BYTES], post.address),
            )
        except StoreUnavailable as error:
            return self._refuse(post, source, error)
        self.counters.letters += 1
        news = self._faults.report(
            "unreadable_pushes", post.address, f"A push from {post.address} could not be read: {reason}"
        )
        if news:
            log.warning("push_unreadable", sender=post.address, path=shown_path(post), reason=reason)
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

    def _post(self, request: Request, vouched: frozenset[str] = frozenset()) -> Post:
        return Post(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.body,
            address=request.address,
            received_at=clock.now(),
            zone=self.reception.zone,
            token=token_in(request.path, self.reception.tokens),
            vouched=vouched,
        )

    def _watch(self, post: Post, source: Source | None, outcome: str, reading: Reading | None) -> None:
        if self.watchers:
            watched = Watched(post, source.name if source else None, outcome, reading)
            for show in self.watchers:
                show(watched)

    # Everything that is not a push

    def _visit(self, request: Request) -> Response:
        if request.method == "GET" and request.path.lower() == "/utctime":
            return visits.utc_time()
        if request.path == visits.ALIVE_PATH:
            return Response(405, b"", "text/plain")
        self.visits.show(request, self.reception.tokens)
        return visits.answer(request, self.reception.gateway_id)


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
