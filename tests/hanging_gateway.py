"""The command `gateway` with parts that hang when a test says so: `hanging_gateway.py TRIGGER …` does what `gateway …` does.

The word in the file TRIGGER names the part: "loop", "writer" (its thread, in front of a transaction), "step" (the
writer's task, beside any transaction) or "sink". The limits of the watchdog are seconds instead of minutes.
"""

import asyncio
import sys
import threading
import time
from pathlib import Path

from gateway.__main__ import main
from gateway.daemon import watchdog
from gateway.daemon.gateway import Gateway
from gateway.forwarder.draining import Draining
from gateway.outbox.writer import Writer

TRIGGER = Path(sys.argv.pop(1))
FOR_EVER_S = 1e6


def hangs(part: str) -> bool:
    return TRIGGER.exists() and TRIGGER.read_text() == part


def hang_the_loop(run):
    async def running(self, ready):
        loop = asyncio.get_running_loop()

        def watch():
            while not hangs("loop"):
                time.sleep(0.05)
            loop.call_soon_threadsafe(time.sleep, FOR_EVER_S)

        threading.Thread(target=watch, daemon=True).start()
        await run(self, ready)

    return running


def hang_the_thread(transact):
    def transacting(self, batch):
        if hangs("writer"):
            time.sleep(FOR_EVER_S)
        return transact(self, batch)

    return transacting


def hang_the_task(part, work):
    async def working(self, *arguments):
        if hangs(part):
            await asyncio.sleep(FOR_EVER_S)
        return await work(self, *arguments)

    return working


if __name__ == "__main__":
    watchdog.COMMIT_LIMIT_S = watchdog._SINK_LIMIT_S = 4.0
    Gateway.run = hang_the_loop(Gateway.run)
    Writer._transact = hang_the_thread(Writer._transact)
    Writer._commit = hang_the_task("step", Writer._commit)
    Draining.round = hang_the_task("sink", Draining.round)
    main()
