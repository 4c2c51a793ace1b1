"""What a person may see and do over the control socket."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

from gateway import clock
from gateway.control import views, waiting
from gateway.control.accounts import audit
from gateway.control.server import Push
from gateway.daemon import composing
from gateway.daemon.adoption import Adoption
from gateway.daemon.captures import Captures
from gateway.daemon.erasing import Eraser
from gateway.daemon.health import Health
from gateway.daemon.lines import Lines
from gateway.daemon.reloading import Reloading
from gateway.daemon.zones import ZoneAnswers
from gateway.errors import GatewayError
from gateway.outbox import Housekeeper, Outbox, letters, reading, rfc3339
from gateway.receiver import Receiver, Watched

_RAW_MAX = 20_000
_EVENT_BYTES = 4_096  # of memory, one like another
_INT64 = 2**63  # of SQLite
_STARTING = "The gateway is only just starting; ask again."


class Requests:
    """Answers the control API (`control.server.Daemon`). Reading methods are called in a thread."""

    def __init__(
        self,
        health: Health,
        outbox: Outbox,
        receiver: Receiver,
        lines: Lines,
        housekeeper: Housekeeper,
        port: Callable[[], dict[str, object]],
    ) -> None:
        self._health = health
        self._outbox = outbox
        self._receiver = receiver
        self.readers = {receiver.port: receiver}  # who reads a letter again, by the port that it came to
        self._lines = lines
        self._housekeeper = housekeeper
        self._port = port
        self.eraser: Eraser | None = None
        self.adoption: Adoption | None = None
        self.captures: Captures | None = None
        self.zones: ZoneAnswers | None = None
        self.reloading: Reloading | None = None
        self._started = time.monotonic()

    # Seeing

    def status(self) -> dict[str, object]:
        """Give everything that `gateway status` shows."""
        with self._outbox.looking() as conn:
            accounts = {str(account["name"]): account for account in views.sink_accounts(conn)}
            facts = views.store_facts(conn)
        names = list(dict.fromkeys([*accounts, *(name for name, _ in self._lines)]))
        return (
            self._health.summary()
            | {
                "uptime_s": round(time.monotonic() - self._started, 1),
                "time": clock.now().isoformat(timespec="seconds"),
                "since_start": self._since_start(),
                "store": facts | self._store(),
                "sinks": [self._sink(name, accounts.get(name) or {"name": name}) for name in names],
                "visitors": list(self._receiver.visits.last)[-10:],
                "pictures": self.eraser.album.held() if self.eraser else None,
                "adoption": self.adoption.describe() if self.adoption else None,
                "captures": self.captures.running() if self.captures else [],
            }
            | self._port()
        )

    def _since_start(self) -> dict[str, object]:
        counters, last = self._receiver.counters, self._receiver.last_post
        return {
            "posts": counters.posts,
            "events": counters.events,
            "duplicates": counters.duplicates,
            "letters": counters.letters,
            "held": counters.held,
            "ignored": counters.ignored,
            "refused": counters.refused + self._port_refusals(),
            "last_post_s": None if last is None else round(clock.steady() - last, 1),
        }

    def _port_refusals(self) -> int:
        refused = self._port()["refused_connections"]
        return sum(refused.values()) if isinstance(refused, dict) else 0

    def _store(self) -> dict[str, object]:
        space = self._outbox.room.space
        return {
            "path": str(self._outbox.settings.directory),
            "used_bytes": space.used,
            "limit_bytes": space.limit,
            "disk_free_bytes": space.disk_free,
            "commits": self._outbox.commits,
            "failure": self._outbox.failure,
            "removed_settled": self._housekeeper.removed_settled,
            "removed_owed": self._housekeeper.removed_owed,
        }

    def _sink(self, name: str, account: dict[str, object]) -> dict[str, object]:
        line = self._lines.get(name)
        if line is None:
            return account | {"configured": False}
        forwarder = line.forwarder
        wait_s = forwarder.paused_until - time.monotonic()
        last = forwarder.last_delivery
        return account | {
            "configured": True,
            "type": line.section.type,
            "connected": forwarder.works,
            "last_error": forwarder.last_error,
            "last_delivery": None if last is None else last.isoformat(timespec="seconds"),
            "next_try_s": round(wait_s, 1) if wait_s > 0 else None,
            "connection": dict(forwarder.sink.describe()),
        }

    def read(self, name: str, arguments: dict[str, str]) -> object:
        """Read something from the store for a command."""
        with self._outbox.looking() as conn:
            match name:
                case "devices":
                    zone = self._outbox.settings.drafting.zone  # another one in the file waits for a start
                    names = composing.names(self._health.config)
                    told: object = views.device_states(conn, zone, arguments.get("device"), names)
                case "lobby" | "captures":
                    told = self._shown(conn, name)
                case "day" | "occupancy":
                    told = self._counted(conn, name, arguments)
                case "sinks":
                    told = views.sink_accounts(conn, verify=True)
                case "account":
                    told = audit(conn, sink=arguments.get("sink"), device=arguments.get("device"))
                case "letters":
                    told = views.letter_rows(conn, arguments.get("stage"))
                case "letter":
                    letter = letters.get(conn, _number(arguments, "number", 0))
                    told = None if letter is None else views.letter_row(letter, whole=True)
                case "entries":
                    count = max(0, min(_number(arguments, "count", 20), 1_000))  # SQLite takes -1 for all
                    told = views.entry_rows(reading.last_entries(conn, count, arguments.get("device")))
                case _:
                    raise GatewayError(f"There is nothing called {name[:40]!r} to read.")
        return told

    def _shown(self, conn: sqlite3.Connection, name: str) -> object:
        if name == "captures":
            return self.captures.listed() if self.captures else []
        lobby = waiting.lobby(conn)
        if self.adoption is None:
            return lobby
        live = self.adoption.describe()
        pushes = cast("dict[str, int]", live["ignored"])
        ignored = [row | {"pushes": pushes.get(str(row["name"]), 0)} for row in waiting.ignored(conn)]
        return live | lobby | {"ignored": ignored}

    def watch(self, show: Callable[[Push, int], None]) -> Callable[[], None]:
        """Show every push as it comes, with about the bytes that it takes; the result ends it."""

        def shown(watched: Watched) -> None:
            events = len(watched.reading.events) if watched.reading else 0
            show(partial(_push, watched), len(watched.post.body) + events * _EVENT_BYTES)

        self._receiver.watchers.append(shown)
        return lambda: self._receiver.watchers.remove(shown)

    # Doing

    async def retry_letter(self, number: int) -> str:
        """Try a letter again: a body goes through the front door once more, an event to its sink."""
        with self._outbox.looking() as conn:
            letter = letters.get(conn, number)
        if letter is None:
            raise GatewayError(f"There is no letter {number}.")
        if letter.stage == "deliver":
            line = self._lines.named(letter.sink)
            await self._outbox.write(
                lambda conn: conn.execute("UPDATE letters SET retry = 1 WHERE number = ?", (number,))
            )
            line.forwarder.letters_asked()
            return f"Letter {number} goes to sink {letter.sink} again."
        if "status" in letter.head:  # an answer has one, a push has none
            raise GatewayError(
                f"Letter {number} is an answer that {letter.sender} gave, and only pushes can be read again. `gateway"
                f" letters show {number}` has what was answered; drop it with `gateway letters drop {number}`."
            )
        reader = self.readers.get(str(letter.head.get("port")), self._receiver)
        outcome = await reader.read_again(letter)
        if outcome is None:
            await self._remove_letter(number)
            return f"Letter {number} was read and its events were kept."
        raise GatewayError(f"Letter {number} still cannot be read: {outcome}")

    async def drop_letter(self, number: int) -> str:
        """Remove a letter for good."""
        if not await self._remove_letter(number):
            raise GatewayError(f"There is no letter {number}.")
        return f"Letter {number} was dropped."

    async def _remove_letter(self, number: int) -> bool:
        removed = await self._outbox.write(
            lambda conn: conn.execute("DELETE FROM letters WHERE number = ?", (number,)).rowcount
        )
        return removed > 0

    async def replay(self, sink: str, first: int, last: int) -> str:
        """Send a range of the log to a sink once more."""
        forwarder = self._lines.named(sink).forwarder
        last = min(last, forwarder.position.cursor if forwarder.position else 0)
        if not 0 < first <= last:
            raise GatewayError(f"Nothing of that range was sent before; the log ends at {self._outbox.head}.")
        await forwarder.replay(first - 1, last)
        return f"Events {first} to {last} go to sink {sink} again."

    async def reload(self) -> dict[str, object]:
        """Take over the configuration file as it is now."""
        if self.reloading is None:
            raise GatewayError(_STARTING)
        return await self.reloading.apply()

    async def adopt(self, wish: Mapping[str, object]) -> str:
        """Decide about devices that wait."""
        if self.adoption is None:
            raise GatewayError(_STARTING)
        return await self.adoption.decide(wish)

    async def capture(self, wish: Mapping[str, object]) -> dict[str, object]:
        """Begin or end a capture."""
        if self.captures is None:
            raise GatewayError(_STARTING)
        return await self.captures.decide(wish)

    def _counted(self, conn: sqlite3.Connection, name: str, arguments: dict[str, str]) -> object:
        if name == "occupancy":
            return self.zones.states(conn) if self.zones else []
        zone = self._outbox.settings.drafting.zone  # another one in the file waits for a start
        return views.device_day(conn, zone, arguments.get("device", ""), arguments.get("day", ""))

    async def set_occupancy(self, wish: Mapping[str, object]) -> str:
        """Say how many people are in a zone now."""
        if self.zones is None:
            raise GatewayError(_STARTING)
        return await self.zones.decide(wish)

    async def erase(self, stated: Mapping[str, object]) -> dict[str, object]:
        """Look for a person, or erase them."""
        if self.eraser is None:
            raise GatewayError("The gateway is only just starting; ask again.")
        return await self.eraser.answer(stated)

    def try_sink(self, sink: str) -> str:
        """Try a sink now instead of at the end of its pause."""
        self._lines.named(sink).forwarder.try_now()
        return f"Sink {sink} is tried now."


def _push(watched: Watched) -> dict[str, object]:
    post = watched.post
    return {
        "time": rfc3339(int(post.received_at.timestamp() * 1000)),
        "sender": post.address,
        "method": post.method,
        "path": watched.path,
        "source": watched.source,
        "outcome": watched.outcome,
        "raw": watched.raw()[:_RAW_MAX],
        "events": [
            {
                "id": event.id,
                "revision": event.revision,
                "kind": event.kind,
                "device": event.device.id,
                "time": event.time.isoformat(),
                "data": event.data,
            }
            for event in (watched.reading.events if watched.reading else ())
        ],
    }


def _number(arguments: dict[str, str], name: str, default: int) -> int:
    try:
        number = int(arguments.get(name, default))
    except ValueError as error:
        raise GatewayError(f"{name} must be a number.") from error
    if not -_INT64 <= number < _INT64:
        raise GatewayError(f"{name} is larger than any number of the store.")
    return number
