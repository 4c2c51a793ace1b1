"""Far ends that come and go at random while the daemon is being killed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random

from experiment import Experiment
from site_under_test import Site

from gateway.simulate.demo.cable import Cable
from gateway.simulate.receiver import Fault, Outcome

_QUIET_S = 0.1
LOST = "upstream loses the reply"


@contextlib.asynccontextmanager
async def wired(site: Site) -> AsyncIterator[Cable]:
    """Put a cable between the broker and a daemon that has not started yet."""
    cable = Cable(site.broker.port)
    await cable.plug()
    own = site.daemon.config.read_text()
    site.daemon.config.write_text(own.replace(f":{site.broker.port}", f":{cable.port}"))
    try:
        yield cable
    finally:
        await cable.pull()


@contextlib.asynccontextmanager
async def flapping(site: Site, cable: Cable, experiment: Experiment, luck: Random) -> AsyncIterator[None]:
    """Stop, kill and restart broker and upstream until the body ends; then both are there."""
    ended = asyncio.Event()
    broker = asyncio.create_task(_broker(site, cable, experiment, Random(luck.getrandbits(30)), ended))
    upstream = asyncio.create_task(_upstream(site, experiment, Random(luck.getrandbits(30)), ended))
    try:
        yield
    finally:
        ended.set()
        await asyncio.gather(broker, upstream)


async def _broker(
    site: Site, cable: Cable, experiment: Experiment, luck: Random, ended: asyncio.Event
) -> None:
    while not await _ends(ended, luck.uniform(0.3, 1.5)):
        how = luck.choice(("stopped", "killed", "cut off"))
        if how != "stopped":
            await cable.pull()
        if how == "killed":
            await _kill(site)
        elif how == "stopped":
            await asyncio.to_thread(site.broker.stop)
        assert (how == "cut off") == site.broker.running
        experiment.hit(f"broker {how}")
        await _ends(ended, luck.uniform(0.2, 1.5))
        await asyncio.to_thread(site.broker.start)
        while not site.subscriber.connected:  # what comes to a broker without a session is for nobody
            await asyncio.sleep(0.02)
        await cable.plug()


async def _kill(site: Site) -> None:
    """Kill a broker that has handed on all that it acknowledged, and make it forget every session.

    It keeps its acknowledgements only until its own disk has them: what it would lose is no loss of ours.
    """
    seen = -1
    while seen != (seen := len(site.subscriber.arrivals)):
        await asyncio.sleep(_QUIET_S)
    await asyncio.to_thread(site.broker.kill)
    for file in (site.directory / "broker").glob("mosquitto.db*"):
        file.unlink()


async def _upstream(site: Site, experiment: Experiment, luck: Random, ended: asyncio.Event) -> None:
    answers = {
        "upstream 503": Outcome(status=503, take=False),
        LOST: Outcome(fault=Fault.NO_REPLY, take=True),
    }
    while not await _ends(ended, luck.uniform(0.3, 1.5)):
        how = luck.choice(("upstream gone", *answers))
        if how in answers:
            asked: list[object] = []

            def answer(request: object, how: str = how, asked: list[object] = asked) -> Outcome:
                asked.append(request)
                if how == LOST:
                    experiment.hit(how)  # each such reply makes its batch come again
                return answers[how]

            site.upstream.decide = answer
            await _ends(ended, luck.uniform(0.2, 1.0))
            site.upstream.decide = None
            if asked and how != LOST:
                experiment.hit(how)  # one spell, however often it was asked
        else:
            await asyncio.to_thread(site.upstream.stop)
            experiment.hit(how)
            await _ends(ended, luck.uniform(0.2, 1.0))
            await asyncio.to_thread(site.upstream.start)


async def _ends(ended: asyncio.Event, within_s: float) -> bool:
    """Wait so long, or until the experiment is over."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), within_s)
    return ended.is_set()
