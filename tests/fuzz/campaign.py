"""Fuzzes all targets in turn until each has had so many executions: `campaign.py FOLDER [RUNS [TARGET …]]`.

The folder keeps what was reached, so that a campaign that was ended goes on where it was: run it again. How it
stands is in FOLDER/standing.md, and what was found in FOLDER/TARGET/findings.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

HERE = Path(__file__).parent
# By name, so that the runner itself loads none of the code under attack.
_NAMES = """
    people_counter face_terminal camlytics_webhook camlytics_poll camlytics_cloud_webhook camlytics_cloud_lists
    camlytics_cloud_events camlytics_cloud_totals camlytics_cloud_histograms camio callbacks_port xml json
    redaction masking http11 configuration control terminal
"""
TARGETS = tuple(_NAMES.split())
GOAL = 10_000_000  # executions of each, where nobody says how many
_SLICE_S = 300
_SLICE_RUNS = 1_000_000  # to begin costs seconds
_AT_ONCE = 2
_TRIES = 3  # slices in a row without a single run: then a target cannot start, and would be taken for ever
_REST_S = 5
_DONE = re.compile(r"stat::number_of_executed_units: *([0-9]+)")
_PROGRESS = re.compile(r"cov: ([0-9]+) ft: ([0-9]+) corp: ([0-9]+)/")
_HEAD = "| parser | executions | per second | inputs kept | branches | open findings |\n|---|---|---|---|---|---|\n"


def executed(folder: Path, name: str) -> int:
    """Give the count that the running slice notes now and then."""
    file = folder / name / "executed"
    return int(file.read_text() or 0) if file.exists() else 0


def findings(folder: Path, name: str) -> list[str]:
    """Name what was found and not taken away since."""
    return sorted(path.name for path in (folder / name / "findings").glob("*") if path.suffix != ".txt")


def table(folder: Path, standing: dict[str, dict[str, Any]]) -> str:
    """Write how every target stands; what a running slice has done is counted too."""
    lines = []
    for name, row in standing.items():
        rate = row["runs"] / row["seconds"] if row["seconds"] else 0
        grown = len(list((folder / name / "grown").glob("*")))
        numbers = (
            f"{row['runs'] + executed(folder, name):,} | {rate:,.0f} | {grown} | {row.get('edges', '–')}"
        )
        lines.append(f"| {name} | {numbers} | {len(findings(folder, name))} |\n")
    return _HEAD + "".join(lines)


class Campaign:
    """What every target has reached."""

    def __init__(self, folder: Path, goal: int, names: list[str]) -> None:
        self.folder, self.goal = folder, goal
        self._lock = Lock()
        self._file = folder / "standing.json"
        kept = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.standing = {name: kept.get(name, {"runs": 0, "seconds": 0.0}) for name in names}
        self._busy: set[str] = set()
        self._in_vain: Counter[str] = Counter()  # slices in a row without a run
        for name, row in self.standing.items():  # slices that were ended from outside
            row["runs"] += self._taken(name)
        self._write()

    def next(self) -> str | None:
        """Take the target that is furthest behind."""
        with self._lock:
            open_ = [
                name
                for name, row in self.standing.items()
                if row["runs"] < self.goal and name not in self._busy and name not in self.given_up
            ]
            if not open_:
                return None
            name = min(open_, key=lambda one: self.standing[one]["runs"])
            self._busy.add(name)
            return name

    @property
    def given_up(self) -> list[str]:
        """Name the targets that cannot start; started again, a campaign tries them again."""
        return [name for name, times in self._in_vain.items() if times >= _TRIES]

    def work(self) -> None:
        """Run slices until nothing is left."""
        while (name := self.next()) is not None:
            self.slice(name)
            with self._lock:
                self._busy.discard(name)
                self._write()

    def slice(self, name: str) -> None:
        """Run one target for a while and note what it reached."""
        row, place = self.standing[name], self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        left = min(self.goal - int(row["runs"]), _SLICE_RUNS)
        begun = time.monotonic()
        command = [sys.executable, str(HERE / "fuzz.py"), name, str(place), str(_SLICE_S), str(left)]
        with (place / "log").open("wb") as log:
            code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        text = (place / "log").read_text("utf-8", "replace")
        told, counted = _DONE.search(text), self._taken(name)
        runs = int(told[1]) if told else counted
        row["runs"] += runs
        self._in_vain[name] = 0 if runs else self._in_vain[name] + 1
        row["seconds"] += time.monotonic() - begun
        if reached := _PROGRESS.findall(text):
            row["edges"], row["features"], row["corpus"] = (int(number) for number in reached[-1])
        row["findings"] = findings(self.folder, name)
        if code:
            row["ended"] = row.get("ended", 0) + 1
            (place / f"ended-{row['ended']}.log").write_text(text[-20_000:])
            time.sleep(_REST_S)

    def _taken(self, name: str) -> int:
        """Take the count of a slice that ended without telling."""
        counted = executed(self.folder, name)
        (self.folder / name / "executed").unlink(missing_ok=True)
        return counted

    def _write(self) -> None:
        self._file.write_text(json.dumps(self.standing, indent=1))
        (self.folder / "standing.md").write_text(table(self.folder, self.standing))


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    goal = int(sys.argv[2]) if len(sys.argv) > 2 else GOAL
    folder.mkdir(parents=True, exist_ok=True)
    os.nice(19)
    campaign = Campaign(folder, goal, sys.argv[3:] or list(TARGETS))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for one in [pool.submit(campaign.work) for _ in range(_AT_ONCE)]:
            one.result()
    sys.stdout.write((folder / "standing.md").read_text())
    wrong = []
    if campaign.given_up:
        wrong.append(
            f"Given up after {_TRIES} slices without a run: {', '.join(campaign.given_up)}. Look into {folder}/NAME/log."
        )
    found = [name for name, row in campaign.standing.items() if row.get("findings")]
    if found:
        wrong.append(f"Something was found in: {', '.join(found)}. Look into {folder}/NAME/findings.")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
