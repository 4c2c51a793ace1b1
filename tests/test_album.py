"""The pictures that are kept: what is a picture, when it is on disk, and how it goes."""

import base64
import contextlib
import hashlib
import json
import stat
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from keeping import NOON, access, opened, rows

from gateway import clock
from gateway.album import Album, Limits, keeping
from gateway.album.files import jpeg
from gateway.errors import StoreUnavailable
from gateway.faults import Faults
from gateway.intake import Intake, Policy
from gateway.outbox import Caller, Outbox
from gateway.outbox.admission import Rules

pytestmark = pytest.mark.anyio
SHOT = b"\xff\xd8\xff\xe0" + b"a face " * 300 + b"\xff\xd9"
TEXT = base64.b64encode(SHOT).decode()
NAME = hashlib.sha256(SHOT).hexdigest()


def shot(number: int) -> bytes:
    return b"\xff\xd8\xff\xe0" + f"face {number} ".encode() * 100 + b"\xff\xd9"


class Site:
    """An intake with an album, on a real store."""

    def __init__(self, outbox: Outbox, limits: Limits) -> None:
        self.outbox = outbox
        self.faults = Faults()
        self.album = Album(outbox, self.faults, limits)
        self.intake = Intake(outbox, Policy())
        self.intake.album = self.album

    async def push(self, number: int = 0, text: str = TEXT, **more):
        event = access(number, picture="present", **more)
        return await self.intake.keep([event], clock.now(), pictures={event.id: text})

    def files(self) -> list[str]:
        return sorted(path.name for path in self.album.folder.iterdir()) if self.album.folder.exists() else []

    def told(self) -> list[dict]:
        bodies = rows(self.outbox.settings.directory, "SELECT body FROM events ORDER BY seq")
        return [json.loads(body)["data"] for (body,) in bodies]


@contextlib.asynccontextmanager
async def site(directory, **limits):
    async with opened(directory) as outbox:
        yield Site(outbox, Limits(**{"keep": True, **limits}))


class Driven:
    """A clock that stands where a test puts it."""

    tick_s = 0.01

    def __init__(self, *, sure: bool = True) -> None:
        self.instant, self.sure = NOON, sure

    def now(self):
        return self.instant

    def steady(self):
        return self.instant.timestamp()

    def trusted(self):
        return self.sure


@pytest.fixture
def driven():
    made = Driven()
    before = clock.use(made)
    yield made
    clock.use(before)


@pytest.mark.parametrize(
    "text",
    ["", " ", "/9k=", "not Base64!", TEXT[:-3], TEXT[: len(TEXT) // 8 * 4], "iVBORw0KGgo=", "é" * 20],
)
def test_what_is_no_whole_jpeg_is_none(text):
    """Every stub, cut or foreign text that terminals were seen to send gives no picture."""
    assert jpeg(text) is None


@pytest.mark.parametrize(
    "text", [TEXT, f" {TEXT}\n", "\r\n".join((TEXT[:40], TEXT[40:])), f"data:image/jpeg;base64,{TEXT}"]
)
def test_a_whole_jpeg_is_read(text):
    """White space, line ends and the head of a data address do not stand in the way of a whole picture."""
    assert jpeg(text) == SHOT


async def test_a_kept_picture_is_a_file_for_its_owner_alone(tmp_path):
    """The file has the picture, its SHA-256 as its name and the modes 0600 in 0700; the event names it."""
    async with site(tmp_path) as here:
        await here.push(personal={"user_id": "77"})
        assert [f"{NAME}.jpg"] == here.files()
        file = here.album.folder / f"{NAME}.jpg"
        assert file.read_bytes() == SHOT
        assert (0o600, 0o700) == tuple(stat.S_IMODE(p.stat().st_mode) for p in (file, here.album.folder))
        (data,) = here.told()
        assert ("kept", NAME) == (data["picture"], data["picture_sha256"])
        assert [(NAME, len(SHOT))] == rows(tmp_path, "SELECT hash, bytes FROM pictures")
        assert {"kept": 1, "bytes": len(SHOT)}.items() <= here.album.held().items()


async def test_the_file_is_there_before_the_event(tmp_path):
    """At the moment when the log is asked to take the event the whole picture is on disk already."""
    async with site(tmp_path) as here:
        event, seen = access(1, picture="present"), []

        async def append(events, **how):
            seen.extend(here.files())
            return await here.outbox.append(events, NOON, **how)

        await here.album.keep([event], {event.id: TEXT}, append)
        assert [f"{NAME}.jpg"] == seen


async def test_a_sweep_leaves_what_is_on_its_way(tmp_path):
    """A picture whose event is being committed is no orphan, although no row names it yet."""
    async with site(tmp_path) as here:
        event = access(1, picture="present")

        async def append(events, **how):
            await here.album.sweep(None)
            await here.album.sweep([NAME])
            return await here.outbox.append(events, NOON, **how)

        await here.album.keep([event], {event.id: TEXT}, append)
        assert [f"{NAME}.jpg"] == here.files()


async def test_off_means_that_nothing_is_looked_at(tmp_path, monkeypatch):
    """With the option off no picture is decoded, written or named, and the event says that there was one."""
    monkeypatch.setattr(keeping, "jpeg", lambda _text: pytest.fail("it was decoded"))
    async with site(tmp_path, keep=False) as here:
        await here.push()
        assert ([], "present") == (here.files(), here.told()[0]["picture"])


async def test_a_damaged_picture_does_not_cost_the_event(tmp_path):
    """A picture that is cut off is not kept, and the event says that it was damaged."""
    async with site(tmp_path) as here:
        assert 1 == (await here.push(text=TEXT[:-3])).new
        assert ([], "damaged") == (here.files(), here.told()[0]["picture"])


async def test_a_full_disk_costs_the_picture_and_not_the_event(tmp_path, monkeypatch):
    """When the file cannot be written the event is kept, a fault says so, and the next picture clears it."""

    def full(_path, _content):
        raise OSError(28, "No space left on device")

    async with site(tmp_path) as here:
        with monkeypatch.context() as patched:
            patched.setattr(keeping, "write_durably", full)
            assert 1 == (await here.push(1)).new
        assert "present" == here.told()[0]["picture"]
        assert ["pictures_given_up"] == [fault.code for fault in here.faults]
        assert 1 == here.album.removed.given_up
        await here.push(2)
        assert [] == list(here.faults)


async def test_a_push_that_is_refused_leaves_no_picture(tmp_path):
    """Where the log did not take the event, its picture is removed again."""
    async with site(tmp_path) as here:
        event = access(1, picture="present")

        async def refuse(_events, **_how):
            raise StoreUnavailable

        with pytest.raises(StoreUnavailable):
            await here.album.keep([event], {event.id: TEXT}, refuse)
        assert [] == here.files()


async def test_a_stranger_s_picture_is_not_kept(tmp_path):
    """While a device waits to be adopted its event is held without a picture, and no file is left."""
    async with opened(tmp_path, admission=Rules(hold=True)) as outbox:
        here = Site(outbox, Limits(keep=True))
        event = access(1, picture="present", personal={"user_id": "canary-77"})
        kept = await here.intake.keep([event], NOON, pictures={event.id: TEXT}, caller=Caller("10.0.0.9"))
        assert (0, 1) == (kept.new, kept.held)
        assert [] == here.files()
        ((held,),) = rows(tmp_path, "SELECT event FROM held")
        assert (NAME in held, "canary-77" in held, '"picture":"present"' in held) == (False, False, True)


async def test_a_resend_is_the_same_fact_with_one_picture(tmp_path):
    """The same record again, with its picture kept or given up, is a duplicate and changes nothing."""
    async with site(tmp_path) as here:
        assert (1, 0) == ((first := await here.push()).new, first.duplicates)
        for limits in (Limits(keep=True), Limits(keep=False)):
            here.album.limits = limits
            assert (0, 1) == ((again := await here.push()).new, again.duplicates)
        assert ([f"{NAME}.jpg"], 1) == (here.files(), len(here.told()))


async def test_a_file_without_an_event_is_swept(tmp_path):
    """What a crash leaves between file and commit is removed; a picture with its event stays."""
    async with site(tmp_path) as here:
        await here.push()
        for name in ("0" * 64 + ".jpg", "fresh-0123456789abcdef"):
            (here.album.folder / name).write_bytes(b"left over")
        await here.album.sweep(None)
        assert [f"{NAME}.jpg"] == here.files()
        assert 2 == here.album.removed.orphans


async def test_a_picture_goes_after_its_days(tmp_path, driven):
    """It is there until its days are over, then file and row are gone and it is counted."""
    async with site(tmp_path, days=7) as here:
        await here.push()
        driven.instant = NOON + timedelta(days=6, hours=23)
        await here.album.tidy()
        assert [f"{NAME}.jpg"] == here.files()
        driven.instant = NOON + timedelta(days=7, hours=1)
        await here.album.tidy()
        assert ([], []) == (here.files(), rows(tmp_path, "SELECT * FROM pictures"))
        assert 1 == here.album.removed.age


async def test_a_clock_that_was_wrong_ages_no_picture(tmp_path, driven):
    """Taken while the box believed to be in another year, a picture has its days from the moment of the sync."""
    async with site(tmp_path, days=7) as here:
        driven.sure, driven.instant = False, NOON - timedelta(days=20_000)
        await here.push()
        driven.instant = NOON
        await here.album.tidy()
        assert [f"{NAME}.jpg"] == here.files()
        driven.sure = True
        await here.album.tidy()
        assert [f"{NAME}.jpg"] == here.files()
        driven.instant = NOON + timedelta(days=8)
        await here.album.tidy()
        assert [] == here.files()


async def test_the_oldest_go_when_there_are_too_many(tmp_path, driven):
    """Beyond the bytes the oldest are removed, and no more than needed."""
    async with site(tmp_path, max_bytes=3 * len(shot(0))) as here:
        for number in range(5):
            driven.instant = NOON + timedelta(seconds=number)
            await here.push(number, base64.b64encode(shot(number)).decode())
        await here.album.tidy()
        expected = sorted(f"{hashlib.sha256(shot(number)).hexdigest()}.jpg" for number in (2, 3, 4))
        assert expected == here.files()
        assert 2 == here.album.removed.room


async def test_pictures_go_first_when_the_disk_runs_short(tmp_path):
    """Before the disk is so short that devices must be refused, the pictures are given up."""
    async with site(tmp_path) as here:
        await here.push()
        free = here.outbox.room.look().disk_free
        here.outbox.settings = replace(here.outbox.settings, min_free_bytes=free - free // 50)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.album.run)
            with anyio.fail_after(10):
                while here.files():
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert 1 == here.album.removed.room
        assert 1 == len(here.told())


async def test_one_picture_of_two_events_stays_for_the_second(tmp_path):
    """A file that two records refer to is removed with the last of them."""
    async with site(tmp_path) as here:
        await here.push(1)
        await here.push(2)
        one = access(1).id
        await here.outbox.write(lambda conn: conn.execute("DELETE FROM pictures WHERE event = ?", (one,)))
        await here.album.sweep([NAME])
        assert [f"{NAME}.jpg"] == here.files()


async def test_what_no_sink_wants_is_not_kept(tmp_path):
    """Of a record's personal fields the database has the listed ones and a mark, and the user id only if listed."""
    personal = {"user_id": "canary-77", "name": "Canary", "mask": 2}
    async with site(tmp_path) as here:
        await here.push(1, personal=personal)
        here.intake.policy = Policy(personal=frozenset({"user_id", "mask"}))
        await here.push(2, personal=personal)
        first, second = (
            json.loads(text) for (text,) in rows(tmp_path, "SELECT personal FROM events ORDER BY seq")
        )
    assert {"person"} == first.keys()
    assert {"user_id": "canary-77", "mask": 2, "person": first["person"]} == second
