"""Run one blocking call in a thread of its own, and leave the thread alone when nobody waits any more.

A name lookup cannot be interrupted. The thread is a daemon, so that it never holds up the end of the
process, and it reports by `call_soon_threadsafe` only, the one way that wakes an idle loop.
"""

import asyncio
import threading
from collections.abc import Callable


async def in_own_thread(call: Callable[[], object], *, too_late: Callable[[], None]) -> None:
    """Wait for ``call``; when the wait was given up, ``too_late`` runs after the call has ended."""
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()

    def report(error: Exception | None) -> None:
        if finished.done():
            too_late()
        elif error is None:
            finished.set_result(None)
        else:
            finished.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            call()
        except Exception as caught:  # noqa: BLE001 - raised again on the loop
            error = caught
        try:
            loop.call_soon_threadsafe(report, error)
        except RuntimeError:  # the loop is closed: nobody waits, and nobody will
            too_late()

    threading.Thread(target=run, name="mqtt-dial", daemon=True).start()
    try:
        await finished
    except asyncio.CancelledError:
        if not finished.cancelled() and finished.exception() is None:
            too_late()  # it ended in the same moment in which we gave up
        raise
