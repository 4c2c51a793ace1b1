"""What a person may see and do over the control socket."""

import time
from collections.abc import Callable
from functools import partial

from gateway import clock
from gateway.control import views
from gateway.control.server import Push
from gateway.daemon import composing
from gateway.daemon.health import Health
from gateway.daemon.lines import Lines
from gateway.errors import GatewayError
from gateway.outbox import Housekeeper, Outbox, letters, reading, rfc3339
from gateway.receiver import Receiver, Watched

_RAW_MAX = 20_000


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
        self._lines = lines
        self._housekeeper = housekeeper
        self._port = port
        self._started = time.monotonic()

    # Seeing

    def status(self) -> dict[str, object]:
        """Give everything that `gateway status` shows."""
        with reading.looking(self._outbox.settings.directory) as conn:
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
                "visitors": list(self._receiver.visitors)[-10:],
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
            "refused": counters.refused + self._port_refusals(),
            "last_post_s": None if last is None else round(time.monotonic() - last, 1),
        }

    def _port_refusals(self) -> int:
        refused = self._port()["refused_connections"]
        return sum(refused.values()) if isinstance(refused, dict) else 0

    def _store(self) -> dict[str, object]:
        space = self._outbox.space
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
        with reading.looking(self._outbox.settings.directory) as conn:
            match name:
                case "devices":
                    zone = composing.drafting(self._health.config).zone
                    return views.device_states(conn, zone, arguments.get("device"))
                case "sinks":
                    return views.sink_accounts(conn, verify=True)
                case "letters":
                    return views.letter_rows(conn, arguments.get("stage"))
                case "letter":
                    letter = letters.get(conn, _number(arguments, "number", 0))
                    return None if letter is None else views.letter_row(letter, whole=True)
                case "entries":
                    count = min(_number(arguments, "count", 20), 1_000)
                    return views.entry_rows(reading.last_entries(conn, count, arguments.get("device")))
                case _:
                    raise GatewayError(f"There is nothing called {name[:40]!r} to read.")

    def watch(self, show: Callable[[Push], None]) -> Callable[[], None]:
        """Show every push as it comes; the result ends it."""

        def shown(watched: Watched) -> None:
            show(partial(_push, watched))

        self._receiver.watchers.append(shown)
        return lambda: self._receiver.watchers.remove(shown)

    # Doing

    async def retry_letter(self, number: int) -> str:
        """Try a letter again: a body goes through the front door once more, an event to its sink."""
        with reading.looking(self._outbox.settings.directory) as conn:
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
        outcome = await self._receiver.read_again(letter)
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
        forwarder.replay(first - 1, last)
        return f"Events {first} to {last} go to sink {sink} again."

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
        "path": post.path,
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
        return int(arguments.get(name, default))
    except ValueError as error:
        raise GatewayError(f"{name} must be a number.") from error
