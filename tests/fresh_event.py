"""One new record of a terminal that nobody has heard of, followed to both far ends of a site."""

import http.client
import json
import time
import uuid
from collections.abc import Callable, Iterator

from gateway.simulate.facts import access_key
from gateway.simulate.ledger import Ledger
from gateway.simulate.terminal_json import EMPLOYEE, Firmware, Passage


def follow(site, ledger: Ledger, *, timeout_s: float, at: float | None = None) -> float:
    """Push it until it is taken, wait until both far ends have it, and give the seconds that this took."""
    person = Passage(
        serial=f"FRESH{uuid.uuid4().hex[:8]}",
        time=int(time.time() if at is None else at),
        kind=EMPLOYEE,
        number=1,
        allowed=True,
        abnormal=0,
        score=0.9,
        uuid=str(uuid.uuid4()),
    )
    before = (len(site.subscriber.arrivals), len(site.upstream.ledger))
    started = time.monotonic()
    for arrived in (_taken(site, ledger, person), *_both_have(site, person.uuid, before)):
        while not arrived():
            waited = time.monotonic() - started
            assert waited < timeout_s, (
                f"a fresh event does not flow ({arrived.__name__})\n{site.daemon.tail()}"
            )
            time.sleep(0.02)
    return time.monotonic() - started


def _taken(site, ledger: Ledger, person: Passage) -> Callable[[], bool]:
    truth = {"result": "allowed", "person": "employee", "time_ms": person.time * 1000}
    statement = ledger.state(access_key(person.serial, person.uuid, person.time), truth)
    firmware = Firmware(picture_bytes=3_000)
    body, head = firmware.record(person), firmware.headers(person.serial, person.time)

    def accepted() -> bool:
        line = http.client.HTTPConnection("127.0.0.1", site.daemon.port, timeout=5)
        try:
            statement.sent = True
            line.request("POST", "/push", body, head)
            reply = line.getresponse()
            statement.acknowledged = reply.status == 200 and json.loads(reply.read())["code"] == 200
        except (OSError, http.client.HTTPException):
            pass  # the daemon is still coming: a device tries again too
        finally:
            line.close()
        return statement.acknowledged

    return accepted


def _both_have(site, mark: str, before: tuple[int, int]) -> Iterator[Callable[[], bool]]:
    def at_home() -> bool:
        new = site.subscriber.arrivals[before[0] :]
        return any(one.event["data"].get("uuid") == mark for one in new if one.event)

    def at_the_cloud() -> bool:
        return any(
            one.data["data"].get("uuid") == mark for one in site.upstream.ledger.deliveries[before[1] :]
        )

    yield from (at_home, at_the_cloud)
