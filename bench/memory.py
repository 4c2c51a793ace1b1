"""5. Resident memory, start and import."""

import time

from load import cell
from measure import Memory, forget_peak, import_ms, memory
from plan import Plan, say
from server import Server, Site
from stores import filled
from tables import judged, spread, table
from targets import Target

TITLE = "5. Resident memory, start, import"
_STARTS = 5


def run(plan: Plan) -> str:
    most = plan.amount.backlogs[-1]
    idle, load = _idle_and_load(plan)
    waiting, waiting_starts = _waiting(plan, most)
    empty_starts = _empty_starts(plan)
    daemon, daemon_mb = import_ms("gateway.daemon")
    both, both_mb = import_ms("gateway.daemon", "gateway.sinks.mqtt", "gateway.sinks.https")
    rows = [
        (Target("8: idle, all sinks, MB", most=64), [idle.now], 1),
        (Target("8: 64 connections of W2, MB", most=96), [load.peak], 1),
        (Target(f"8: {most:,} waiting, MB", most=96), [waiting.peak], 1),
        (Target("9: start to ready, empty, s", most=1), empty_starts, 2),
        (Target(f"9: start to ready, {most:,} waiting, s", most=3), waiting_starts, 2),
        (Target("9: import of the daemon, ms", most=350), [daemon], 0),
    ]
    return "\n\n".join(
        [
            "MB = 10^6 bytes. Ready is what systemd is told. An empty start makes a new store; nothing is pinned.",
            table(
                ["resident, MB", "now", "peak"],
                [
                    ["idle, both sinks connected, nothing received yet", *_both(idle)],
                    ["64 connections of W2", *_both(load)],
                    [f"{most:,} waiting, both sinks draining at 2,000/s", *_both(waiting)],
                ],
            ),
            table(
                ["start to ready, s", ""],
                [
                    ["new store", spread(empty_starts, 2)],
                    [f"{most:,} waiting", spread(waiting_starts, 2)],
                ],
            ),
            table(
                ["import, warm cache", "ms", "MB resident"],
                [
                    ["gateway.daemon", f"{daemon:.0f}", f"{daemon_mb:.1f}"],
                    ["with both sinks", f"{both:.0f}", f"{both_mb:.1f}"],
                ],
            ),
            judged(rows),
        ]
    )


def _both(found: Memory) -> list[str]:
    return [f"{found.now:.1f}", f"{found.peak:.1f}"]


def _idle_and_load(plan: Plan) -> tuple[Memory, Memory]:
    say("  idle, then 64 connections of W2")
    site = Site(directory=plan.fresh("memory"), far_ends=plan.far_ends)
    with Server(site) as server:
        server.connected()
        time.sleep(3)
        idle = memory(server.pid)
        forget_peak(server.pid)
        plan.counted(cell, server, plan.generator, "W2", 64, 5 * plan.amount.cell_s)
        load = memory(server.pid)
    plan.remove(site.directory)
    return idle, load


def _waiting(plan: Plan, events: int) -> tuple[Memory, list[float]]:
    store = filled(plan, events)
    say(f"  {events:,} waiting")
    starts = []
    for _ in range(_STARTS - 1):
        away = Site(
            directory=plan.fresh("waiting"),
            store=store,
            far_ends=plan.far_ends,
            mqtt="away-mqtt",
            https="away-https",
            down=True,
        )
        with Server(away) as server:
            starts.append(server.start_s)
    site = Site(
        directory=plan.fresh("waiting"),
        store=store,
        far_ends=plan.far_ends,
        mqtt="memory-mqtt",
        https="memory-https",
        rate_per_s=2_000,
    )
    with Server(site) as server:
        starts.append(server.start_s)
        server.connected()
        time.sleep(5)
        return memory(server.pid), starts


def _empty_starts(plan: Plan) -> list[float]:
    starts = []
    for _ in range(_STARTS):
        site = Site(directory=plan.fresh("start"), far_ends=plan.far_ends)
        with Server(site) as server:
            starts.append(server.start_s)
        plan.remove(site.directory)
    return starts
