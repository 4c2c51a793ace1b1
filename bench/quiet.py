"""8. What the daemon costs when next to nothing happens."""

import time
from contextlib import ExitStack

from measure import cpu_s, waited
from plan import Plan, say
from sender import Sender
from server import Server, Site
from tables import judged, table
from targets import Target

TITLE = "8. CPU while 100 devices are quiet"
_DEVICES = 100
_EVERY_S = 60


def run(plan: Plan) -> str:
    site = Site(directory=plan.fresh("quiet"), far_ends=plan.far_ends)
    with Server(site) as server, ExitStack() as stack:
        server.connected()
        say("  nobody is connected")
        alone = _share(server, plan.amount.quiet_s, [])
        senders = [
            stack.enter_context(Sender(plan.generator, server.port, "W1", 98_000 + number))
            for number in range(_DEVICES)
        ]
        for sender in senders:
            sender.push()
        server.drained()
        say(f"  {_DEVICES} devices are connected")
        quiet = _share(server, plan.amount.quiet_s, senders)
    plan.remove(site.directory)
    return "\n\n".join(
        [
            (
                f"Both sinks connected. A quiet device keeps its connection and pushes once in {_EVERY_S} s. Share of one"
                f" processor over {plan.amount.quiet_s} s."
            ),
            table(
                ["", "% of one processor"],
                [["no device", f"{alone:.2f}"], [f"{_DEVICES} quiet devices", f"{quiet:.2f}"]],
            ),
            judged([(Target(f"12: {_DEVICES} quiet devices, %", most=1), [quiet], 2)]),
        ]
    )


def _share(server: Server, seconds: int, senders: list[Sender]) -> float:
    """Let the devices push one after the other, evenly; give the daemon's share of a processor in percent."""
    began, cpu = time.monotonic(), cpu_s(server.pid)
    pushes = int(seconds * len(senders) / _EVERY_S)
    for number in range(pushes):
        waited(began + (number + 0.5) * seconds / pushes)
        senders[number % len(senders)].push()
    waited(began + seconds)
    return (cpu_s(server.pid) - cpu) / seconds * 100
