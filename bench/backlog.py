"""7. Does receiving become slower as more events wait?"""

from collections import defaultdict

from load import Cell, cell
from plan import Plan, say
from server import Server, Site
from stores import filled
from tables import judged, ratios, spread, table
from targets import Target

TITLE = "7. Receiving while events wait"
_CONNECTIONS = 16


def run(plan: Plan) -> str:
    levels = plan.amount.backlogs
    for level in levels:
        filled(plan, level)
    cells: dict[int, list[Cell]] = defaultdict(list)
    for repeat in range(plan.amount.repeats):
        for level in levels:
            say(f"  repeat {repeat + 1} of {plan.amount.repeats}: {level:,} waiting")
            site = Site(
                directory=plan.fresh(f"backlog-{level}"),
                store=filled(plan, level),
                far_ends=plan.far_ends,
                mqtt="away-mqtt",
                https="away-https",
                down=True,
                cpu=plan.server_cpu,
            )
            with Server(site) as server:
                plan.generator.run(server.port, "W1", 4, 1)
                cells[level].append(
                    plan.counted(
                        cell, server, plan.generator, "W1", _CONNECTIONS, plan.amount.cell_s + 1, settle=False
                    )
                )
    rates = {level: [one.rate for one in found] for level, found in cells.items()}
    against = {level: ratios(rates[level], rates[0]) for level in levels}
    return "\n\n".join(
        [
            f"W1, {_CONNECTIONS} connections, both far ends away, so that everything stays.",
            table(
                ["waiting", *(f"{level:,}" for level in levels)],
                [
                    ["requests/s", *(spread(rates[level]) for level in levels)],
                    ["ratio to empty", *(spread(against[level], 2) for level in levels)],
                    ["p99 ms", *(spread([c.run.p99_ms for c in cells[level]], 1) for level in levels)],
                    ["CPU µs/request", *(spread([c.cpu_us for c in cells[level]]) for level in levels)],
                ],
            ),
            judged(
                (Target(f"11: with {level:,} waiting / empty", least=0.9), against[level], 2)
                for level in levels[1:]
            ),
        ]
    )
