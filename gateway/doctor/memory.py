"""How much memory is left, on the box and below the ceiling of the gateway's unit."""

from collections.abc import Iterable

from gateway.doctor.box import Box, Check, untold, well, wrong
from gateway.doctor.finding import Finding
from gateway.outbox import opening

NAME = "memory"
_KIB, _MIB = 1 << 10, 1 << 20
_LEAST_SHARE, _LEAST_BYTES = 0.05, 64 * _MIB
_NEAR = 0.9  # of the ceiling


def look(box: Box) -> Iterable[Finding]:
    """Compare what is available with what there is, and what the gateway uses with its ceiling."""
    facts = _facts(box.read("proc/meminfo") or "")
    total, available = facts.get("MemTotal", 0), facts.get("MemAvailable", 0)
    if not total:
        yield untold(NAME, "How much memory there is cannot be read here.")
        return
    swap = facts.get("SwapTotal", 0)
    said = f"{available // _MIB} of {total // _MIB} MiB of memory are available"
    said += (
        f", {facts.get('SwapFree', 0) // _MIB} of {swap // _MIB} MiB of swap."
        if swap
        else "; there is no swap."
    )
    if available < min(total * _LEAST_SHARE, _LEAST_BYTES):
        yield wrong(NAME, "memory_short", f"Only {said}")
        return
    near = _ceiling(box)
    yield near if near is not None else well(NAME, said)


def _facts(text: str) -> dict[str, int]:
    """Read the figures, in bytes."""
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): int(row[1]) * _KIB for row in rows if len(row) > 1 and row[1].isdecimal()}


def _ceiling(box: Box) -> Finding | None:
    """Say when the gateway is near the ceiling of its unit; what is only cached can be given back and does not count."""
    group = _group(box)
    if group is None:
        return None
    limits = [
        text
        for name in ("memory.max", "memory.high")
        if (text := box.read(f"{group}/{name}") or "").isdecimal()
    ]
    used = box.read(f"{group}/memory.current") or ""
    if not limits or not used.isdecimal():
        return None
    rows = (line.split() for line in (box.read(f"{group}/memory.stat") or "").splitlines())
    stat = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}
    held = int(used) - stat.get("inactive_file", 0) - stat.get("active_file", 0)
    limit = min(int(text) for text in limits)
    if held < limit * _NEAR:
        return None
    return wrong(
        NAME,
        "memory_short",
        f"The gateway uses {held // _MIB} of the {limit // _MIB} MiB that its unit may have.",
    )


def _group(box: Box) -> str | None:
    """Find the control group of the running gateway."""
    process = "self" if box.inside else opening.holder(box.config.store.path)
    text = None if process is None else box.read(f"proc/{process}/cgroup")
    path = next((line[3:] for line in (text or "").splitlines() if line.startswith("0::/")), None)
    return None if path is None else f"sys/fs/cgroup{path.rstrip('/')}"


CHECK = Check(NAME, look, frozenset({"memory_short"}), cheap=True, looks=3)
