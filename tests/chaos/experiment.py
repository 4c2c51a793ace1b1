"""One experiment: what was broken on purpose, what was owed, and what became of it at the far ends.

Every success answer that a device got is an obligation. Afterwards nothing may be missing, wrong or spurious, doubles
only of what was in flight, and a fresh event still flows. An experiment in which too little was owed, or in which the
fault hardly happened, proves nothing: it fails.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.simulate.ledger import Verdict

# Generous: the machine of a test may be busy with something else. Who must drain a backlog first has one of his own.
RECOVERY_S = 60.0


@dataclass(frozen=True)
class Scale:
    """How much of an experiment is done: the short form in every test run, the long one in ``make soak``."""

    soak: bool

    def pick(self, short: Any, long: Any) -> Any:
        return long if self.soak else short


@dataclass
class Experiment:
    """The record of one experiment, a line of the table in docs/reliability.md."""

    name: str = ""
    faults: Counter[str] = field(default_factory=Counter)  # what really happened, by kind
    obligations: int = 0
    missing: int = 0
    wrong: int = 0
    duplicated: int = 0
    spurious: int = 0
    recovery_s: float | None = (
        None  # the longest from the end of a fault until a fresh event was at the far ends
    )
    control: bool = False  # no fault is meant to happen
    remarks: list[str] = field(default_factory=list)  # ceilings that were watched, with what was seen
    judged: bool = False
    demanded: bool = False
    slow: list[str] = field(default_factory=list)  # recoveries above their ceiling

    def hit(self, fault: str, times: int = 1) -> None:
        """Say that a fault really happened: call it with proof at hand, not where it was asked for."""
        self.faults[fault] += times

    def recovered(self, seconds: float, *, most: float = RECOVERY_S) -> None:
        """Enter how long a fresh event took after a fault; a ceiling of its own has who must drain a backlog first."""
        self.recovery_s = max(self.recovery_s or 0.0, seconds)
        if seconds > most:
            self.slow.append(f"{seconds:.1f} s of {most:.0f} s")

    def owe(self, obligations: int) -> None:
        """Say how many success answers were given, where no ledger of simulated devices tells."""
        self.obligations += obligations

    def found(self, *, missing: int = 0, wrong: int = 0, duplicated: int = 0, spurious: int = 0) -> None:
        """Enter what an oracle of its own found at a far end, or in the store."""
        self.judged = True
        self.missing += missing
        self.wrong += wrong
        self.duplicated += duplicated
        self.spurious += spurious

    def judge(self, verdicts: Mapping[str, Verdict]) -> None:
        """Enter what was found at both far ends; before anything fails for it, so that the table shows the breach."""
        for verdict in verdicts.values():
            self.found(
                missing=len(verdict.missing),
                wrong=len(verdict.wrong),
                duplicated=len(verdict.duplicates),
                spurious=len(verdict.spurious),
            )

    def ceiling(self, what: str, seen: float, most: float) -> None:
        """Hold a figure (memory, descriptors, threads, WAL, file) under its ceiling, and keep it for the table."""
        self.remarks.append(f"{what} {seen:,.0f} of {most:,.0f}")
        assert seen <= most, f"{self.name}: {what} reached {seen:,.0f}, allowed are {most:,.0f}"

    def demand(self, *, obligations: int, faults: int, doubled: int | None) -> None:
        """Fail when the experiment was empty, or when anything was lost, wrong, invented, or came too often.

        ``doubled`` is how many doubles the faults that happened explain; None only where the reason stands beside it.
        """
        self.demanded = True
        assert self.judged, f"{self.name}: nothing was held against the far end"
        assert self.obligations >= obligations, f"{self.name}: only {self.obligations} obligations"
        if self.control:
            assert not self.faults, f"{self.name}: a control run, and yet {dict(self.faults)}"
            assert self.recovery_s is None, f"{self.name}: a control run recovers from nothing"
        else:
            assert self.faults.total() >= faults, f"{self.name}: only {dict(self.faults)} happened"
        assert (0, 0, 0) == (self.missing, self.wrong, self.spurious), str(self)
        assert doubled is None or self.duplicated <= doubled, (
            f"{self.name}: {self.duplicated} came again, the faults explain {doubled}"
        )
        assert not self.slow, f"{self.name}: it took too long until a fresh event was there: {self.slow}"

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "faults": dict(self.faults)}
