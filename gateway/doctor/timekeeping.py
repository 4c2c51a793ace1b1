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
    if standing == Standing.UNSYNCED and not box.inside and _standing(box) == Standing.SYNCED:
        yield _unheard(_keeper(box))
    else:
        yield finding(standing, PATIENCE_S, keeper=_keeper(box))


def _unheard(keeper: str) -> Finding:
    """Say that only the daemon does not know: its unit forbids it what everybody else may ask."""
    return wrong(
        NAME,
        CODE,
        f"A time server keeps the clock of this box right{f' ({keeper})' if keeper else ''}, but the gateway that runs "
        "cannot see it: it may not ask the kernel. Events are marked as if nobody knew, and nothing is removed for its "
        "age.",
        remedy="Run `systemctl edit gateway` and put in the three lines that operate.md shows below [What it may not do], "
        'or set clock.trust to "plausible".',
    )


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
