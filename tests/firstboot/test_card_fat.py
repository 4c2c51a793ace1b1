"""The files of a card through a real FAT file system, with the tools that know it without the kernel.

That the kernel's own driver for FAT exchanges two files, and what a power cut leaves then, is not shown here.
"""

import shutil
import subprocess

import pytest
from card_box import SECRETS, TOML

from gateway.firstboot.inlets import KEPT


@pytest.fixture
def image(tmp_path):
    """An empty FAT file system of four megabytes."""
    if shutil.which("mcopy") is None:
        pytest.fail("mtools is missing: apt-get install mtools, or make debian")
    path = tmp_path / "card.img"
    path.write_bytes(bytes(4 << 20))
    fat("mformat", "-i", path, "-v", "CARD", "::")
    return path


def fat(*words: object) -> bytes:
    return subprocess.run(list(map(str, words)), check=True, capture_output=True, timeout=60).stdout


def names(image) -> set[str]:
    return {line.removeprefix("::/") for line in fat("mdir", "-b", "-i", image, "::").decode().splitlines()}


def test_a_fat_card_goes_into_the_box_and_comes_back(box, image, tmp_path):
    """What Windows wrote is read from FAT; what the box writes has names that FAT keeps, and Notepad's ends of line."""
    (tmp_path / "typed").write_bytes(b"\xef\xbb\xbf" + TOML.replace("\n", "\r\n").encode())
    fat("mcopy", "-i", image, tmp_path / "typed", "::/GATEWAY.TOML")
    fat("mcopy", "-n", "-i", image, "::/*", box.card)
    assert "shop-1" == box.accepted().gateway.id
    fat("mcopy", "-o", "-i", image, *box.card.iterdir(), "::/")
    assert {"GATEWAY.TOML", "gateway-accepted.txt"} == {
        name.replace("gateway.toml", "GATEWAY.TOML") for name in names(image)
    }
    back = fat("mtype", "-i", image, "::/gateway.toml")
    assert back.startswith(b"\xef\xbb\xbf# The shop in the old town\r\n")
    assert KEPT.encode() in back
    assert [] == [secret for secret in SECRETS if secret.encode() in back]
    told = fat("mtype", "-i", image, "::/gateway-accepted.txt")
    assert told.count(b"\n") == told.count(b"\r\n") > 5


def test_a_fat_card_with_a_mistake_comes_back_with_the_reason(box, image, tmp_path):
    """gateway-problems.txt has a name that FAT keeps, and names the line."""
    (tmp_path / "typed").write_bytes(b'[site]\r\nzone = "Lisbon"\r\n')
    fat("mcopy", "-i", image, tmp_path / "typed", "::/gateway.toml")
    fat("mcopy", "-n", "-i", image, "::/*", box.card)
    box.rejected()
    fat("mcopy", "-o", "-i", image, *box.card.iterdir(), "::/")
    assert {"gateway.toml", "gateway-problems.txt"} == names(image)
    assert b"Line 2, site.zone\r\n" in fat("mtype", "-i", image, "::/gateway-problems.txt")
