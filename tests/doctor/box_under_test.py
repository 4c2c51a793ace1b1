"""A box for the checks of `gateway doctor`: real folders and disks, and an invented /sys and /proc where it must be."""

import ctypes
import multiprocessing
import os
import shutil
import subprocess
import sys
import traceback
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
_REFUSED = ("permission denied", "not permitted")  # as in a container without CAP_SYS_ADMIN


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
    _as_root_with("mount", "mount", "mount a small file system")
    place.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"}
    )
    if done.returncode and any(word in done.stderr.lower() for word in _REFUSED):
        pytest.skip(f"this machine refuses mounts: {done.stderr.strip()}")
    assert 0 == done.returncode, done.stderr
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def in_network(commands: str, name: str, toml: str = "") -> list[dict]:
    """Do one check in a network of its own, which the commands set up with `ip`; give its findings as JSON."""
    _as_root_with("ip", "iproute2", "make a network of its own")
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_there, args=(theirs, commands, name, toml))
    child.start()
    theirs.close()
    try:
        how, told = ours.recv()
    finally:
        child.join(30)
    if how == "refused":
        pytest.skip(f"this machine gives no namespaces: {told}")
    if how == "failed":
        pytest.fail(told)
    return told


def _as_root_with(program: str, package: str, work: str) -> None:
    """Skip where this cannot be done by nature; fail where only something is missing that can be installed."""
    if os.geteuid() != 0:
        pytest.skip(f"only root can {work}")
    if shutil.which(program) is None:
        pytest.fail(f"{program} is not installed: apt-get install {package}, or make debian")


def _there(answer, commands: str, name: str, toml: str) -> None:
    """In a process of its own, which alone gets the new network; what goes wrong here is told over there."""
    try:
        _enter_new_network()
    except OSError as error:
        answer.send(("refused", str(error)))
        return
    try:
        (check,) = (one for one in BOX_CHECKS if one.name == name)
        script = ["sh", "-ec", f"ip link set lo up\n{commands}"]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stderr
        told = "found", [dict(one.as_json()) for one in check.look(Box(loads(toml)))]
    except BaseException:  # an assertion too: the test that waits for an answer is to name it
        told = "failed", traceback.format_exc()
    answer.send(told)


def _enter_new_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def code_in_network(code: str, commands: str, name: str, toml: str = "") -> dict:
    """Give the one finding with this code of a check in a network of its own."""
    found = in_network(commands, name, toml)
    assert [code] == [row["code"] for row in found if row["code"] == code], found
    return next(row for row in found if row["code"] == code)
