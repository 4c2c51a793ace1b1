"""What systemd and the daemon say to each other; where there is no systemd, all of it does nothing.

Not being heard is never an error: systemd restarts what it misses, and that is its decision.
"""

import contextlib
import os
import socket
import time

_FIRST_DESCRIPTOR = 3
_STATUS_MAX = 500


def ready(text: str = "") -> bool:
    """Say that the listeners are open and the store is usable."""
    return notify("READY=1", *_status(text))


def stopping(text: str = "") -> bool:
    """Say that the stop has begun."""
    return notify("STOPPING=1", *_status(text))


def reloading(text: str = "") -> bool:
    """Say that a reload has begun; `ready` ends it."""
    # systemd takes the stamp to tell this reload from an earlier one, so it must be its clock, in microseconds.
    stamp = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return notify("RELOADING=1", f"MONOTONIC_USEC={stamp}", *_status(text))


def status(text: str) -> bool:
    """Show one line in `systemctl status`."""
    return notify(*_status(text))


def watchdog() -> bool:
    """Feed the watchdog; only while the work really goes on."""
    return notify("WATCHDOG=1")


def extend_timeout(seconds: float) -> bool:
    """Ask for more time to start or stop, counted from now; a long salvage needs it."""
    return notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def notify(*assignments: str) -> bool:
    """Send assignments in one datagram; True when they were handed over."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not assignments or address[:1] not in {"/", "@"}:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # abstract: a name without a file
    with contextlib.suppress(OSError, ValueError):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)  # a full queue must not hold the event loop
            sender.connect(address)
            sender.send("\n".join(assignments).encode("utf-8", "replace"))
        return True
    return False


def watchdog_interval_s() -> float | None:
    """Give the seconds within which the watchdog must be fed; None when nobody waits for it."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdecimal() and int(text) > 0 else None


def named_fds() -> list[tuple[str, socket.socket]]:
    """Take over the sockets that systemd opened for us; a second call gets none.

    Each comes with the name that it has in its unit (FileDescriptorName=), "" without one.
    """
    meant = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if not meant or not count.isdecimal():
        return []
    taken = []
    for place, descriptor in enumerate(range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count))):
        name = names[place] if place < len(names) else ""
        with contextlib.suppress(OSError):  # a descriptor that is no socket is not for us
            os.set_inheritable(descriptor, False)
            taken.append((name, socket.socket(fileno=descriptor)))
    return taken


def _status(text: str) -> tuple[str, ...]:
    line = " ".join(text.split())[:_STATUS_MAX]  # a line break would begin another assignment
    return (f"STATUS={line}",) if line else ()
