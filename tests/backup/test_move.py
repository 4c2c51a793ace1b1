"""A backup and a new box that goes on from it: nothing missing, no number twice, the account balances."""

import contextlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from backed_up import GATEWAY, Box, credentials_at, event, parts_of
from first_version import as_first_version
from keeping import FILE_NAME, NOON, access, audited, fill, opened
from root_skips import as_root

from gateway.album import FOLDER
from gateway.config import last_good
from gateway.daemon import restored
from gateway.faults import Faults
from gateway.outbox import epochs, erasing, held, persons, reading, replacing, schema

pytestmark = pytest.mark.anyio
LOG = "SELECT seq, id, revision, device, device_seq, received, body, personal, crc FROM events ORDER BY seq"


@pytest.fixture
def old(tmp_path):
    return Box(tmp_path / "old")


@pytest.fixture
def open_folder():
    """A folder that others may pass, as they may not pass pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def new(tmp_path):
    """A box where nothing is yet; the configuration of the old one names the store's folder."""
    return Box(tmp_path / "new", gateway=None)


def here(old, new):
    """Have the store of the new box where the configuration says; the old one is gone."""
    old.store.rename(old.folder / "gone")
    new.store = old.store


async def test_a_new_box_goes_on_where_the_old_one_stopped(old, new, tmp_path):
    """All of the store comes over; what waits still waits, marks stay the same, and numbers go on far above."""
    await old.receive(0, 40, deliver=25)
    log, key = old.query(LOG), old.query("SELECT value FROM meta WHERE key = 'pseudonym_key'")
    tallies = old.query("SELECT * FROM tallies ORDER BY 1, 2, 3")
    before = audited(old.store)
    said = old.do("backup", tmp_path / "b")
    assert "40 events up to number 40" in said
    await old.receive(40, 55, deliver=20)
    given_out = old.query("SELECT max(seq), max(device_seq) FROM events")[0]
    resent = old.query("SELECT id FROM events WHERE seq > 40")
    here(old, new)
    told = new.do("restore", tmp_path / "b")
    assert "40 events" in told and "missing, not zero" in told and "Never run the old box" in told
    assert old.text == new.config.read_text()
    assert log == new.query(LOG)
    assert key == new.query("SELECT value FROM meta WHERE key = 'pseudonym_key'")
    assert tallies == new.query("SELECT * FROM tallies ORDER BY 1, 2, 3")
    assert {name: row["waiting"] for name, row in before.items()} == {
        name: row["waiting"] for name, row in audited(new.store).items()
    }
    async with opened(new.store) as outbox:
        assert 40 == outbox.received
        await fill(outbox, [event(number) for number in range(40, 60)])
        assert 60 == outbox.received
    assert log == new.query(LOG)[:40]
    after = new.query("SELECT seq, id, device_seq FROM events WHERE seq > 40")
    assert set(resent) <= {(row[1],) for row in after}
    assert min(row[0] for row in after) > max(given_out)
    assert min(row[2] for row in after) > max(given_out)
    audited(new.store)
    assert not list(new.store.glob("restore.*")) + list(new.store.glob(f"{replacing.ASIDE}*"))


async def test_a_backup_of_the_first_tables_is_migrated_when_the_gateway_starts(old, new, tmp_path):
    """A backup that an older gateway took can be restored by this one."""
    await old.receive(0, 20, deliver=5)
    as_first_version(old.store)
    old.do("backup", tmp_path / "b")
    assert 1 == json.loads(parts_of(tmp_path / "b")["backup.json"])["schema"]
    here(old, new)
    new.do("restore", tmp_path / "b")
    async with opened(new.store) as outbox:
        assert outbox.salvaged is None
        await fill(outbox, [event(20), event(21)])
    assert [(schema.VERSION,)] == new.query("PRAGMA user_version")
    assert new.query("SELECT min(seq) FROM events WHERE seq > 20")[0][0] > epochs.SPAN
    assert {17} == {sum(row["waiting"] for row in audited(new.store).values())}


async def test_pictures_come_along_and_no_row_names_one_that_is_gone(old, new, tmp_path):
    """Pictures that are kept are in the backup; the row of one that was removed meanwhile is forgotten."""
    assert FOLDER == replacing.PICTURES
    await old.receive(0, 4)
    kept, gone = old.picture(1), old.picture(2)
    (old.store / FOLDER / f"{gone}.jpg").unlink()
    content = (old.store / FOLDER / f"{kept}.jpg").read_bytes()
    assert "1 pictures" in old.do("backup", tmp_path / "b")
    here(old, new)
    assert "1 pictures" in new.do("restore", tmp_path / "b")
    assert [(kept,)] == new.query("SELECT hash FROM pictures")
    file = new.store / FOLDER / f"{kept}.jpg"
    assert content == file.read_bytes()
    assert (0o600, 0o700) == (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode))


async def test_secrets_are_in_it_only_when_they_are_wished_for(old, new, tmp_path, monkeypatch):
    """Without --with-secrets no byte of them is in the file; with it they come to where they were; a file there stays."""
    folder = credentials_at(monkeypatch, tmp_path / "credentials")
    for name in ("mqtt-password", "bearer", "other"):
        (folder / name).write_text(f"hush {name}")
        (folder / name).chmod(0o600)
    elsewhere = tmp_path / "elsewhere-secret"
    elsewhere.write_text("hush elsewhere")
    elsewhere.chmod(0o600)
    old.config.write_text(
        f'{old.text}[sinks.home]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1"\nusername = "a"\n'
        f'password_file = "{folder}/mqtt-password"\n'
        f'[sinks.up]\ntype = "https"\nendpoint = "https://up.invalid"\nbearer_file = "{elsewhere}"\n'
    )
    await old.receive(0, 4)
    said = old.do("backup", tmp_path / "bare")
    assert f"{elsewhere}" in said and "mqtt-password" in said
    assert not any(b"hush" in content for content in parts_of(tmp_path / "bare").values())
    said = old.do("backup", "--with-secrets", tmp_path / "full")
    assert f"{elsewhere}" in said and "mqtt-password" not in said
    assert 0o600 == stat.S_IMODE((tmp_path / "full").stat().st_mode)
    here(old, new)
    folder = credentials_at(monkeypatch, tmp_path / "new-credentials")
    (folder / "bearer").write_text("another")
    told = new.do("restore", tmp_path / "full")
    assert "put in place: mqtt-password, other." in told and "stay as they are: bearer." in told
    assert "another" == (folder / "bearer").read_text()
    assert "hush mqtt-password" == (folder / "mqtt-password").read_text()
    assert 0o600 == stat.S_IMODE((folder / "mqtt-password").stat().st_mode)


async def test_a_gateway_without_an_id_of_its_own_keeps_the_one_of_its_host(old, tmp_path, monkeypatch):
    """The id was the name of the old host: on a new host it is written into the configuration."""
    monkeypatch.setattr("socket.gethostname", lambda: "old-host")
    old.config.write_text(
        f'[gateway]  # ours\nname = "Hall"\n\n[store]\npath = "{old.store}"\nmin_free_bytes = 0\n'
    )
    await old.receive(0, 4)
    old.do("backup", tmp_path / "b")
    monkeypatch.setattr("socket.gethostname", lambda: "new-host")
    new = Box(tmp_path / "new", gateway=None)
    here(old, new)
    new.do("restore", tmp_path / "b")
    assert 'id = "old-host"' in new.config.read_text()
    assert '"Hall"' in new.config.read_text()


async def test_a_configuration_without_an_id_takes_the_one_of_the_backup(old, tmp_path, monkeypatch):
    """A box that has a configuration, no id in it and no events goes on as the old box was called; and so in its backups."""
    await old.receive(0, 4)
    old.do("backup", tmp_path / "b")
    monkeypatch.setattr("socket.gethostname", lambda: "new-host")
    new = Box(tmp_path / "new", gateway=None)
    new.config.write_text(f'[store]\npath = "{new.store}"\nmin_free_bytes = 0\n')
    assert f"gateway {GATEWAY} " in new.do("restore", tmp_path / "b")
    assert [(GATEWAY,)] == new.query("SELECT value FROM meta WHERE key = 'gateway_id'")
    assert f"Gateway {GATEWAY}:" in new.do("backup", tmp_path / "c")


async def test_a_configuration_that_is_there_stays(old, tmp_path):
    """The one of the backup is laid beside it."""
    await old.receive(0, 4)
    old.do("backup", tmp_path / "b")
    (old.store / FILE_NAME).unlink()
    mine = old.text + "\n[site]\nname = 'new'\n"
    old.config.write_text(mine)
    assert "stays in use" in old.do("restore", tmp_path / "b")
    assert mine == old.config.read_text()
    assert old.text == old.config.with_name("config.toml.from-backup").read_text()


async def test_a_mistake_of_this_box_is_told_at_the_end(old, tmp_path):
    """A configuration that cannot be used is not passed over in silence, and one without a mistake is not blamed."""
    await old.receive(0, 4)
    old.do("backup", tmp_path / "b")
    (old.store / FILE_NAME).unlink()
    assert "finds a mistake" not in old.do("restore", tmp_path / "b")
    (old.store / FILE_NAME).unlink()
    old.config.write_text(old.text + "\n[site]\nzone = 'Nowhere'\n")
    assert "`gateway check` finds a mistake" in old.do("restore", tmp_path / "b").splitlines()[-1]


async def test_the_last_good_configuration_comes_when_the_other_has_a_mistake(
    old, new, tmp_path, monkeypatch
):
    """A box that ran on its last good configuration goes on with that."""
    monkeypatch.setenv("STATE_DIRECTORY", str(old.folder / "state"))
    last_good.remember(old.config)
    await old.receive(0, 4)
    old.config.write_text("[gateway\n")
    old.do("backup", tmp_path / "b")
    here(old, new)
    new.do("restore", tmp_path / "b")
    assert old.text == new.config.read_text()


async def test_a_backup_through_a_pipe_is_the_same(old, new, tmp_path):
    """FILE may be - at both ends, as over ssh."""
    await old.receive(0, 30)

    command = [sys.executable, "-m", "gateway", "-c", str(old.config), "backup", "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert b"30 events" in done.stderr
    assert {"store", "config.toml"} == {path.name for path in old.folder.iterdir()}
    assert not list(old.store.glob("backup*"))
    here(old, new)
    assert "30 events" in new.do("restore", "-", stdin=done.stdout)
    async with opened(new.store) as outbox:
        assert 30 == outbox.received


@as_root
async def test_what_root_restores_belongs_to_the_owner_of_the_folder(open_folder):
    """The gateway's user finds a store that it may write, and a lock that it may take."""
    tmp_path, old = open_folder, Box(open_folder / "old")
    await old.receive(0, 4)
    old.picture()
    old.do("backup", tmp_path / "b")
    for file in old.store.rglob("*.*"):
        file.unlink()
    for path in [old.store, *old.store.rglob("*")]:
        os.chown(path, 12345, 12346)
    old.do("restore", tmp_path / "b")
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in [old.store, *old.store.rglob("*")]}
    assert {(12345, 12346)} == owners


async def test_who_was_erased_since_is_taken_out_again(old, tmp_path):
    """Over the store that knows it, erased events of the backup are stripped again; elsewhere the command says so."""
    await old.receive(0, 20)
    old.do("backup", tmp_path / "b")
    erased = old.query("SELECT id FROM events WHERE personal IS NOT NULL LIMIT 3")
    with_person = "SELECT count(*) FROM events WHERE personal IS NOT NULL"
    all_of_them = old.query(with_person)[0][0]
    async with opened(old.store) as outbox:
        await outbox.rewriting.amend(
            lambda conn: erasing.erase_events(conn, [name for (name,) in erased]), lambda _: ()
        )
    assert "3 events of persons who were erased" in old.do("restore", tmp_path / "b")
    assert all_of_them - 3 == old.query(with_person)[0][0]
    assert {32} == {
        row[0] & 32 for name in erased for row in old.query("SELECT flags FROM events WHERE id = ?", *name)
    }
    async with opened(old.store) as outbox:  # what is stripped has a right sum
        assert outbox.salvaged is None
        assert 20 == (await outbox.append([event(number) for number in range(20)], NOON)).duplicates
    new = Box(tmp_path / "new")
    new.config.write_text(new.text)
    assert "give `gateway erase` once more" in new.do("restore", tmp_path / "b")


async def test_held_pushes_and_letters_of_who_was_erased_since_lose_the_person_again(old, tmp_path):
    """What waits for adoption, or was refused, comes out of a backup without whom the replaced store has erased."""
    ada, bob = {"user_id": "ada-4711"}, {"user_id": "bob-4712"}
    push = held.Push("10.0.0.9", "10.0.0.9", "/", 0, False)
    waiting = [held.hold(access(n, personal=who)) for n, who in ((1, ada), (2, bob))]
    async with opened(old.store) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=10)
        await outbox.write(lambda conn: held.add(conn, "face_terminal", push, waiting))
        await outbox.append([access(3, personal=ada), access(4, personal=bob)], NOON)
        await outbox.sinks.settle_now(position, [(entry, "no") for entry in outbox.recent(0, 2)])
    old.do("backup", tmp_path / "b")
    assert "Erased: " in old.do("erase", "--person", "ada-4711", "--yes")
    told = old.do("restore", tmp_path / "b")
    left = old.query("SELECT event FROM held"), old.query("SELECT head FROM letters")
    assert [(0, 1), (0, 1)] == [(str(part).count("ada-4711"), str(part).count("bob-4712")) for part in left]
    with reading.looking(old.store) as conn:
        one, two = held.first_of(conn, "terminal-t", 10)
    assert ({persons.FORGOTTEN: True}, bob) == (one.event.personal, two.event.personal)
    assert "1 events of persons who were erased here, 1 letters and 1 held pushes" in told


async def test_damage_of_the_replaced_store_stops_no_restore(old, tmp_path):
    """What it cannot tell of who was erased is said; what it can is stripped."""
    async with opened(old.store) as outbox:
        await outbox.append([access(500, personal={"user_id": "ada-4711"})], NOON)
    old.do("backup", tmp_path / "b")
    old.do("erase", "--person", "ada-4711", "--yes")
    (root,) = old.query("SELECT rootpage FROM sqlite_master WHERE name = 'held'")[0]
    (size,) = old.query("PRAGMA page_size")[0]
    with (old.store / FILE_NAME).open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    told = old.do("restore", tmp_path / "b")
    assert "1 events of persons who were erased here" in told
    assert "give `gateway erase` once more for each" in told


async def test_that_somebody_was_erased_is_said_when_nothing_of_it_is_left(old, tmp_path):
    """Where the replaced store only knows that it has erased somebody a person is asked to do it again; else nobody is."""
    await old.receive(0, 20)
    async with opened(old.store) as outbox:
        await outbox.append([access(500, personal={"user_id": "ada-4711"})], NOON)
    old.do("backup", tmp_path / "b")
    assert "gateway erase" not in old.do("restore", tmp_path / "b")
    old.do("erase", "--person", "ada-4711", "--yes")
    with contextlib.closing(sqlite3.connect(old.store / FILE_NAME, isolation_level=None)) as conn:
        conn.execute("DELETE FROM events WHERE flags & 32")
    for _ in range(2):
        assert "give `gateway erase` once more for each" in old.do("restore", tmp_path / "b")


async def test_it_is_said_for_a_week_and_in_the_status_document(old, tmp_path):
    """The store remembers of when it is; the fault stands while the replaced store lies there."""
    await old.receive(0, 20)
    old.do("backup", tmp_path / "b")
    told = old.do("restore", tmp_path / "b")
    aside = list(old.store.glob("replaced-*"))
    assert 1 == len(aside) and str(aside[0]) in told
    async with opened(old.store) as outbox:
        faults = Faults()
        restored.look(outbox, faults)
        (fault,) = faults
        assert "store_restored" == fault.code
        assert "missing, not zero" in fault.sentence and aside[0].name in fault.sentence
        assert 20 == restored.summary(outbox.restored)["received"]
        outbox.restored = epochs.Restored(at=0, taken=0, received=20)
        restored.look(outbox, faults)
        assert ["store_restored"] == [one.code for one in faults]
        for path in aside[0].iterdir():
            path.unlink()
        aside[0].rmdir()
        restored.look(outbox, faults)
        assert [] == list(faults)


async def test_the_minutes_behind_the_backup_are_missing_and_not_zero(old, tmp_path):
    """What nobody sends again is a gap in the day of the counter."""
    await old.receive(0, 20)
    old.do("backup", tmp_path / "b")
    await old.receive(20, 30)
    old.do("restore", "--backwards", tmp_path / "b")
    async with opened(old.store) as outbox:
        await fill(outbox, [event(number) for number in range(30, 40)])
    with reading.looking(old.store) as conn:
        minutes = {
            (device, hour * 60 + bit)
            for device, hour, bits in conn.execute("SELECT device, hour, minutes FROM coverage")
            for bit in range(60)
            if bits >> bit & 1
        }
    start = int(NOON.timestamp()) // 60
    assert {start + number for number in [*range(0, 20, 2), *range(30, 40, 2)]} == {
        minute for _, minute in minutes
    }
