"""A simulated stereo people counter: interval mode, or real time with running sums and heartbeats."""

import heapq
from collections import Counter as Bag
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from random import Random
from typing import Literal

from gateway.errors import GatewayError
from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import DIALECTS, CountXml, Identity, ObjectCounts, Window
from gateway.simulate.crowd import AGES, GENDERS, Person, arrivals, people
from gateway.simulate.device import Device, Line, Push
from gateway.simulate.facts import count_key, heartbeat_key
from gateway.simulate.ledger import Ledger
from gateway.simulate.wire import Answer

_HEADERS = {"Content-Type": "application/xml", "User-Agent": "stereo-counter"}
_DELAY_S = 3  # between the start of a window of one second and its push
_BYSTANDERS = ("passings", "returns")


class Counter(Device):
    """One camera above a door. ``rate`` is people per minute; ``dialect`` one of `count_xml.DIALECTS`."""

    def __init__(
        self,
        url: str,
        *,
        identity: Identity,
        mode: Literal["interval", "real_time"] = "interval",
        dialect: str = "v1.0",
        rate: float = 6.0,
        profile: Sequence[float] | None = None,
        interval_min: int = 1,
        unfinished: bool = False,  # an interval push also shows the running minute, and the next one corrects it
        heartbeat_s: float | None = 60.0,  # real time only, as in the device
        heartbeat_path: str | None = None,
        child_mode: bool = True,
        zones: int = 1,
        double_close: bool = False,
        seed: int = 0,
        clock: Clock | None = None,
        line: Line | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(url, seed=f"{seed} {identity.serial}", clock=clock, line=line, ledger=ledger)
        if dialect not in DIALECTS:
            raise GatewayError(f"There is no counter dialect {dialect!r}; there are {', '.join(DIALECTS)}.")
        self._speaks = DIALECTS[dialect]
        if mode == "real_time" and self._speaks.live_root is None:
            raise GatewayError(f"A counter that speaks {dialect} has no real-time mode; choose interval.")
        self.identity, self.mode = identity, mode
        self._rate, self._profile, self._zones = rate, profile, zones
        self._interval_min, self._unfinished = interval_min, unfinished
        self._heartbeat_s, self._heartbeat_path = heartbeat_s, heartbeat_path
        self._views = ("total", "adult", "child") if child_mode and self._speaks.children else ("total",)
        self._xml = CountXml(identity, self._speaks, double_close=double_close)
        self._crowd = Random(f"crowd {seed} {identity.serial}")
        self._pulse = Random(f"pulse {seed} {identity.serial}")

    def script(self, start: float) -> Iterator[Push]:
        if self.mode == "interval":
            yield from self._intervals(start)
            return
        counts = self._seconds(start) if self._speaks.seconds else self._running_minutes(start)
        yield from heapq.merge(counts, self._heartbeats(start), key=lambda push: push.at)

    def took(self, answer: Answer) -> bool:
        return answer.status == 200

    def _intervals(self, start: float) -> Iterator[Push]:
        windows: list[tuple[int, int, list[Person]]] = []
        for (minute, who), (_, soon) in pairwise(self._minutes(start)):
            windows.append((minute, minute + 60, who))
            if len(windows) == self._interval_min:
                sent_at = minute + 60 + self._pulse.randint(2, 20)
                running = (minute + 60, minute + 120, [one for one in soon if one.at < sent_at])
                shown = [*windows, running] if self._unfinished else windows
                yield self._push("Metrics", self._interval_min, sent_at, shown)
                windows = []

    def _running_minutes(self, start: float) -> Iterator[Push]:
        root = self._speaks.live_root or ""
        for minute, who in self._minutes(start):
            for number, person in enumerate(who, start=1):
                yield self._push(root, 1, person.at, [(minute, minute + 60, who[:number])])
            yield Push(minute + 60)

    def _seconds(self, start: float) -> Iterator[Push]:
        root = self._speaks.live_root or ""
        for minute, who in self._minutes(start):
            for second, together in groupby(who, key=lambda person: int(person.at)):
                yield self._push(root, 0, second + _DELAY_S, [(second, second + 1, list(together))])
            yield Push(minute + 60 + _DELAY_S)

    def _heartbeats(self, start: float) -> Iterator[Push]:
        if self._heartbeat_s is None:
            return
        moment = start + self._pulse.uniform(0, self._heartbeat_s)
        while True:
            serial, sent_at = self.identity.serial, int(moment)
            said = {"time_ms": sent_at * 1000} if self._speaks.transmit_time else {}
            fact = (heartbeat_key(serial, sent_at), said)
            yield Push(moment, self._xml.heartbeat(sent_at), _HEADERS, (fact,), self._heartbeat_path)
            moment += self._heartbeat_s * self._pulse.uniform(0.97, 1.03)

    def _minutes(self, start: float) -> Iterator[tuple[int, list[Person]]]:
        coming = arrivals(self._crowd, start, rate=self._rate, zone=self.identity.zone, profile=self._profile)
        for minute, moments in coming:
            yield minute, people(self._crowd, moments, zones=self._zones)

    def _push(
        self, root: str, interval: int, at: float, windows: Sequence[tuple[int, int, list[Person]]]
    ) -> Push:
        objects = [
            ObjectCounts(
                str(zone),
                "count" if self._zones == 1 else f"zone {zone}",
                view,
                [Window(start, end, self._sums(who, zone, view)) for start, end, who in windows],
            )
            for zone in range(self._zones)
            for view in self._views
        ]
        if self._speaks.seconds:
            objects.append(
                ObjectCounts("0", "count", "demographics", [_traits(*window) for window in windows])
            )
        serial = self.identity.serial
        facts = tuple(
            (count_key(serial, one.id, one.view, one.name, (window.start, window.end)), window.counts)
            for one in objects
            for window in one.windows
        )
        return Push(at, self._xml.counts(root, interval, int(at), objects), _HEADERS, facts)

    def _sums(self, who: Sequence[Person], zone: int, view: str) -> dict[str, int]:
        seen = Bag(one.doing for one in who if one.zone == zone and view in ("total", one.view))
        told = ("enters", "exits", *(_BYSTANDERS if self._speaks.bystanders else ()))
        return {doing: seen[doing] for doing in told}


def _traits(start: int, end: int, who: Sequence[Person]) -> Window:
    seen = Bag(trait for one in who for trait in one.traits)
    return Window(start, end, {}, {name: seen[name] for name in (*GENDERS, *AGES)})
