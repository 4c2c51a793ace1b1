"""Ask chronyd whether it keeps the clock right, for whom the kernel may not be asked.

This is the question `chronyc tracking` puts, over the port on which chronyd answers everybody on the same machine. Its
form is that of candm.h in chrony's source, protocol 6; tried with chronyd 4.3.
"""

import socket
import struct
import time

_PORT = ("127.0.0.1", 323)  # below 1024: only root can answer there
_PATIENCE_S = 0.1  # the loop waits that long for a chronyd that hangs
_KEEPS_S = 9 * 3600.0  # as the kernel; chronyd itself says "synchronised" for ever after the last word
_AHEAD_S = 60.0

_PROTOCOL, _REQUEST, _REPLY = 6, 1, 2
_TRACKING, _TOLD_TRACKING, _SUCCESS = 33, 5, 0
_UNSYNCHRONISED = 3  # of the leap states
_ITSELF = (0x7F7F0101, 0)  # 127.127.1.1: the owner has it trust its own clock (`local`); 0: nobody yet

# Version, kind, command; the numbers that find their question again; then room for the answer, which is no longer.
_ASKED = struct.pack("!BBxxHxx12x84x", _PROTOCOL, _REQUEST, _TRACKING)
# Version, kind, command, form, status; whom it follows; leap state; the last word's second, the lower half.
_ANSWER = struct.Struct("!BBxxHHH18x I 20x xxH 4xI")


def synced(port: tuple[str, int] = _PORT) -> bool:
    """Say whether chronyd follows somebody who knows the time and has heard from him within the last hours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_PATIENCE_S)
        try:
            asking.connect(port)  # then nobody else is heard
            asking.send(_ASKED)
            answer = asking.recv(1024)
        except OSError:  # there is none, or it hangs
            return False
    if len(answer) < _ANSWER.size:
        return False
    *head, follows, leap, second = _ANSWER.unpack_from(answer)
    if head != [_PROTOCOL, _REPLY, _TRACKING, _TOLD_TRACKING, _SUCCESS]:
        return False
    age_s = time.time() - second
    return leap != _UNSYNCHRONISED and follows not in _ITSELF and -_AHEAD_S < age_s < _KEEPS_S
