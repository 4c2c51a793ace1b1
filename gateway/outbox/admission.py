"""Who gets into the log: devices that are known, unknown ones while there is room, and nobody else.

Anybody in the network can invent serial numbers, so every bound has a share for those who come later: what one
address may take is at most a fifth of what is left, and at least one device while any room is left. A noisy address
ends at its share, and a real device from another one still gets in.

Used on the writer's thread, inside the transaction that the writer opened.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

from gateway import clock
from gateway.errors import GatewayError, Unadopted
from gateway.event import Event
from gateway.outbox import held
from gateway.outbox.adoption_window import AdoptionWindow
from gateway.outbox.decided import BY_ITSELF, BY_PERSON, IGNORED, Decided, Sum
from gateway.outbox.devices import Book
from gateway.outbox.entry import Draft
from gateway.outbox.held import Held, Push
from gateway.outbox.strangers import Admitted, Caller, Lobby, Rules

_SHARE = 5
_PER_TOKEN = 10  # devices that come on one configured path: a device that was replaced, and not a flood
_MOST_IGNORED = 500
_FEW = 3

IN, HOLD, IGNORE = "in", "hold", "ignore"


class Admission:
    """Decides about pushes of devices that nobody has vouched for."""

    def __init__(self, conn: sqlite3.Connection, book: Book) -> None:
        self._conn = conn
        self._book = book
        self._stale = False  # a transaction failed: what is in memory may not be on disk
        self._pushes: Counter[str] = Counter()  # ignored since the start
        self._shown: Lobby | None = None
        self.window = AdoptionWindow(conn)
        self.decided = Decided.load(conn)
        self.due: set[str] = set()  # known by now, and something of them still waits
        self._due_on_disk: set[str] = set()

    def forget(self) -> None:
        """Read everything again before the next decision: the transaction was rolled back."""
        self._stale, self._shown = True, None
        self.due = set(self._due_on_disk)

    def committed(self) -> None:
        """Note that what is in memory is on disk."""
        self._due_on_disk = set(self.due)

    def refresh(self) -> Decided:
        """Give the decisions, after a failed transaction read anew."""
        if self._stale:
            self.decided = Decided.load(self._conn)
            self.window.recall(self._conn)
            self._stale = False
        return self.decided

    def changing(self) -> Decided:
        """Give the decisions to somebody who is about to change them."""
        self._shown = None
        return self.refresh()

    def lobby(self) -> Lobby:
        """Say how it stands; asked after each commit, and mostly nothing has changed."""
        if self._shown is None:
            said = self.refresh()  # a transaction that failed must not show here
            self._shown = Lobby(
                devices=len(said.waiting),
                events=sum(waits.events for waits in said.waiting.values()),
                size=said.size,
                some=tuple(list(said.waiting)[:_FEW]),
                introduced=said.introduced.total(),
                ignored={name: self._pushes[name] for name in sorted(said.ignored)},
            )
        return self._shown

    # Pushes

    def admit(
        self, rules: Rules, caller: Caller, events: Sequence[Event], drafts: Sequence[Draft], push: Push
    ) -> Admitted:
        """Decide about one push. What is held is held now; raises `Unadopted`, with nothing written, when it cannot be."""
        said = self.refresh()
        if self._all_known(rules, events):
            return Admitted(drafts)
        self._shown = None
        devices = dict.fromkeys(event.device.id for event in events)
        fates: dict[str, str] = {}
        planned: dict[str, list[Held]] = {}
        repeated = 0
        newcomers: list[str] = []
        for device in devices:
            fate = self._fate(rules, caller, device, newcomers)
            if fate == HOLD:
                stated = [held.hold(event) for event in events if event.device.id == device]
                fresh = [
                    one for one in {one.mark: one for one in stated}.values() if not self._is_held(one, push)
                ]
                objection = self._objection(rules, caller.introducer, device, fresh, planned)
                if objection is not None and not self._knows(rules, device):
                    raise Unadopted(objection)
                if objection is None:
                    planned[device] = fresh
                    repeated += len(stated) - len(fresh)
                else:
                    fate = IN  # adopted, and too much of it still waits to stand behind that
            fates[device] = fate
        for device in newcomers:
            said.put(self._conn, device, BY_ITSELF, caller.introducer, push.received)
        sources = {event.device.id: event.device.source for event in events}
        for device, fresh in planned.items():
            self._hold(device, sources[device], push, fresh)
        self.due |= {device for device in planned if self._knows(rules, device)}
        return Admitted(
            drafts=[draft for draft in drafts if fates[draft.device.id] == IN],
            held=sum(len(fresh) for fresh in planned.values()),
            repeated=repeated,
            ignored=sum(1 for draft in drafts if fates[draft.device.id] == IGNORE),
        )

    def _all_known(self, rules: Rules, events: Sequence[Event]) -> bool:
        """Say whether there is nothing to decide, as with nearly every push."""
        said = self.decided
        return all(
            self._knows(rules, device) and device not in said.ignored and device not in said.waiting
            for device in {event.device.id for event in events}
        )

    def _fate(self, rules: Rules, caller: Caller, device: str, newcomers: list[str]) -> str:
        said = self.decided
        if device in said.ignored:
            self._pushes[device] += 1
            return IGNORE
        waits = device in said.waiting
        if not self._knows(rules, device):
            if caller.introducer in said.ignored:
                self._pushes[caller.introducer] += 1
                return IGNORE
            if not self._may_enter(rules, caller, len(newcomers)):
                return HOLD
            newcomers.append(device)
        return HOLD if waits else IN  # what it said before comes first

    def _knows(self, rules: Rules, device: str) -> bool:
        said = self.decided
        return (
            device in rules.configured
            or device in said.by_person
            or device in said.by_itself
            or self._book.knows(device)
        )

    def _may_enter(self, rules: Rules, caller: Caller, more: int) -> bool:
        """Say whether an unknown device is taken up by itself."""
        said = self.decided
        own = said.introduced[caller.introducer] + more
        if caller.token is not None:
            return own < _PER_TOKEN
        if rules.hold and not self.window.left_s:
            return False
        free = rules.max_devices - said.introduced.total() - more
        return free > 0 and own < min(rules.per_address, max(free // _SHARE, 1))

    def _is_held(self, one: Held, push: Push) -> bool:
        return one.device in self.decided.waiting and held.is_held(self._conn, one, push.introducer)

    def _objection(
        self, rules: Rules, who: str, device: str, fresh: Sequence[Held], planned: dict[str, list[Held]]
    ) -> str | None:
        """Say why something cannot be held; None when there is room."""
        said = self.decided
        if not fresh:
            return None
        waits = said.waiting.get(device)
        if waits is None:
            new = sum(1 for other in planned if other not in said.waiting)
            free = rules.held_devices - len(said.waiting) - new
            if free <= 0 or said.waiting_of[who] + new >= min(rules.per_address, max(free // _SHARE, 1)):
                return "too many devices wait to be adopted"
        if (waits.events_of[who] if waits else 0) + len(fresh) > rules.held_per_device:
            return "too much of this device is held already"
        more = sum(one.size for one in fresh)
        taken = sum(one.size for others in planned.values() for one in others)
        free = rules.held_bytes - said.size - taken
        if said.bytes_of[who] + taken + more > free // _SHARE:
            return "what is held of devices that nobody has adopted takes up too much room"
        return None

    def _hold(self, device: str, source: str, push: Push, fresh: Sequence[Held]) -> None:
        if fresh:
            held.add(self._conn, source, push, fresh)
            size = sum(one.size for one in fresh)
            self.decided.add(device, Sum(push.introducer, push.address, len(fresh), size))

    # What a person decides, and a new configuration

    def review(self, rules: Rules) -> int:
        """Take up what waits and needs to wait no longer; give the number of devices."""
        said = self.changing()
        for device, waits in list(said.waiting.items()):
            caller = Caller(waits.address)
            if not self._knows(rules, device) and self._may_enter(rules, caller, 0):
                said.put(self._conn, device, BY_ITSELF, caller.introducer, clock.now_ms())
            if self._knows(rules, device):
                self.due.add(device)
        return len(self.due)

    def adopt(self, device: str) -> None:
        """Take a device up, whatever the bounds say."""
        said = self.changing()
        said.put(self._conn, device, BY_PERSON, "", clock.now_ms())
        if device in said.waiting:
            self.due.add(device)

    def adopt_all(self, devices: Sequence[str]) -> None:
        """Take several up."""
        for device in devices:
            self.adopt(device)

    def ignore(self, name: str) -> Mapping[str, int]:
        """Drop what is held of a device, or of unknown ones from an address, and what comes so; give the events of each.

        What another address sent of the same devices stays: anybody can send the number of a real device first.
        """
        said = self.changing()
        if name not in said.ignored and len(said.ignored) >= _MOST_IGNORED:
            raise GatewayError(
                f"{_MOST_IGNORED} devices and addresses are ignored already: take some back with `gateway adopt NAME`."
            )
        dropped: dict[str, int] = {}
        for device, waits in said.waiting.items():
            if device == name:
                dropped[device] = held.drop(self._conn, device)
            elif waits.events_of[name] and device not in self.due:
                dropped[device] = held.drop_sent(self._conn, device, name)
        said.put(self._conn, name, IGNORED, "", clock.now_ms())
        self.decided = Decided.load(self._conn)  # of what stays somebody else is the first now
        self.due &= self.decided.waiting.keys()
        return dropped

    def settled(self, device: str) -> None:
        """Note that nothing of a device waits any more."""
        self.due.discard(device)
        if device in self.decided.by_person and self._book.knows(device):
            self.decided.take_back(self._conn, device)  # its page says the same

    def notice(self, name: str) -> None:
        """Ignore a name no longer."""
        self.changing().take_back(self._conn, name)
        self._pushes.pop(name, None)
