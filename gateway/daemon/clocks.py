"""Tell a person which device's clock is wrong. It is measured and shown, and never repaired."""

from collections.abc import Callable, Collection

from gateway import clock
from gateway.doctor.devices import CLOCK_LIMIT_S, of_clock
from gateway.faults import Faults
from gateway.outbox import Outbox
from gateway.outbox.entry import rfc3339
from gateway.projection import Projection

_ROUND_S = 5.0
_HOUR_S, _QUARTER_S = 3600, 900  # time zones differ by whole quarters of an hour, and most by whole hours
_DEVICE_ZONE = (
    "Whole hours point to a time zone: compare the one that is set on the device with `site.zone`; else set its clock or"
    " give it a time server."
)


async def watch_clocks(
    outbox: Outbox, projection: Projection, faults: Faults, pcs: Callable[[], Collection[str]]
) -> None:
    """Report clocks that are far off, and clear those that are right again, for ever. Never by a wrong one of ours."""
    while True:
        report_dates(outbox, faults)
        await judge_clocks(projection, faults, pcs())
        await clock.sleep(_ROUND_S)


def report_dates(outbox: Outbox, faults: Faults) -> None:
    """Name the devices that stated an instant that cannot be; what they said is in no sum, or makes nothing newer."""
    for device, (stated, received) in outbox.take_impossible().items():
        faults.report(
            "date_impossible",
            device,
            f"{device} said on {rfc3339(received)} that it is {rfc3339(stated)}. Windows of such a date are kept and"
            " forwarded, and counted nowhere.",
        )


async def judge_clocks(projection: Projection, faults: Faults, pcs: Collection[str] = ()) -> None:
    """Judge the clock of each device once; ``pcs`` are the names of the Camlytics that are configured."""
    if clock.trusted():
        for device, ahead_s in (await projection.clocks()).items():
            found = of_clock(device, ahead_s)
            if found.well:
                faults.clear("clock_off", device)
            else:
                advice = _advice(device, ahead_s, pcs)
                faults.report("clock_off", device, found.sentence, advice, again=False)


def _advice(device: str, ahead_s: float, pcs: Collection[str]) -> str | None:
    """Say what to look at when it is a time zone that is wrong rather than a clock."""
    pc = max((name for name in pcs if device.startswith(f"camlytics-{name}-")), key=len, default=None)
    if pc is not None and _is_multiple(ahead_s, _QUARTER_S):
        return (
            f"A time zone, not a clock: set `zone` of [camlytics.{pc}] to the time zone of that PC's Windows"
            " (without it, site.zone is taken). Else set the PC's clock."
        )
    return _DEVICE_ZONE if _is_multiple(ahead_s, _HOUR_S) else None


def _is_multiple(seconds: float, step: int) -> bool:
    return round(seconds / step) != 0 and abs(seconds - round(seconds / step) * step) <= CLOCK_LIMIT_S
