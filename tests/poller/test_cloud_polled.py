"""The Camlytics cloud, asked over a real socket and kept in a real store, on a clock that runs fast."""

import dataclasses
import re
import ssl
import time
from datetime import UTC, datetime

import pytest
from camlytics_site import polled
from keeping import rows

from gateway import clock
from gateway.intake import Policy
from gateway.simulate.camlytics_cloud import Cloud, Gate, Place, Says, World
from gateway.simulate.ledger import compare
from gateway.sources.camlytics_cloud import Account, Keys, Rule, Rules, polls

_NOON = 1_777_982_400.0  # 2026-05-05 12:00 UTC
_SPEED = 40.0
KEYS = Keys("CANARYpublickey", "CANARYsecretkey")
RULES = Rules.of(
    [
        Rule(trigger="Enter", direction="in", zone="hall"),
        Rule(trigger="Exit", direction="out", zone="hall"),
    ]
)


class Fast:
    """The box's clock and the cloud's: seconds pass forty times as fast; the box's may be wrong."""

    tick_s = 0.002

    def __init__(self) -> None:
        self._origin = time.monotonic()
        self.wrong_s = 0.0
        self.cloud = self._Cloud(self)

    class _Cloud:
        def __init__(self, fast: "Fast") -> None:
            self._fast = fast

        def now(self) -> float:
            return _NOON + self._fast.steady()

    def now(self) -> datetime:
        return datetime.fromtimestamp(_NOON + self.steady() + self.wrong_s, UTC)

    def steady(self) -> float:
        return (time.monotonic() - self._origin) * _SPEED

    def trusted(self) -> bool:
        return True


@pytest.fixture
def fast():
    made = Fast()
    before = clock.use(made)
    yield made
    clock.use(before)


def cloud_of(fast: Fast, **how) -> Cloud:
    world = World(fast.cloud, **{"places": (Place(id=101),), "earlier_s": 3600.0, "seed": 5, **how})
    return Cloud(world, Gate({KEYS.public: KEYS.secret}))


def account(cloud: Cloud, **how) -> Account:
    given = {"name": "shop", "keys": KEYS, "endpoint": cloud.url, "rules": RULES, "locations": (101,)}
    return Account(**{**given, **how})


def sums(cloud: Cloud, before: float) -> dict[str, int]:
    """Say what the people did who came early enough."""
    owed = {"enters": 0, "exits": 0}
    for key, one in cloud.world.ledger.obligations().items():
        if key[0] == "camlytics_cloud" and key[4] <= before:
            for name in owed:
                owed[name] += one.truth.get(name, 0)
    return owed


def counted(events: list[dict], before: float) -> dict[str, int]:
    newest = {event["id"]: event for event in sorted(events, key=lambda event: event["revision"])}
    found = {"enters": 0, "exits": 0}
    for event in newest.values():
        if event["kind"] == "count" and event["time_ms"] // 1000 <= before:
            for name in found:
                found[name] += event["data"][name]
    return found


async def test_seven_polls_on_one_key_never_ask_too_soon(tmp_path, anyio_backend, fast):
    """All methods are answered, no ask comes within a second of another, and every nonce is higher."""
    with cloud_of(fast) as cloud:
        async with polled(tmp_path) as site:
            made = polls(account(cloud, period_s=2.0, lists_s=60.0))
            assert len(made) == 7
            await site.put(*made)
            await site.until(lambda: cloud.gate.asked > 80, "it is hardly asked")
            seen = fast.cloud.now()
            await site.until(lambda: cloud.gate.asked > 100, "it is hardly asked")
            assert (0, 0) == (cloud.gate.throttled, cloud.gate.refused)
            assert set() == site.codes()
            events = site.events()
        assert {
            "channels",
            "locations",
            "triggers",
            "events",
            "totals/types",
            "totals/triggers",
            "histograms",
        } == set(cloud.answers)
        nonces = cloud.gate.nonces[KEYS.public]
        assert nonces == sorted(set(nonces))
        assert nonces[-1] < 2**31
        assert sums(cloud, seen - 30) == counted(events, seen - 30)
        assert sum(sums(cloud, seen - 30).values()) > 100
        told = [{**event, "time": _text(event["time_ms"])} for event in events]
        verdict = compare(cloud.world.ledger, told)
        assert not verdict.wrong
        assert not verdict.spurious
        assert all(key[4] > seen - 30 for key in verdict.missing)


def _text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


async def test_the_nonce_rises_over_restarts_and_a_clock_that_goes_back(tmp_path, anyio_backend, fast):
    """A box that restarts two days in the past, in 1970 and in the next year is refused nothing."""
    with cloud_of(fast) as cloud:
        for wrong_s in (0.0, -2 * 86_400.0, -_NOON, 300 * 86_400.0, 0.0):
            fast.wrong_s = wrong_s
            async with polled(tmp_path) as site:
                asked = cloud.gate.asked
                await site.put(*polls(account(cloud, period_s=2.0), totals=False, histograms=False))
                await site.until(lambda asked=asked: cloud.gate.asked > asked + 8, "it is not asked")
        assert 0 == cloud.gate.refused
        nonces = cloud.gate.nonces[KEYS.public]
        assert nonces == sorted(set(nonces))
        async with polled(tmp_path) as site:
            await site.put(*polls(account(cloud, period_s=2.0), totals=False, histograms=False))
            seen = fast.cloud.now()
            await site.until(lambda: fast.cloud.now() > seen + 60, "time stands still")
            assert sums(cloud, seen - 10) == counted(site.events(), seen - 10)


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (Says(status=429, headers={"Retry-After": "20"}), "camlytics_cloud_busy"),
        (Says(status=503), "camlytics_cloud_busy"),
        (Says(code=31, msg="Database is away"), "camlytics_cloud_error"),
        (Says(status=401, code=401, msg="Invalid API key"), "camlytics_cloud_login"),
        (Says(code=13, msg="Nonce must be greater than previous one"), "camlytics_cloud_nonce"),
        (Says(body=b"<html>Welcome to the hotel</html>"), "poll_unreadable"),
        (Says(status=302, headers={"Location": "http://127.0.0.1/login"}), "poll_redirect"),
        (Says(breaks=True), "poll_broken"),
    ],
)
async def test_each_trouble_is_said_and_gone_when_it_is_over(tmp_path, anyio_backend, fast, says, code):
    """Every way to be wrong has its fault, which goes with the next good answer; nothing is lost by it."""
    with cloud_of(fast) as cloud:
        async with polled(tmp_path) as site:
            events = next(one for one in polls(account(cloud, period_s=2.0)) if "events" in one.name)
            cloud.script.extend([says] * 3)
            await site.put(events)
            await site.until(lambda: code in site.codes(), f"{code} is not said")
            sentence = site.fault(code)
            assert KEYS.public not in sentence
            await site.until(lambda: set() == site.codes() and cloud.answers["events"] > 3, "it is not over")
            seen = fast.cloud.now()
            await site.until(lambda: fast.cloud.now() > seen + 30, "time stands still")
            assert sums(cloud, seen - 10) == counted(site.events(), seen - 10)


async def test_a_wish_to_wait_is_honoured(tmp_path, anyio_backend, fast):
    """After Retry-After: 30 nothing is asked with this key's poll for thirty seconds."""
    with cloud_of(fast) as cloud:
        async with polled(tmp_path) as site:
            cloud.script.append(Says(status=429, headers={"Retry-After": "30"}))
            events = next(one for one in polls(account(cloud, period_s=2.0)) if "events" in one.name)
            await site.put(events)
            await site.until(lambda: cloud.gate.asked == 1, "it is not asked")
            first = fast.cloud.now()
            await site.until(lambda: cloud.gate.asked == 2, "it is not asked again")
            assert fast.cloud.now() - first >= 29


async def test_a_wrong_secret_is_said_without_showing_it(tmp_path, anyio_backend, fast):
    """The cloud's refusal quotes key and signature, and the fault shows neither."""
    with cloud_of(fast) as cloud:
        async with polled(tmp_path) as site:
            wrong = dataclasses.replace(account(cloud), keys=Keys(KEYS.public, "another-secret"))
            await site.put(*polls(wrong, totals=False, histograms=False))
            await site.until(lambda: "camlytics_cloud_login" in site.codes(), "it is not said")
            sentence = site.fault("camlytics_cloud_login")
            assert "does not match" in sentence
            assert not re.search(r"[0-9a-f]{32}", sentence)
            assert "CANARY" not in sentence


async def test_a_dead_account_is_one_fault_and_goes_when_it_works(tmp_path, anyio_backend, fast):
    """Thirteen polls that one wrong key holds up are one fault that says how many, gone when the key is right."""
    with cloud_of(fast, places=(Place(id=101), Place(id=102))) as cloud:
        async with polled(tmp_path) as site:
            both = account(cloud, locations=(101, 102), period_s=2.0, lists_s=60.0)
            await site.put(*polls(dataclasses.replace(both, keys=Keys(KEYS.public, "another-secret"))))
            await site.until(
                lambda: any("13 of its 13 polls" in fault.sentence for fault in site.faults), "not all fail"
            )
            assert [("camlytics_cloud_login", "camlytics_cloud.shop")] == [
                (fault.code, fault.subject) for fault in site.faults
            ]
            await site.put(*polls(both))
            await site.until(lambda: cloud.answers["events"] > 1, "it is not asked")
            assert set() == site.codes()


async def test_nothing_personal_or_secret_reaches_the_disk(tmp_path, anyio_backend, fast):
    """Keys, a location's hash, ages and genders are nowhere in the store; what is listed is, and only that."""
    for keep, there in ((frozenset(), False), (frozenset({"age_range"}), True)):
        directory = tmp_path / str(there)
        directory.mkdir()
        with cloud_of(fast, canary="CANARY") as cloud:
            async with polled(directory) as site:
                site.poller._intake.policy = Policy(personal=keep)
                await site.put(*polls(account(cloud, period_s=2.0, keep=keep)))
                await site.until(lambda cloud=cloud: cloud.gate.asked > 25, "it is hardly asked")
                assert any(record.gender for record in cloud.world.arrivals)
                assert "CANARY" not in repr(site.codes())
                personal = {text for (text,) in rows(directory, "SELECT personal FROM events") if text}
                held = b"".join(part.read_bytes() for part in directory.rglob("*") if part.is_file())
        assert there == any("CANARYage" in text for text in personal)
        assert there == (b"CANARYage" in held)
        for canary in (b"CANARYgender", b"CANARYhash", KEYS.public.encode(), KEYS.secret.encode()):
            assert canary not in held


async def test_it_speaks_tls(tmp_path, anyio_backend, fast, monkeypatch):
    """With a certificate that the box trusts the polls work; with another they say what is wrong."""
    world = World(fast.cloud, earlier_s=600.0)
    with Cloud(world, Gate({KEYS.public: KEYS.secret}), directory=tmp_path) as cloud:
        directory = tmp_path / "store"
        directory.mkdir()
        events = next(one for one in polls(account(cloud)) if "events" in one.name)
        async with polled(directory) as site:
            await site.put(events)
            await site.until(lambda: "poll_tls" in site.codes(), "an unknown certificate is taken")
        original = ssl.create_default_context
        monkeypatch.setattr(ssl, "create_default_context", lambda: original(cafile=str(cloud.ca_file)))
        async with polled(directory) as site:
            await site.put(events)
            await site.until(lambda: cloud.answers["events"] > 1, "it is not asked")
            assert set() == site.codes()
