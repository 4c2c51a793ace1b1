"""What the gateway's own user could have root write to, by links in his folders, when root runs a command that writes."""

import os
from pathlib import Path

import pytest
from backed_up import USER, Box
from click.testing import CliRunner
from root_skips import as_root

from gateway import foreign
from gateway.commands import main
from gateway.daemon import running
from gateway.errors import StoreUnavailable
from gateway.outbox import ballast, connection

pytestmark = [pytest.mark.anyio, as_root]
KEPT = "of root\n"


@pytest.fixture
def owned(place):
    """A folder of the gateway's user."""
    (place / "owned").mkdir()
    os.chown(place / "owned", USER, USER)
    return place / "owned"


@pytest.fixture
def shadow(place):
    """A file that only root may write."""
    (place / "shadow").write_text(KEPT)
    (place / "shadow").chmod(0o600)
    return place / "shadow"


def do(*words: object, config: Path | None = None):
    before = ["-c", str(config)] if config else []
    return CliRunner().invoke(main, [*before, *map(str, words)])


@pytest.mark.parametrize("made", [True, False])
async def test_an_export_goes_through_no_link(place, owned, shadow, made):
    """Letters written into the gateway's folder leave a file of root's as it is, and make none; a plain file is fine."""
    box = Box(place / "box")
    await box.receive(0, 2)
    target = shadow if made else place / "new"
    (owned / "l.jsonl").symlink_to(target)
    done = do("letters", "export", owned / "l.jsonl", config=box.config)
    assert 0 != done.exit_code
    assert made == target.exists()
    assert KEPT == shadow.read_text()
    assert 0 == do("letters", "export", owned / "m.jsonl", config=box.config).exit_code
    assert USER == (owned / "m.jsonl").stat().st_uid
    assert (0, 0) == (os.geteuid(), os.getegid())


async def test_an_export_that_finds_no_store_leaves_the_file(place):
    """What was exported before is not emptied by an attempt that fails."""
    box = Box(place / "box")
    (place / "l.jsonl").write_text(KEPT)
    assert 0 != do("letters", "export", place / "l.jsonl", config=box.config).exit_code
    assert KEPT == (place / "l.jsonl").read_text()


@pytest.mark.parametrize("device", ["counter", "camlytics", "camlytics-cloud"])
async def test_a_ledger_goes_through_no_link(owned, shadow, device):
    """A simulated device keeps its record in no file of root's either."""
    (owned / "ledger").symlink_to(shadow)
    done = do("simulate", device, "--minutes", "0.01", "--ledger", owned / "ledger")
    assert "Permission denied" in done.output
    assert KEPT == shadow.read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--minutes", "0.001", "--directory"),
        ("simulate", "camlytics-cloud", "--minutes", "0.001", "--tls"),
    ],
    ids=" ".join,
)
async def test_no_folder_of_somebody_else_is_worked_in(owned, monkeypatch, words):
    """Root makes no files where somebody else could exchange them meanwhile; of who typed sudo the folder may be."""
    monkeypatch.delenv("SUDO_UID", raising=False)
    done = do(*words, owned)
    assert (2, True) == (done.exit_code, "belongs to somebody else" in done.output)
    assert [] == list(owned.iterdir())
    monkeypatch.setenv("SUDO_UID", str(USER))
    assert not foreign.is_of_somebody_else(owned)
    assert not foreign.is_of_somebody_else(owned / "not" / "there")


async def test_nobody_runs_the_gateway_by_hand_in_its_own_folder(place, owned, monkeypatch):
    """With sudo the files would be root's, and links there would be followed: the unit is named instead."""
    file = place / "config.toml"
    file.write_text(f'[store]\npath = "{owned}"\n[runtime]\nsocket = "{place}/s"\n[listen]\nport = 0\n')
    monkeypatch.setenv("SUDO_UID", "0")
    config = running.load(file)
    with pytest.raises(StoreUnavailable, match="systemctl start gateway"):
        await running._open(config)
    assert [] == list(owned.iterdir())


async def test_a_store_that_is_a_link_is_not_written(place, shadow):
    """Nor opened by whoever starts a gateway with sudo."""
    (place / connection.FILE_NAME).symlink_to(place / "new")
    with pytest.raises(connection.sqlite3.OperationalError, match="is a link, or no plain file"):
        connection.open_writer(place / connection.FILE_NAME, max_bytes=2**20)
    assert not (place / "new").exists()


async def test_a_ballast_that_becomes_a_link_empties_nothing(place, shadow, monkeypatch):
    """Also when it is exchanged behind the look at it."""
    (place / ballast.NAME).symlink_to(shadow)
    monkeypatch.setattr(ballast, "held", lambda _directory: 1)
    with pytest.raises(OSError, match="symbolic links"):
        ballast.give_back(place)
    assert KEPT == shadow.read_text()
