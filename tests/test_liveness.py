"""Which devices are said to be silent, gone or back, by real pushes into a real store on a clock moved by hand."""

import contextlib
import json
import random
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hand_clock import HandClock, in_use
from keeping import Running, access, after_crash, count, counter, heartbeat, opened, rows
from pages import rows as documented

from gateway import clock
from gateway.daemon.living import poll_in_trouble
from gateway.errors import StoreUnavailable
from gateway.event import Device
from gateway.faults import Faults
from gateway.liveness import Limits, Liveness
from gateway.outbox import Outbox, Sign
from gateway.poller import Standing

pytestmark = pytest.mark.anyio
MINUTE = 60
TERMINAL = Device(id="terminal-t", source="face_terminal")
_EVENTS = "SELECT id, device, body, flags FROM events WHERE kind = 'liveness' ORDER BY seq"


class Site:
    """Devices that push, and the liveness that looks at them."""

    def __init__(self, outbox: Outbox, hand: HandClock, **limits) -> None:
        self.outbox, self.hand = outbox, hand
        self.faults = Faults()
        self.pushed = None  # when anybody pushed, known or not
        self.told_of = set()  # devices of which the fault of a poll speaks
        self.liveness = Liveness(
            outbox,
            self.faults,
            Limits(**limits),
            pushed=lambda: self.pushed,
            excused=lambda sign: sign.device in self.told_of,
        )
        self.number = 0

    async def interval(self, name="counter-a", *, late_s=0, windows=1):
        """Push a closed minute, as a counter in interval upload does."""
        device, batch = counter(name), []
        for _ in range(windows):
            self.number += 1
            start = clock.now() - timedelta(seconds=120 + late_s) - timedelta(minutes=self.number % 7)
            batch.append(
                count(
                    device=device,
                    time=start,
                    count="interval",
                    revision=self.number,
                    enters=self.number,
                    sent_at=clock.now() - timedelta(seconds=late_s),
                )
            )
        await self.outbox.append(batch, clock.now())

    async def beat(self, name="counter-a"):
        self.number += 1
        await self.outbox.append(
            [heartbeat(self.number, device=counter(name), time=clock.now())], clock.now()
        )

    async def passes(self, name="counter-a"):
        """Push a running minute, as a counter in real-time upload does when somebody passes."""
        self.number += 1
        event = count(
            device=counter(name),
            time=clock.now(),
            sent_at=clock.now(),
            count="running_minute",
            enters=self.number,
        )
        await self.outbox.append([event], clock.now())

    async def badge(self, device=TERMINAL):
        self.number += 1
        await self.outbox.append([access(self.number, device=device, time=clock.now())], clock.now())

    async def go(self, seconds, *, step=1.0):
        """Let time pass, with a look at every second of it."""
        for _ in range(round(seconds / step)):
            self.hand.go(step)
            await self.liveness.round()

    async def every(self, seconds, times, push=None, names=("counter-a",), **how):
        """Push at an interval."""
        for _ in range(times):
            for name in names:
                await (push or self.interval)(name, **how)
            await self.go(seconds, step=max(seconds / 60, 1))

    def told(self, device=None):
        """Give what the log says: device, from, to."""
        found = [
            (name, json.loads(body)["data"])
            for _, name, body, _ in rows(self.outbox.settings.directory, _EVENTS)
        ]
        return [(n, data["previous"], data["state"]) for n, data in found if device in (None, n)]

    def last(self):
        return json.loads(rows(self.outbox.settings.directory, _EVENTS)[-1][2])["data"]

    def state(self, name="counter-a"):
        found = rows(self.outbox.settings.directory, "SELECT liveness FROM devices WHERE id = ?", name)
        return found[0][0] if found else None

    def rhythm(self, name="counter-a"):
        ms = rows(self.outbox.settings.directory, "SELECT rhythm_ms FROM devices WHERE id = ?", name)[0][0]
        return None if ms is None else ms / 1000

    def codes(self):
        return sorted({fault.code for fault in self.faults})

    async def silent_after(self):
        """Let time pass until something is said, and give how long that took since the last push."""
        began, known = clock.steady(), len(self.told())
        while len(self.told()) == known:
            await self.go(1)
            assert clock.steady() - began < 100_000
        return clock.steady() - began


@pytest.fixture
async def site(tmp_path):
    with in_use(HandClock()) as hand:
        async with opened(tmp_path) as outbox:
            yield Site(outbox, hand)


@pytest.mark.parametrize(("interval", "limit"), [(15, 90), (60, 180), (120, 360), (900, 2700)])
async def test_a_counter_is_silent_after_three_of_its_rhythms(site, interval, limit):
    """The limit is three rhythms and never below 90 s, held within a tenth."""
    await site.every(interval, 9)
    assert interval == pytest.approx(site.rhythm(), rel=0.02)
    assert "online" == site.state()
    assert [] == site.told()
    assert limit == pytest.approx(interval + await site.silent_after(), rel=0.1)
    assert [("counter-a", "online", "silent")] == site.told()
    assert ["device_silent"] == site.codes()


async def test_silence_is_told_once_and_cleared_by_the_next_push(site):
    """One event and one fault when a device falls silent, one event and no fault when it is back."""
    await site.every(MINUTE, 5)
    await site.go(3600, step=20)
    assert [("counter-a", "online", "silent")] == site.told()
    (fault,) = site.faults
    assert "counter-a has been silent for 61 minutes; it speaks every 60 seconds" in fault.sentence
    await site.interval()
    await site.go(2)
    assert [("counter-a", "online", "silent"), ("counter-a", "silent", "online")] == site.told()
    assert [] == site.codes()


async def test_the_event_says_since_when_and_why(site):
    """The event has states, the last sign of life, the rhythm, the scope and a sentence for people."""
    await site.every(MINUTE, 5)
    seen = clock.now() - timedelta(seconds=MINUTE)
    await site.go(200)
    data = site.last()
    assert documented("events.md", "liveness").keys() == data.keys()
    assert seen.strftime("%Y-%m-%dT%H:%M:%S.000Z") == data["since"]
    assert 60 == data["rhythm_s"]
    assert "device" == data["scope"]
    assert "has been silent for" in data["sentence"]


async def test_a_silent_device_is_gone_after_a_day(site):
    """Silence of a day is told once more, by another word."""
    await site.every(MINUTE, 5)
    await site.go(86_500, step=50)
    assert [("counter-a", "online", "silent"), ("counter-a", "silent", "gone")] == site.told()
    (fault,) = site.faults
    assert "counter-a is gone" in fault.sentence


async def test_heartbeats_keep_an_empty_shop_online(site):
    """A real-time counter with a heartbeat has the heartbeat's rhythm, whoever passes."""
    for minute in range(30):
        await site.beat()
        if minute % 7 == 3:
            await site.passes()
        await site.go(MINUTE, step=5)
    assert 60 == pytest.approx(site.rhythm(), rel=0.05)
    assert "online" == site.state()
    await site.go(200)
    assert "silent" == site.state()


async def test_a_passer_by_proves_that_a_silent_counter_lives(site):
    """Any push ends the silence, also one that comes without a rhythm."""
    await site.every(MINUTE, 5, site.beat)
    await site.go(300)
    assert "silent" == site.state()
    await site.passes()
    await site.go(1)
    assert "online" == site.state()


@pytest.mark.parametrize(
    ("push", "name", "words"),
    [("passes", "counter-a", "heartbeat URL"), ("badge", "terminal-t", "silent_after_s")],
)
async def test_of_whom_nobody_can_tell_is_said_with_what_to_do(site, push, name, words):
    """A counter without heartbeats and a face terminal are never silent, and the sentence says what to set."""
    for _ in range(15):
        await getattr(site, push)()
        await site.go(MINUTE, step=5)
    assert "cannot_tell" == site.state(name)
    assert [(name, "online", "cannot_tell")] == site.told()
    assert words in site.last()["sentence"]
    await site.go(2 * 86_400, step=600)
    assert "cannot_tell" == site.state(name)
    assert [] == site.codes()


async def test_a_new_interval_counter_is_not_called_untellable(site):
    """A counter that sends every quarter of an hour is online while its rhythm is being learned."""
    await site.every(900, 4)
    assert [] == site.told()
    assert "online" == site.state()


async def test_a_heartbeat_address_that_is_typed_in_later_makes_a_device_tellable(site):
    """The sentence goes when the installer did what it says."""
    for _ in range(15):
        await site.passes()
        await site.go(MINUTE, step=5)
    await site.every(MINUTE, 4, site.beat)
    assert [("counter-a", "online", "cannot_tell"), ("counter-a", "cannot_tell", "online")] == site.told()


async def test_a_heartbeat_that_is_taken_away_leaves_nobody_who_can_tell(site):
    """People go on passing without heartbeats: soon it cannot be told any more, and nobody is called silent."""
    await site.every(MINUTE, 6, site.beat)
    for _ in range(50):
        await site.passes()
        await site.go(100, step=5)
    assert "cannot_tell" == site.state()
    await site.go(86_400, step=600)
    assert [("counter-a", "online", "cannot_tell")] == site.told()


async def test_the_owner_may_say_when_a_terminal_is_silent(tmp_path):
    """A limit of its own makes a device tellable that has no rhythm, and 0 makes one untellable that has."""
    with in_use(HandClock()) as hand:
        async with opened(tmp_path) as outbox:
            site = Site(outbox, hand, own={"terminal-t": 3600.0, "counter-a": 0.0})
            await site.badge()
            await site.every(MINUTE, 5)
            await site.go(3000, step=20)
            assert [] == site.told()
            assert "cannot_tell" == site.state()
            await site.go(700, step=20)
            assert [("terminal-t", "online", "silent")] == site.told("terminal-t")


async def test_another_interval_is_learned(site):
    """From one minute to fifteen and back: after a few pushes the new rhythm holds."""
    await site.every(MINUTE, 6)
    await site.every(900, 3)
    known = len(site.told())
    assert 900 == pytest.approx(site.rhythm(), rel=0.05)
    await site.every(900, 6)
    assert known == len(site.told())
    await site.every(MINUTE, 12)
    assert 60 == pytest.approx(site.rhythm(), rel=0.1)
    assert known == len(site.told())
    assert 180 == pytest.approx(MINUTE + await site.silent_after(), rel=0.1)


async def test_jitter_and_single_losses_make_nobody_silent(site):
    """Heartbeats that come half a minute early or late, and one that is lost now and then, are no silence."""
    rng = random.Random(7)
    for number in range(120):
        if number % 11:
            await site.beat()
        await site.go(rng.uniform(35, 85), step=5)
    assert [] == site.told()


async def test_a_replay_is_a_sign_of_life_and_teaches_no_rhythm(site):
    """Hours of old minutes that come ten a second prove that the device lives, and its rhythm stays a minute."""
    await site.every(MINUTE, 6)
    await site.go(7200, step=50)
    assert "silent" == site.state()
    for number in range(120):
        await site.interval(late_s=7200 - number * 60)
        await site.go(0.1, step=0.1)
    await site.go(1)
    assert "online" == site.state()
    assert 60 == pytest.approx(site.rhythm(), rel=0.02)
    assert 180 == pytest.approx(await site.silent_after(), rel=0.1)


async def test_a_slow_replay_teaches_no_rhythm_either(site):
    """Old minutes that come every twenty seconds for minutes are no rhythm of the device."""
    await site.every(MINUTE, 6)
    for number in range(24):
        await site.interval(late_s=7200 - number * 60)
        await site.go(20)
    assert 60 == pytest.approx(site.rhythm(), rel=0.02)


async def test_who_was_gone_before_a_restart_is_gone_after_it(tmp_path):
    """A restart makes nobody less gone, and says nothing about it."""
    with in_use(HandClock()) as hand:
        async with opened(tmp_path) as outbox:
            site = Site(outbox, hand)
            await site.every(MINUTE, 5)
            await site.go(86_500, step=50)
            known = site.told()
            assert "gone" == site.state()
        async with opened(tmp_path) as outbox:
            site = Site(outbox, hand)
            await site.go(400)
            assert known == site.told()


async def test_a_burst_that_is_not_late_teaches_no_rhythm_either(site):
    """A quarter of an hour that comes in half a minute does not make a slow counter a fast one."""
    await site.every(900, 4)
    for _ in range(15):
        await site.interval()
        await site.go(2)
    await site.every(900, 3)
    assert 900 == pytest.approx(site.rhythm(), rel=0.05)
    assert [] == site.told()


async def test_the_events_of_one_push_are_one_sign(site):
    """Sixty minutes in one push are one beat."""
    await site.every(MINUTE, 6, windows=60)
    assert 60 == pytest.approx(site.rhythm(), rel=0.02)


async def test_one_silent_device_is_not_all(site):
    """One of three falls silent: one event of its own, one fault with its name."""
    names = ("counter-a", "counter-b", "counter-c")
    await site.every(MINUTE, 5, names=names)
    await site.every(MINUTE, 5, names=names[1:])
    assert [("counter-a", "online", "silent")] == site.told()
    assert "device" == site.last()["scope"]
    assert [("device_silent", "counter-a")] == [(fault.code, fault.subject) for fault in site.faults]


async def test_all_at_once_is_the_network_and_not_the_devices(site):
    """Nothing comes from anybody: each device has its event with scope all, and there is one fault for all of them."""
    names = ("counter-a", "counter-b", "counter-c")
    for _ in range(6):
        for name in names:
            await site.interval(name)
            await site.go(20)
    await site.go(400)
    assert sorted((name, "online", "silent") for name in names) == sorted(site.told())
    scopes = [
        json.loads(body)["data"]["scope"] for _, _, body, _ in rows(site.outbox.settings.directory, _EVENTS)
    ]
    assert ["all"] * 3 == scopes
    assert [("all_devices_silent", "")] == [(fault.code, fault.subject) for fault in site.faults]
    # The cable is put in again; one of the three was really broken.
    await site.every(MINUTE, 2, names=names[:2])
    assert [] == [code for code in site.codes() if code == "all_devices_silent"]
    await site.every(MINUTE, 4, names=names[:2])
    assert [("device_silent", "counter-c")] == [(fault.code, fault.subject) for fault in site.faults]
    assert ["online", "online", "silent"] == [site.state(name) for name in names]


async def test_a_terminal_that_speaks_proves_the_network(site):
    """When both counters are silent and somebody badges meanwhile, it is the counters."""
    names = ("counter-a", "counter-b")
    await site.every(MINUTE, 5, names=names)
    for _ in range(20):
        await site.badge()
        await site.go(20)
    assert {"device"} == {
        json.loads(body)["data"]["scope"]
        for _, name, body, _ in rows(site.outbox.settings.directory, _EVENTS)
        if name in names
    }
    assert "device_silent" in site.codes()


async def test_a_push_of_somebody_who_is_not_counted_proves_the_network(site):
    """While a device that is held or ignored is answered, the silence of all the others is their own."""
    names = ("counter-a", "counter-b")
    await site.every(MINUTE, 5, names=names)
    for _ in range(20):
        site.pushed = clock.steady()
        await site.go(20)
    assert ["device_silent"] == site.codes()
    assert "device" == site.last()["scope"]


async def test_such_a_push_ends_the_word_about_the_network(site):
    """All were silent; when anybody at all is answered again it is not the network any more."""
    await site.every(MINUTE, 5, names=("counter-a", "counter-b"))
    await site.go(400)
    assert ["all_devices_silent"] == site.codes()
    site.pushed = clock.steady()
    await site.go(1)
    assert [] == site.codes(), "those that come back later than the first are given a while"
    await site.go(200)
    assert ["device_silent"] == site.codes()


async def test_one_fault_speaks_for_all_that_are_silent(site):
    """Who was silent before the network went is not named beside it, and is named again when it is back."""
    names = ("counter-a", "counter-b", "counter-c")
    await site.every(MINUTE, 5, names=names)
    await site.every(MINUTE, 5, names=names[1:])
    assert ["device_silent"] == site.codes()
    await site.go(400)
    assert ["all_devices_silent"] == site.codes()
    await site.every(MINUTE, 5, names=names[1:])
    assert [("device_silent", "counter-a")] == [(fault.code, fault.subject) for fault in site.faults]


async def test_of_a_device_that_died_before_a_restart_nobody_can_tell(tmp_path):
    """A restart in the first minutes of a counter without a heartbeat does not leave it online for ever."""
    with in_use(HandClock()) as hand:
        async with opened(tmp_path) as outbox:
            site = Site(outbox, hand)
            await site.passes()
            await site.go(300)
            assert "online" == site.state()
        async with opened(tmp_path) as outbox:
            site = Site(outbox, hand)
            await site.go(590, step=10)
            assert "online" == site.state()
            await site.go(20)
            assert [("counter-a", "online", "cannot_tell")] == site.told()
            assert "heartbeat URL" in site.last()["sentence"]


async def test_a_jump_of_the_clock_makes_nobody_silent(site):
    """Silence is measured in steady seconds: a year forward and back is nothing."""
    await site.every(MINUTE, 5)
    site.hand.set(clock.now() + timedelta(days=365))
    await site.go(30)
    await site.interval()
    site.hand.set(clock.now() - timedelta(days=365))
    await site.go(30)
    assert [] == site.told()
    assert "online" == site.state()


async def test_a_restart_makes_nobody_silent_and_nobody_speak(tmp_path):
    """After a restart the silence of those that were online counts from the start; who was silent stays so."""
    with in_use(HandClock()) as hand:
        async with opened(tmp_path) as outbox:
            site = Site(outbox, hand)
            await site.every(MINUTE, 6, names=("counter-a", "counter-b"))
            await site.every(MINUTE, 4)
            assert "silent" == site.state("counter-b")
        hand.go(8 * 3600)
        async with opened(tmp_path) as outbox:
            site = Site(outbox, hand)
            await site.go(170)
            assert [("counter-b", "online", "silent")] == site.told()
            (fault,) = site.faults
            assert "since before the gateway was started" in fault.sentence
            await site.go(20)
            assert [("counter-a", "online", "silent")] == site.told("counter-a")
            await site.interval("counter-b")
            await site.go(1)
            assert [("counter-b", "online", "silent"), ("counter-b", "silent", "online")] == site.told(
                "counter-b"
            )


async def test_the_gateways_own_words_are_no_sign_of_life(site):
    """Saying that a device is silent does not make it seen, and leaves its newest fact alone."""
    await site.every(MINUTE, 5)
    query = "SELECT last_seen, newest, newest_data, clock_offset_ms, steady_at FROM devices"
    before = rows(site.outbox.settings.directory, query)
    await site.go(400)
    assert "silent" == site.state()
    assert before == rows(site.outbox.settings.directory, query)


async def test_a_push_that_comes_between_decision_and_commit_counts(site):
    """A device that speaks at the last moment is not called silent."""
    await site.every(MINUTE, 5)
    enter = site.outbox.enter

    async def delayed(verdicts):
        await site.interval()
        return await enter(verdicts)

    site.outbox.enter = delayed
    site.hand.go(150)
    await site.liveness.round()
    site.outbox.enter = enter
    await site.go(5)
    assert [] == site.told()


async def test_a_kill_around_the_commit_neither_loses_nor_doubles_the_event(tmp_path):
    """Whatever a kill leaves on the disk: after it the change is told exactly once, with one id."""
    ids = {}
    for moment in ("before", "after"):
        folder = tmp_path / moment
        folder.mkdir()
        with in_use(HandClock()) as hand:
            running = await Running.start(folder / "store")
            site = Site(running.outbox, hand)
            await site.every(MINUTE, 5)
            if moment == "after":
                await site.go(150)
                assert 1 == len(site.told())
            left = after_crash(folder / "store", folder / "left")
            with contextlib.suppress(Exception):
                await running.abandon()
            async with opened(left) as outbox:
                again = Site(outbox, hand)
                await again.go(300)
                assert [("counter-a", "online", "silent")] == again.told()
                ids[moment] = rows(left, _EVENTS)[0][0]
    assert ids["before"] == ids["after"]


async def test_a_full_disk_only_delays_the_verdict(site):
    """When the store takes nothing the change is told as soon as it does."""
    await site.every(MINUTE, 5)
    enter = site.outbox.enter

    async def refuse(_verdicts):
        raise StoreUnavailable("full")

    site.outbox.enter = refuse
    await site.go(300)
    assert [] == site.told()
    site.outbox.enter = enter
    await site.go(1)
    assert [("counter-a", "online", "silent")] == site.told()


async def test_a_polled_system_that_answers_keeps_its_channels_alive(site):
    """The answers of a poll are the rhythm of what stands behind it; when it answers no more they fall silent."""
    camera = Device(id="camlytics-hall-1", source="camlytics")
    await site.badge(camera)

    async def ask(*, answers=True):
        if answers:
            site.outbox.signs.answered(lambda sign: sign.device == camera.id, clock.steady())
        await site.go(20)

    for _ in range(40):
        await ask()
    assert "online" == site.state(camera.id)
    for _ in range(6):
        await ask(answers=False)
    assert [(camera.id, "online", "silent")] == site.told()
    (fault,) = site.faults
    assert "it speaks every" not in fault.sentence, "the rhythm is that of our asking"
    assert "Camlytics" in fault.action and "settings" not in fault.action
    site.told_of.add(camera.id)
    await site.go(1)
    assert [] == site.codes(), "the fault of the poll says it already"


def test_the_fault_of_a_poll_speaks_for_what_is_behind_it():
    """A Camlytics that does not answer explains the silence of its own channels, and of nobody else's."""
    standings = {
        "camlytics.hall": Standing(name="camlytics.hall", source="camlytics", answers=False),
        "camlytics.yard": Standing(name="camlytics.yard", source="camlytics", answers=True),
    }
    excused = poll_in_trouble(SimpleNamespace(standings=lambda: standings))
    told = {
        device: excused(Sign(device, source, 0))
        for device, source in (
            ("camlytics-hall-1", "camlytics"),
            ("camlytics-yard-1", "camlytics"),
            ("counter-a", "people_counter"),
        )
    }
    assert {"camlytics-hall-1": True, "camlytics-yard-1": False, "counter-a": False} == told
