"""A box dies for good and another one goes on from its backup: nothing missing, no number for two things."""

import asyncio
import http.client
import json
import time
import uuid
from functools import partial

import pytest
from load import Load, few

from gateway.simulate.facts import access_key
from gateway.simulate.ledger import Ledger, compare
from gateway.simulate.receiver import Outcome
from gateway.simulate.terminal_json import EMPLOYEE, Firmware, Passage

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]
_FIRMWARE = Firmware(picture_bytes=300)


class Door:
    """A terminal that keeps what it recognised, and can be asked for it again."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self._port, self._ledger = port, ledger
        self._line: http.client.HTTPConnection | None = None
        self.kept: list[tuple] = []

    def recognise(self, people: int) -> int:
        """Have so many people pass; give how many records were taken."""
        started = len(self.kept)
        for _ in range(people):
            number = len(self.kept)
            person = Passage(
                serial=f"DOOR{number % 3}",
                time=int(time.time()) - 5_000 + number,
                kind=EMPLOYEE,
                number=number % 9,
                allowed=True,
                abnormal=0,
                score=0.9,
                uuid=str(uuid.uuid4()),
            )
            truth = {"result": "allowed", "person": "employee", "time_ms": person.time * 1000}
            statement = self._ledger.state(access_key(person.serial, person.uuid, person.time), truth)
            self.kept.append((person, statement))
        return self.send(started)

    def send(self, first: int) -> int:
        """Send what it keeps from there on; give how many were taken."""
        return sum(self._push(person, statement) for person, statement in self.kept[first:])

    def _push(self, person: Passage, statement) -> bool:
        statement.sent = True
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            line.request(
                "POST", "/push", _FIRMWARE.record(person), _FIRMWARE.headers(person.serial, person.time)
            )
            reply = line.getresponse()
            taken = reply.status == 200 and json.loads(reply.read())["code"] == 200
        except (OSError, http.client.HTTPException):
            taken = False
        finally:
            line.close()
        statement.acknowledged |= taken
        return taken


def replace_box(site, file, dead) -> None:
    """Leave nothing of the box that died, and have another one go on from the backup."""
    (site.directory / "store").rename(dead)
    site.daemon.config.unlink()
    restore = ("restore", "--store", str(site.directory / "store"), str(file))
    done = site.daemon.command(*restore, timeout_s=120)
    assert done.returncode == 0, done.stderr
    site.daemon.start()


def stated(event) -> dict:
    """Leave out what the gateway adds: a device that sends a record to another box gets it a new number and receipt."""
    return {name: value for name, value in event.items() if name not in ("seq", "device_seq", "received_at")}


def clashes(events) -> list:
    """Name every number that means two things."""
    means: dict[tuple, set] = {}
    for event in events:
        thing = (event["id"], event["revision"])
        means.setdefault(("seq", event["seq"]), set()).add(thing)
        means.setdefault((event["device"], event["device_seq"]), set()).add(thing)
    return [(number, things) for number, things in means.items() if len(things) > 1]


@pytest.mark.site_with(window=100, batch=20, store="min_free_bytes = 0")
async def test_another_box_goes_on_from_a_backup_of_a_site_under_load(site, experiment, tmp_path):
    """What is in the backup, what was delivered behind it and what a terminal has kept is there, once by its id."""
    ledger, file = Ledger(), tmp_path / "site.backup"
    in_thread = asyncio.to_thread
    site.daemon.start()
    async with Load(few(site.url, ledger)):
        await asyncio.sleep(1)
        done = await in_thread(
            partial(site.daemon.command, "backup", str(tmp_path / "under-load"), timeout_s=120)
        )
        assert done.returncode == 0, done.stderr
    door = Door(site.daemon.port, ledger)
    site.upstream.decide = lambda _request: _refusal()
    assert 40 == await in_thread(door.recognise, 40)
    done = await in_thread(partial(site.daemon.command, "backup", str(file), timeout_s=120))
    assert done.returncode == 0, done.stderr
    in_backup = {account["name"]: account["waiting"] for account in site.accounts()}
    assert in_backup["cloud"] >= 40  # what waits in it is delivered by the old box, and then by the new one
    site.upstream.decide = None
    behind = len(door.kept)
    assert 120 == await in_thread(door.recognise, 120)
    await in_thread(_wait_for, site, 60)
    site.daemon.kill()
    experiment.hit("box lost")
    last = max(event["seq"] for event in [*site.events_at("home"), *site.events_at("cloud")])
    await in_thread(replace_box, site, file, tmp_path / "dead")
    # New ones first: what is sent again would else get its old numbers by chance.
    assert 30 == await in_thread(door.recognise, 30)
    assert 150 == await in_thread(door.send, behind)
    await in_thread(partial(site.fresh_event, ledger, timeout_s=120))
    await in_thread(partial(site.settle, timeout_s=300))
    experiment.owe(len(ledger.obligations()))
    events = {name: list(site.events_at(name)) for name in ("home", "cloud")}
    verdicts = {name: compare(ledger, [stated(event) for event in came]) for name, came in events.items()}
    experiment.judge(verdicts)
    for name, came in events.items():
        verdict = verdicts[name]
        assert verdict.ok, (name, verdict.missing[:3], verdict.spurious[:3], verdict.wrong[:3])
        assert [] == clashes(came)[:3], name
        doubled = len(came) - len({(event["id"], event["revision"]) for event in came})
        assert doubled > 0, f"{name}: nothing came twice, so nothing was shown"
        assert {event["gateway"] for event in came} == {"gw-test"}
    assert [] == clashes([*events["home"], *events["cloud"]])[:3]
    new = [event["seq"] for event in events["home"] if event["seq"] > last]
    assert len(new) >= 151
    assert min(new) > 2**32
    for account in site.accounts():
        assert account["balanced"] and account["received"] == account["delivered"], account
    status = json.loads(site.daemon.asked("status", "--json").stdout)
    assert "store_restored" in {fault["code"] for fault in status["faults"]}
    # The box goes on where the backup stood: what the lost one sent since then comes again, however much it was.
    experiment.demand(obligations=190, faults=1, doubled=None)


def _refusal() -> Outcome:
    return Outcome(status=503, take=False)


def _wait_for(site, people: int) -> None:
    """Wait until the cloud has had a good part of what came behind the backup."""
    deadline = time.monotonic() + 120
    while sum(event["device"].startswith("terminal-door") for event in site.events_at("cloud")) < 40 + people:
        assert time.monotonic() < deadline, site.daemon.tail()
        time.sleep(0.02)
