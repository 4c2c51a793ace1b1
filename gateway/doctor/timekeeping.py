"""The clock of the box: is it right, and who keeps it so."""

from collections.abc import Iterable

from gateway import clock
from gateway.clock import RELEASED, Standing, kernel
from gateway.doctor.box import Box, Check, there, well, wrong
from gateway.doctor.finding import Finding

NAME, CODE = "clock", "clock_unsynced"
PATIENCE_S = 120.0  # a box that starts gets the time within a minute or two, if it gets it at all
# Where a program that sets the clock leaves its traces.
_KEEPERS = {
    "run/systemd/timesync": "systemd-timesyncd",
    "run/chrony": "chrony",
    "run/ntpd.pid": "ntpd",
    "run/ntpsec/ntpd.pid": "ntpd",
}


def finding(standing: Standing, lasting_s: float, *, keeper: str | None = None) -> Finding:
    """Say what a standing of the clock means, when it is so for that long; also the daemon's fault."""
    if standing == Standing.UNSET:
        return wrong(
            NAME,
            CODE,
            "The clock of this box is not set, so the time is a guess that goes on from the last event. Everything is "
            "received and kept; certificates and signatures may fail until it is set.",
        )
    if standing == Standing.UNSYNCED and lasting_s >= PATIENCE_S:
        return wrong(
            NAME,
            CODE,
            "No time server sets the clock of this box, so nobody knows whether it is right. Everything works; events "
            f"are marked, and nothing is removed for its age.{_whose(keeper)}",
        )
    shown = clock.now().isoformat(sep=" ", timespec="seconds")
    how = {
        Standing.SYNCED: f"a time server keeps it right{f' ({keeper})' if keeper else ''}",
        Standing.BELIEVED: "nobody sets it, and it is believed as clock.trust says",
    }.get(standing, "no time server has been heard yet")
    return well(NAME, f"It is {shown}; {how}.")


def look(box: Box) -> Iterable[Finding]:
    """Judge the clock as the daemon does; the daemon knows better while it runs, because it also sees steps."""
    told = (box.told or {}).get("clock")
    standing = Standing(str(told)) if told in list(Standing) else _standing(box)
    yield finding(standing, PATIENCE_S, keeper=_keeper(box))


def _standing(box: Box) -> Standing:
    right = clock.now() >= RELEASED
    if right and kernel.synced():
        return Standing.SYNCED
    if not right:
        return Standing.UNSET
    return Standing.BELIEVED if box.config.clock.trust == "plausible" else Standing.UNSYNCED


def believed(box: Box) -> bool:
    """Say whether anything can be judged by this clock."""
    return _standing(box) in {Standing.SYNCED, Standing.BELIEVED}


def _keeper(box: Box) -> str:
    return next((name for place, name in _KEEPERS.items() if there(box.system(place))), "")


def _whose(keeper: str | None) -> str:
    if keeper is None:  # nobody looked
        return ""
    return f" {keeper} runs and reaches no server." if keeper else " No time service is installed."


CHECK = Check(NAME, look, frozenset({CODE}))
