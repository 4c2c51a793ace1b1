"""Write a log entry as the JSON object that one sink sends.

The stored body is JSON text already, so the object is put together as text: a drain of a long backlog
spends its time on the network and not on parsing what was just written.

Two deliveries of one (id, revision) are the same but for ``late``, which speaks about the delivery: a door
event that waited for a broker is as old as one that waited in a terminal.
"""

import json
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted

from gateway.outbox import Entry, Flag, persons, rfc3339
from gateway.sink import Outgoing


@dataclass(frozen=True, slots=True)
class Rendering:
    """How one sink sees the log."""

    gateway_id: str
    sink: str
    pseudonym_key: bytes  # never leaves the box
    personal: frozenset[str]  # the personal fields that the owner lets this sink have
    late_after_ms: int

    def render(self, entry: Entry, now_ms: int, waited_ms: float | None = None) -> Outgoing:
        """Render one entry; ``now_ms`` is the gateway's clock, ``waited_ms`` says better how long it waited."""
        waited = now_ms - entry.received if waited_ms is None else waited_ms
        late = entry.flags & Flag.LATE or waited > self.late_after_ms
        time = rfc3339(entry.time)
        head = (
            f'{{"id":{quoted(entry.id)},"revision":{entry.revision},"kind":"{entry.kind}",'
            f'"device":{quoted(entry.device)},"device_seq":{entry.device_seq},"seq":{entry.seq},'
            f'"gateway":{quoted(self.gateway_id)},"time":"{time}","received_at":"{rfc3339(entry.received)}",'
            f'"late":{"true" if late else "false"},'
        )
        if entry.flags & Flag.SUPERSEDED:
            head += '"superseded":true,'
        if entry.flags & Flag.MISDATED:
            head += '"misdated":true,'
        if entry.flags & Flag.UNSYNCED:
            head += '"clock_unsynced":true,'
        if entry.personal is not None:
            head += self._personal(entry.personal)
        return Outgoing(
            entry.seq,
            entry.id,
            entry.revision,
            entry.kind,
            entry.device,
            time,
            (head + entry.body[1:]).encode(),
        )

    def _personal(self, stored: str) -> str:
        """Give the listed fields, and a pseudonym that means nothing to any other sink."""
        fields = json.loads(stored)
        text = ""
        mark = persons.mark_in(self.pseudonym_key, fields)
        if mark is not None and not (persons.STATED in self.personal and persons.STATED in fields):
            text += f'"person":"{persons.pseudonym(self.pseudonym_key, self.sink, mark)}",'
        listed = {name: value for name, value in fields.items() if name in self.personal}
        if listed:
            text += f'"personal":{json.dumps(listed, ensure_ascii=False, separators=(",", ":"))},'
        return text
