"""The text format in which Prometheus reads figures, written by hand: it is a page of rules."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# The values of a family's labels, in its order, and the figure.
Sample = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: what it is called, what it means, and by what it is told apart."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()


def exposition(families: Iterable[Family], figures: Mapping[str, Sequence[Sample]]) -> str:
    """Write the figures. A family of which nothing is known is left out: missing is not zero."""
    written, left = [], dict(figures)
    for family in families:
        samples = left.pop(family.name, ())
        if samples:
            written.append(f"# HELP {family.name} {_help(family.help)}\n# TYPE {family.name} {family.kind}\n")
            written += [
                f"{family.name}{_labels(family, values)} {_number(value)}\n" for values, value in samples
            ]
    if left:
        raise KeyError(f"no family is called {', '.join(left)}")
    return "".join(written)


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _labels(family: Family, values: tuple[str, ...]) -> str:
    if not values:
        return ""
    pairs = zip(family.labels, values, strict=True)
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in pairs) + "}"


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
