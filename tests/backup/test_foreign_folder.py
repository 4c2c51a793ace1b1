"""What the gateway's own user could have root read, or wait for, by what lies in the folder of the store."""

import os
import socket
import sqlite3
import threading
import tracemalloc
from contextlib import closing, suppress
from pathlib import Path

import pytest
from backed_up import USER, Box, about_of, packed, parts_of
from keeping import FILE_NAME
from root_skips import as_root

from gateway import foreign
from gateway.backup import archive
from gateway.config import last_good, load, loading, loads
from gateway.config.sections import StoreSection
from gateway.control import captures, client
from gateway.doctor.box import Box as Looked
from gateway.doctor.store import NOTE, left_behind, look_at_store
from gateway.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.outbox import ballast, damage, opening, reading

pytestmark = pytest.mark.anyio
SECRET = "secret-of-root"


@pytest.fixture
def shadow(place):
    """A file that is for root alone."""
    (place / "shadow").write_text(f"{SECRET}\n")
    (place / "shadow").chmod(0o600)
    return place / "shadow"


def bound(path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


@pytest.mark.parametrize(
    "lay",
    [
        lambda path: path.symlink_to("/etc/hostname"),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,
        Path.mkdir,
        bound,
    ],
    ids=["link", "device", "dangling", "pipe", "folder", "socket"],
)
def test_only_a_plain_file_is_opened(place, lay):
    """Nothing else that lies there is followed, waited for or read."""
    lay(place / "x")
    with pytest.raises(OSError, match="x is a link, or no plain file"):
        foreign.read(place / "x", 10)


@as_root
def test_a_second_name_of_a_file_is_not_opened(place, shadow):
    """Where the kernel lets somebody make one."""
    os.link(shadow, place / "x")
    with pytest.raises(OSError, match="no plain file"):
        foreign.read(place / "x", 10)


def test_no_more_is_read_than_wanted(place):
    """A note is one line, however long the file is."""
    (place / "x").write_text("word\n" * 100_000)
    assert b"word\nword\n" == foreign.read(place / "x", 10)
    assert foreign.NOTE_BYTES >= len(foreign.note(place / "x")) > 1_000
    assert "\n" not in foreign.note(place / "x")


async def test_a_mark_that_is_a_link_is_not_told(place, shadow):
    """Neither status nor doctor prints what it leads to; that there is a mark is said all the same."""
    box = Box(place / "box")
    await box.receive(0, 5)
    (box.store / damage.MARK).symlink_to(shadow)
    said = box.do("status", status=2)
    assert SECRET not in said
    assert "The store is damaged (damaged)" in said
    config = loads(box.text)
    assert ["The store is damaged (damaged)."] == [one.sentence for one in look_at_store(Looked(config))]


async def test_a_mark_moves_no_cursor(place):
    """What it says is on one line, and no terminal acts on it."""
    box = Box(place / "box")
    await box.receive(0, 5)
    (box.store / damage.MARK).write_text("broken\x1b[2J\nAll well.")
    assert "The store is damaged (broken?[2J All well.)" in box.do("status", status=2)


@pytest.mark.timeout(30)
def test_a_note_without_an_end_is_not_read(place):
    """A doctor with it in its memory would take the box's."""
    (place / f"{FILE_NAME}.damaged-20261121T000000").touch()
    (place / NOTE).symlink_to("/dev/zero")
    assert "how much was lost is not known any more" in left_behind(place).sentence
    (place / opening.LOCK).symlink_to("/dev/zero")
    assert opening.holder(place) is None


@pytest.mark.timeout(30)
async def test_captures_that_are_none_are_listed_and_not_opened(place):
    """Nobody waits at a pipe, and nothing that a link leads to is told."""
    (place / captures.FOLDER).mkdir()
    (place / "other").write_text('{"capture": {"device": "door-of-root"}}')
    (place / captures.FOLDER / "a.jsonl").symlink_to(place / "other")
    os.mkfifo(place / captures.FOLDER / "b.jsonl")
    (place / captures.FOLDER / "c.jsonl").symlink_to(place / "nowhere")
    assert [None, None, None] == [row["device"] for row in captures.files(place)]


@as_root
@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["link", "pipe"])
async def test_root_opens_no_store_elsewhere(place, kind):
    """A store that is a link is somebody else's, and a pipe would hold the command for ever."""
    box = Box(place / "box")
    await box.receive(0, 5)
    (box.store / FILE_NAME).rename(place / "other.db")
    if kind == "link":
        (box.store / FILE_NAME).symlink_to(place / "other.db")
    else:
        os.mkfifo(box.store / FILE_NAME)
    with pytest.raises(StoreUnavailable, match="is a link, or no plain file"), reading.looking(box.store):
        pass
    assert "is a link, or no plain file" in box.do("backup", place / "b", status=1)


@as_root
async def test_a_last_good_configuration_that_is_a_link_is_not_packed(place, shadow, monkeypatch):
    """A backup brings no file of root's out."""
    box = Box(place / "box")
    await box.receive(0, 5)
    os.chown(box.store, USER, USER)
    monkeypatch.setattr(last_good, "place", lambda _path: box.store / "last-good.toml")
    (box.store / "last-good.toml").symlink_to(shadow)
    said = box.do("backup", place / "b", status=1)
    assert "last-good.toml is a link" in said
    assert not (place / "b").exists()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["link", "growing", "huge"])
async def test_of_a_last_good_configuration_a_bounded_part_is_read(place, monkeypatch, kind):
    """Neither one that is a link, nor one that grows behind the look at its size, is taken into the memory."""
    box = Box(place / "box")
    await box.receive(0, 5)
    good, most = box.store / "last-good.toml", archive.SMALL_BYTES
    monkeypatch.setattr(last_good, "place", lambda _path: good)
    if kind == "link":
        (place / "own").write_text("")
        good.symlink_to(place / "own")
        assert "is a link" in box.do("backup", place / "b", status=1)
        return
    with good.open("wb") as file:
        file.truncate(500 << 20 if kind == "huge" else 10)
    if kind == "growing":
        real = archive.Writer.takes

        def takes(writer, name, size):
            if name == archive.LAST_GOOD:
                good.write_bytes(bytes(most + 2))
            return real(writer, name, size)

        monkeypatch.setattr(archive.Writer, "takes", takes)
    tracemalloc.start()
    try:
        said = box.do("backup", place / "b")
        assert 100 << 20 > tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (kind == "huge") == ("a restore would refuse it" in said)
    assert most >= len(parts_of(place / "b").get(archive.LAST_GOOD, b""))


def sink(file: object) -> str:
    return f'[sinks.up]\ntype = "https"\nendpoint = "https://127.0.0.1:9/"\nbearer_file = "{file}"\n'


@as_root
def test_the_last_good_configuration_opens_no_file_of_roots(place, shadow, monkeypatch):
    """Its owner names what he may read himself, and what lies among the secrets that he is handed over."""
    state, config = place / "state", place / "config.toml"
    state.mkdir()
    (state / "own").write_text("secret of his")
    (state / "own").chmod(0o600)
    (place / "credentials" / "kept").write_text("secret that is handed over")
    (place / "credentials" / "kept").chmod(0o600)
    monkeypatch.setattr(last_good, "place", lambda _path: state / "last-good.toml")
    for path in (state, state / "own"):
        os.chown(path, USER, USER)
    found = {}
    for name in (
        shadow,
        f"{place}/credentials/../shadow",
        state / "own",
        "kept",
        place / "credentials" / "kept",
    ):
        (state / "last-good.toml").write_text(sink(name))
        os.chown(state / "last-good.toml", USER, USER)
        recalled = last_good.recall(config)
        found[Path(name).name, str(name).count("..")] = recalled and recalled.sinks["up"].bearer_file.reveal()
    assert {
        ("shadow", 0): None,
        ("shadow", 1): None,
        ("own", 0): "secret of his",
        ("kept", 0): "secret that is handed over",
    } == found
    assert 0 == os.geteuid()
    (state / "last-good.toml").unlink()
    (state / "last-good.toml").symlink_to(shadow)
    assert last_good.recall(config) is None


@as_root
@pytest.mark.parametrize("name", ["path", "bare"])
@pytest.mark.parametrize("folder", ["", "deeper"])
def test_a_copy_that_root_names_itself_opens_no_file_of_roots(place, shadow, monkeypatch, name, folder):
    """Nor does a folder beside it that leads to one, nor a copy in a folder within."""
    monkeypatch.setattr(loading, "StoreSection", lambda: StoreSection(path=place / "state"))
    state = place / "state" / folder
    state.mkdir(parents=True)
    (state / "credentials").symlink_to(shadow.parent)
    (state / "last-good.toml").write_text(sink(shadow if name == "path" else shadow.name))
    os.chown(state, USER, USER)
    with pytest.raises(ConfigError, match='shadow" cannot be read: Permission denied'):
        load(state / "last-good.toml")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "ask", [lambda one: one.get("/status"), lambda one: list(one.tail())], ids=["get", "tail"]
)
def test_an_answer_without_an_end_is_given_up(place, monkeypatch, ask):
    """Whoever took the socket over does not fill the memory of a command that root types."""
    monkeypatch.setattr(client, "_MOST_BYTES", 1 << 20)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "socket"))
        listening.listen()

        def answer():
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                while True:
                    connection.sendall(b" " * 65536)

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(GatewayError, match="has no end"):
            ask(client.Client(place / "socket"))
        answering.join()


def test_a_ballast_that_is_a_link_is_not_written(place, shadow):
    """A gateway that somebody starts by hand with sudo leaves alone what it leads to."""
    (place / ballast.NAME).symlink_to(shadow)
    with pytest.raises(ballast.NoBallast):
        ballast.make(place, 65536)
    assert f"{SECRET}\n" == shadow.read_text()


async def test_a_forged_backup_moves_no_cursor(place):
    """SQLite tells the name of a table that it cannot read, and a terminal would act on it."""
    box = Box(place / "box")
    await box.receive(0, 5)
    box.do("backup", place / "b")
    parts = parts_of(place / "b")
    parts.pop(archive.SUMS)
    (place / "h.db").write_bytes(parts[archive.STORE])
    with closing(sqlite3.connect(place / "h.db", isolation_level=None)) as conn:
        conn.execute("PRAGMA writable_schema=ON")
        conn.execute(
            "UPDATE sqlite_master SET name = ?, sql = 'odd' WHERE name = 'zones'", ("\x1b]0;OWNED\x07",)
        )
    parts[archive.STORE] = (place / "h.db").read_bytes()
    (place / "f").write_bytes(packed(about_of(parts, store_bytes=len(parts[archive.STORE]))))
    said = box.do("restore", place / "f", status=1)
    assert "?]0;OWNED?" in said
    assert all(char.isprintable() for char in said.replace("\n", ""))
