"""What a file from elsewhere, or the gateway's own user, could have root do at a backup and a restore."""

import asyncio
import contextlib
import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from backed_up import USER, Box, about_of, packed, parts_of
from click.testing import CliRunner
from keeping import FILE_NAME, opened
from root_skips import as_root

from gateway.backup import archive, inspecting
from gateway.commands import main
from gateway.config import moving
from gateway.outbox import replacing

pytestmark = pytest.mark.anyio
BOB = 64992


@pytest.fixture
def backup(place):
    """A backup of a box with twenty events."""
    box = Box(place / "old")
    asyncio.run(box.receive(0, 20))
    box.do("backup", place / "b")
    return place / "b"


def forged(place, backup, *, config: str | None = None, store: bytes | None = None) -> Path:
    """Write a backup with right sums and another configuration or store."""
    parts = parts_of(backup)
    parts.pop(archive.SUMS)
    if config is not None:
        parts[archive.CONFIG] = config.encode()
    if store is not None:
        parts[archive.STORE] = store
        parts = about_of(parts, store_bytes=len(store))
    (place / "forged").write_bytes(packed(parts))
    return place / "forged"


def store_at(folder: Path) -> str:
    return f'[gateway]\nid = "lobby-1"\n\n[store]\npath = "{folder}"\nmin_free_bytes = 0\n'


def box_at(place, store: Path) -> Box:
    """Give a box whose store is in a folder of its user."""
    box = Box(place / "box")
    box.store = store
    box.config.write_text(store_at(store))
    return box


def owned(path: Path, user: int = USER) -> Path:
    """Make a folder of somebody else's."""
    path.mkdir(mode=0o755)
    os.chown(path, user, user)
    return path


def laid(*lines) -> None:
    """Lay things as the gateway's user."""
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            for line in lines:
                line()
            os._exit(0)
        finally:
            os._exit(1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def seen(folder: Path) -> list:
    return sorted((str(p), p.lstat().st_uid, p.lstat().st_mode) for p in (folder, *folder.rglob("*")))


def test_a_backup_does_not_choose_the_folder(place, backup):
    """On a box without a configuration an unusual folder has to be said, and one of the system is refused even then."""
    (place / "etc").mkdir()
    (place / "etc" / "shadow").write_text("x")
    file, before = forged(place, backup, config=store_at(place / "etc")), seen(place / "etc")
    new = Box(place / "new", gateway=None)
    said = _run(new, "restore", file)
    assert f"add --store {place / 'etc'}" in said
    assert before == seen(place / "etc")
    if os.geteuid() == 0:
        assert "no folder of a store" in _run(new, "restore", "--store", place / "etc", file)
        assert before == seen(place / "etc")


def _run(box: Box, *words) -> str:
    """Give what a command says that fails; the box itself would add an option."""
    done = CliRunner().invoke(main, ["-c", str(box.config), *map(str, words)])
    assert 1 == done.exit_code, done.output
    return done.output


@as_root
def test_a_refused_backup_leaves_nothing(place, backup):
    """Cut off behind its head: no folder, no lock and no owner is another one than before."""
    (place / "cut").write_bytes(backup.read_bytes()[:1500])
    (place / "empty").mkdir()
    for store in (place / "empty", place / "deep" / "er"):
        box, before = box_at(place, store), seen(place)
        assert "cut off" in box.do("restore", place / "cut", status=1)
        after = [one for one in seen(place) if "/box" not in one[0]]
        assert [one for one in before if "/box" not in one[0]] == after


@as_root
def test_a_folder_that_was_made_is_given_to_the_gateway(place, backup):
    """With all that is in it, and only when all was read."""
    box = box_at(place, place / "deep" / "store")
    box.do("restore", backup)
    assert {USER} == {path.lstat().st_uid for path in (box.store, *box.store.rglob("*"))}
    assert 0 == box.store.parent.stat().st_uid


@as_root
def test_the_usual_folder_is_given_to_the_gateway(place, backup, monkeypatch):
    """A root's empty folder at the usual place is not asked about."""
    (place / "usual").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(place / "usual"))
    box = box_at(place, place / "usual")
    box.do("restore", backup)
    assert {USER} == {path.lstat().st_uid for path in (box.store, *box.store.rglob("*"))}


@as_root
def test_a_store_of_the_gateway_stays_its_own(place, backup):
    """What root restores in the gateway's folder is the gateway's, the store that was replaced too."""
    box = box_at(place, owned(place / "store"))
    for options in ((), ("--backwards",)):
        box.do("restore", *options, backup)
        assert {USER} == {path.lstat().st_uid for path in (box.store, *box.store.rglob("*"))}
    assert 20 == box.query("SELECT count(*) FROM events")[0][0]


@as_root
@pytest.mark.parametrize("how", [os.symlink, os.link])
def test_a_lock_that_is_a_link_is_not_followed(place, backup, how):
    """Neither its owner nor its content changes."""
    secret = place / "shadow"
    secret.write_text("secret")
    secret.chmod(0o600)
    store = owned(place / "store")
    how(secret, store / "gateway.lock")
    before = secret.stat().st_uid, secret.stat().st_mode, secret.read_text()
    box_at(place, store).do("restore", backup, status=1)
    assert before == (secret.stat().st_uid, secret.stat().st_mode, secret.read_text())


async def test_a_lock_that_is_a_link_is_not_opened(tmp_path):
    """By the daemon neither: it would write its number into what somebody else chose."""
    (tmp_path / "store").mkdir()
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "store" / "gateway.lock").symlink_to(tmp_path / "kept")
    with pytest.raises(Exception, match="cannot be used"):
        async with opened(tmp_path / "store"):
            pass
    assert "kept" == (tmp_path / "kept").read_text()


@as_root
@pytest.mark.parametrize("name", ["out", "replaced-1"])
def test_a_planted_restore_moves_nothing_out(place, backup, name):
    """What the gateway's user noted as a restore that was interrupted is not finished by root elsewhere."""
    (place / "root").mkdir()
    store = owned(place / "store")
    laid(
        (store / "restore.ready").mkdir,
        lambda: (store / "restore.ready" / "aside").write_text(name),
        lambda: (store / name).symlink_to(place / "root"),
        lambda: (store / "pictures").write_text("#!/bin/sh\n"),
    )
    said = box_at(place, store).do("restore", backup, status=1)
    assert "names no folder of a restore" in said
    assert [] == list((place / "root").iterdir())


@as_root
def test_root_reaches_no_further_than_the_owner(place, backup):
    """A folder for the unpacked store that leads elsewhere is not emptied, nor filled."""
    kept = place / "root"
    kept.mkdir()
    (kept / "restore.part").mkdir()
    (kept / "restore.part" / "kept").write_text("kept")
    store = owned(place / "store")
    laid(lambda: (store / "restore.ready").symlink_to(kept / "restore.part"))
    before = seen(kept)
    box_at(place, store).do("restore", backup, status=1)
    assert before == seen(kept)


def test_a_note_is_not_written_through_a_link(tmp_path):
    """Where the replaced store goes is noted in a file of our own."""
    part = tmp_path / replacing.PART
    part.mkdir()
    (part / FILE_NAME).write_text("new")
    (tmp_path / "kept").write_text("kept")
    (part / "aside").symlink_to(tmp_path / "kept")
    replacing.commit(tmp_path, "1")
    assert "kept" == (tmp_path / "kept").read_text()
    assert "new" == (tmp_path / FILE_NAME).read_text()


@as_root
def test_what_lies_where_a_backup_is_written_is_not_used(place, backup):
    """In somebody else's folder: neither his open files nor his links get anything of it."""
    (moving.CREDENTIALS / "mqtt").write_text("secret")
    bob, box = owned(place / "bob", BOB), Box(place / "old")
    for link in (False, True):
        (place / "kept").write_text("kept")
        for name in (".b.part", ".b.store"):
            if link:
                (bob / name).symlink_to(place / "kept")
            else:
                (bob / name).touch()
                (bob / name).chmod(0o666)
                os.chown(bob / name, BOB, BOB)
        box.do("backup", "--force", "--with-secrets", bob / "b")
        found = (bob / "b").lstat()
        assert (0, 0o600) == (found.st_uid, stat.S_IMODE(found.st_mode))
        assert "kept" == (place / "kept").read_text()
        assert ["b"] == [path.name for path in bob.iterdir()]


@as_root
def test_a_backup_to_a_stream_leaves_the_box_to_its_owner(place, backup):
    """The copy beside the store is made as its owner, and a link among the pictures brings no file of root's."""
    box = box_at(place, owned(place / "store"))
    box.do("restore", backup)
    secret = place / "shadow"
    secret.write_text("secret of root")
    secret.chmod(0o600)
    name = box.picture()
    (box.store / "pictures" / f"{name}.jpg").unlink()
    (box.store / "pictures" / f"{name}.jpg").symlink_to(secret)
    for path in (box.store / "pictures", box.store / FILE_NAME):
        os.chown(path, USER, USER)
    said = box.do("backup", place / "c", status=1)
    assert f"{name}.jpg is a link" in said
    assert not (place / "c").exists()


def inspecting_of(backup: Path, place: Path) -> list:
    """Name what a backup of ours holds that is not ours, or that the store has and its backup has not."""
    (place / "s.db").write_bytes(parts_of(backup)[archive.STORE])
    found = []
    for file in (place / "s.db", place / "old" / "store" / FILE_NAME):
        with contextlib.closing(sqlite3.connect(file)) as conn:
            found += inspecting.strangers(conn)
    return found


def hostile(backup: Path, place: Path, kind: str) -> bytes:
    """Give the store of a backup with something more in it."""
    (place / "h.db").write_bytes(parts_of(backup)[archive.STORE])
    with contextlib.closing(sqlite3.connect(place / "h.db", isolation_level=None)) as conn:
        if kind == "view":
            conn.execute("ALTER TABLE meta RENAME TO meta2")
            conn.execute(
                "CREATE VIEW meta AS WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x)"
                " SELECT key, value FROM meta2, x WHERE x.n < 0"
            )
        elif kind == "trigger":
            conn.execute("CREATE TRIGGER evil AFTER INSERT ON events BEGIN DELETE FROM events; END")
        elif kind == "table":
            conn.execute("CREATE TABLE notes (text)")
        else:
            conn.execute("DROP TABLE zones")
            conn.execute("CREATE VIRTUAL TABLE zones USING fts5(name, since)")
        conn.execute("VACUUM")
    return (place / "h.db").read_bytes()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("kind", "named"),
    [("view", ""), ("trigger", "trigger 'evil'"), ("table", "table 'notes'"), ("virtual", "table 'zones")],
)
def test_a_store_with_statements_of_its_own_is_refused(place, backup, kind, named):
    """One that never ends is not begun, and none comes into the store here."""
    box = Box(place / "old")
    before = box.query("SELECT type, name, sql FROM sqlite_master")
    assert [] == inspecting_of(backup, place)
    said = box.do("restore", forged(place, backup, store=hostile(backup, place, kind)), status=1)
    assert named in said
    assert "which is none of the gateway's" in said
    assert before == box.query("SELECT type, name, sql FROM sqlite_master")


def test_what_a_person_has_added_is_left_out(place, backup):
    """A view and an index of somebody with a shell do not make a backup that cannot be restored."""
    box = Box(place / "old")
    box.query("CREATE VIEW people AS SELECT * FROM events")
    box.query("CREATE INDEX mine ON events (device)")
    box.do("backup", place / "c")
    assert 2 == len(box.query("SELECT 1 FROM sqlite_master WHERE name IN ('people', 'mine')"))
    box.do("restore", place / "c")
    assert [] == box.query("SELECT 1 FROM sqlite_master WHERE name IN ('people', 'mine')")
    assert json.loads(parts_of(place / "c")[archive.ABOUT])["head"] == 20
