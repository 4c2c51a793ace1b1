"""3. From the push to a QoS 1 subscriber."""

import json
import random
import re
import statistics
import time
from collections.abc import Callable

from broker import Listening
from load import BadRun
from measure import waited
from plan import Plan, say
from sender import Sender
from server import Server, Site
from tables import judged, table
from targets import Target

TITLE = "3. Latency from push to subscriber"
_PER_S = 30
_WARM_UP = 20
_DEVICE = 99_000
_TOPIC = "gateway/+/+/event"
_UUID = re.compile(rb'"uuid":"([^"]+)"')
_UNIX = re.compile(rb'UnixStartTime="([0-9]+)"')


def run(plan: Plan) -> str:
    rows, judgement = [], []
    site = Site(directory=plan.fresh("latency"), far_ends=plan.far_ends)
    with Server(site) as server:
        server.connected()
        for workload in ("W1", "W2"):
            say(f"  {plan.amount.pushes} pushes of {workload}")
            latencies, replies = plan.counted(series, plan, server, workload, plan.amount.pushes)
            p50, p99 = quantile(latencies, 0.5), quantile(latencies, 0.99)
            rows.append(
                [
                    workload,
                    str(len(latencies)),
                    *(f"{v:.2f}" for v in (p50, quantile(latencies, 0.9), p99, max(latencies))),
                    f"{quantile(replies, 0.5):.2f} / {quantile(replies, 0.99):.2f}",
                    f"{p99 / p50:.1f}",
                ]
            )
            judgement.append((Target(f"6: {workload} p99 / own p50", most=5), [p99 / p50], 1))
    plan.remove(site.directory)
    return "\n\n".join(
        [
            (
                f"One connection, {_PER_S} pushes/s at uneven intervals, both sinks on, nothing pinned, sender and"
                " subscriber in one Python process. ms."
            ),
            table(["", "pushes", "p50", "p90", "p99", "max", "reply p50 / p99", "p99 / p50"], rows),
            judged(judgement),
            "The other bounds of target 6 are against peers.",
        ]
    )


def series(
    plan: Plan, server: Server, workload: str, pushes: int, *, per_s: float = _PER_S
) -> tuple[list[float], list[float]]:
    """Push on a schedule; give, in ms, when the subscriber had each event and when the reply came."""
    rng = random.Random(1)
    sent: dict[bytes | str, float] = {}
    replies: list[float] = []
    with (
        Listening(plan.far_ends.broker_port, _TOPIC) as listening,
        Sender(plan.generator, server.port, workload, _DEVICE) as sender,
    ):
        due = time.monotonic()
        for number in range(pushes + _WARM_UP):
            due += rng.uniform(0.5, 1.5) / per_s  # never in step with a timer of the daemon
            waited(due)
            body, moment, reply_s = sender.push()
            if number >= _WARM_UP:
                sent[_key_of_body(body)] = moment
                replies.append(reply_s * 1000)
        came = _arrivals(listening, sent.keys(), lambda: time.monotonic() > due + 60)
    return [(came[key] - moment) * 1000 for key, moment in sent.items()], replies


def _arrivals(listening: Listening, wanted, given_up: Callable[[], bool]) -> dict:
    """Wait until all came; the first arrival of each counts."""
    came: dict = {}
    seen = 0
    while not wanted <= came.keys():
        if given_up():
            raise BadRun(f"{len(wanted - came.keys())} of {len(wanted)} events did not reach the subscriber")
        news = listening.messages[seen:]
        seen += len(news)
        for moment, payload in news:
            came.setdefault(_key_of_event(json.loads(payload)), moment)
        time.sleep(0.05)
    return came


def _key_of_body(body: bytes) -> str:
    found = _UUID.search(body)
    if found:
        return found[1].decode()
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(int(_UNIX.search(body)[1])))


def _key_of_event(event: dict) -> str:
    if not event["device"].endswith(str(_DEVICE)):
        return ""  # of a backlog that is sent beside it
    return event["data"].get("uuid") or event["time"]


def quantile(values: list[float], share: float) -> float:
    if share == 0.5:
        return statistics.median(values)
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
