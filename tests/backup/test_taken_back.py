"""Whatever a backup writes and says is well, a restore takes: both know the same bounds."""

import asyncio
import contextlib
import re
import sqlite3
import tempfile
from pathlib import Path

import pytest
from backed_up import JPEG, Box, credentials_at, parts_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keeping import FILE_NAME

from gateway.backup import archive
from gateway.config import credentials, last_good, moving

pytestmark = pytest.mark.timeout(600)
MOST = credentials.MOST_BYTES_OF_ONE
sizes = st.sampled_from([0, 1, 40, 200_000, MOST, MOST + 1, 1_048_577])
secrets = st.dictionaries(
    st.one_of(
        st.from_regex(r"[A-Za-z0-9_.@ -]{1,70}", fullmatch=True).filter(lambda n: n.strip(".")), st.just("é")
    ),
    sizes,
    max_size=6,
)
OTHERS = ("", "not = = toml", '\n[store]\nmin_free_bytes = "x"\n', "#" * 1_100_000, "\ufeff", "\xff")
texts = st.sampled_from(OTHERS)
objects = st.sets(
    st.sampled_from(
        (
            "CREATE TABLE mine (a)",
            "CREATE VIEW mine_too AS SELECT 1",
            "CREATE TRIGGER events AFTER DELETE ON events BEGIN SELECT 1; END",
            "CREATE INDEX here ON events (received)",
        )
    )
)


def configuration(box: Box, odd: str) -> bytes:
    """Give a configuration of this box, with what somebody has done to it."""
    if odd == "\xff":
        return box.text.encode() + b"# \xff\n"
    if "min_free" in odd:
        return box.text.replace("min_free_bytes = 0", 'min_free_bytes = "x"').encode()
    return (odd + box.text if odd == "\ufeff" else box.text + odd).encode()


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A folder for the state of the box, where the last good configuration lies."""
    monkeypatch.setattr(last_good, "place", lambda _path: tmp_path / "last-good.toml")
    return tmp_path


@pytest.mark.parametrize("few", [False, True])
def test_what_a_backup_writes_a_restore_takes(state, monkeypatch, few):
    """Whatever secrets, configurations, pictures and objects lie there: with status 0 each side agrees with the other."""
    if few:
        bounds = [bound._replace(members=min(bound.members, 3)) for bound in archive._BOUNDS]
        monkeypatch.setattr(archive, "_BOUNDS", bounds)

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(files=secrets, text=texts, good=texts, pictures=st.integers(0, 5), added=objects)
    def taken_back(files, text, good, pictures, added):
        with tempfile.TemporaryDirectory(dir=state) as name:
            _take_back(Path(name), files, text, good, pictures, added)

    def _take_back(folder, files, text, good, pictures, added):
        secret = credentials_at(monkeypatch, folder / "credentials")
        for one, size in files.items():
            (secret / one).write_bytes(b"x" * size)
        old, new = Box(folder / "old"), Box(folder / "new", gateway=None)
        asyncio.run(old.receive(0, 4))
        for number in range(pictures):
            old.picture(number)
        with contextlib.closing(sqlite3.connect(old.store / FILE_NAME, isolation_level=None)) as conn:
            for statement in added:
                conn.execute(statement)
        old.config.write_bytes(configuration(old, text))
        (state / "last-good.toml").write_bytes(configuration(old, good))
        try:
            said = old.do("backup", "--with-secrets", folder / "b")
        except AssertionError:
            return  # it refused, so nobody takes it for a backup
        inside = {part.removeprefix(archive.CREDENTIALS) for part in parts_of(folder / "b")}
        credentials_at(monkeypatch, folder / "new-credentials")
        old.store.rename(folder / "gone")
        new.store = old.store
        assert "4 events" in new.do("restore", folder / "b")
        for one in files:
            # As a whole: /0 is no part of /00.
            left_out = re.search(rf"/{re.escape(one)}(?![\w-])", said) is not None
            assert (one in inside) == (folder / "new-credentials" / one).exists() == (not left_out)

    taken_back()


@pytest.fixture
def box(state, monkeypatch):
    """A box with some events."""
    credentials_at(monkeypatch, state / "credentials")
    box = Box(state / "box")
    asyncio.run(box.receive(0, 4))
    return box


def moved_to_a_new_box(box, monkeypatch, folder) -> Box:
    """Have a new box with nothing on it, in place of the old one."""
    new = Box(folder / "new", gateway=None)
    box.store.rename(folder / "gone")
    new.store = box.store
    credentials_at(monkeypatch, folder / "new-credentials")
    return new


def test_more_than_a_hundred_secrets_come_over(box, state, monkeypatch):
    """Each is in the backup, and each is on the new box."""
    for number in range(150):
        (state / "credentials" / f"secret-{number}").write_text("hush")
    box.do("backup", "--with-secrets", state / "b")
    moved_to_a_new_box(box, monkeypatch, state).do("restore", state / "b")
    assert 150 == len(list((state / "new-credentials").iterdir()))


def test_a_configuration_that_is_too_large_is_left_out_and_said(box, state, monkeypatch):
    """The store is worth more than the backup's refusal: the rest comes over, and the file is named."""
    (state / "last-good.toml").write_bytes(box.text.encode() + b"#" * 1_100_000)
    said = box.do("backup", state / "b")
    assert "a restore would refuse" in said and "last-good.toml" in said
    assert archive.LAST_GOOD not in parts_of(state / "b")
    assert "4 events" in moved_to_a_new_box(box, monkeypatch, state).do("restore", state / "b")


def test_pictures_beyond_the_bound_are_counted(box, state, monkeypatch):
    """A restore would refuse one more than it knows, so it is not in the file, and that is said."""
    bounds = [bound._replace(members=min(bound.members, 2)) for bound in archive._BOUNDS]
    monkeypatch.setattr(archive, "_BOUNDS", bounds)
    for number in range(5):
        box.picture(number, more=JPEG)
    assert "to be in it: 3 pictures" in box.do("backup", state / "b")
    assert "2 pictures" in moved_to_a_new_box(box, monkeypatch, state).do("restore", state / "b")


@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_a_configuration_from_windows_comes_over(box, state, monkeypatch, mark):
    """The mark that an editor puts in front does not cost the configuration: the daemon reads it, too."""
    box.config.write_text(mark + box.text + "# ours\n", encoding="utf-8")
    box.do("backup", state / "b")
    box.do("restore", state / "b")  # over itself
    new = moved_to_a_new_box(box, monkeypatch, state)
    new.do("restore", state / "b")
    assert new.config.read_text("utf-8").endswith("# ours\n")


def test_secrets_that_systemd_would_not_hand_over_are_refused(box, state, monkeypatch):
    """Beside those that are here they are too much: a sentence, and nothing has changed."""
    (state / "credentials" / "new").write_bytes(b"x" * 500_000)
    box.do("backup", "--with-secrets", state / "b")
    folder = credentials_at(monkeypatch, state / "others")
    (folder / "kept-1").write_bytes(b"x" * 400_000)
    (folder / "kept-2").write_bytes(b"x" * 400_000)
    before = box.query("SELECT value FROM meta"), sorted(state.rglob("*"))
    said = box.do("restore", state / "b", status=1)
    assert f"systemd hands over {credentials.MOST_BYTES}" in said and "Nothing here was changed" in said
    assert before == (box.query("SELECT value FROM meta"), sorted(state.rglob("*")))
    (folder / "kept-2").unlink()
    assert "put in place: new." in box.do("restore", state / "b")


def test_secrets_that_are_here_already_are_not_counted_twice(box, state):
    """A backup of a box with many secrets can be restored over that box."""
    for number in range(2):
        (state / "credentials" / f"s-{number}").write_bytes(b"x" * 480_000)
    box.do("backup", "--with-secrets", state / "b")
    assert "4 events" in box.do("restore", state / "b")


def test_what_a_card_brought_moves_with_the_box(box, state, monkeypatch):
    """A secret with the longest name that a card made, and its certificates, for everybody, are on the new box."""
    name = f"card-12.devices.{'x' * 48}.path_secret"
    (moving.CREDENTIALS / name).write_text("a-word-4711")
    moving.CERTIFICATES.mkdir()
    (moving.CERTIFICATES / "card-1.sinks.up.ca").write_text("PEM")
    box.do("backup", "--with-secrets", state / "b")
    moved_to_a_new_box(box, monkeypatch, state).do("restore", state / "b")
    assert "a-word-4711" == (moving.CREDENTIALS / name).read_text()
    certificate = moving.CERTIFICATES / "card-1.sinks.up.ca"
    assert ("PEM", 0o644) == (certificate.read_text(), certificate.stat().st_mode & 0o777)
