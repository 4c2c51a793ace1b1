"""The targets that this bench can judge, and the sentence that says how far a value is from one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A bound on a value; ``least`` or ``most`` is set."""

    what: str
    least: float | None = None
    most: float | None = None
    unit: str = ""

    @property
    def bound(self) -> str:
        return (
            f"≥ {_plain(self.least)}{self.unit}"
            if self.least is not None
            else f"≤ {_plain(self.most)}{self.unit}"
        )

    def verdict(self, seen: float) -> str:
        """Say "met", or by how much not."""
        bound = self.least if self.least is not None else self.most
        met = seen >= bound if self.least is not None else seen <= bound
        if met:
            return "met"
        return f"missed by {abs(seen - bound) / bound * 100:.0f} %"


def _plain(number: float | None) -> str:
    return f"{number:,.0f}" if number is not None and number >= 1000 else f"{number:g}"
