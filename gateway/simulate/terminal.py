"""A simulated face terminal: it sends what it recognised and its alarms, and keeps 50,000 while nobody answers."""

import heapq
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import partial
from random import Random

from gateway.errors import GatewayError
from gateway.event import Json
from gateway.simulate.clock import Clock
from gateway.simulate.crowd import arrivals
from gateway.simulate.device import Device, Line, Push
from gateway.simulate.facts import ALARM_STATES, access_key, alarm_key
from gateway.simulate.ledger import Ledger
from gateway.simulate.terminal_json import (
    BLACKLIST,
    EMPLOYEE,
    FIRMWARES,
    NOT_LIVE,
    PERSONS,
    STRANGER,
    VISITOR,
    AlarmStep,
    Firmware,
    Passage,
)
from gateway.simulate.wire import Answer

_KINDS = (EMPLOYEE, VISITOR, STRANGER, NOT_LIVE, BLACKLIST)
_SHARES = (70, 12, 14, 2, 2)
_ALARM_CODES = (10001, 10002, 10003, 10004, 20003)
_OUT_OF_VALIDITY, _OUT_OF_HOURS = 20001, 20002


class Terminal(Device):
    """One terminal at a door. ``rate`` is people per minute, ``alarms_per_hour`` what it says."""

    def __init__(
        self,
        url: str,
        *,
        serial: str,
        firmware: Firmware | None = None,
        rate: float = 4.0,
        profile: Sequence[float] | None = None,
        zone: tzinfo = UTC,
        alarms_per_hour: float = 2.0,
        seed: int = 0,
        clock: Clock | None = None,
        line: Line | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(url, seed=f"{seed} {serial}", clock=clock, line=line, ledger=ledger)
        self.serial = serial
        self.firmware = firmware or Firmware()
        if self.firmware.version not in FIRMWARES:
            raise GatewayError(
                f"There is no firmware {self.firmware.version!r}; there are {', '.join(FIRMWARES)}."
            )
        self.doors_opened = 0  # replies that a terminal in another mode would open its door for
        self._rate, self._profile, self._zone = rate, profile, zone
        self._alarm_gap_s = 3600.0 / alarms_per_hour if alarms_per_hour else None
        self._crowd = Random(f"crowd {seed} {serial}")
        self._trouble = Random(f"trouble {seed} {serial}")

    def script(self, start: float) -> Iterator[Push]:
        yield from heapq.merge(self._records(start), self._alarms(start), key=lambda push: push.at)

    def took(self, answer: Answer) -> bool:
        """Read the reply as the vendor's table has it: code 200 and the message "success"."""
        self.doors_opened += b"pass" in answer.body
        try:
            says = json.loads(answer.body)
        except ValueError:
            return False
        if answer.status != 200 or not isinstance(says, dict):
            return False
        taken = says.get("code") == 200 and says.get("message") == "success"
        return taken and isinstance(says.get("data"), dict)

    def _records(self, start: float) -> Iterator[Push]:
        luck, last = self._crowd, 0
        for minute, moments in arrivals(luck, start, rate=self._rate, zone=self._zone, profile=self._profile):
            for moment in moments:
                last = max(int(moment), last + 1)  # one face at a time
                person = self._passage(last)
                key = access_key(self.serial, person.uuid if self.firmware.has_uuid else None, last)
                push = partial(self.firmware.record, person)
                yield Push(
                    last, push, self.firmware.headers(self.serial, last), ((key, self._truth(person)),)
                )
            yield Push(max(minute + 60, last))

    def _passage(self, time: int) -> Passage:
        luck = self._crowd
        kind = luck.choices(_KINDS, _SHARES)[0]
        turned_away = luck.random() < 0.1
        abnormal = {EMPLOYEE: _OUT_OF_HOURS, VISITOR: _OUT_OF_VALIDITY}.get(kind, 0) if turned_away else 0
        return Passage(
            serial=self.serial,
            time=time,
            kind=kind,
            number=luck.randint(1, 250),
            allowed=kind in (EMPLOYEE, VISITOR) and not abnormal,
            abnormal=abnormal,
            score=round(luck.uniform(0.72, 0.99), 6),
            uuid=str(uuid.UUID(int=luck.getrandbits(128), version=4)),
        )

    def _truth(self, person: Passage) -> Mapping[str, Json]:
        truth: dict[str, Json] = {
            "result": "allowed" if person.allowed else "denied",
            "time_ms": person.time * 1000,
        }
        return truth if self.firmware.version < "1.1.0" else truth | {"person": PERSONS[person.kind]}

    def _alarms(self, start: float) -> Iterator[Push]:
        if self._alarm_gap_s is None or self.firmware.version < "1.3.0":
            return
        luck, moment, number = self._trouble, start, 0
        while True:
            moment += luck.expovariate(1 / self._alarm_gap_s)
            number += 1
            trace = f"SIM-{int(moment * 1000)}-{number:03}-{luck.getrandbits(30):06x}"
            code = luck.choice(_ALARM_CODES)
            for status in (1, 2, 3) if luck.random() < 0.2 else (1, 3):
                yield self._alarm(AlarmStep(trace, int(moment * 1000), status, code))
                moment += luck.uniform(20, 180)

    def _alarm(self, step: AlarmStep) -> Push:
        truth: dict[str, Json] = {"time_ms": step.time_ms}
        if step.status == 1:
            truth["code"] = step.code
        fact = (alarm_key(step.trace_id, ALARM_STATES[step.status]), truth)
        moment = step.time_ms / 1000
        body = partial(self.firmware.alarm, step)
        return Push(moment, body, self.firmware.headers(self.serial, moment), (fact,))
