"""The webhooks of a PC: one attempt each with five seconds for the answer, and no second one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from gateway.event import Json, slug
from gateway.simulate.camlytics.pc import Pc, Stored
from gateway.simulate.camlytics.story import CROSSING, DIRECTIONS, channel_id
from gateway.simulate.clock import Stop, pause
from gateway.simulate.facts import camlytics_key, count_key
from gateway.simulate.ledger import Statement
from gateway.simulate.wire import NoReply, Wire

Kind = Literal["immediate", "hourly", "daily"]
_TIMEOUT_S = 5.0
_LOOK_S = 0.05
_LATE_S = 0.4  # an aggregate does not begin and end with the hour to the fraction
_NAMES = {CROSSING: "Line crossed", "RegionJoin": "Zone joined", "RegionLeave": "Zone left"}


@dataclass(slots=True)
class Webhooks:
    """Sends what a PC stores to a URL. Its aggregates are facts of their own in the PC's ledger."""

    pc: Pc
    url: str
    kind: Kind = "immediate"
    taken: int = 0
    lost: int = 0
    _told: int = 0
    _begun: datetime | None = field(default=None)

    async def run(self, stop: Stop) -> None:
        """Send until it is to stop."""
        wire = Wire(self.url, timeout_s=_TIMEOUT_S)
        try:
            while not stop.is_set():
                await self.send(wire)
                await pause(_LOOK_S, stop)
        finally:
            await wire.close()

    async def send(self, wire: Wire) -> None:
        """Send everything that is due now."""
        self.pc.advance()
        if self.kind == "immediate":
            with self.pc.lock:
                new = [stored for stored in self.pc.stored if stored.number > self._told]
            for stored in new:
                self._told = stored.number
                await self._post(wire, self._event(stored), [stored.statement])
            return
        for body, statements in self._sums():
            await self._post(wire, body, statements)

    async def _post(self, wire: Wire, body: dict[str, Json], statements: Sequence[Statement]) -> None:
        for statement in statements:
            statement.sent = True
        try:
            answer = await wire.exchange(json.dumps(body).encode(), {"Content-Type": "application/json"})
            taken = 200 <= answer.status <= 299
        except NoReply:
            taken = False
        self.taken += taken
        self.lost += not taken
        for statement in statements:
            statement.acknowledged = taken

    def _event(self, stored: Stored) -> dict[str, Json]:
        row = stored.row
        rule = row["rule_id"]
        return {
            "channel_id": row["channel_id"],
            "channel_name": "Simulated camera",
            "event_name": _NAMES.get(str(row["type"]), str(row["type"])),
            "event_origin": row["origin"],
            "event_time": datetime.fromtimestamp(stored.at, self.pc.zone).isoformat(timespec="microseconds"),
            "event_type": row["type"],
            "object_id": int(str(row["object_id"])),
            "rule_id": rule,
            "rule_name": row["rule_name"],
        }

    def _sums(self) -> list[tuple[dict[str, Json], list[Statement]]]:
        """Give the aggregates of every span that is over."""
        now = datetime.fromtimestamp(self.pc.clock.now(), self.pc.zone)
        begun = self._begun or self._floor(now)
        self._begun = begun
        found = []
        while (end := self._floor(begun + self._span())) + timedelta(seconds=_LATE_S) <= now:
            found += [self._aggregate(number, begun, end) for number in range(self.pc.channels)]
            self._begun = begun = end
        return found

    def _aggregate(
        self, number: int, begun: datetime, end: datetime
    ) -> tuple[dict[str, Json], list[Statement]]:
        since, until = (moment + timedelta(seconds=_LATE_S) for moment in (begun, end))
        channel = channel_id(self.pc.name, number)
        with self.pc.lock:
            rows = [
                one.row
                for one in self.pc.stored
                if since.timestamp() <= one.at < until.timestamp() and one.row["channel_id"] == channel
            ]
        types, rules = _counted(rows, "type"), _counted(rows, "rule_id")
        names = {str(row["rule_id"]): str(row["rule_name"]) for row in rows}
        body: dict[str, Json] = {
            "channel_id": channel,
            "channel_name": "Simulated camera",
            "event_type_aggregate": [
                {"event_count": n, "event_name": _NAMES.get(kind, kind), "event_type": kind}
                for kind, n in types.items()
            ],
            "rule_id_aggregate": [
                {"event_count": n, "rule_id": rule, "rule_name": names[rule]}
                for rule, n in rules.items()
                if rule != "-1"
            ],
            "since_time": since.isoformat(timespec="microseconds"),
            "until_time": until.isoformat(timespec="microseconds"),
        }
        window = (int(since.timestamp()), int(until.timestamp()))
        serial = f"{self.pc.name}-{slug(channel)}"
        at = int(since.timestamp() * 1000)
        statements = [self.pc.ledger.state(camlytics_key(serial, "sums", "-1", "-1", at), {})]
        for rule, n in rules.items():
            direction = DIRECTIONS.get(names[rule])
            if direction is not None:
                truth: dict[str, Json] = {
                    "enters": n * (direction == "in"),
                    "exits": n * (direction == "out"),
                }
                key = count_key(serial, rule, "total", names[rule], window)
                statements.append(self.pc.ledger.state(key, truth))
        return body, statements

    def _span(self) -> timedelta:
        return timedelta(hours=1) if self.kind == "hourly" else timedelta(days=1)

    def _floor(self, moment: datetime) -> datetime:
        floor = moment.replace(minute=0, second=0, microsecond=0)
        return floor if self.kind == "hourly" else floor.replace(hour=0)


def _counted(rows: Sequence[dict[str, Json]], name: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[str(row[name])] = sums.get(str(row[name]), 0) + 1
    return sums
