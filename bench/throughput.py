"""1. Accepted events per second with both sinks on, against the same server doing less or otherwise."""

import statistics
from collections import defaultdict

from load import Cell, ceiling, cell
from plan import Plan, say
from server import PRODUCT, Server, Site
from tables import judged, ratios, spread, table
from targets import Target

TITLE = "1. Accepted events per second, both sinks on"
_CONNECTIONS = (1, 4, 16, 64)
_SYSTEMS = (PRODUCT, "answering", "stock", "single", "early")
_NAMES = {
    PRODUCT: "**durable**: parse, group commit, reply after the commit",
    "answering": "answering without parsing or storing",
    "stock": "the same on stock hypercorn, for reference",
    "single": "commit per request",
    "early": "early ack (not durable)",
}
_Cells = dict[tuple[str, str, int], list[Cell]]


def run(plan: Plan) -> str:
    heights = _ceiling(plan)
    cells: _Cells = defaultdict(list)
    for repeat in range(plan.amount.repeats):
        for system in _SYSTEMS:
            say(f"  repeat {repeat + 1} of {plan.amount.repeats}: {system}")
            _one(plan, system, cells)
    return "\n\n".join(
        [
            (
                "Requests/s, median [min..max]. The event is parsed, committed with synchronous=FULL, read back from the"
                " log, published (QoS 1) and posted (signed, gzip, batches). rate_per_s = 0. Pictures are dropped."
            ),
            *(_rates(cells, workload) for workload in ("W1", "W2")),
            "p50 / p99 in ms, medians:",
            _latencies(cells),
            (
                "What it costs, medians. Delivered: share of the events of a run that MQTT / HTTPS had at its end; what is"
                " missing was delivered afterwards and is not in the CPU time beside it."
            ),
            _costs(cells),
            "Ratios, repeat by repeat:",
            _ratios(cells),
            _judgement(cells),
            _headroom(heights, cells),
        ]
    )


def _one(plan: Plan, system: str, cells: _Cells) -> None:
    plan.far_ends.upstream("forget")
    site = Site(directory=plan.fresh(system), variant=system, far_ends=plan.far_ends, cpu=plan.server_cpu)
    with Server(site) as server:
        server.connected()
        plan.generator.run(server.port, "W1", 4, 1)
        server.drained()
        for workload in ("W1", "W2"):
            for connections in _CONNECTIONS:
                cells[system, workload, connections].append(
                    plan.counted(cell, server, plan.generator, workload, connections, plan.amount.cell_s)
                )
        received = server.status()["received"]
    took = plan.far_ends.upstream()
    if took["unique"] != received or took["refused"]:
        raise SystemExit(f"bench: {system} received {received} and the HTTPS receiver has {took}")
    plan.remove(site.directory)


def _ceiling(plan: Plan) -> dict[tuple[str, int], float]:
    with ceiling(plan.directory, plan.server_cpu) as port:
        return {
            (workload, connections): plan.generator.run(port, workload, connections, 1).rate
            for workload in ("W1", "W2")
            for connections in _CONNECTIONS
        }


def _rate(cells: _Cells, system: str, workload: str, connections: int) -> list[float]:
    return [one.rate for one in cells[system, workload, connections]]


def _rates(cells: _Cells, workload: str) -> str:
    return table(
        [f"{workload}, connections", *(str(c) for c in _CONNECTIONS)],
        [
            [_NAMES[system], *(spread(_rate(cells, system, workload, c)) for c in _CONNECTIONS)]
            for system in _SYSTEMS
        ],
    )


def _latencies(cells: _Cells) -> str:
    def both(found: list[Cell]) -> str:
        p50 = statistics.median(one.run.p50_ms for one in found)
        p99 = statistics.median(one.run.p99_ms for one in found)
        return f"{p50:.2f} / {p99:.1f}"

    return table(
        ["", *(f"{w} {c}" for w in ("W1", "W2") for c in _CONNECTIONS)],
        [
            [system, *(both(cells[system, w, c]) for w in ("W1", "W2") for c in _CONNECTIONS)]
            for system in _SYSTEMS
        ],
    )


def _costs(cells: _Cells) -> str:
    rows = []
    for system in _SYSTEMS:
        for workload in ("W1", "W2"):
            for connections in (1, 16, 64):
                found = cells[system, workload, connections]
                rows.append(
                    [
                        f"{system}, {workload}, {connections}",
                        f"{statistics.median(one.cpu_us for one in found):.0f}",
                        _median([one.rows_per_commit for one in found if one.rows_per_commit], ".1f"),
                        f"{statistics.median(one.written for one in found):,.0f}",
                        _share(found),
                    ]
                )
    return table(["", "CPU µs/request", "rows/commit", "B written/request", "delivered %"], rows)


def _median(values: list[float], form: str) -> str:
    return format(statistics.median(values), form) if values else "–"


def _share(found: list[Cell]) -> str:
    if not found[0].delivered:
        return "–"
    names = sorted(found[0].delivered)
    return " / ".join(
        f"{statistics.median(one.delivered.get(name, 0.0) for one in found) * 100:.0f}" for name in names
    )


def _against(cells: _Cells, other: str, workload: str, connections: int) -> list[float]:
    return ratios(_rate(cells, PRODUCT, workload, connections), _rate(cells, other, workload, connections))


def _ratios(cells: _Cells) -> str:
    rows = [
        [
            f"{workload}: durable / {other}",
            *(spread(_against(cells, other, workload, c), 2) for c in _CONNECTIONS),
        ]
        for workload in ("W1", "W2")
        for other in _SYSTEMS[1:]
    ]
    rows += [
        [
            f"{workload}: the same by CPU time, {other}",
            *(spread(_by_cpu(cells, other, workload, c), 2) for c in _CONNECTIONS),
        ]
        for workload in ("W1", "W2")
        for other in _SYSTEMS[1:]
    ]
    return table(["", *(str(c) for c in _CONNECTIONS)], rows)


def _by_cpu(cells: _Cells, other: str, workload: str, connections: int) -> list[float]:
    """Compare the processor time of a request: neighbours change it less than the rate."""
    own, others = cells[PRODUCT, workload, connections], cells[other, workload, connections]
    return ratios([one.cpu_us for one in others], [one.cpu_us for one in own])


def _judgement(cells: _Cells) -> str:
    rows = []
    for workload, least in (("W1", 0.75), ("W2", 0.55)):
        for connections in (16, 64):
            target = Target(f"1: {workload} durable / answering at {connections}", least=least)
            rows.append((target, _against(cells, "answering", workload, connections), 2))
    for workload in ("W1", "W2"):
        target = Target(f"2: {workload} durable / early ack at 16", least=0.95)
        rows.append((target, _against(cells, "early", workload, 16), 2))
    return judged(rows)


def _headroom(heights: dict[tuple[str, int], float], cells: _Cells) -> str:
    best = {key: max(max(_rate(cells, s, *key)) for s in _SYSTEMS) for key in heights}
    return (
        "The generator against a C server that does nothing, requests/s (× the highest rate above):\n\n"
        + table(
            ["", *(str(c) for c in _CONNECTIONS)],
            [
                [w, *(f"{heights[w, c]:,.0f} (× {heights[w, c] / best[w, c]:.1f})" for c in _CONNECTIONS)]
                for w in ("W1", "W2")
            ],
        )
    )
