"""A store whose folder is taken away under the running gateway: nothing is answered with success that a start would lose."""

import shutil

import pytest
from test_receiving import Bare, count

START = 1761991200


@pytest.fixture
def site(tmp_path):
    bare = Bare(tmp_path)
    yield bare
    bare.close()


def push(site, minute):
    begin = START + 60 * minute
    return site.ask("POST", "/", count(begin + 60, 1, start=begin))[0]


@pytest.mark.parametrize("instead", ["nothing", "an empty folder"])
def test_a_folder_that_is_moved_away_takes_nothing_until_it_is_back(site, instead):
    """Pushes are refused with a fault that says what to do, and go on once the folder is where it was."""
    store, away = site.directory / "store", site.directory / "away"
    assert 200 == push(site, 0)
    store.rename(away)
    if instead == "an empty folder":  # as the foot of a mount is
        store.mkdir()
    assert 503 == push(site, 1)
    fault = site.faults()["store_gone"]
    assert str(store) in fault["sentence"]
    assert "Do not restart the gateway yet" in fault["action"]
    asked = site.daemon.command(
        "erase", "--person", "77", "--yes"
    )  # another store may lie there, with other numbers
    assert asked.returncode and "Nobody was looked for" in asked.stderr
    if store.exists():
        shutil.rmtree(store)
    away.rename(store)
    assert [200, 200] == [push(site, minute) for minute in (1, 2)]
    assert "store_gone" not in site.faults()
    site.daemon.stop()
    site.daemon.start()
    assert [(3,)] == site.rows("SELECT amount FROM tallies WHERE measure = 'enters'")


def test_a_folder_that_is_removed_takes_nothing(site):
    """What would be gone with the process is not accepted, and health says so."""
    assert 200 == push(site, 0)
    shutil.rmtree(site.directory / "store")
    assert 503 == push(site, 1)
    assert "store_gone" in site.faults()


def test_a_journal_that_is_removed_is_missed_too(site):
    """Without its WAL the next start would not have what was committed since."""
    assert 200 == push(site, 0)
    (site.directory / "store" / "gateway.db-wal").unlink()
    assert 503 == push(site, 1)
    assert "store_gone" in site.faults()
