"""4. How fast a backlog goes out, and how new events fare beside it."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from latency import quantile, series
from measure import cpu_s
from plan import Plan, say
from server import Server, Site
from stores import filled
from tables import judged, spread, table
from targets import Target

TITLE = "4. Draining a backlog"
_EVENTS = 100_000
_CAPPED_PER_S = 2_000  # the default of the product
_LIVE_PUSHES = 100
_LIVE_PER_S = 10


def run(plan: Plan) -> str:
    store = filled(plan, _EVENTS)
    drains = {
        kind: [_drain(plan, store, kind, n) for n in range(plan.amount.drains)] for kind in ("mqtt", "https")
    }
    rates = {kind: [rate for rate, _ in found] for kind, found in drains.items()}
    live = plan.counted(_live, plan, store)
    p50, p99 = quantile(live, 0.5), quantile(live, 0.99)
    rows = [
        (Target("11: MQTT, QoS 1, events/s", least=8_000), rates["mqtt"], 0),
        (Target("11: HTTPS, batches, events/s", least=10_000), rates["https"], 0),
        (Target("11: live event at a sink during a drain", most=5, unit=" s"), [max(live) / 1000], 2),
    ]
    return "\n\n".join(
        [
            (
                f"{_EVENTS:,} events, read from the log, rate_per_s = 0, one sink at a time, nobody pushes. What the far end"
                " has was compared with the account."
            ),
            table(
                ["", "events/s", "daemon's CPU µs/event"],
                [
                    [kind, spread(rates[kind]), spread([cpu for _, cpu in found])]
                    for kind, found in drains.items()
                ],
            ),
            (
                f"Beside a drain capped at {_CAPPED_PER_S:,}/s on both sinks, {len(live)} pushes at {_LIVE_PER_S}/s reach"
                f" the MQTT subscriber after p50 {p50:.1f} ms, p99 {p99:.1f} ms, at most {max(live):.1f} ms."
            ),
            judged(rows),
        ]
    )


def _drain(plan: Plan, store: Path, kind: str, number: int) -> tuple[float, float]:
    """Drain it all into one sink that is new to the store; give events/s and µs of CPU per event."""
    say(f"  {kind}, {number + 1} of {plan.amount.drains}")
    name = f"{kind}-{number}"
    before = plan.far_ends.upstream("forget")["unique"] if kind == "https" else plan.far_ends.published()
    site = Site(
        directory=plan.fresh(f"drain-{name}"),
        store=store,
        far_ends=plan.far_ends,
        mqtt=name if kind == "mqtt" else "",
        https=name if kind == "https" else "",
        cpu=plan.server_cpu,
    )
    with Server(site) as server:
        rate, cpu = _watched(server, store, name)
    came = plan.far_ends.upstream()["unique"] if kind == "https" else plan.far_ends.published() - before
    if came < _EVENTS:
        raise SystemExit(f"bench: {kind} was told of {_EVENTS} deliveries and has {came}")
    return rate, cpu


def _watched(server: Server, store: Path, name: str) -> tuple[float, float]:
    """Follow the cursor in the file, which costs the daemon nothing; from the first step to the last."""
    first: tuple[float, int, float] | None = None
    deadline = time.monotonic() + 300
    with closing(sqlite3.connect(f"file:{store / 'gateway.db'}?mode=ro", uri=True)) as conn:
        while time.monotonic() < deadline:
            row = conn.execute("SELECT delivered FROM sinks WHERE name = ?", (name,)).fetchone()
            delivered = row[0] if row else 0
            now, cpu = time.perf_counter(), cpu_s(server.pid)
            if delivered and first is None:
                first = now, delivered, cpu
            if delivered >= _EVENTS:
                events = delivered - first[1]
                return events / (now - first[0]), (cpu - first[2]) / events * 1e6
            time.sleep(0.01)
    raise SystemExit(f"bench: the backlog does not drain: {server.accounts()}")


def _live(plan: Plan, store: Path) -> list[float]:
    """Push a little while a capped drain goes on; ms to the subscriber."""
    say("  new events beside a capped drain")
    site = Site(
        directory=plan.fresh("drain-live"),
        store=store,
        far_ends=plan.far_ends,
        mqtt=f"live-mqtt-{time.time_ns()}",
        https=f"live-https-{time.time_ns()}",
        rate_per_s=_CAPPED_PER_S,
    )
    with Server(site) as server:
        server.connected()
        latencies, _ = series(plan, server, "W1", _LIVE_PUSHES, per_s=_LIVE_PER_S)
        if not any(sink["waiting"] > _EVENTS / 4 for sink in server.accounts().values()):
            raise SystemExit("bench: the backlog was gone before the pushes were: nothing was measured")
    return latencies
