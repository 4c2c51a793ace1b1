"""What systemd's time service leaves behind at each synchronisation, for whom the kernel may not be asked.

A service that must not set the clock (ProtectClock=) is not let ask about it either.
"""

import time
from pathlib import Path

_SIGN = Path("/run/systemd/timesync/synchronized")
_KEEPS_S = 9 * 3600.0  # the kernel, too, takes its clock for synchronised so long after the last word
_AHEAD_S = 60.0


def synced(sign: Path = _SIGN) -> bool:
    """Say whether systemd-timesyncd has set the clock within the last hours, by the clock as it is now."""
    try:
        age_s = time.time() - sign.stat().st_mtime
    except OSError:
        return False
    return -_AHEAD_S < age_s < _KEEPS_S
