"""The pages for installers, walked exactly as they are worded, as the user of a fresh Debian 12 and 13."""

import shlex
import shutil
import time
from pathlib import Path

import pytest
from booted_box import Box
from built_packages import packages, source
from debian_root import RELEASES, unpack
from walked_page import steps, unseen

# What these say on a box without a network or a set clock is right to be no praise.
_MAY_FIND_FAULTS = ("sudo gateway status", "sudo gateway doctor")
_RETAINED = "mosquitto_sub -u reader -P read-me-please -t 'gateway/+/+/state' --retained-only -W 5 2>/dev/null || true"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400), pytest.mark.parametrize("release", RELEASES)]


class Walk:
    """One person at one box."""

    def __init__(self, box: Box) -> None:
        self.box, self.waiting = box, []
        # As Raspberry Pi OS has it: a user who may become root, and Python.
        box.run("apt-get -qq install -y --no-install-recommends sudo python3 iproute2", seconds=900)
        box.run("useradd -m -s /bin/bash pi; echo 'pi ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/pi")
        box.run("hostname lobby-1; printf '127.0.0.1 localhost\\n127.0.1.1 lobby-1\\n' >/etc/hosts")
        box.run(
            "ip address add 192.168.1.10/24 dev lo; ip route add default dev lo src 192.168.1.10; : >/etc/resolv.conf"
        )

    def go(self, page: str, heading: str | None = None, *, bring: Path | None = None) -> None:
        """Do what a page says; a command that waits for a device goes on beside the next ones.

        ``bring`` is the file that a person puts into the home folder, before the last block.
        """
        found = steps(page, heading)
        for step in found:
            printed = ""
            if bring is not None and step is found[-1]:
                shutil.copy(bring, self.box.root / "home/pi")
            for command in step.commands:
                if command.startswith("mosquitto_sub"):
                    time.sleep(
                        2
                    )  # a busy device's state is published once a second; nobody types faster than that
                told = self.box.tell(_as_pi(command))
                if command.startswith("sudo gateway pair"):
                    self.box.until(lambda told=told: told.over or "8088" in told.printed, 300, command)
                    self.waiting.append((told, command))
                    continue
                printed += self._ended(told, command)
            if step.seen and self.waiting:
                printed += "".join(self._ended(*one) for one in self.waiting)
                self.waiting.clear()
            missing = unseen(step.seen, printed)
            assert not missing, f"{page}: {step.commands} did not print {missing}, but:\n{printed}"

    def _ended(self, told, command: str) -> str:
        done = told.wait(900)
        good = {0, 1} if command in _MAY_FIND_FAULTS else {0}
        assert done.status in good, f"{done}\n{self.box.journal()}"
        return done.out + done.err


def _version(package: Path) -> str:
    return package.name.split("_")[1]


def _as_pi(command: str) -> str:
    """Give the command as one of a shell that stays: in the folder where the one before it ended."""
    shell = f'cd "$(cat .here 2>/dev/null || pwd)"\n{command}\nended=$?; pwd >~/.here; exit $ended'
    return f"su - pi -c {shlex.quote(shell)}"


def test_a_box_is_installed_by_the_package(release, tmp_path):
    """install.md with its package, and first-site.md on what it leaves, lead to a first count at the broker."""
    root = unpack(release, tmp_path / release)
    try:
        with Box(root) as box:
            walk = Walk(box)
            previous, current, _ = packages()
            shutil.copy(current, root / "home/pi")
            walk.go("install.md", "By the package")
            walk.go("install.md", "A broker on the box")
            walk.go("install.md", "Tell it where to send")
            walk.go("install.md", "See that it works")
            assert "" == box.says(_RETAINED)  # nothing is left of the counter that was played
            walk.go("first-site.md")
            for package in (previous, current):  # back, and up to date again
                walk.go("install.md", "Keep it up to date", bring=package)
                assert _version(package) in box.says("gateway --version")
                box.until(
                    lambda: "active" == box.says("systemctl show -P ActiveState gateway"), 120, package.name
                )
            walk.go("install.md", "Remove it")
            assert not (root / "var/lib/gateway").exists()
            assert [] == [*(root / "etc/mosquitto").rglob("site-gateway*")]
            assert "" == box.says("systemctl --failed --no-legend --plain")
    finally:
        shutil.rmtree(root)


def test_a_box_is_installed_by_hand(release, tmp_path):
    """install.md without the package leads to the same units, and its removal leaves none."""
    root = unpack(release, tmp_path / release)
    try:
        with Box(root) as box:
            walk = Walk(box)
            source(root / "home/pi/site-gateway", root / "srv/wheels")
            (root / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /srv/wheels\n")
            walk.go("install.md", "By hand")
            assert "" == box.says("ls -d /opt/site-gateway /etc/systemd/system/gateway* 2>/dev/null || true")
            assert "" == box.says("systemctl --failed --no-legend --plain")
    finally:
        shutil.rmtree(root)
