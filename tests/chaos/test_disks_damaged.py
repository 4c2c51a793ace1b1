"""A store with every region of its files damaged in turn, and a WAL cut anywhere: it comes up, and says what is gone."""

import random
import shutil
from collections import Counter

import pytest
from damaged_store import ARREARS, DELIVERED, EVENTS, build, contents, event, live, rendered
from keeping import NOON, Running, after_crash, opened, rows
from regions import KINDS, damage, in_database, in_index, in_wal

from gateway.outbox.connection import FILE_NAME

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

# Doubles are not looked for: a sink whose place is gone gets all that was found once more, as docs/reliability.md says.
SENT_ANEW = None
_OURS = ("seq", "device_seq", "late")  # what the gateway numbers, and what depends on the order of arrival


class Sweep:
    """Damages copies of one store and counts what came of it."""

    def __init__(self, original, scratch, chance):
        self.original, self.scratch, self.chance = original, scratch, chance
        self.before = contents(original)
        self.newcomers = {(event(EVENTS + number).id, 0) for number in range(9)}
        self.told = Counter()

    def copy(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.copytree(self.original, self.scratch)
        return self.scratch

    async def one(self, region, kind, experiment, place):
        """Damage one region, let the store live, and hold what came out of it against what was in it."""
        store = self.copy()
        damage(store / FILE_NAME, region, kind, self.chance)
        if self.chance.random() < 0.5:
            (store / "gateway.damaged").touch()  # else only a quick look is taken, as after a clean stop
        try:
            life = await live(store)
            self.told["with the places lost"] += life.places_lost
            for sink, owed in self.owed().items():
                self.judge(experiment, sink, owed, life)
        except Exception as failed:  # whatever it was, the place and the kind of the damage must be told
            raise AssertionError(f"{place}: {type(failed).__name__} {failed}") from failed
        experiment.hit(f"{kind} in {'WAL' if region.suffix else 'the database'}")

    def remarks(self):
        return [f"{number} {what}" for what, number in self.told.items()]

    def owed(self):
        strict = {key for key, entry in self.before.items() if entry.seq > DELIVERED}
        arrears = {key for key, entry in self.before.items() if ARREARS.first < entry.seq <= ARREARS.last}
        return {"strict": strict, "live": arrears}

    def judge(self, experiment, sink, owed, life):
        got = {(entry.id, entry.revision): entry for entry in life.delivered[sink]}
        wrong = [key for key, entry in got.items() if not self.right(key, entry)]
        # What was lost may have come back from its device: as something new, under another number.
        numbers = {(entry.id, entry.revision, entry.seq) for entry in life.delivered[sink]}
        lost = {key for key in owed if (*key, self.before[key].seq) not in numbers}
        experiment.owe(len(owed))
        # Not more either: what was delivered and is called lost would make an owner look for it.
        accounted = life.places_lost or life.lost[sink] == len(lost)
        accounted &= bool(life.named) or not lost
        experiment.found(missing=0 if accounted else len(lost), wrong=len(wrong))
        assert accounted, f"{len(lost)} lost, {life.lost[sink]} accounted for, told: {life.named}"
        assert not wrong, [
            (_said(got[key]), key in self.before and _said(self.before[key])) for key in wrong[:1]
        ]
        self.told["lost and said so"] += len(lost)

    def right(self, key, entry):
        known = self.before.get(key)
        return key in self.newcomers if known is None else _said(entry) == _said(known)


def _said(entry):
    """Give what a far end reads but for `_OURS`: what was lost comes again from its device, later than before."""
    return {name: value for name, value in rendered(entry).items() if name not in _OURS}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def original(tmp_path_factory):
    """The store that is damaged again and again."""
    directory = tmp_path_factory.mktemp("damaged") / "original"
    await build(directory)
    return directory


def one_of_each_name(todo):
    """Give for each name of a region the first that there is: what the short form takes, so that none is left out."""
    first = {}
    for region, kind in todo:
        first.setdefault(region.name, (region, kind))
    return list(first.values())


async def test_damage_to_every_region(original, tmp_path, experiment, scale):
    """Each page of the database damaged in each way: it comes up by itself, says what is gone, delivers nothing wrong."""
    chance = random.Random(71)
    todo = [(region, kind) for region in in_database(original / FILE_NAME) for kind in KINDS]
    chance.shuffle(todo)
    if not scale.soak:
        todo = one_of_each_name(todo)
    sweep = Sweep(original, tmp_path / "store", chance)
    for number, (region, kind) in enumerate(todo):
        await sweep.one(region, kind, experiment, f"{number}: {kind} of {region}")
    names = {region.name for region, _ in todo}
    experiment.remarks += [f"{len(todo)} damages, {len(names)} kinds of pages", *sweep.remarks()]
    assert {region.name for region in in_database(original / FILE_NAME)} == names
    experiment.demand(obligations=100 * len(todo), faults=len(todo), doubled=SENT_ANEW)


async def test_a_flipped_bit_of_the_log(original, tmp_path, experiment, scale):
    """One bit of a page of the log, anywhere: nothing wrong is delivered, and what is gone is counted and named."""
    chance = random.Random(73)
    leaves = [
        region for region in in_database(original / FILE_NAME) if region.name in ("events leaf", "overflow")
    ]
    sweep = Sweep(original, tmp_path / "store", chance)
    for number in range(scale.pick(15, 400)):
        region = chance.choice(leaves)
        await sweep.one(region, "flip", experiment, f"{number}: {region}")
    assert sweep.told["lost and said so"] > scale.pick(3, 100), (
        "hardly a bit was one of an entry: it proves little"
    )
    experiment.remarks += sweep.remarks()
    experiment.demand(obligations=scale.pick(1_000, 30_000), faults=scale.pick(15, 400), doubled=SENT_ANEW)


async def test_the_head_of_the_file(original, tmp_path, experiment, scale):
    """The head of the file overwritten with a backlog waiting, at rest or while it runs: all that was owed is delivered."""
    chance = random.Random(74)
    sweep = Sweep(original, tmp_path / "store", chance)
    for number in range(scale.pick(4, 40)):
        store, running = sweep.copy(), None
        if number % 2:
            running = await Running.start(store)
        with (store / FILE_NAME).open("r+b") as file:
            file.write(chance.randbytes(200))
        if running is not None:
            store = after_crash(store, tmp_path / f"left-{number}")
            await running.abandon()
        life = await live(store)
        assert life.named and not life.places_lost, life.named
        assert {"strict": 0, "live": 0} == life.lost
        for sink, owed in sweep.owed().items():
            sweep.judge(experiment, sink, owed, life)
        experiment.hit("head overwritten while running" if number % 2 else "head overwritten")
    assert not sweep.told["lost and said so"]
    experiment.demand(obligations=scale.pick(400, 4_000), faults=scale.pick(4, 40), doubled=SENT_ANEW)


async def test_damage_control(original, tmp_path, experiment):
    """The control run: the same life of a store without damage loses nothing, and no rescue is made."""
    experiment.control = True
    sweep = Sweep(original, tmp_path / "store", random.Random(72))
    life = await live(sweep.copy())
    assert [] == life.named
    assert {"strict": 0, "live": 0} == life.lost
    for sink, owed in sweep.owed().items():
        sweep.judge(experiment, sink, owed, life)
    experiment.demand(obligations=150, faults=0, doubled=SENT_ANEW)


# The write-ahead log


@pytest.fixture(scope="module")
async def killed(tmp_path_factory):
    """What a kill leaves: a store that was folded back once, and in its WAL one commit per event since then."""
    directory = tmp_path_factory.mktemp("killed")
    async with opened(directory / "store") as outbox:
        for number in range(20):
            await outbox.append([event(number)], NOON)
    running = await Running.start(directory / "store")
    for number in range(20, 80):
        await running.outbox.append([event(number)], NOON)
    left = after_crash(directory / "store", directory / "left")
    shutil.copy(directory / "store" / f"{FILE_NAME}-shm", left / f"{FILE_NAME}-shm")
    await running.abandon()
    return left


async def test_wal_cut_anywhere(killed, tmp_path, experiment, scale):
    """A WAL cut at any byte, or with a last frame that is torn: a beginning of the commits is there, and it goes on."""
    chance, store = random.Random(81), tmp_path / "store"
    wal = (killed / f"{FILE_NAME}-wal").read_bytes()
    frames = [region for region in in_wal(killed / f"{FILE_NAME}-wal") if region.name == "WAL frame body"]
    edges = [region.start + add for region in frames for add in (-25, -24, -23, 0, 1, region.size - 1)]
    places = [0, 1, 31, 32, 33, *edges, *(chance.randrange(len(wal)) for _ in range(200))]
    chance.shuffle(places)
    most = 0
    for number, place in enumerate(places[: scale.pick(20, 600)]):
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(killed, store)
        torn = number % 3 == 0  # the file has its length, and behind the cut nothing that was meant
        tail = chance.choice([bytes, chance.randbytes])(len(wal) - place) if torn else b""
        (store / f"{FILE_NAME}-wal").write_bytes(wal[:place] + tail)
        if chance.random() < 0.5:
            (store / f"{FILE_NAME}-shm").unlink()
        left = await after_cut(store, experiment)
        most = max(most, left)
        experiment.hit("torn WAL" if torn else "cut WAL")
    assert most > 60, "no cut left anything of the WAL: they prove little"
    experiment.demand(obligations=scale.pick(400, 12_000), faults=scale.pick(20, 500), doubled=0)


async def after_cut(store, experiment):
    """Open it, and hold it to what was folded back and to an unbroken beginning of what came after."""
    async with opened(store) as outbox:
        assert outbox.salvaged is None, outbox.salvaged
        kept = [seq for (seq,) in rows(store, "SELECT seq FROM events ORDER BY seq")]
        assert list(range(1, len(kept) + 1)) == kept
        again = await outbox.append([event(number) for number in range(80)], NOON)
        assert (80 - len(kept), len(kept)) == (again.new, again.duplicates)
    experiment.owe(20)
    experiment.found(missing=max(20 - len(kept), 0))
    assert [("ok",)] == rows(store, "PRAGMA integrity_check")
    return len(kept)


async def test_damage_to_wal_and_index(killed, tmp_path, experiment, scale):
    """Each part of the WAL and of its index damaged in each way: what was folded back is there, and it goes on."""
    chance, store = random.Random(82), tmp_path / "store"
    shm = killed / f"{FILE_NAME}-shm"
    todo = [(region, kind) for region in in_wal(killed / f"{FILE_NAME}-wal") for kind in KINDS]
    chance.shuffle(todo)
    todo = [(region, kind) for region in in_index(shm) for kind in KINDS] + todo
    todo = todo if scale.soak else one_of_each_name(todo)
    for region, kind in todo:
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(killed, store)
        damage(store / FILE_NAME, region, kind, chance)
        left = await after_cut(store, experiment)
        assert region.suffix == "-wal" or left == 80, "the index is made anew of the WAL"
        experiment.hit(f"{kind} in the {region.name}")
    experiment.demand(obligations=20 * len(todo), faults=len(todo), doubled=0)
