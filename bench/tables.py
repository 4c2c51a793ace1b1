"""Markdown tables, and the numbers in them."""

import statistics
from collections.abc import Iterable, Sequence

from targets import Target


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; the first column is text, the others are numbers."""
    lines = [_line(head), _line(["---", *["--:"] * (len(head) - 1)])]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Write the median, and the range behind it when there is one."""
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) < 2:
        return middle
    return f"{middle} [{min(values):,.{digits}f}..{max(values):,.{digits}f}]"


def ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Divide repeat by repeat: what was measured in the same bad minute is compared with itself."""
    return [a / b for a, b in zip(one, other, strict=True)]


def judged(rows: Iterable[tuple[Target, Sequence[float], int]]) -> str:
    """Write targets beside what was seen; the median decides."""
    return table(
        ["target", "bound", "seen", "verdict"],
        [
            [target.what, target.bound, spread(seen, digits), target.verdict(statistics.median(seen))]
            for target, seen, digits in rows
        ],
    )
