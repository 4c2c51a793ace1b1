"""Who may not ask the kernel about its clock looks at what systemd's time service left behind."""

import ctypes
import errno
import os
import time

import pytest

from gateway.clock import chrony, kernel, timesyncd


@pytest.fixture
def sign(tmp_path):
    path = tmp_path / "synchronized"
    path.touch()
    return path


@pytest.mark.parametrize(
    ("age_s", "expected"), [(0, True), (3 * 3600, True), (10 * 3600, False), (-30, True), (-3600, False)]
)
def test_a_synchronisation_counts_for_some_hours(sign, age_s, expected):
    """As long as the kernel would believe it; one of the future says that the clock was set back since."""
    os.utime(sign, (time.time() - age_s,) * 2)
    assert expected == timesyncd.synced(sign)


def test_a_box_that_was_never_synchronised_is_not(tmp_path):
    """Without the sign nobody has set the clock."""
    assert not timesyncd.synced(tmp_path / "synchronized")


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.ENOSYS, errno.EACCES])
def test_a_kernel_that_may_not_be_asked_hands_over_to_the_time_service(monkeypatch, sign, refusal):
    """What a hardened unit forbids is answered by the sign, and follows it."""

    def refuse(_timex):
        ctypes.set_errno(refusal)
        return -1

    monkeypatch.setattr(kernel, "_adjtimex", lambda: refuse)
    monkeypatch.setattr(timesyncd.synced, "__defaults__", (sign,))
    monkeypatch.setattr(chrony, "synced", lambda: False)
    assert kernel.synced()
    sign.unlink()
    assert not kernel.synced()


def test_a_kernel_that_answers_is_believed_and_nobody_else(monkeypatch, sign):
    """A kernel that says "not synchronised" is right, whatever the sign says."""
    monkeypatch.setattr(kernel, "_adjtimex", lambda: lambda _timex: 5)
    monkeypatch.setattr(timesyncd.synced, "__defaults__", (sign,))
    assert not kernel.synced()
