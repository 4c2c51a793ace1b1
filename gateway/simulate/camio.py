"""Camio's cloud as a simulator: it calls back with all eleven types of events, and shows the header it was told to."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from random import Random

from gateway.event import Json
from gateway.simulate.camio_json import COUNTERS, DOORS, INCIDENT, TYPES, Domain, sentence
from gateway.simulate.clock import Clock
from gateway.simulate.crowd import arrivals
from gateway.simulate.device import Device, Line, Push
from gateway.simulate.facts import Key, camio_key
from gateway.simulate.ledger import Ledger
from gateway.simulate.wire import Answer

_SHARES = [{INCIDENT: 40, DOORS: 40}.get(kind, 3) for kind in TYPES]
Facts = list[tuple[Key, Mapping[str, Json]]]


class Camio(Device):
    """The callbacks of one domain. ``rate`` is callbacks per minute.

    Whether Camio sends again what was not taken is not documented; this one does, as the line says.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        domain: Domain | None = None,
        method: str = "POST",
        rate: float = 6.0,
        profile: Sequence[float] | None = None,
        zone: tzinfo = UTC,
        seed: int = 0,
        clock: Clock | None = None,
        line: Line | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.domain = domain or Domain()
        super().__init__(url, seed=f"{seed} {self.domain.name}", clock=clock, line=line, ledger=ledger)
        self.method = method
        self._headers = {"Content-Type": "application/json", **headers}
        self._rate, self._profile, self._zone = rate, profile, zone
        self._luck = Random(f"camio {seed} {self.domain.name}")

    def script(self, start: float) -> Iterator[Push]:
        luck = self._luck
        for minute, moments in arrivals(luck, start, rate=self._rate, zone=self._zone, profile=self._profile):
            last = 0.0
            for moment in moments:
                last = round(moment, 3)
                body, facts = self._callback(last)
                yield Push(last, body, self._headers, tuple(facts))
            yield Push(max(minute + 60, last))

    def took(self, answer: Answer) -> bool:
        """Take any 2xx for a success: the vendor does not say."""
        return 200 <= answer.status < 300

    def _callback(self, moment: float) -> tuple[bytes, Facts]:
        luck = self._luck
        number = str(uuid.UUID(int=luck.getrandbits(128), version=4))
        kind = luck.choices(TYPES, _SHARES)[0]
        camera = self.domain.camera(luck.randrange(self.domain.cameras))
        if kind == INCIDENT:
            inner, facts = self._incident(number, camera, moment)
        elif kind == DOORS:
            inner, facts = self._doors(number, moment)
        else:
            inner, kept = self.domain.news(kind, camera, luck)
            facts = [(camio_key(number, kind), {"type": kind, "fields": kept})]
        return self.domain.write(number, kind, inner), facts

    def _incident(self, number: str, camera: str, moment: float) -> tuple[dict[str, Json], Facts]:
        luck = self._luck
        chosen = luck.sample(sorted(COUNTERS), luck.choice((1, 1, 1, 2)))
        well = luck.random() < 0.2
        values = {
            name: COUNTERS[name][0] if well else COUNTERS[name][1] + luck.randint(0, 40) for name in chosen
        }
        state = "cleared" if well else "raised"
        facts: Facts = []
        for name, value in values.items():
            truth: dict[str, Json] = {"alarm": name, "state": state, "value": value}
            truth |= {"description": sentence(name, value), "time_ms": round(moment * 1000)}
            facts.append((camio_key(number, name), truth))
        return self.domain.incident(camera, moment, values), facts

    def _doors(self, number: str, moment: float) -> tuple[dict[str, Json], Facts]:
        made = [self.domain.entry(self._luck, moment) for _ in range(self._luck.choice((1, 1, 2, 5)))]
        facts: Facts = []
        for place, (_, kept) in enumerate(made):
            truth: dict[str, Json] = {"fields": kept, "time_ms": round(moment * 1000)}
            facts.append((camio_key(number, place), truth))
        return self.domain.doors([whole for whole, _ in made]), facts
