"""Who may not ask the kernel about its clock asks chronyd, and believes it only as far as the kernel would."""

import contextlib
import ctypes
import errno
import socket
import struct
import threading
import time

import pytest

from gateway.clock import chrony, kernel, timesyncd

SERVER, ITSELF, NOBODY = 0x7F000001, 0x7F7F0101, 0


def answer(follows=SERVER, leap=0, age_s=10.0, *, status=0, form=5, version=6) -> bytes:
    """What chronyd 4.3 sends back, by its own header: 28 bytes before the report, 104 in all."""
    head = struct.pack("!BBBBHHHHHHIII", version, 2, 0, 0, 33, form, status, 0, 0, 0, 0, 0, 0)
    whom = struct.pack("!I16sHH", follows, b"\x7f\x00\x00\x01", 1, 0)
    word = struct.pack("!HHIII", 4, leap, 0, int(time.time() - age_s), 123456789)
    return head + whom + word + bytes(40)


@contextlib.contextmanager
def chronyd(said: bytes | None):
    """A port that answers one question with this; with None it hears it and is silent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        port.settimeout(20)
        asked: list[bytes] = []

        def run() -> None:
            question, back = port.recvfrom(1024)
            asked.append(question)
            if said is not None:
                port.sendto(said, back)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield port.getsockname(), asked
        finally:
            thread.join(30)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer(), True),
        (answer(leap=1), True),  # a leap second is announced
        (answer(leap=3), False),
        (answer(ITSELF), False),
        (answer(NOBODY), False),
        (answer(age_s=10 * 3600), False),
        (answer(age_s=-3600), False),
        (answer(status=2), False),
        (answer(form=1), False),
        (answer(version=5), False),
        (answer()[:40], False),
        (b"", False),
        (None, False),
    ],
)
def test_only_a_clock_that_follows_somebody_is_believed(monkeypatch, said, expected):
    """Not one that follows itself or nobody, whose last word is too old, or whose answer is another one or none."""
    if expected:
        monkeypatch.setattr(chrony, "_PATIENCE_S", 20.0)  # a loaded machine is late
    with chronyd(said) as (port, asked):
        assert expected == chrony.synced(port)
    assert [(104, 6, 1, 33)] == [(len(one), one[0], one[1], one[5]) for one in asked]


def test_a_box_without_chrony_is_not_synchronised_by_it():
    """Where nobody listens the question ends at once, and is no error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()
    assert not chrony.synced(port)


def test_a_kernel_that_may_not_be_asked_hands_over_to_chrony_too(monkeypatch, tmp_path):
    """On a box without systemd-timesyncd the hardened unit still learns that its clock is right."""

    def refuse(_timex):
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(kernel, "_adjtimex", lambda: refuse)
    monkeypatch.setattr(timesyncd.synced, "__defaults__", (tmp_path / "synchronized",))
    monkeypatch.setattr(chrony, "_PATIENCE_S", 20.0)
    with chronyd(answer()) as (port, _asked):
        monkeypatch.setattr(chrony.synced, "__defaults__", (port,))
        assert kernel.synced()
