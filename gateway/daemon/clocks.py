"""Tell a person which device's clock is wrong. It is measured and shown, and never repaired."""

from datetime import timedelta

from gateway import clock
from gateway.faults import Faults
from gateway.projection import Projection

_ROUND_S = 5.0
_LIMIT_S = 120.0


async def watch_clocks(projection: Projection, faults: Faults) -> None:
    """Report clocks that are far off, and clear those that are right again, for ever. Never by a wrong one of ours."""
    while True:
        await judge_clocks(projection, faults)
        await clock.sleep(_ROUND_S)


async def judge_clocks(projection: Projection, faults: Faults) -> None:
    """Judge the clock of each device once."""
    if clock.trusted():
        for device, ahead_s in (await projection.clocks()).items():
            if abs(ahead_s) > _LIMIT_S:
                how = "ahead of" if ahead_s > 0 else "behind"
                off = timedelta(seconds=round(abs(ahead_s)))
                faults.report(
                    "clock_off", device, f"The clock of {device} is {off} {how} the gateway's.", again=False
                )
            else:
                faults.clear("clock_off", device)
