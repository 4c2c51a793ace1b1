"""Ask the kernel whether somebody keeps its clock right: a time server, a GPS receiver.

Reading takes no rights, but a hardened unit may forbid the question; then the usual time services are asked.
"""

import ctypes
import errno
from functools import cache
from typing import Any

from gateway.clock import chrony, timesyncd

_STA_UNSYNC = 0x40
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),  # 0: only look
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),  # more than any kernel writes behind it
    )


@cache
def _adjtimex() -> Any:
    return getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)


def synced() -> bool:
    """Say whether the kernel's clock is synchronised; False also where it cannot tell, as in some containers."""
    ask = _adjtimex()
    if ask is None:
        return False
    timex = _Timex()
    state = ask(ctypes.byref(timex))
    if state < 0 and ctypes.get_errno() in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        return timesyncd.synced() or chrony.synced()
    return 0 <= state < _TIME_ERROR and not timex.status & _STA_UNSYNC
