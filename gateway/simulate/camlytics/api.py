"""The documented REST interface over what a PC has stored."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from gateway.event import Json
from gateway.simulate.camlytics.pc import Pc, Stored

_LIMIT = 100  # without a limit in the query


class Api:
    """Answers the four methods. ``inclusive``: `sinceId` gives the event of that number too."""

    def __init__(self, pc: Pc, *, inclusive: bool = False) -> None:
        self._pc = pc
        self.inclusive = inclusive

    def events(self, query: Mapping[str, str]) -> list[Json]:
        """Give stored events; sent counts as told."""
        self._pc.advance()
        with self._pc.lock:
            since = query.get("sinceId")
            if since is not None:
                self._pc.went_behind(int(since))
            found = list(self._matching(query))
            if query.get("order", "ASC").upper() == "DESC":
                found.reverse()
            found = found[: int(query.get("limit", _LIMIT))]
            for stored in found:
                stored.statement.sent = True
            return [stored.row for stored in found]

    def channels(self, query: Mapping[str, str]) -> list[Json]:  # noqa: ARG002 - it takes none
        """Give the channels."""
        return self._pc.channel_rows()

    def totals_rule(self, query: Mapping[str, str]) -> list[Json]:
        """Count by rule."""
        self._pc.advance()
        sums: Counter[tuple[Json, Json, Json]] = Counter()
        with self._pc.lock:
            for stored in self._matching(query):
                row = stored.row
                if row["rule_id"] != "-1":
                    sums[row["channel_id"], row["rule_id"], row["rule_name"]] += 1
        return [
            {"channel_id": channel, "rule_id": rule, "rule_name": name, "rule_count": number}
            for (channel, rule, name), number in sums.items()
        ]

    def totals_type(self, query: Mapping[str, str]) -> list[Json]:
        """Count by type."""
        self._pc.advance()
        sums: Counter[tuple[Json, Json]] = Counter()
        with self._pc.lock:
            for stored in self._matching(query):
                sums[stored.row["channel_id"], stored.row["type"]] += 1
        return [
            {"channel_id": channel, "type": kind, "type_count": number}
            for (channel, kind), number in sums.items()
        ]

    def _matching(self, query: Mapping[str, str]) -> Iterator[Stored]:
        low = int(query.get("sinceId", 0)) - self.inclusive
        high = int(query.get("untilId", 2**53))
        since, until = (_time(query.get(name)) for name in ("sinceTime", "untilTime"))
        for stored in self._pc.stored:
            wall = stored.wall
            if not low < stored.number <= high or (since and wall < since) or (until and wall >= until):
                continue
            if query.get("channelId", stored.row["channel_id"]) == stored.row["channel_id"]:
                yield stored


def _time(text: str | None) -> str | None:
    """Write a local time as the stored ones are, so that texts compare like times."""
    return None if text is None else datetime.fromisoformat(text).isoformat(timespec="microseconds") + "0"
