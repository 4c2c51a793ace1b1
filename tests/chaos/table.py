"""The table of all experiments of a run, as Markdown."""

from collections.abc import Iterable, Mapping
from typing import Any

_HEAD = (
    "experiment",
    "faults injected",
    "obligations",
    "missing",
    "duplicated",
    "spurious",
    "recovery s",
    "seen",
)


def markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = ["| " + " | ".join(_HEAD) + " |", "| --- | --- |" + " --: |" * 5 + " --- |"]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    faults = ", ".join(f"{number:,} × {name}" for name, number in sorted(row["faults"].items()))
    recovery = "–" if row["recovery_s"] is None else f"{row['recovery_s']:.1f}"
    failed = " **FAILED**" if row["failed"] else ""
    missing = row["missing"] + row["wrong"]
    nothing = (
        f"NOT RUN: {row['not_run']}" if row["not_run"] else "none (control)" if row["control"] else "none"
    )
    return [
        row["name"] + failed,
        faults or nothing,
        f"{row['obligations']:,}",
        f"{missing:,}",
        f"{row['duplicated']:,}",
        f"{row['spurious']:,}",
        recovery,
        "; ".join([*row["remarks"], f"{row['seconds']:.0f} s"]),
    ]
