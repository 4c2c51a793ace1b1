"""A box that is booted with its own systemd in a container without a network, and does what a test tells it to."""

import os
import shlex
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# The container ends with an error about a folder of its own at every good end: never judge by its status.
_BOOT = r"""
mount --make-rprivate /
# Small disks of other tests came along: held here, nobody could repair them.
for held in $(awk '$1 ~ "^/dev/loop" {print $2}' /proc/mounts); do umount -l "$held"; done
if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
group=/sys/fs/cgroup/gateway-test-$2
mkdir -p "$group"
( echo "$BASHPID" > "$group/cgroup.procs"
  exec systemd-nspawn -q -D "$1" --boot --register=no --keep-unit --private-network \
    --resolv-conf=off --timezone=off --link-journal=no --machine="box-$2" --console=read-only )
find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
"""

_UNIT = """[Unit]
Description=Does what the test says
After=basic.target
DefaultDependencies=no
[Service]
ExecStart=/bin/sh /told/listen
Restart=no
[Install]
WantedBy=multi-user.target
"""

# Each command is a process of its own, so that one may run beside another.
_LISTEN = """
exec 3<>/told/asked
touch /told/up
while read -r name <&3; do
    ( setsid sh "/told/$name" >"/told/$name.out" 2>"/told/$name.err" </dev/null 3<&-
      echo $? >"/told/$name.half"; mv "/told/$name.half" "/told/$name.status" ) &
done
"""


@dataclass
class Told:
    """A command that runs in the box."""

    box: "Box"
    place: Path
    command: str

    def wait(self, seconds: float = 300.0) -> "Done":
        status = self.place.with_suffix(".status")
        self.box.until(status.exists, seconds, self.command)
        out, err = (self.place.with_suffix(end).read_text(errors="replace") for end in (".out", ".err"))
        return Done(self.command, int(status.read_text()), out, err)

    @property
    def printed(self) -> str:
        """Give what it has printed so far."""
        out = self.place.with_suffix(".out")
        return out.read_text(errors="replace") if out.exists() else ""

    @property
    def over(self) -> bool:
        return self.place.with_suffix(".status").exists()


@dataclass(frozen=True)
class Done:
    command: str
    status: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.out}{self.err}[{self.status}]"


class Box:
    """One boot of a root. ``root`` is its disk, seen from outside; it stays when the box is switched off."""

    def __init__(self, root: Path) -> None:
        self.root, self._number, self._process = root, 0, None
        self._told = root / "told"
        self._log = root.parent / f"{root.name}.console"

    def __enter__(self) -> Self:
        self._told.mkdir()
        os.mkfifo(self._told / "asked")
        (self._told / "listen").write_text(_LISTEN)
        units = self.root / "etc/systemd/system"
        (units / "told.service").write_text(_UNIT)
        (units / "multi-user.target.wants").mkdir(exist_ok=True)
        (units / "multi-user.target.wants/told.service").symlink_to("../told.service")
        (self.root / "etc/machine-id").write_text("")
        boot = shlex.join(["bash", "-c", _BOOT, "boot", str(self.root), f"{os.getpid()}-{id(self)}"])
        # Without a terminal nothing in there gets a console. Whatever ends the test ends the box.
        words = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "-m",
            "-p",
            "-f",
            "--mount-proc",
            "--kill-child",
        ]
        words += ["script", "-qec", boot, "/dev/null"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.until((self._told / "up").exists, 300, "boot")
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.tell("systemctl --no-block poweroff")
            self._process.wait(30)
        self._process.kill()
        self._process.wait(30)

    def tell(self, command: str) -> Told:
        """Begin a command, in a shell of root's."""
        self._number += 1
        place = self._told / f"{self._number:04d}"
        place.write_text(command + "\n")
        with (self._told / "asked").open("w") as asked:
            asked.write(f"{place.name}\n")
        return Told(self, place, command)

    def run(self, command: str, *, good: bool = True, seconds: float = 300.0) -> Done:
        """Do a command; by default it must end well."""
        done = self.tell(command).wait(seconds)
        assert not good or done.status == 0, f"{done}\n{self.journal()}"
        return done

    def says(self, command: str) -> str:
        return self.run(command).out.strip()

    def until(self, true: object, seconds: float, what: str, *, every: float = 0.05) -> None:
        """Wait until something is true outside or inside."""
        deadline = time.monotonic() + seconds
        while not true():
            assert self._process.poll() is None, f"the box went off during: {what}\n{self.console()}"
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.console()}"
            time.sleep(every)

    def journal(self, lines: int = 40) -> str:
        done = self.tell(f"journalctl --no-pager -n {lines} -u 'gateway*'").wait(30)
        return done.out

    def console(self) -> str:
        return self._log.read_text(errors="replace")[-600:]
