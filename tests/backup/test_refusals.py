"""What a restore refuses, and that nothing here has changed then."""

import gzip
import io
import json
import tarfile
import zlib

import pytest
from backed_up import Box, about_of, credentials_at, odd, packed, parts_of
from keeping import FILE_NAME, opened

from gateway.backup import About, NotABackup, archive
from gateway.backup.about import read_about
from gateway.outbox import schema

pytestmark = pytest.mark.anyio
LOG = "SELECT seq, id FROM events ORDER BY seq"


@pytest.fixture
async def box(tmp_path, monkeypatch):
    """A box with twenty events and a backup of them."""
    credentials_at(monkeypatch, tmp_path / "credentials")
    box = Box(tmp_path / "box")
    await box.receive(0, 20, deliver=5)
    box.do("backup", tmp_path / "b")
    return box


def refused(box, file, *options):
    """Give what a restore says that refuses, and see that the box is as it was."""
    before = box.query(LOG), box.config.read_bytes(), sorted(path.name for path in box.store.rglob("*"))
    said = box.do("restore", *options, file, status=1)
    assert before == (box.query(LOG), box.config.read_bytes(), sorted(p.name for p in box.store.rglob("*")))
    return said


def given(tmp_path, content: bytes):
    (tmp_path / "odd").write_bytes(content)
    return tmp_path / "odd"


async def test_a_store_that_has_got_further_is_not_replaced(box, tmp_path):
    """Both figures are said; --backwards does it, keeps the old store aside, and goes beyond its numbers too."""
    await box.receive(20, 27)
    said = refused(box, tmp_path / "b")
    assert "go backwards" in said and "27 events" in said and "20 events" in said and "7 fewer" in said
    assert "replaced-" in box.do("restore", "--backwards", tmp_path / "b")
    assert 20 == len(box.query(LOG))
    (aside,) = box.store.glob("replaced-*")
    assert 27 == Box.query(_at(aside), "SELECT count(*) FROM events")[0][0]
    await box.receive(20, 22)
    first = box.query("SELECT max(seq) FROM events")[0][0]
    # Once more over itself: nothing is lost by it that is not said, and no number comes a second time.
    assert "2 fewer" in refused(box, tmp_path / "b")
    box.do("restore", "--backwards", tmp_path / "b")
    await box.receive(22, 23)
    assert box.query("SELECT max(seq) FROM events")[0][0] > first
    assert 2 == len(list(box.store.glob("replaced-*")))


class _at:  # noqa: N801 - a stand-in for a box, used like a function
    def __init__(self, store):
        self.store = store


async def test_the_same_backup_may_be_restored_again(box, tmp_path):
    """A restore that was interrupted behind its moment can be given once more: nothing has come since."""
    for _ in range(2):
        assert "20 events" in box.do("restore", tmp_path / "b")


async def test_another_store_is_not_replaced(box, tmp_path):
    """A store with events that this backup was not taken of stays, however few it has."""
    other = Box(tmp_path / "other")
    await other.receive(0, 2)
    assert "not the store that this backup was taken of" in refused(other, tmp_path / "b")
    other.do("restore", "--backwards", tmp_path / "b")
    assert 20 == len(other.query(LOG))


async def test_an_empty_store_may_be_replaced(tmp_path, box):
    """A new box that was started once, and has received nothing, takes a backup without a word more."""
    fresh = Box(tmp_path / "fresh")
    async with opened(fresh.store):
        pass
    fresh.do("restore", tmp_path / "b")
    assert 20 == len(fresh.query(LOG))


async def test_a_backup_of_another_gateway_is_refused(box, tmp_path):
    """The id decides, before anything is unpacked."""
    box.config.write_text(box.text.replace("lobby-1", "hall-2"))
    said = refused(box, tmp_path / "b")
    assert "gateway lobby-1" in said and "hall-2" in said


async def test_a_running_gateway_is_not_restored_into(box, tmp_path):
    """The lock says so; the sentence says how to stop it."""
    async with opened(box.store):
        assert "systemctl stop gateway.socket gateway.service" in box.do("restore", tmp_path / "b", status=1)
    assert 20 == len(box.query(LOG))


async def test_a_backup_of_a_newer_gateway_is_refused(box, tmp_path):
    """A store that this version would not understand is not put in place, nor a format that it cannot read."""
    parts = parts_of(tmp_path / "b")
    parts.pop(archive.SUMS)
    newer = given(tmp_path, packed(about_of(parts, schema=schema.VERSION + 1, version="9.0")))
    assert "install the newer gateway" in refused(box, newer)
    assert "newer gateway" in refused(box, given(tmp_path, packed(about_of(parts, format=2))))


async def test_without_room_nothing_is_unpacked(box, tmp_path, monkeypatch):
    """What the configuration keeps free stays free, at a backup and at a restore."""
    box.config.write_text(box.text.replace("min_free_bytes = 0", 'min_free_bytes = "900 TiB"'))
    assert "not enough room" in refused(box, tmp_path / "b")
    said = box.do("backup", tmp_path / "c", status=1)
    assert "not enough room" in said and "another disk" in said
    assert not (tmp_path / "c").exists()
    assert [] == list(tmp_path.glob(".*"))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
async def test_a_file_that_was_cut_off_is_refused(box, tmp_path, share):
    """Wherever it ends."""
    whole = (tmp_path / "b").read_bytes()
    said = refused(box, given(tmp_path, whole[: int(len(whole) * share)]))
    assert "cut off" in said or "not a backup" in said


async def test_a_flipped_bit_is_found(box, tmp_path):
    """Anywhere in the file, and also where somebody has packed it anew around it."""
    whole = bytearray((tmp_path / "b").read_bytes())
    content = gzip.decompress(whole)
    for place in range(20, len(whole), max(len(whole) // 12, 1)):
        whole[place] ^= 0x10
        if not _unpacks_to(content, whole):  # some bits of a gzip say nothing
            assert refused(box, given(tmp_path, bytes(whole)))
        whole[place] ^= 0x10
    parts = parts_of(tmp_path / "b")
    store = bytearray(parts["gateway.db"])
    store[len(store) // 2] ^= 1
    anew = gzip.compress(_tar({**parts, "gateway.db": bytes(store)}))
    assert "'gateway.db' is not what was written" in refused(box, given(tmp_path, anew))


async def test_a_store_that_is_none_is_refused(box, tmp_path):
    """Right sums around a wrong store do not help it."""
    parts = parts_of(tmp_path / "b")
    parts.pop(archive.SUMS)
    for store, sentence in (
        (b"x" * len(parts["gateway.db"]), "cannot be read"),
        (parts["gateway.db"][:-4096], "not as large as it says"),
    ):
        assert sentence in refused(box, given(tmp_path, packed({**parts, "gateway.db": store})))
    said = refused(box, given(tmp_path, packed(about_of(parts, received=21))))
    assert "another received" in said


@pytest.mark.parametrize(
    "info",
    [
        odd("../../etc/cron.d/x"),
        odd("/etc/passwd"),
        odd("credentials/../../x"),
        odd("credentials/.hidden"),
        odd("pictures/../gateway.db"),
        odd("pictures/x.jpg"),
        odd("config.toml", tarfile.SYMTYPE, "/etc/shadow"),
        odd("credentials/a", tarfile.LNKTYPE, "/etc/shadow"),
        odd("credentials/a", tarfile.CHRTYPE),
        odd("credentials/a", tarfile.FIFOTYPE),
        odd("credentials", tarfile.DIRTYPE),
        odd("x", tarfile.XHDTYPE, size=1 << 40),
        odd("x", tarfile.GNUTYPE_LONGNAME, size=1 << 40),
        odd("credentials/a", size=1 << 40),
        odd("gateway.db"),
        odd("backup.json"),
    ],
    ids=lambda info: f"{info.name}-{info.type!r}-{info.size}",
)
async def test_a_hostile_member_is_refused(box, tmp_path, info):
    """A path out of the folder, a link, a device, a head of a gigabyte, a second store: nothing of it is used."""
    parts = parts_of(tmp_path / "b")
    parts.pop(archive.SUMS)
    assert "not a backup" in refused(box, given(tmp_path, packed(parts, infos=[(info, b"")])))
    assert not list((tmp_path / "credentials").iterdir())


@pytest.mark.parametrize("first", [True, False])
async def test_a_hostile_order_is_refused(box, tmp_path, first):
    """Pictures before the store, which would fill the memory, and a file that does not begin by saying what it is."""
    parts = parts_of(tmp_path / "b")
    parts.pop(archive.SUMS)
    about = parts.pop(archive.ABOUT)
    picture = {f"pictures/{'a' * 64}.jpg": b"x"}
    order = (
        {archive.ABOUT: about, **picture, **parts} if first else {**picture, archive.ABOUT: about, **parts}
    )
    assert "in the wrong place" in refused(box, given(tmp_path, packed(order)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no backup",
        gzip.compress(b""),
        gzip.compress(b"x" * 4096),
        gzip.compress(bytes(4096)),
        bytes(4096),
    ],
    ids=["empty", "text", "empty-gzip", "gzip-text", "gzip-zeros", "zeros"],
)
async def test_what_is_no_backup_is_refused(box, tmp_path, content):
    """In a sentence, whatever was given by mistake."""
    assert "backup" in refused(box, given(tmp_path, content))


async def test_something_behind_the_end_is_refused(box, tmp_path):
    """Nothing rides along unseen, and a bomb of zeros is not read to its end."""
    parts = parts_of(tmp_path / "b")
    parts.pop(archive.SUMS)
    assert "follows behind" in refused(box, given(tmp_path, packed(parts, tail=b"more")))
    assert "follows behind" in refused(box, given(tmp_path, packed(parts, tail=bytes(50 << 20))))


@pytest.mark.parametrize("name", [field for field in About.__dataclass_fields__ if field != "newest"])
def test_odd_words_about_itself_are_refused(name):
    """Each field has its type and its bounds before anything is done by it."""
    fine = dict.fromkeys(About.__dataclass_fields__, 1)
    fine |= {"gateway": "a", "version": "1", "lineage": "ab", "secrets": False}
    assert 1 == read_about(json.dumps(fine).encode()).head
    for value in (None, [], {}, -1, 2**70, 1.5, "", "\x1b[2J", "x" * 300):
        with pytest.raises(NotABackup) as told:
            read_about(json.dumps({**fine, name: value}).encode())
        assert "\x1b" not in str(told.value)
    with pytest.raises(NotABackup):
        read_about(json.dumps({key: value for key, value in fine.items() if key != name}).encode())


async def test_a_backup_does_not_replace_a_file_unasked(box, tmp_path):
    """Without --force what is there stays, and a folder or a device is never replaced."""
    kept = (tmp_path / "b").read_bytes()
    assert "--force" in box.do("backup", tmp_path / "b", status=1)
    assert kept == (tmp_path / "b").read_bytes()
    box.do("backup", "--force", tmp_path / "b")
    assert "not a file" in box.do("backup", "--force", "/dev/null", status=1)
    assert "no folder" in box.do("backup", tmp_path / "none" / "b", status=1)
    assert {"b", "box", "credentials"} == {path.name for path in tmp_path.iterdir()}


async def test_a_damaged_store_gives_no_backup(box, tmp_path):
    """A backup that could not be restored is not taken for one."""
    path = box.store / FILE_NAME
    whole = bytearray(path.read_bytes())
    for place in range(len(whole) // 2, len(whole) // 2 + 8192):
        whole[place] ^= 0xFF
    path.write_bytes(whole)
    said = box.do("backup", tmp_path / "c", status=1)
    assert "damaged" in said or "cannot" in said
    assert not (tmp_path / "c").exists()


def _unpacks_to(content: bytes, whole: bytes) -> bool:
    try:
        return content == gzip.decompress(whole)
    except (EOFError, OSError, zlib.error):
        return False


def _tar(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


async def test_everybody_can_look_into_a_backup(box, tmp_path):
    """Any tar unpacks it, and its first words say what it is."""
    parts = parts_of(tmp_path / "b")
    assert [archive.ABOUT, archive.CONFIG, archive.STORE, archive.SUMS] == list(parts)
    told = json.loads(parts[archive.ABOUT])
    assert ("lobby-1", 20, 20, False) == (told["gateway"], told["head"], told["received"], told["secrets"])
    assert told["taken_at"].endswith("Z")
