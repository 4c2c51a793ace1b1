"""What the defaults of TCP, and paho's use of it, get wrong for a window of small acknowledged messages."""

import contextlib
import socket
import ssl
import struct
from typing import Any

_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux has it
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class PatientSocket:
    """A socket that reports a failed write only after there was one more turn to read.

    A broker that refuses an event and hangs up resets the connection while the rest of the window is being
    written. paho closes on the failed write, and the acknowledgements that had come by then are lost with it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.recv = sock.recv
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def pending(self) -> int:
        """Count the bytes that TLS has decrypted already."""
        return self.sock.pending() if isinstance(self.sock, ssl.SSLSocket) else 0

    def send(self, data: bytes) -> int:
        try:
            return self.sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            if self._failed:
                raise
            self._failed = True
            raise BlockingIOError from error


def send_at_once(sock: PatientSocket) -> None:
    """Let the last packet of a batch go without waiting for the acknowledgement of the one before."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acknowledge_at_once(sock: PatientSocket) -> None:
    """Keep the kernel from delaying its TCP acknowledgement; it forgets the wish, so ask at every reading.

    A broker without TCP_NODELAY (mosquitto, by default) holds its next PUBACKs back until it comes: 40 ms at
    the end of every batch, two thirds of the throughput.
    """
    if _QUICK_ACK is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)


def reset(sock: PatientSocket) -> None:
    """Close and forget what is not sent yet.

    Otherwise the kernel goes on sending it for minutes, and a broker that wakes up gets stale events.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()
