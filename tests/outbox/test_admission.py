"""Who gets into the log, who waits, who is turned away, and what a flood of invented devices can take."""

import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from keeping import NOON, Running, count, counter, opened, rows, tallies

from gateway import clock
from gateway.errors import GatewayError, StoreUnavailable, Unadopted
from gateway.outbox import Caller, Outbox, Rules, reading
from gateway.outbox.adoption_window import LONGEST_S, AdoptionWindow
from gateway.outbox.strangers import introducer

pytestmark = pytest.mark.anyio
HERE = Caller("10.0.0.5")
HOLD = Rules(hold=True)


def same(event):
    return event


async def push(outbox: Outbox, name: str, minute: int = 0, *, caller: Caller = HERE, enters: int = 1, **more):
    device = counter(name, address=caller.address)
    return await outbox.append([count(minute, enters, device=device, **more)], NOON, "/c", caller=caller)


async def settle(outbox: Outbox) -> int:
    new = 0
    while (settled := await outbox.desk.settle(same)) is not None:
        new += settled.new
    return new


def in_log(directory) -> list[str]:
    return [row[0] for row in rows(directory, "SELECT device FROM events ORDER BY seq")]


# Holding and adopting


async def test_what_a_stranger_says_is_held_and_nowhere_else(tmp_path):
    """Nothing of a device that is not adopted is in the log, the tallies or the book."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        told = await push(outbox, "counter-a")
        assert (0, 0, 1, True) == (told.new, told.duplicates, told.held, told.apart)
        assert (1, 1, ("counter-a",)) == (
            outbox.desk.lobby.devices,
            outbox.desk.lobby.events,
            outbox.desk.lobby.some,
        )
    assert [] == in_log(tmp_path)
    assert [] == rows(tmp_path, "SELECT * FROM tallies") + rows(tmp_path, "SELECT * FROM devices")
    assert [("counter-a", "/c")] == rows(tmp_path, "SELECT device, path FROM held")


async def test_without_a_caller_nothing_is_held(tmp_path):
    """What a poll brings, or the gateway says itself, goes straight into the log also when strangers must wait."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        assert 1 == (await outbox.append([count()], NOON)).new
    assert ["counter-a"] == in_log(tmp_path)


async def test_a_resend_of_what_is_held_is_held_once(tmp_path):
    """The answer was lost and the device sends again: it is acknowledged and neither held nor counted twice."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await push(outbox, "counter-a", enters=2)
        again = await push(outbox, "counter-a", enters=2)
        assert (0, 1, 0, True) == (again.new, again.duplicates, again.held, again.apart)
        device = counter("counter-a")
        both = [count(0, 2, device=device), count(0, 2, device=device), count(1, 3, device=device)]
        assert 1 == (await outbox.append(both, NOON, caller=HERE)).held
        await outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
        assert 2 == await settle(outbox)
    assert 5 == tallies(tmp_path)["2026-10-05", "enters"]


async def test_adopted_pushes_enter_the_log_as_they_came(tmp_path):
    """In their order, with the time and the path of their own receipt; what comes meanwhile stands behind them."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        for minute in range(3):
            at = NOON + timedelta(minutes=minute + 1)
            await outbox.append([count(minute)], at, f"/p{minute}", caller=HERE)
        await outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
        assert 1 == (await push(outbox, "counter-a", 3)).held
        assert outbox.desk.due.is_set()
        assert 4 == await settle(outbox)
        assert 1 == (await push(outbox, "counter-a", 4)).new
        assert 0 == outbox.desk.lobby.devices
        with reading.looking(tmp_path) as conn:
            (page,) = reading.devices(conn)
    minutes = [
        (row[0] - 1_791_201_600_000) // 60_000
        for row in rows(tmp_path, "SELECT time FROM events ORDER BY seq")
    ]
    assert [0, 1, 2, 3, 4] == minutes
    received = rows(tmp_path, "SELECT received - time FROM events WHERE seq = 2")
    assert [(60_000,)] == received
    assert "/c" == page["path"]
    assert [] == rows(tmp_path, "SELECT * FROM verdicts")


async def test_many_held_events_enter_in_pieces(tmp_path):
    """Adopting a device with a long past takes several transactions and counts everything once."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        for start in range(0, 1_000, 100):
            events = [count(minute, 1) for minute in range(start, start + 100)]
            await outbox.append(events, NOON, caller=HERE)
        await outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
        before = outbox.commits
        assert 1_000 == await settle(outbox)
        assert outbox.commits - before >= 5
    assert 1_000 == sum(amount for (_, measure), amount in tallies(tmp_path).items() if measure == "enters")


async def test_a_crash_between_two_pieces_neither_loses_nor_doubles(tmp_path):
    """The rest goes on after the next start, without anybody asking again."""
    running = await Running.start(tmp_path, admission=HOLD)
    for start in range(0, 500, 100):
        await running.outbox.append(
            [count(minute) for minute in range(start, start + 100)], NOON, caller=HERE
        )
    await running.outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
    assert 200 == (await running.outbox.desk.settle(same)).new
    await running.abandon()
    async with opened(tmp_path, admission=HOLD) as outbox:
        assert 1 == await outbox.desk.decide(lambda desk: desk.review(HOLD))
        assert 300 == await settle(outbox)
    assert 500 == sum(amount for (_, measure), amount in tallies(tmp_path).items() if measure == "enters")
    assert [(0,)] == rows(tmp_path, "SELECT count(*) FROM held")


async def test_an_adoption_is_remembered_before_anything_was_settled(tmp_path):
    """A crash right after the decision does not take it back."""
    running = await Running.start(tmp_path, admission=HOLD)
    await push(running.outbox, "counter-a")
    await running.outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
    await running.abandon()
    async with opened(tmp_path, admission=HOLD) as outbox:
        assert 1 == await outbox.desk.decide(lambda desk: desk.review(HOLD))
        assert 1 == await settle(outbox)


async def test_what_the_disk_damaged_becomes_a_letter(tmp_path):
    """One row that cannot be read back does not stop the others, and a person is told of it."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        for minute in range(3):
            await push(outbox, "counter-a", minute)
        await outbox.write(
            lambda conn: conn.execute("UPDATE held SET event = '{\"id\": 7}' WHERE number = 2")
        )
        await outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
        assert 2 == await settle(outbox)
        assert 0 == outbox.desk.lobby.devices
    assert [("adopt", "counter-a")] == rows(tmp_path, "SELECT stage, sender FROM letters")


async def test_a_failed_transaction_holds_nothing(tmp_path):
    """What could not be written is not believed to be held: the next push is, with the sums as they are on disk."""

    def broken(conn):
        raise OSError(5, "Input/output error")

    async with opened(tmp_path, admission=HOLD) as outbox:
        await push(outbox, "counter-a")
        failing = outbox.write(broken)
        import asyncio

        one, two = await asyncio.gather(push(outbox, "counter-b"), failing, return_exceptions=True)
        assert [StoreUnavailable, StoreUnavailable] == [type(one), type(two)]
        assert 1 == (await push(outbox, "counter-b")).held
        assert (2, 2) == (outbox.desk.lobby.devices, outbox.desk.lobby.events)
    assert [(2,)] == rows(tmp_path, "SELECT count(*) FROM held")


async def test_a_push_of_two_devices_is_parted(tmp_path):
    """What is known of it enters the log, the rest waits."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await outbox.append([count()], NOON)
        told = await outbox.append([count(1), count(1, device=counter("counter-b"))], NOON, caller=HERE)
        assert (1, 1) == (told.new, told.held)
    assert ["counter-a", "counter-a"] == in_log(tmp_path)


# Who needs not wait


async def test_who_is_named_in_the_configuration_need_not_wait(tmp_path):
    """An id in the configuration, or a path token of it, is as good as an adoption; a token not for a crowd."""
    rules = Rules(hold=True, configured=frozenset({"counter-a"}))
    async with opened(tmp_path, admission=rules) as outbox:
        assert 1 == (await push(outbox, "counter-a")).new
        token = Caller("10.0.0.5", token="k3v9")
        told = [await push(outbox, f"counter-t{number}", caller=token) for number in range(12)]
        assert [1] * 10 + [0] * 2 == [each.new for each in told]
        assert [0] * 10 + [1] * 2 == [each.held for each in told]
    assert "k3v9" not in str(rows(tmp_path, "SELECT * FROM verdicts") + rows(tmp_path, "SELECT * FROM held"))


async def test_a_configuration_that_names_a_waiting_device_adopts_it(tmp_path):
    """After the reload what it said before is in the log."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await push(outbox, "counter-a")
        rules = Rules(hold=True, configured=frozenset({"counter-a"}))
        outbox.settings = replace(outbox.settings, admission=rules)
        await outbox.desk.decide(lambda desk: desk.review(rules))
        assert 1 == await settle(outbox)


async def test_from_hold_to_accept_all_that_waits_is_adopted_within_the_bounds(tmp_path):
    """A reload that accepts strangers takes up those that wait, but not more than it would have."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        for number in range(6):
            await push(outbox, f"counter-{number}")
        rules = Rules(max_devices=100, per_address=4)
        outbox.settings = replace(outbox.settings, admission=rules)
        await outbox.desk.decide(lambda desk: desk.review(rules))
        assert 4 == await settle(outbox)
        assert 2 == outbox.desk.lobby.devices


async def test_a_device_whose_page_was_lost_is_still_known(tmp_path):
    """After a damaged store was salvaged without its book, real devices are not strangers."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count()], NOON)
    async with opened(tmp_path, admission=HOLD) as outbox:
        await outbox.write(lambda conn: conn.execute("DELETE FROM devices"))
        assert 1 == (await push(outbox, "counter-a", 1)).new


# Bounds


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.168.1.7", "192.168.1.7"),
        ("::ffff:192.168.1.7", "192.168.1.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
async def test_who_answers_for_a_device(address, expected):
    """An address answers for what it brings; of IPv6 its network does, because one box can have all of it."""
    assert expected == introducer(address)


async def test_one_address_ends_at_its_share_and_others_still_get_in(tmp_path):
    """A flood is taken up, then held, then refused; a real device from another address is taken up all the same."""
    rules = Rules(max_devices=30, per_address=10, held_devices=20, held_bytes=2**20)
    async with opened(tmp_path, admission=rules) as outbox:
        fates: Counter = Counter()
        for number in range(200):
            try:
                told = await push(outbox, f"counter-flood-{number}")
                fates["in" if told.new else "held"] += 1
            except Unadopted:
                fates["refused"] += 1
        assert 6 >= fates["in"] >= 4  # a fifth of what is left, and not the whole bound
        assert 4 >= fates["held"] >= 3
        assert 200 == fates.total()
        for number in range(1, 20):  # each from an address of its own, as long as there is any room
            assert 1 == (await push(outbox, f"counter-{number}", caller=Caller(f"10.0.1.{number}"))).new
        assert fates["in"] + 19 == outbox.desk.lobby.introduced


async def test_taking_up_ends_and_what_comes_then_waits(tmp_path):
    """max_devices is the end of accepting; a person still adopts whom they want."""
    rules = Rules(max_devices=2, per_address=10)
    async with opened(tmp_path, admission=rules) as outbox:
        told = [
            await push(outbox, f"counter-{number}", caller=Caller(f"10.0.0.{number}")) for number in range(4)
        ]
        assert [1, 1, 0, 0] == [each.new for each in told]
        await outbox.desk.decide(lambda desk: desk.adopt("counter-2"))
        assert 1 == await settle(outbox)
        assert 2 == outbox.desk.lobby.introduced


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (Rules(hold=True, held_per_device=3), "too much of this device"),
        (Rules(hold=True, held_bytes=8_000), "too much room"),
    ],
)
async def test_what_cannot_be_held_is_refused_and_never_dropped(tmp_path, rules, reason):
    """Each push is either on disk or refused; when the bound is hit those before it are all there."""
    async with opened(tmp_path, admission=rules) as outbox:
        kept = 0
        while kept < 50:
            try:
                kept += (await push(outbox, "counter-a", kept)).held
            except Unadopted as refused:
                said = str(refused)
                break
        assert 0 < kept < 50
        assert reason in said
        assert kept == (await push(outbox, "counter-a", 0)).duplicates + kept - 1  # a resend needs no room
    assert [(kept,)] == rows(tmp_path, "SELECT count(*) FROM held")


async def test_a_refused_push_of_two_devices_leaves_nothing(tmp_path):
    """One of them cannot be held, so nothing of the push is kept and the device sends all of it again."""
    rules = Rules(hold=True, held_devices=1)
    async with opened(tmp_path, admission=rules) as outbox:
        await outbox.append([count()], NOON)
        with pytest.raises(Unadopted):
            await outbox.append(
                [count(1), count(device=counter("counter-b")), count(device=counter("counter-c"))],
                NOON,
                caller=HERE,
            )
    assert ["counter-a"] == in_log(tmp_path)
    assert [] == rows(tmp_path, "SELECT * FROM held")


# Ignoring


async def test_an_ignored_device_is_answered_and_counted_and_not_kept(tmp_path):
    """What was held of it is dropped, what it pushes later too; taken back it is a stranger as before."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await push(outbox, "counter-a")
        assert {"counter-a": 1} == await outbox.desk.decide(lambda desk: desk.ignore("counter-a"))
        told = await push(outbox, "counter-a", 1)
        assert (0, 0, 1, True) == (told.new, told.held, told.ignored, told.apart)
        assert {"counter-a": 1} == outbox.desk.lobby.ignored
        await outbox.desk.decide(lambda desk: desk.notice("counter-a"))
        assert 1 == (await push(outbox, "counter-a", 2)).held
        assert {} == outbox.desk.lobby.ignored


async def test_an_ignored_address_keeps_its_known_devices(tmp_path):
    """One decision ends a flood from an address, and a real device behind the same router goes on counting."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await outbox.append([count()], NOON)
        for number in range(5):
            await push(outbox, f"counter-flood-{number}")
        assert 5 == len(await outbox.desk.decide(lambda desk: desk.ignore("10.0.0.5")))
        assert 1 == (await push(outbox, "counter-flood-9")).ignored
        assert 1 == (await push(outbox, "counter-a", 1)).new
        assert 0 == outbox.desk.lobby.devices


THERE = Caller("10.0.0.66")


async def test_an_ignored_address_takes_nothing_that_others_sent(tmp_path):
    """Somebody who sent the number of a real device first cannot have the device's own pushes dropped."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        for minute in range(3):
            await push(outbox, "counter-real", minute, caller=THERE)
        await push(outbox, "counter-made-up", caller=THERE)
        assert (1, 1) == tuple(
            [(await push(outbox, "counter-real", minute, enters=5)).held for minute in (10, 11)]
        )
        assert 1 == (await push(outbox, "counter-real", 0)).held  # the same words as the other's
        dropped = await outbox.desk.decide(lambda desk: desk.ignore("10.0.0.66"))
        assert {"counter-real": 3, "counter-made-up": 1} == dropped
        assert (1, 3) == (outbox.desk.lobby.devices, outbox.desk.lobby.events)
        await outbox.desk.decide(lambda desk: desk.adopt("counter-real"))
        assert 3 == await settle(outbox)
        assert 0 == outbox.desk.lobby.size


async def test_nobody_fills_the_room_of_a_device_from_elsewhere(tmp_path):
    """What one address sends of a device takes no room from what another one sends of it."""
    async with opened(tmp_path, admission=replace(HOLD, held_per_device=2)) as outbox:
        for minute in range(2):
            await push(outbox, "counter-real", minute, caller=THERE)
        with pytest.raises(Unadopted):
            await push(outbox, "counter-real", 2, caller=THERE)
        assert 1 == (await push(outbox, "counter-real", 3)).held


async def test_what_is_adopted_is_dropped_with_no_address(tmp_path):
    """Events of an adopted device that are on their way into the log stay, also when their address is ignored."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await push(outbox, "counter-a")
        await outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
        assert {} == await outbox.desk.decide(lambda desk: desk.ignore("10.0.0.5"))
        assert 1 == await settle(outbox)


async def test_a_failed_last_piece_is_tried_again(tmp_path, monkeypatch):
    """When the commit of the last held events fails, they are still due, and enter the log at the next try."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await push(outbox, "counter-a")
        await outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
        with monkeypatch.context() as patch:

            def refuse(*_args):
                raise sqlite3.OperationalError("disk I/O error")

            patch.setattr(outbox._places, "save_waiting", refuse)
            with pytest.raises(StoreUnavailable):
                await outbox.desk.settle(same)
        assert 1 == await settle(outbox)
    assert ["counter-a"] == in_log(tmp_path)
    assert [] == rows(tmp_path, "SELECT * FROM held")


async def test_the_list_of_ignored_names_has_an_end(tmp_path):
    """The list cannot be filled without end, and says what to do."""
    async with opened(tmp_path, admission=HOLD) as outbox:

        def fill(desk):
            for number in range(500):
                desk.ignore(f"counter-{number}")

        await outbox.desk.decide(fill)
        with pytest.raises(GatewayError, match="take some back"):
            await outbox.desk.decide(lambda desk: desk.ignore("counter-500"))


async def test_ignoring_survives_a_restart(tmp_path):
    """What a person decided is on disk."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await outbox.desk.decide(lambda desk: desk.ignore("counter-a"))
    async with opened(tmp_path, admission=HOLD) as outbox:
        assert 1 == (await push(outbox, "counter-a")).ignored


# The window


class Hands:
    """A clock that a test turns."""

    tick_s = 1.0

    def __init__(self) -> None:
        self.instant, self.seconds, self.believed = datetime(2026, 10, 5, 12, tzinfo=UTC), 1_000.0, True

    def now(self):
        return self.instant

    def steady(self):
        return self.seconds

    def trusted(self):
        return self.believed

    def vouches(self, _instant):
        return self.believed

    def __getattr__(self, name):
        return getattr(clock.SystemClock(), name)


@pytest.fixture
def hands():
    made = Hands()
    before = clock.use(made)
    yield made
    clock.use(before)


async def test_in_the_window_strangers_are_adopted_as_they_come(tmp_path, hands):
    """While it is open a device that pushes is taken up, with all that was held of it; afterwards it is held."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await push(outbox, "counter-a")
        await outbox.desk.put_window(600)
        assert 1 == (await push(outbox, "counter-b")).new
        assert 1 == (await push(outbox, "counter-a", 1)).held
        assert 2 == await settle(outbox)
        hands.seconds += 601
        assert 0 == outbox.desk.window_left_s
        assert 1 == (await push(outbox, "counter-c")).held
        assert 1 == (await push(outbox, "counter-b", 1)).new


async def test_a_window_has_the_bounds_of_accepting(tmp_path, hands):
    """A flood in the open window is bounded like any other."""
    async with opened(tmp_path, admission=Rules(hold=True, max_devices=20, per_address=3)) as outbox:
        await outbox.desk.put_window(600)
        told = [await push(outbox, f"counter-{number}") for number in range(6)]
        assert [1, 1, 1, 0, 0, 0] == [each.new for each in told]


async def test_the_window_survives_a_restart(tmp_path, hands):
    """It stays open for what was left of it, and no longer; 0 closes it for good."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await outbox.desk.put_window(600)
    hands.seconds += 200
    async with opened(tmp_path, admission=HOLD) as outbox:
        assert 400 == outbox.desk.window_left_s
        await outbox.desk.put_window(0)
    async with opened(tmp_path, admission=HOLD) as outbox:
        assert 0 == outbox.desk.window_left_s


async def test_no_jump_of_the_clock_leaves_the_window_open(tmp_path, hands, monkeypatch):
    """Back by years or forward by years: it closes when its minutes have gone by, also over a boot."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        await outbox.desk.put_window(600)
        hands.instant -= timedelta(days=20_000)
        assert 600 == outbox.desk.window_left_s
        hands.instant += timedelta(days=40_000)
        assert 600 == outbox.desk.window_left_s
        hands.seconds += 600
        assert 0 == outbox.desk.window_left_s
        hands.instant -= timedelta(days=20_000)
        await outbox.desk.put_window(600)
    monkeypatch.setattr("gateway.outbox.adoption_window._boot", lambda: "another boot")
    hands.seconds = 5.0
    for moved, believed, left_s in (
        (timedelta(seconds=100), True, 500),  # the clock knows what went by
        (timedelta(seconds=100), False, 0),  # nobody set it yet
        (timedelta(days=-20_000), True, 0),  # it stands before the opening
        (timedelta(days=20_000), True, 0),
    ):
        hands.instant, before = hands.instant + moved, hands.instant
        hands.believed = believed
        with reading.looking(tmp_path) as conn:
            assert left_s == AdoptionWindow(conn).left_s, moved
        hands.instant = before
    hands.believed = True


async def test_a_damaged_note_of_the_window_closes_it(tmp_path, hands):
    """Nonsense on the disk opens nothing."""
    async with opened(tmp_path, admission=HOLD) as outbox:
        for text in ("", "{", "[]", "{}", f'{{"boot": "x", "opened": 0, "until": {LONGEST_S * 10**9}}}'):
            await outbox.write(
                lambda conn, text=text: conn.execute(
                    "INSERT INTO meta VALUES ('adoption_window', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                    (text,),
                )
            )
            with reading.looking(tmp_path) as conn:
                assert 0 == AdoptionWindow(conn).left_s
