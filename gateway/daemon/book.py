"""Tell a person which pages of the device book the disk has damaged; they are shown without what cannot be read."""

import sqlite3

import structlog
from anyio import to_thread

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.faults import Faults
from gateway.outbox import Outbox, damage, readable, reading

log = structlog.get_logger()

CODE = "book_damaged"
_ROUND_S = 60.0


async def watch_book(outbox: Outbox, faults: Faults) -> None:
    """Look through the book now and then, for ever."""
    told: set[str] = set()
    while True:
        try:
            found = await to_thread.run_sync(_damaged, outbox)
        except (StoreUnavailable, sqlite3.Error) as error:
            if damage.is_damage(error):
                raise  # not a value but the file: only a new start can save what is readable
        else:
            told = tell(found, told, faults)
        await clock.sleep(_ROUND_S)


def tell(found: dict[str, list[str]], told: set[str], faults: Faults) -> set[str]:
    """Report each damaged page once, and clear those that were written anew since; give whose are damaged."""
    for device in told - found.keys():
        faults.clear(CODE, device)
    for device in sorted(found.keys() - told):
        values = found[device]
        sentence = (
            f"The disk has damaged what the book of devices says of {device} ({', '.join(values)}). Its events and"
            " its counts are kept elsewhere; its state is shown without this."
        )
        faults.report(CODE, device, sentence, again=False)
        log.error(CODE, device=device, values=values)
    return set(found)


def _damaged(outbox: Outbox) -> dict[str, list[str]]:
    with outbox.looking() as conn:
        pages = {str(page["id"]): readable.damaged(page) for page in reading.devices(conn)}
    return {device: values for device, values in pages.items() if values}
