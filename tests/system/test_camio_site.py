"""Camio against the whole daemon: kills under load, and what of its persons and secrets is where."""

import asyncio
import json
import random
import re

import pytest
from callback_site import SECRET
from load import LINE, Load
from site_under_test import IN_ORDER, Site, free_port

from gateway.simulate.camio import Camio
from gateway.simulate.camio_json import Domain
from gateway.simulate.clock import Clock
from gateway.simulate.device import Line
from gateway.simulate.ledger import Ledger

pytestmark = pytest.mark.anyio

CANARY = "Qx7canary"
KILLS = 6
WINDOW = 100
CALLBACKS = """
[callbacks]
enabled = true
port = {port}
secret_file = "{directory}/header"
"""


class CalledSite(Site):
    """A whole site whose callbacks port is open."""

    def __init__(self, directory, **more):
        self.callbacks = free_port()
        (directory / "header").write_text(SECRET)
        (directory / "header").chmod(0o600)
        section = CALLBACKS.format(port=self.callbacks, directory=directory)
        super().__init__(directory, more=section, **more)

    def camio(self, number, ledger, *, speed=300.0, **how):
        domain = Domain(name=f"d{number}.example", canary=how.pop("canary", None))
        clock = Clock(speed=speed)
        headers = {"Authorization": SECRET}
        url = f"http://127.0.0.1:{self.callbacks}/camio"
        how = {"line": LINE, "rate": 20.0, "seed": number, **how}
        return Camio(url, headers=headers, domain=domain, ledger=ledger, clock=clock, **how)


@pytest.fixture
def called(tmp_path, request):
    site = CalledSite(tmp_path, **getattr(request, "param", {}))
    yield site
    site.close()


@pytest.mark.parametrize("called", [{"window": WINDOW, "batch": 20, "home": IN_ORDER}], indirect=True)
@pytest.mark.timeout(180)
@pytest.mark.slow
async def test_kills_lose_no_callback(called):
    """After kills under load both far ends have every callback that was answered with 2xx, once, and no other."""
    ledger, chance = Ledger(), random.Random(42)
    called.daemon.start()
    line = Line(retry_s=0.05, timeout_s=2.0, resend=0.05, reorder=0.1)
    senders = [called.camio(n, ledger, line=line, method=("POST", "PUT")[n % 2]) for n in range(3)]
    async with Load(senders):
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.1, 0.8))
            called.daemon.kill()
            await asyncio.to_thread(called.daemon.start)
        await asyncio.sleep(1)
    await asyncio.to_thread(called.settle)
    assert len(ledger.obligations()) > 300, "too little load to prove anything"
    verdicts = called.judge(ledger)
    for far_end, verdict in verdicts.items():
        assert len(verdict.duplicates) <= KILLS * WINDOW
        called.doubles_in_flight(far_end, WINDOW)


def everything(site) -> bytes:
    """Give every byte on disk that the daemon wrote, and what a person is shown."""
    shown = "".join(
        site.daemon.asked(*words).stdout
        for words in (("status", "--json"), ("devices", "--json"), ("letters", "list", "--json"))
    )
    files = [path for path in site.directory.rglob("*") if path.is_file() and path.name != "header"]
    ours = [path for path in files if path.parent.name in {"store", "state"} or path.name == "daemon.log"]
    return shown.encode() + b"".join(path.read_bytes() for path in ours)


async def push_canaries(site) -> None:
    ledger = Ledger()
    camio = site.camio(1, ledger, canary=CANARY, speed=0)
    await camio.run(duration_s=1800, linger_s=10)
    broken = camio.domain.write("b", "pacs.events.created", camio.domain.doors([]))[:-1]
    entry, _ = camio.domain.entry(random.Random(1), 1.8e9)
    await camio.wire.exchange(broken + json.dumps(entry).encode(), {"Authorization": SECRET})
    await camio.wire.close()
    await asyncio.to_thread(site.settle)


def marks(said: bytes) -> set[str]:
    return {found.decode() for found in re.findall(CANARY.encode() + b"[a-z]+", said)}


async def test_no_canary_is_anywhere(called):
    """By default no personal field and no secret is on disk, in the log, at a far end or on a screen."""
    called.daemon.start()
    await push_canaries(called)
    sent = json.dumps([called.events_at("home"), called.events_at("cloud")]).encode()
    assert b"pacs.events.created" in sent
    for place in (sent, everything(called)):
        assert set() == marks(place)
        assert SECRET.split()[1].encode() not in place


@pytest.mark.parametrize("called", [{"cloud": 'personal = ["pacs"]'}], indirect=True)
async def test_who_lists_pacs_gets_pacs(called):
    """A sink that lists it has the persons of door events in their place; the other sink has none."""
    called.daemon.start()
    await push_canaries(called)
    assert set() == marks(json.dumps(called.events_at("home")).encode())
    found = set()
    for event in called.events_at("cloud"):
        inner = event.get("data", event) if "specversion" in event else event
        assert set(inner.get("personal", {})) <= {"pacs"}
        found |= marks(json.dumps(inner.get("personal", {})).encode())
        rest = {name: value for name, value in inner.items() if name != "personal"}
        assert set() == marks(json.dumps(rest).encode())
    assert {CANARY + name for name in ("email", "userid", "badgeid", "cardholderkey")} == found
    assert {CANARY + name for name in ("owner", "authorization")}.isdisjoint(marks(everything(called)))
