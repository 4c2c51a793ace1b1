"""Keep the parts running: one that dies is started again with backoff, and a person is told."""

import random
import time
from collections.abc import Awaitable, Callable

import anyio
import structlog

from gateway.errors import GatewayError
from gateway.faults import Faults
from gateway.outbox import StoreDamaged, damage
from gateway.retry import Backoff

log = structlog.get_logger()

_STEADY_S = 60.0  # a part that ran for so long is healthy again


class GivingUp(GatewayError):  # it ends the process; `running` turns it into the exit status
    """A part without which events would be lost keeps dying: the process ends and is started afresh."""


async def supervise(
    name: str,
    part: Callable[[], Awaitable[None]],
    faults: Faults,
    *,
    essential: bool = False,
    tries: int = 5,
) -> None:
    """Run a part until it ends by itself; start it again when it dies.

    An essential part that dies ``tries`` times without a steady minute raises `GivingUp`, and so does any
    part at once that finds the store damaged.
    """
    backoff, rng, attempts = Backoff(base_s=0.2, cap_s=30), random.Random(), 0
    while True:
        started = time.monotonic()
        try:
            await part()
        except StoreDamaged as damaged:  # only a new start can save what is readable
            raise GivingUp(str(damaged)) from damaged
        except Exception as died:  # whatever it was, the other parts go on
            log.exception("part_died", part=name)
            if damage.is_damage(died):  # whoever runs into it: nobody may write to a damaged file
                raise GivingUp(str(died)) from StoreDamaged(str(died))
            attempts = 1 if time.monotonic() - started > _STEADY_S else attempts + 1
            faults.report("task_restarted", name, f"The part {name} failed ({type(died).__name__}: {died}).")
            if essential and attempts >= tries:
                raise GivingUp(f"the part {name} failed {attempts} times: {died}") from died
            await anyio.sleep(backoff.delay(attempts, rng))
        else:
            return
