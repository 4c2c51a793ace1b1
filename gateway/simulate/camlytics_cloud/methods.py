"""What the seven methods answer, out of what happened in the world."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random

from gateway.event import Json, slug
from gateway.simulate.camlytics_cloud.world import Record, World
from gateway.simulate.facts import cloud_list_key

_HOUR_S = 3600
_HISTOGRAMS_S = 40 * 86_400  # how long they are kept


class Methods:
    """The methods. ``limit`` cuts an answer without a word, oldest first; ``distort`` falsifies totals."""

    def __init__(self, world: World, limit: int | None) -> None:
        self.world = world
        self.limit = limit
        self.distort: Callable[[list[dict[str, Json]]], None] | None = None
        self.names: dict[str, Callable[[Mapping[str, str]], list[dict[str, Json]]]] = {
            "channels": self._channels,
            "locations": self._locations,
            "triggers": self._triggers,
            "events": self._events,
            "totals/triggers": self._by_trigger,
            "totals/types": self._by_type,
            "histograms": self._histograms,
        }

    def give(self, name: str, query: Mapping[str, str]) -> list[dict[str, Json]]:
        """Answer a method as things are now."""
        with self.world.lock:
            self.world.catch_up()
            return self.names[name](query)

    def _channels(self, query: Mapping[str, str]) -> list[dict[str, Json]]:
        given: list[dict[str, Json]] = []
        for place in self.world.places:
            for number, channel in enumerate(self.world.channels(place)):
                item: dict[str, Json] = {"name": f"Door {number + 1}", "paid": 1, "active": 1, "id": channel}
                given.append({**item, "location_id": place.id})
                self._listed("channel", slug(channel))
        return _of_location(given, query)

    def _locations(self, query: Mapping[str, str]) -> list[dict[str, Json]]:
        given: list[dict[str, Json]] = []
        for place in self.world.places:
            secret = f"{self.world.canary}hash" + "SwU8JH3lddu/wsZ+" * 4
            item: dict[str, Json] = {"name": place.name, "id": place.id, "version": "3.2.1"}
            given.append({**item, "timezone_offset": place.offset, "hash": secret})
            self._listed("location", str(place.id))
        return [item for item in given if query.get("location_id") in (None, str(item["id"]))]

    def _triggers(self, query: Mapping[str, str]) -> list[dict[str, Json]]:
        given: list[dict[str, Json]] = []
        for place in self.world.places:
            for channel in self.world.channels(place):
                for name, trigger in self.world.triggers(channel).items():
                    kind = "Zone" if name == "Area" else "Line"
                    item: dict[str, Json] = {"name": name, "active": 1, "id": trigger, "type": kind}
                    given.append({**item, "channel_id": channel, "location_id": place.id})
                    self._listed("trigger", trigger)
        return _of_location(given, query)

    def _events(self, query: Mapping[str, str]) -> list[dict[str, Json]]:
        return [record.as_json() for record in self._asked(query)][: self.limit]

    def _by_trigger(self, query: Mapping[str, str]) -> list[dict[str, Json]]:
        counted = Counter((one.trigger, one.channel, one.location) for one in self._asked(query))
        names = self._names()
        given: list[dict[str, Json]] = [
            {
                "trigger_name": names.get(trigger, ""),
                "trigger_id": trigger,
                "count": count,
                "channel_id": channel,
                "location_id": location,
            }
            for (trigger, channel, location), count in counted.items()
        ]
        return self._distorted(given)

    def _by_type(self, query: Mapping[str, str]) -> list[dict[str, Json]]:
        counted = Counter((one.type, one.channel) for one in self._asked(query))
        return self._distorted(
            [
                {"count": count, "type": type_, "channel_id": channel}
                for (type_, channel), count in counted.items()
            ]
        )

    def _histograms(self, query: Mapping[str, str]) -> list[dict[str, Json]]:
        since, until = self._span(query)
        since = max(since, until - _HISTOGRAMS_S)
        given: list[dict[str, Json]] = []
        for place in self.world.places:
            for channel in self.world.channels(place):
                trigger = self.world.triggers(channel)["Area"]
                given += [
                    self._histogram(place.id, channel, trigger, hour)
                    for hour in range(-int(-since // _HOUR_S) * _HOUR_S, int(until) + 1, _HOUR_S)
                ]
        return _of_location(given, query)

    def _histogram(self, location: int, channel: str, trigger: str, hour: int) -> dict[str, Json]:
        luck = Random(f"{self.world.seed} {trigger} {hour}")
        passed = min(self.world.clock.now() - hour, _HOUR_S)
        busy = round(luck.uniform(0, passed / 2), 1)
        self._listed("histogram", trigger, hour)
        return {
            "trigger_id": trigger,
            "id": luck.randrange(10**6, 10**8),
            "channel_id": channel,
            "counting_data": [round(passed - busy, 1), busy],
            "lifetime_data": [luck.randrange(12) for _ in range(4)],
            "location_id": location,
            "histogram_time": datetime.fromtimestamp(hour, UTC).isoformat(),
        }

    # What they need

    def _asked(self, query: Mapping[str, str]) -> Sequence[Record]:
        since, until = self._span(query)
        wanted = query.get("location_id")
        found = self.world.between(since, until)
        return [one for one in found if wanted in (None, str(one.location))]

    def _span(self, query: Mapping[str, str]) -> tuple[float, float]:
        since = datetime.fromisoformat(query["since"]).timestamp() if "since" in query else 0.0
        until = datetime.fromisoformat(query["until"]).timestamp() if "until" in query else None
        # A PC whose clock is ahead has records of the future.
        return since, self.world.clock.now() + 86_400 if until is None else until

    def _names(self) -> dict[str, str]:
        """Give the names of all triggers by their ids."""
        channels = (channel for place in self.world.places for channel in self.world.channels(place))
        return {id_: name for channel in channels for name, id_ in self.world.triggers(channel).items()}

    def _distorted(self, given: list[dict[str, Json]]) -> list[dict[str, Json]]:
        if self.distort is not None:
            self.distort(given)
        return given

    def _listed(self, *what: str | int) -> None:
        """Enter what a list said: it may arrive, and once it did a repeat is none."""
        key = cloud_list_key(*what)
        if key not in self.world.ledger.facts:
            self.world.ledger.state(key, {}).sent = True


def _of_location(given: list[dict[str, Json]], query: Mapping[str, str]) -> list[dict[str, Json]]:
    return [item for item in given if query.get("location_id") in (None, str(item["location_id"]))]
