"""A made-up Camlytics PC with a past, beside a site under test."""

import time

from gateway.simulate.camlytics import Pc
from gateway.simulate.ledger import Ledger

MORNING = 1_781_690_400.0  # 2026-06-17 10:00 UTC


class HandClock:
    def __init__(self, now: float) -> None:
        self.at = now

    def now(self) -> float:
        return self.at


def pc_of(name: str, ledger: Ledger, *, seconds: float, **more: object) -> Pc:
    given = {"rate": 12, "start": MORNING - seconds}
    return Pc(HandClock(MORNING), name=name, ledger=ledger, **{**given, **more})


def section(name: str, endpoint: str, *lines: str) -> str:
    rules = '[{rule = "Enter", direction = "in"}, {rule = "Exit", direction = "out"}]'
    return "\n".join(
        (f"[camlytics.{name}]", f'endpoint = "{endpoint}"', f"rules = {rules}", 'zone = "UTC"', *lines, "")
    )


def until(happened, what: str, *, wait_s: float = 30.0) -> None:
    deadline = time.monotonic() + wait_s
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def add(site, text: str) -> None:
    with site.daemon.config.open("a") as config:
        config.write("\n" + text)


def read(pc: Pc) -> int:
    return len(pc.stored) - pc.unread
