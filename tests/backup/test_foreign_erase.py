"""What the gateway's own user could have root do, or remove, by what lies in the store's folder when root erases."""

import os
from pathlib import Path

import pytest
from backed_up import USER, Box
from root_skips import as_root

from gateway.control.captures import FOLDER
from gateway.daemon import erasing
from gateway.errors import StoreUnavailable
from gateway.outbox import replacing

pytestmark = pytest.mark.anyio
ADA = "ada-4711"
LINE = f'{{"x": "{ADA}"}}\n'


@pytest.fixture
async def box(place):
    """A box with a person in its store, which is the gateway's."""
    made = Box(place / "box")
    await made.receive(0, 5)
    own(made.store)
    return made


def own(*tops: Path) -> None:
    if os.geteuid() == 0:
        for top in tops:
            for path in (top, *top.rglob("*")):
                os.chown(path, USER, USER, follow_symlinks=False)


def erase(box, **more):
    return erasing.erase_at_rest(box.store, 2**30, {"person": ADA, "sure": True, **more})


@as_root
@pytest.mark.parametrize("what", ["folder", "inner"])
async def test_root_removes_nothing_behind_a_link(place, box, what):
    """A folder of captures that leads to one of root's is left alone, and what lies behind it too."""
    private = place / "private"
    private.mkdir(mode=0o700)
    (private / "one.jsonl").write_text(LINE)
    folder = box.store / FOLDER
    if what == "inner":
        folder.mkdir()
        folder /= "more"
    folder.symlink_to(private)
    own(box.store)
    told = erase(box)
    assert (0, what == "folder") == (told["captures"], "is a link" in " ".join(told["not_reached"]))
    assert [private / "one.jsonl"] == list(private.iterdir())


@as_root
async def test_root_makes_nothing_behind_a_link(place, box):
    """A restore that seems to have been interrupted has root create no file where its owner could make none."""
    ready = box.store / replacing.READY
    ready.mkdir()
    (ready / "aside").write_text("replaced-x")
    (place / "private").mkdir(mode=0o700)
    (ready / "cleared").symlink_to(place / "private" / "made")
    own(box.store)
    with pytest.raises(StoreUnavailable, match="Permission denied"):
        erase(box)
    assert [] == list((place / "private").iterdir())


@as_root
async def test_what_root_erases_in_stays_the_gateways(box):
    """The daemon can go on with each file that is there afterwards, and root is root again."""
    folder = box.store / FOLDER
    folder.mkdir(mode=0o700)
    (folder / "one.jsonl").write_text(LINE)
    own(box.store)
    assert 1 == erase(box)["captures"]
    assert {USER} == {path.lstat().st_uid for path in (box.store, *box.store.rglob("*"))}
    assert (0, 0) == (os.geteuid(), os.getegid())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("lay", ["link", "pipe", "endless", "folder", "gone"])
async def test_only_a_capture_of_the_gateways_own_is_looked_into(place, box, lay):
    """Nobody waits at a pipe, and no file elsewhere is read or loses its name here."""
    folder, other = box.store / FOLDER, place / "other"
    folder.mkdir(mode=0o700)
    other.write_text(LINE)
    if lay == "link":
        (folder / "a.jsonl").symlink_to(other)
    elif lay == "pipe":
        os.mkfifo(folder / "a.jsonl")
    elif lay == "endless":
        (folder / "a.jsonl").symlink_to("/dev/zero")
    elif lay == "folder":
        (folder / "a.jsonl").mkdir()
    else:
        (folder / "a.jsonl").symlink_to("nowhere")
    (folder / "b.jsonl").write_text(LINE)
    own(folder)
    assert 1 == erase(box)["captures"]
    assert LINE == other.read_text()


@as_root
async def test_a_store_that_its_owner_cannot_reach_is_said(place, box):
    """Where a folder above is closed to the gateway's user, root gets a sentence, and erases nothing."""
    box.folder.chmod(0o700)
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        erase(box)
