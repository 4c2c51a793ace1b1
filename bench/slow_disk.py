"""2. Group commit against commit per request when every sync takes 5 ms longer."""

from collections import defaultdict

from disk import slow_sync
from load import Cell, cell
from plan import Plan, say
from server import PRODUCT, Server, Site
from tables import judged, ratios, spread, table
from targets import Target

TITLE = "2. Every sync 5 ms longer"
_EXTRA_MS = 5.0
_CONNECTIONS = (1, 16, 64)
_NAMES = {PRODUCT: "group commit", "single": "commit per request"}


def run(plan: Plan) -> str:
    slow = slow_sync(plan.directory, _EXTRA_MS)
    cells: dict[tuple[str, int], list[Cell]] = defaultdict(list)
    for repeat in range(plan.amount.slow_repeats):
        for system, name in _NAMES.items():
            say(f"  repeat {repeat + 1} of {plan.amount.slow_repeats}: {name}")
            site = Site(
                directory=plan.fresh(f"slow-{system}"),
                variant=system,
                far_ends=plan.far_ends,
                environment=slow,
                cpu=plan.server_cpu,
            )
            with Server(site) as server:
                server.connected()
                plan.generator.run(server.port, "W1", 4, 1)
                server.drained()
                for connections in _CONNECTIONS:
                    cells[system, connections].append(
                        plan.counted(cell, server, plan.generator, "W1", connections, plan.amount.cell_s + 1)
                    )
            plan.remove(site.directory)
    rates = {key: [one.rate for one in found] for key, found in cells.items()}
    alone = max(rates["single", 1])
    bite = (
        f"The delay bites: one connection with a commit per request reaches {alone:.0f} requests/s, and one sync"
        f" per request of {_EXTRA_MS:g} ms allows {1000 / _EXTRA_MS:.0f}."
        if alone < 1000 / _EXTRA_MS
        else f"**The delay does not bite** ({alone:.0f} requests/s with a commit per request): disregard this section."
    )
    against = {c: ratios(rates[PRODUCT, c], rates["single", c]) for c in _CONNECTIONS}
    rows = [
        (Target("3: a lone device", least=0.95), against[1], 2),
        (Target("3: 16 connections", least=6), against[16], 1),
        (Target("3: 64 connections", least=14), against[64], 1),
    ]
    return "\n\n".join(
        [
            "W1, requests/s, both sinks on.",
            table(
                ["connections", *(str(c) for c in _CONNECTIONS)],
                [
                    *([name, *(spread(rates[s, c]) for c in _CONNECTIONS)] for s, name in _NAMES.items()),
                    ["ratio", *(spread(against[c], 2) for c in _CONNECTIONS)],
                    [
                        "p99 ms, group / per request",
                        *(f"{_p99(cells[PRODUCT, c])} / {_p99(cells['single', c])}" for c in _CONNECTIONS),
                    ],
                    ["rows per commit, group", *(_rows(cells[PRODUCT, c]) for c in _CONNECTIONS)],
                ],
            ),
            bite,
            judged(rows),
        ]
    )


def _p99(cells: list[Cell]) -> str:
    return spread([one.run.p99_ms for one in cells])


def _rows(cells: list[Cell]) -> str:
    return spread([one.rows_per_commit for one in cells if one.rows_per_commit], 1)
