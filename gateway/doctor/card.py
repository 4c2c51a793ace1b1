"""How worn the memory card or disk is, where it says so, and what the kernel had to say about it."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gateway.doctor.box import Box, Check, hindered, untold, well, wrong
from gateway.doctor.finding import Finding
from gateway.doctor.mounts import existing, mount_of

CARD, DRIVE, KERNEL = "card", "drive", "kernel log"
_WORN_TENTHS, _WORN = 9, {"0x02", "0x03"}  # of its life; "warning" and "urgent"
_PRE_EOL = {
    "0x01": "normal",
    "0x02": "four fifths of its spare blocks are used",
    "0x03": "hardly any spare block left",
}
_ERRORS = re.compile(
    r"I/O error,? (?:on )?dev(?:ice)? (\w+)|(?:EXT4|XFS|BTRFS|F2FS)-fs (?:error|warning) \(device (\w+)\)"
    r"|(mmc\d+): (?:error|card never left busy|timeout waiting)|(mmcblk\d+)\w*: (?:error|recovery failed|timed out)"
    r"|(?:EXT4-fs|XFS|BTRFS) \((\w+)\): .*(?:error|Remounting filesystem read-only)",
    re.IGNORECASE,
)
_NO_DISKS = ("sr", "fd", "loop", "zram")  # an empty drive for discs has errors without harm
_LOG_BYTES = 4 << 20
_PROGRAM_S = 4.0


def look_at_card(box: Box) -> Iterable[Finding]:
    """Read the registers in which an eMMC, and some SD cards, say how worn they are."""
    cards = sorted(box.system("sys/block").glob("mmcblk*[0-9]"))
    if not cards:
        yield untold(CARD, "This box has no memory card or eMMC that says how worn it is.")
    for card in cards:
        yield from _wear(box, card.name)


def _wear(box: Box, name: str) -> Iterable[Finding]:
    device = f"sys/block/{name}/device"
    life = (box.read(f"{device}/life_time") or "").split()
    spare = box.read(f"{device}/pre_eol_info") or ""
    which = f"{name} ({box.read(f'{device}/name') or 'card'}, made {box.read(f'{device}/date') or 'nobody says when'})"
    tenths = max((int(word, 16) for word in life if re.fullmatch(r"0x[0-9a-fA-F]{1,2}", word)), default=0)
    if not tenths and spare not in _PRE_EOL:
        yield untold(CARD, f"{which} does not say how worn it is; few SD cards do.", name)
        return
    used = "more than all" if tenths > 10 else f"up to {tenths * 10} %" if tenths else "nobody knows how much"
    said = f"{which} has used {used} of its life; spare blocks: {_PRE_EOL.get(spare, 'not told')}."
    worn = tenths > _WORN_TENTHS or spare in _WORN
    yield wrong(CARD, "card_worn", said, name) if worn else well(CARD, said, name)


def look_at_kernel(box: Box) -> Iterable[Finding]:
    """Look for errors of disks in the kernel's log of this start."""
    try:
        text = _kernel_log(box.system("dev/kmsg"))
    except FileNotFoundError:
        yield untold(KERNEL, "There is no kernel log on this box.")
        return
    except OSError:
        yield hindered(KERNEL, "The kernel's log cannot be read by this user: run the command with sudo.")
        return
    counted: Counter[str] = Counter()
    newest: dict[str, str] = {}
    for line in text.splitlines():
        found = _ERRORS.search(line)
        disk = next((name for name in found.groups() if name), "") if found else ""
        if disk and not disk.startswith(_NO_DISKS):
            counted[disk] += 1
            newest[disk] = line.partition(";")[2].strip() or line.strip()
    for disk, times in counted.items():
        said = (
            f"The kernel told of {times} errors of {disk} since the box started, last: {newest[disk][:160]}"
        )
        yield wrong(KERNEL, "disk_errors", f"{said.rstrip('.')}.", disk)
    if not counted:
        yield well(KERNEL, "No error of a disk since the box started.")


def _kernel_log(path: Path) -> str:
    # One read gives one record, and one that is not there yet must not be waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    parts, size = [], 0
    try:
        while size < _LOG_BYTES:
            try:
                part = os.read(handle, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:  # records were overwritten meanwhile; it goes on with the oldest one left
                continue
            if not part:
                break
            parts.append(part)
            size += len(part)
    finally:
        os.close(handle)
    return b"".join(parts).decode("utf-8", "replace")


def look_at_drive(box: Box) -> Iterable[Finding]:
    """Ask a disk for its own verdict (SMART), where the program for it is installed."""
    mount = mount_of(box, existing(box.config.store.path))
    source = mount.source if mount else ""
    if not re.match(r"/dev/(?:sd|nvme|vd|hd)", source):
        yield untold(DRIVE, "The store is on no drive that keeps a record of its health (SMART).")
        return
    program = shutil.which("smartctl")
    if program is None:
        yield untold(DRIVE, f"The health of {source} cannot be read here: smartmontools is not installed.")
        return
    done = subprocess.run(  # noqa: S603 - a fixed program, and a device that the kernel named
        [program, "-H", "-j", _whole(source)], capture_output=True, timeout=_PROGRAM_S, check=False
    )
    try:
        passed = json.loads(done.stdout)["smart_status"]["passed"]
    except (ValueError, KeyError, TypeError):
        hint = "" if os.geteuid() == 0 else " Run the command with sudo."
        yield (hindered if hint else untold)(DRIVE, f"{source} does not tell its health.{hint}")
        return
    if passed:
        yield well(DRIVE, f"{source} says of itself that it is well (SMART).")
    else:
        yield wrong(
            DRIVE, "disk_failing", f"{source} says of itself that it is about to fail (SMART).", source
        )


def _whole(partition: str) -> str:
    """Give the drive of a partition."""
    if "nvme" in partition:
        return re.sub(r"p\d+$", "", partition)
    return re.sub(r"\d+$", "", partition)


CHECK = Check(CARD, look_at_card, frozenset({"card_worn"}), cheap=True)
KERNEL_LOG = Check(KERNEL, look_at_kernel, frozenset({"disk_errors"}))
SMART = Check(DRIVE, look_at_drive, frozenset({"disk_failing"}))
