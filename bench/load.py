"""Generate load with wrk and check what came of it.

One wrk thread, because every thread has a Lua state of its own and would repeat the keys. A run with errors
does not count, and neither does one after which the log has not grown by what was acknowledged.
"""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bodies import Workload, first_base, workloads
from disk import compiled
from measure import busy_s, cpu_s, written
from processor import pinned
from server import STORELESS, Server

_HERE = Path(__file__).parent


class BadRun(Exception):
    """What was measured must not be used."""


@dataclass(frozen=True)
class Run:
    """What wrk says."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Cell:
    """One run against a daemon, with what it cost."""

    run: Run
    cpu_us: float  # of the daemon, per request
    rows_per_commit: float | None
    written: float  # bytes to the disk, per request
    delivered: dict[str, float]  # sink: share of this run's events that it had at the end of the run
    foreign: float  # share of the server's processor that went to anything else

    @property
    def rate(self) -> float:
        return self.run.rate


class Generator:
    """Runs wrk; no two requests of its life have the same key."""

    def __init__(self, directory: Path, cpu: int | None) -> None:
        self._wrk = shutil.which("wrk")
        if self._wrk is None:
            sys.exit("bench: wrk is not installed. Install it: apt install wrk")
        self._cpu = cpu
        self._base = first_base()
        self._turns = dict.fromkeys(("W1", "W2"), 0)
        self._runs = itertools.count(int.from_bytes(os.urandom(3), "big"))
        self.workloads = workloads()
        self._templates = {}
        for name, workload in self.workloads.items():
            self._templates[name] = path = directory / f"{name}.template"
            path.write_text(workload.template)

    def run(self, port: int, workload: str, connections: int, seconds: int, path: str = "/push") -> Run:
        """Push as fast as the server answers; raises `BadRun` when there was any error."""
        kind: Workload = self.workloads[workload]
        command = pinned(
            self._cpu,
            *(self._wrk, "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "20s"),
            *("-s", str(_HERE / "push.lua"), f"http://127.0.0.1:{port}{path}", "--"),
            *(str(self._templates[workload]), kind.content_type, str(kind.length)),
            *(str(connections), str(self._turns[workload]), str(self._base), f"{next(self._runs):08x}", path),
        )
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        line = next((line for line in said.stdout.splitlines() if line.startswith("BENCH ")), None)
        if line is None:
            raise BadRun(f"wrk did not end well: {said.stdout} {said.stderr}")
        told = json.loads(line.removeprefix("BENCH "))
        self._turns[workload] += told["requests"] // connections + connections + 2
        if any(told["errors"].values()) or not told["requests"]:
            raise BadRun(f"errors at {connections} connections with {workload}: {told['errors']}")
        return Run(told["requests"], told["seconds"], told["p50_ms"], told["p99_ms"], told["max_ms"])

    def own_body(self, workload: str, device: int) -> bytes:
        """Make one body that no run of wrk sends, for a sender in Python."""
        self._turns[workload] += 1
        run = f"{next(self._runs):08x}"
        return self.workloads[workload].body(
            device=device, turn=self._turns[workload], base=self._base, run=run
        )


def cell(
    server: Server,
    generator: Generator,
    workload: str,
    connections: int,
    seconds: int,
    *,
    settle: bool = True,
) -> Cell:
    """Measure one cell. Rows = acknowledged, but for what wrk had in flight when its time was up.

    With ``settle`` the next cell begins with nothing waiting.
    """
    storing = server.site.variant not in STORELESS
    before = server.status()
    busy = _busy_s(server)
    cpu, wrote = cpu_s(server.pid), written(server.pid)
    run = generator.run(server.port, workload, connections, seconds)
    cpu, wrote = cpu_s(server.pid) - cpu, written(server.pid) - wrote
    foreign = max(_busy_s(server) - busy - cpu, 0.0) / run.seconds
    after = server.status()
    delivered = _delivered(before, after)
    if settle:
        server.drained()
    rows = server.status()["received"] - before["received"] if storing else 0
    commits = after["store"]["commits"] - before["store"]["commits"]
    if storing and not run.requests <= rows <= run.requests + connections:
        raise BadRun(f"{run.requests} were acknowledged and {rows} are in the log")
    return Cell(
        run,
        cpu / run.requests * 1e6,
        rows / commits if storing and commits else None,
        wrote / run.requests,
        delivered,
        foreign,
    )


def _busy_s(server: Server) -> float:
    return 0.0 if server.site.cpu is None else busy_s(server.site.cpu)


def _delivered(before: dict, after: dict) -> dict[str, float]:
    new = after["received"] - before["received"]
    earlier = {sink["name"]: sink.get("delivered", 0) for sink in before["sinks"]}
    return {
        sink["name"]: (sink.get("delivered", 0) - earlier.get(sink["name"], 0)) / new
        for sink in after["sinks"]
        if sink.get("configured") and new
    }


@contextlib.contextmanager
def ceiling(directory: Path, cpu: int | None) -> Iterator[int]:
    """Run the C server that does nothing; give its port."""
    program = compiled("ceiling.c", directory / "ceiling")
    process = subprocess.Popen(pinned(cpu, str(program)), stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
