"""What the defaults of TCP, and paho's use of it, get wrong for a window of small acknowledged messages."""

import contextlib
import socket
import struct

_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux has it
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def send_at_once(sock: socket.socket) -> None:
    """Let the last packet of a batch go without waiting for the acknowledgement of the one before."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acknowledge_at_once(sock: socket.socket) -> None:
    """Keep the kernel from delaying its TCP acknowledgement; it forgets the wish, so ask at every reading.

    A broker without TCP_NODELAY (mosquitto, by default) holds its next PUBACKs back until it comes: 40 ms at
    the end of every batch, two thirds of the throughput.
    """
    if _QUICK_ACK is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)


def reset(sock: socket.socket) -> None:
    """Close and forget what is not sent yet.

    Otherwise the kernel goes on sending it for minutes, and a broker that wakes up gets stale events.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()
