"""The log of the last days out of the journal, each line through the net that lines go through when they are written."""

import subprocess
from shutil import which

from gateway import clock
from gateway.doctor.bundle.shown import sentence
from gateway.errors import GatewayError

_DAYS, _MOST_LINES = 3, 20_000
_LIMIT_S, _CLEANING_S = 8.0, 8.0
MOST_BYTES = 4_000_000


def journal() -> str:
    """Give the newest lines, oldest first; raises `GatewayError` when there is nothing to read."""
    program = which("journalctl", path="/usr/bin:/bin") or which("journalctl")
    if program is None:
        raise GatewayError("There is no journalctl here: the log is wherever the gateway's output goes.")
    command = [
        program,
        "--no-pager",
        "--quiet",
        "--output=short-iso",
        f"--since=-{_DAYS}d",
        f"--lines={_MOST_LINES}",
    ]
    command += ["--unit=gateway.service", "--unit=gateway.socket", "--unit=gateway-provision.service"]
    try:
        ran = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)  # noqa: S603 - all ours
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GatewayError(f"The journal could not be read ({type(error).__name__}).") from error
    lines = ran.stdout[-MOST_BYTES:].decode("utf-8", "replace").splitlines()
    if ran.returncode != 0 and not lines:
        raise GatewayError(
            f"The journal could not be read (journalctl ended with {ran.returncode}): try it with sudo."
        )
    if not lines:
        raise GatewayError("The journal has no line of the gateway that this user may see: try it with sudo.")
    return _cleaned(lines)


def _cleaned(lines: list[str]) -> str:
    """Clean the newest first: what a slow box has no time for is the oldest."""
    end, kept = clock.steady() + _CLEANING_S, list[str]()
    for line in reversed(lines):
        if clock.steady() > end:
            kept.append("(older lines are left out: cleaning them would take too long)")
            break
        kept.append(sentence(line))
    return "".join(f"{line}\n" for line in reversed(kept))
