"""A box for the checks of `gateway doctor`: real folders and disks, and an invented /sys and /proc where it must be."""

import ctypes
import multiprocessing
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.config import loads
from gateway.doctor.box import Box, Check
from gateway.doctor.checks import BOX_CHECKS
from gateway.doctor.finding import Finding

# The small disks of the experiments with broken ones.
sys.path.append(str(Path(__file__).parents[1] / "chaos"))

_NEW_NETWORK = 0x40000000  # of unshare(2)


def a_box(folder: Path, toml: str = "", **known) -> Box:
    """A box whose store lies in the folder, on a port that is free."""
    config = loads(f'[store]\npath = "{folder / "store"}"\n{toml}')
    return Box(config, **known)


def files(root: Path, texts: dict[str, str]) -> Path:
    """Write the files of an invented system below a folder."""
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def look(check: Check, box: Box) -> list[Finding]:
    """Give what a check finds, which must be what it says that it can find."""
    found = list(check.look(box))
    assert {one.code for one in found if one.code} <= check.codes
    for one in found:
        assert one.check == check.name
        assert one.sentence.strip().endswith((".", "?", "!")) or "\n" in one.sentence, one.sentence
        assert bool(one.code) == bool(one.action), one
    return found


def the(code: str, check: Check, box: Box) -> Finding:
    """Give the one finding with this code; there must be one."""
    found = look(check, box)
    assert [code] == [one.code for one in found if one.code == code], found
    return next(one for one in found if one.code == code)


def quiet(check: Check, box: Box) -> list[Finding]:
    """Nothing is wrong as far as this check can tell."""
    found = look(check, box)
    assert [] == [one for one in found if one.code]
    return found


@contextmanager
def tmpfs(place: Path, options: str):
    """A file system in memory, mounted for a while."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def in_network(commands: str, name: str, toml: str = "") -> list[dict]:
    """Do one check in a network of its own, which the commands set up with `ip`; give its findings as JSON."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network of its own")
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_there, args=(theirs, commands, name, toml))
    child.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        child.join(30)


def _there(answer, commands: str, name: str, toml: str) -> None:
    """In a process of its own, which alone gets the new network."""
    (check,) = (one for one in BOX_CHECKS if one.name == name)
    assert ctypes.CDLL(None).unshare(_NEW_NETWORK) == 0
    subprocess.run(["sh", "-ec", f"ip link set lo up\n{commands}"], check=True)
    answer.send([dict(one.as_json()) for one in check.look(Box(loads(toml)))])


def code_in_network(code: str, commands: str, name: str, toml: str = "") -> dict:
    """Give the one finding with this code of a check in a network of its own."""
    found = in_network(commands, name, toml)
    assert [code] == [row["code"] for row in found if row["code"] == code], found
    return next(row for row in found if row["code"] == code)
