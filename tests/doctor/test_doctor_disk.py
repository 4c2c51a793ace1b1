"""What `gateway doctor` finds about disks, cards and the power of the box."""

import os
import re
import sqlite3
import subprocess
from contextlib import closing

import pytest
from box_under_test import a_box, files, look, quiet, the, tmpfs
from small_disk import MIB, SmallDisk

from gateway.doctor import card, disk, memory, power
from gateway.doctor.mounts import mount_of
from gateway.outbox import connection

SD = "36 35 179:2 / / rw,noatime - ext4 /dev/mmcblk0p2 rw\n"


@pytest.fixture
def ext4(tmp_path):
    """A disk of a few megabytes, with the store's folder on it."""
    small = SmallDisk(tmp_path / "image", tmp_path / "disk", size=24 * MIB, need_ext4=True)
    (small.place / "store").mkdir()
    yield small
    small.close()


def test_a_full_disk_is_found_before_the_gateway_runs(ext4):
    """A disk with less than store.min_free_bytes free is named with its figure and that one, store or not."""
    box = a_box(ext4.place, "min_free_bytes = 5_000_000")
    quiet(disk.ROOM, box)
    ext4.fill(leave=3 * MIB)
    said = the("disk_full", disk.ROOM, box)
    assert str(ext4.place / "store") in said.sentence
    assert f"sudo du -xh {ext4.place} | sort -h | tail" in said.action  # of this disk, and of no other
    assert re.search("has [23] MiB free, and 4 MiB must stay free", said.sentence)


def test_a_full_store_is_found(tmp_path):
    """A store at its bound is a fault though the disk has room."""
    (tmp_path / "store").mkdir()
    with closing(sqlite3.connect(tmp_path / "store" / connection.FILE_NAME)) as conn:
        conn.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
        conn.execute("CREATE TABLE ballast AS SELECT zeroblob(17000000) AS bytes")
        conn.commit()
    few = "min_free_bytes = 0\nletters_bytes = 1_048_576\n"
    the("store_full", disk.ROOM, a_box(tmp_path, f"{few}max_bytes = 16_777_216"))
    quiet(disk.ROOM, a_box(tmp_path, f"{few}max_bytes = 33_554_432"))


def test_a_disk_without_inodes_is_found(tmp_path):
    """Space alone does not make a file: the last inodes are told."""
    with tmpfs(tmp_path / "disk", "size=16m,nr_inodes=64") as place:
        for number in range(62):
            (place / str(number)).touch()
        said = the("disk_inodes", disk.CHECK, a_box(place))
        assert "only 1 more files, of 64" in said.sentence


def test_a_store_in_memory_is_found(tmp_path):
    """A tmpfs forgets everything at the next start, and is named with its kind."""
    with tmpfs(tmp_path / "disk", "size=1m") as place:
        said = the("disk_unfit", disk.CHECK, a_box(place))
        assert f"tmpfs ({place})" in said.sentence


@pytest.mark.parametrize("kind", ["vfat", "exfat", "nfs4", "cifs", "ntfs3"])
def test_a_file_system_that_cannot_hold_a_store_is_found(tmp_path, kind):
    """A stick or a share of another computer keeps no promise about what is on disk."""
    root = files(tmp_path, {"proc/self/mountinfo": f"40 35 8:1 / / rw - {kind} /dev/sda1 rw\n"})
    the("disk_unfit", disk.CHECK, a_box(tmp_path, root=root))


def test_a_folder_of_the_unit_alone_is_found(tmp_path):
    """With PrivateTmp a store below /var/tmp is gone when the gateway ends, on whichever disk that lies."""
    private = f"/var/tmp/systemd-private-4711-gateway.service-x/tmp {tmp_path}"
    told = {"proc/self/mountinfo": f"40 35 8:1 {private} rw - ext4 /dev/sda1 rw\n"}
    said = the("disk_unfit", disk.CHECK, a_box(tmp_path, root=files(tmp_path, told)))
    assert "emptied whenever the gateway ends" in said.sentence


def test_a_card_behind_an_overlay_in_memory_is_found(tmp_path):
    """A Pi whose card was made read-only writes to memory; an overlay on a real disk is fine."""
    overlay = (
        "40 35 0:33 / / rw - overlay overlay rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay\n"
    )
    below = "41 35 0:34 / /media/root-rw rw - {} x rw\n"
    told = {"proc/self/mountinfo": overlay + below.format("tmpfs")}
    the("disk_unfit", disk.CHECK, a_box(tmp_path, root=files(tmp_path, told)))
    told = {"proc/self/mountinfo": overlay + below.format("ext4")}
    quiet(disk.CHECK, a_box(tmp_path, root=files(tmp_path, told)))


def test_an_error_of_the_file_system_is_found(ext4):
    """ext4 that met an error takes no more writes, and remembers it: both are told, also without the kernel's log."""
    box = a_box(ext4.place)
    quiet(disk.CHECK, box)
    ext4.break_down()
    assert "takes no writes" in the("disk_read_only", disk.CHECK, box).sentence
    assert ext4.device in the("disk_errors", disk.CHECK, box).sentence


def test_the_mount_of_a_folder_is_the_nearest(tmp_path):
    """Of two mounts above a folder the inner one counts, and a name that only begins alike does not."""
    lines = SD + "41 36 8:1 / /data rw - ext4 /dev/sda1 rw\n42 36 8:2 / /data\\040two rw - xfs /dev/sda2 rw\n"
    box = a_box(tmp_path, root=files(tmp_path, {"proc/self/mountinfo": lines}))
    assert "/dev/sda1" == mount_of(box, "/data/store").source
    assert "/dev/mmcblk0p2" == mount_of(box, "/database").source
    assert "/dev/sda2" == mount_of(box, "/data two/store").source


def test_nothing_is_said_of_a_disk_that_cannot_be_seen(tmp_path):
    """Without the list of mounts nobody claims that the disk is well."""
    (found,) = look(disk.CHECK, a_box(tmp_path, root=tmp_path))
    assert not found.known and found.hindered


# Cards and drives

EMMC = "sys/block/mmcblk0/device"


@pytest.mark.parametrize(
    ("life", "spare", "worn"),
    [
        ("0x01 0x02", "0x01", False),
        ("0x09 0x01", "0x01", False),
        ("0x0a 0x01", "0x01", True),
        ("0x01 0x0b", "0x01", True),
        ("0x02 0x02", "0x02", True),
        ("0x00 0x00", "0x03", True),
    ],
)
def test_a_worn_card_is_found(tmp_path, life, spare, worn):
    """More than nine tenths of its life, or few spare blocks: then a card is to be replaced."""
    told = {f"{EMMC}/life_time": life, f"{EMMC}/pre_eol_info": spare, f"{EMMC}/name": "AJTD4R"}
    box = a_box(tmp_path, root=files(tmp_path, told))
    if worn:
        assert "AJTD4R" in the("card_worn", card.CHECK, box).sentence
    else:
        quiet(card.CHECK, box)


def test_an_sd_card_says_nothing_and_nobody_claims_that_it_is_well(tmp_path):
    """A card without the registers cannot be told; that is no hindrance of this user."""
    told = {f"{EMMC}/name": "SC64G", f"{EMMC}/date": "03/2023"}
    (found,) = quiet(card.CHECK, a_box(tmp_path, root=files(tmp_path, told)))
    assert not found.known and not found.hindered
    assert "SC64G" in found.sentence and "03/2023" in found.sentence


def test_errors_in_the_kernels_log_are_found(tmp_path):
    """Each disk that had errors is named once, with how many and the last; an empty drive for discs is not."""
    log = (
        "6,11,1000,-;mmc0: new ultra high speed SDR104 SDXC card at address aaaa\n"
        "3,12,2000,-;I/O error, dev mmcblk0, sector 4096 op 0x1:(WRITE) flags 0x800 phys_seg 1 prio class 2\n"
        "3,13,3000,-;blk_update_request: I/O error, dev mmcblk0, sector 8192 op 0x1:(WRITE)\n"
        "2,14,4000,-;EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm sh: reading directory lblock 0\n"
        "3,15,5000,-;I/O error, dev sr0, sector 0 op 0x0:(READ) flags 0x0\n"
    )
    found = look(card.KERNEL_LOG, a_box(tmp_path, root=files(tmp_path, {"dev/kmsg": log})))
    assert {"mmcblk0": "disk_errors", "sda1": "disk_errors"} == {one.subject: one.code for one in found}
    assert "2 errors of mmcblk0" in found[0].sentence and "sector 8192" in found[0].sentence
    files(
        tmp_path,
        {"dev/kmsg": "6,11,1000,-;EXT4-fs (mmcblk0p2): mounted filesystem r/w with ordered data mode\n"},
    )
    quiet(card.KERNEL_LOG, a_box(tmp_path, root=tmp_path))


def test_a_kernel_log_that_this_user_may_not_read_is_said(tmp_path):
    """Without the right to read it nobody claims that there were no errors."""
    (tmp_path / "dev/kmsg").mkdir(parents=True)  # reading it fails, as it does for who may not
    (found,) = look(card.KERNEL_LOG, a_box(tmp_path, root=tmp_path))
    assert found.hindered and "sudo" in found.sentence


@pytest.mark.parametrize(
    ("answer", "code"),
    [('{"smart_status": {"passed": false}}', "disk_failing"), ('{"smart_status": {"passed": true}}', "")],
)
def test_a_drive_that_says_that_it_fails_is_believed(tmp_path, monkeypatch, answer, code):
    """The verdict of the drive itself is asked of the whole drive, not of its partition."""
    program = tmp_path / "bin/smartctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\necho '{answer}'\nexit 8\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    told = {"proc/self/mountinfo": "36 35 8:2 / / rw - ext4 /dev/sda2 rw\n"}
    box = a_box(tmp_path, root=files(tmp_path, told))
    if code:
        the("disk_failing", card.SMART, box)
    else:
        quiet(card.SMART, box)
    assert "-H -j /dev/sda\n" == (tmp_path / "asked").read_text()


def test_a_drive_without_the_program_is_not_called_well(tmp_path, monkeypatch):
    """Without smartmontools nothing is known, and it says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    told = {"proc/self/mountinfo": "36 35 8:2 / / rw - ext4 /dev/sda2 rw\n"}
    (found,) = look(card.SMART, a_box(tmp_path, root=files(tmp_path, told)))
    assert not found.known and "smartmontools" in found.sentence


# Power, heat, memory

BITS = "sys/devices/platform/soc/soc:firmware/get_throttled"


@pytest.mark.parametrize(("bits", "said"), [("0x50005", "now"), ("50000", "at least once"), ("0x0", "")])
def test_a_weak_power_supply_of_a_pi_is_found(tmp_path, bits, said):
    """The firmware's bits say whether the voltage is too low now, or was since the start."""
    box = a_box(tmp_path, root=files(tmp_path, {BITS: f"{bits}\n"}))
    if said:
        assert said in the("under_voltage", power.CHECK, box).sentence
    else:
        quiet(power.CHECK, box)


def test_the_other_sensor_of_a_pi_is_read_too(tmp_path):
    """A newer kernel shows the same as an alarm of a sensor."""
    told = {"sys/class/hwmon/hwmon1/name": "rpi_volt", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1"}
    box = a_box(tmp_path, root=files(tmp_path, told))
    the("under_voltage", power.CHECK, box)
    files(tmp_path, {"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0"})
    (found,) = quiet(power.CHECK, box)
    assert found.known


def test_a_hot_processor_is_found(tmp_path):
    """The hottest place of the processor decides; a sensor of a disk does not."""
    told = {
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
        "sys/class/thermal/thermal_zone0/temp": "83123",
        "sys/class/thermal/thermal_zone1/type": "nvme",
        "sys/class/thermal/thermal_zone1/temp": "99000",
    }
    box = a_box(tmp_path, root=files(tmp_path, told))
    assert "83 °C" in the("too_hot", power.TEMPERATURE, box).sentence
    files(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "61000"})
    assert "61 °C" in quiet(power.TEMPERATURE, box)[0].sentence


def test_a_box_without_sensors_says_so(tmp_path):
    """What no sensor tells is neither well nor a hindrance."""
    found = [
        *look(power.CHECK, a_box(tmp_path, root=tmp_path)),
        *look(power.TEMPERATURE, a_box(tmp_path, root=tmp_path)),
    ]
    assert [(False, False)] * 2 == [(one.known, one.hindered) for one in found]


MEMORY = "MemTotal: 948_000 kB\nMemAvailable: {} kB\nSwapTotal: 102400 kB\nSwapFree: 1024 kB\n".replace(
    "_", ""
)


def test_short_memory_is_found(tmp_path):
    """Less than a twentieth available is a fault; what is free but not available does not count."""
    box = a_box(tmp_path, root=files(tmp_path, {"proc/meminfo": MEMORY.format(40_000)}))
    assert "Only 39 of 925 MiB" in the("memory_short", memory.CHECK, box).sentence
    files(tmp_path, {"proc/meminfo": MEMORY.format(400_000)})
    quiet(memory.CHECK, box)


def test_the_ceiling_of_the_unit_is_looked_at(tmp_path):
    """Near the unit's ceiling the gateway is told of before it is killed; what is only cached does not count."""
    group = "sys/fs/cgroup/system.slice/gateway.service"
    told = {
        "proc/meminfo": MEMORY.format(400_000),
        "proc/self/cgroup": "0::/system.slice/gateway.service\n",
        f"{group}/memory.max": f"{256 * MIB}",
        f"{group}/memory.high": "max",
        f"{group}/memory.current": f"{250 * MIB}",
        f"{group}/memory.stat": f"anon {240 * MIB}\ninactive_file {5 * MIB}\nactive_file {2 * MIB}\n",
    }
    box = a_box(tmp_path, root=files(tmp_path, told), inside=True)
    assert "243 of the 256 MiB" in the("memory_short", memory.CHECK, box).sentence
    files(tmp_path, {f"{group}/memory.stat": f"anon {40 * MIB}\ninactive_file {200 * MIB}\nactive_file 0\n"})
    quiet(memory.CHECK, box)


def test_a_disk_that_is_mounted_read_only_is_found(tmp_path):
    """A mount that takes no writes is told as that."""
    with tmpfs(tmp_path / "disk", "size=1m") as place:
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        the("disk_read_only", disk.CHECK, a_box(place))
