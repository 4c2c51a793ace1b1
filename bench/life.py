"""6. Bytes written to the disk over an event's whole life."""

import json
import subprocess
import sys
from pathlib import Path

from plan import Plan, say
from tables import judged, table
from targets import Target

TITLE = "6. Bytes written per event: inserted, settled by two sinks, removed"
_HERE = Path(__file__).parent
_PER_COMMIT = (1, 10, 100)


def run(plan: Plan) -> str:
    rows, judgement = [], []
    for workload in ("W1", "W2"):
        body = plan.generator.workloads[workload].length
        for per_commit in _PER_COMMIT:
            say(f"  {workload}, {per_commit} events per commit")
            told = _one(plan, workload, per_commit)
            row, payload, bytes_ = told["row_bytes"], told["payload_bytes"], told["written"]
            rows.append(
                [
                    f"{workload}, {per_commit} per commit",
                    f"{told['rows_per_commit']:.1f}",
                    f"{told['inserted']:,.0f}",
                    f"**{bytes_:,.0f}**",
                    f"{row:.0f}: × {bytes_ / row:.1f}",
                    f"{payload:.0f}: × {bytes_ / payload:.1f}",
                    f"{body}: × {bytes_ / body:.2f}",
                ]
            )
            if per_commit == 10:
                target = Target(f"10: {workload}, 10 per commit, × the payload", most=5)
                judgement.append((target, [bytes_ / payload], 1))
    return "\n\n".join(
        [
            (
                f"{plan.amount.lives:,} events of 16 devices, `write_bytes` of the process after the last checkpoint and a"
                " sync. Three sizes of one event: the content of its row; the payload that a sink gets; the body that the"
                " device pushed."
            ),
            table(
                [
                    "",
                    "rows/commit",
                    "inserted and settled, B",
                    "whole life, B",
                    "row, B",
                    "payload, B",
                    "body, B",
                ],
                rows,
            ),
            judged(judgement),
        ]
    )


def _one(plan: Plan, workload: str, per_commit: int) -> dict[str, float]:
    store = plan.fresh(f"life-{workload}-{per_commit}")
    told = subprocess.run(
        [
            *(sys.executable, str(_HERE / "one_life.py"), str(store), workload),
            *(str(plan.amount.lives), str(per_commit)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    plan.remove(store)
    if told.returncode:
        raise SystemExit(f"bench: one_life.py failed: {told.stderr}")
    return json.loads(told.stdout)
