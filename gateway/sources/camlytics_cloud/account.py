"""One account of the cloud: its keys, what the owner wants of it, and what all its polls have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from gateway.errors import Unreadable
from gateway.event import Event, Json
from gateway.source import Answer, Asides, Ask, Cursor, Page, Reading
from gateway.sources.camlytics_cloud.answers import Item, items_of
from gateway.sources.camlytics_cloud.records import SOURCE, Reader, digest, shareable
from gateway.sources.camlytics_cloud.rules import Rules
from gateway.sources.camlytics_cloud.signing import Keys
from gateway.sources.camlytics_cloud.values import cloud_ms
from gateway.sources.camlytics_cloud.walking import Walk

ENDPOINT = "https://cloud.camlytics.com"
SPACING_S = 1.0
_SHORTEST_MS = (
    30_000  # the end moves on while it is asked: below this the wait after a refusal is the better pace
)
_MOST_NAMES = 2_000  # they travel in the cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is configured for one account."""

    name: str
    keys: Keys
    endpoint: str = ENDPOINT
    locations: tuple[int, ...] = ()  # empty: all that the key may see
    period_s: float = 15.0
    lists_s: float = 3600.0
    overlap_s: float = 600.0
    backfill_s: float = 86_400.0
    rules: Rules = field(default_factory=Rules)
    keep: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """What every poll of an account is: named, signed, and in turn with the others of its key."""

    account: Account
    location: int | None  # None: the cloud is asked for all of them

    @property
    def source(self) -> str:
        return SOURCE

    @property
    def endpoint(self) -> str:
        return self.account.endpoint

    @property
    def key(self) -> str | None:
        return self.account.keys.mark

    @property
    def spacing_s(self) -> float:
        return SPACING_S

    def named(self, method: str) -> str:
        """Name a poll of this account."""
        where = "" if self.location is None else f"-{self.location}"
        return f"{SOURCE}.{self.account.name}.{method.replace('/', '-')}{where}"

    def asking(self, method: str, nonce: int, *, since: str | None = None, until: str | None = None) -> Ask:
        """Make a signed request."""
        return self.account.keys.ask(method, location_id=self.location, nonce=nonce, since=since, until=until)

    def items(self, answer: Answer) -> tuple[list[Item], bool]:
        """Give what an answer holds, and whether reading it took a repair."""
        return items_of(answer, self.account.keys)


def halved(answer: Answer, cursor: Cursor) -> Page | None:
    """Ask for half of a window that holds more than is read at once; None when it cannot be shorter."""
    walk = Walk.read(cursor.get("walk"))
    half = None if walk is None else walk.halved(cloud_ms(answer), _SHORTEST_MS)
    if half is None:
        return None
    return Page(reading=Reading(()), cursor={**cursor, "walk": half.as_json()}, more=True, save=False)


def names_in(items: Sequence[Item]) -> dict[str, Json]:
    """Give the names of triggers by their ids."""
    named = ((item.get("id"), item.get("name")) for item in items)
    said = {key[:200]: name[:200] for key, name in named if isinstance(key, str) and isinstance(name, str)}
    return dict[str, Json](islice(said.items(), _MOST_NAMES))


def texts(stored: Json) -> dict[str, str]:
    """Give the texts of an object that a cursor holds."""
    if not isinstance(stored, Mapping):
        return {}
    return {name: value for name, value in stored.items() if isinstance(value, str)}


def number(cursor: Cursor, name: str) -> int | None:
    """Give a whole number of a cursor."""
    value = cursor.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def events_in(items: Sequence[Item], reader: Reader, *, repaired: bool) -> tuple[list[Event], Asides]:
    """Make events of records, each with a place of its own for what cannot be read; one fact comes once."""
    events: dict[str, Event] = {}
    asides = Asides()
    for item in items:
        try:
            event = reader.event(item, repaired=repaired)
        except Unreadable as unreadable:
            asides.add(str(unreadable), partial(shareable, item))
            continue
        except Exception as bug:  # noqa: BLE001 - a bug of ours must not hold up the records behind this one
            asides.add(f"the gateway failed on it ({type(bug).__name__})", partial(shareable, item))
            continue
        events[event.id] = event
    return list(events.values()), asides


def unseen(items: Sequence[Item], seen: frozenset[str]) -> tuple[list[Item], list[str]]:
    """Give the records that were not read before exactly like this, and the digests of all."""
    marked = [(item, digest(item)) for item in items]
    return [item for item, mark in marked if mark not in seen], [mark for _, mark in marked]
