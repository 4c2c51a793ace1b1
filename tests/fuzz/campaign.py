"""Fuzzes all targets in turn until each has had so many executions: `campaign.py FOLDER RUNS [TARGET …]`.

The folder keeps what was reached, so that a campaign that was ended goes on where it was: run it again. How it
stands is in FOLDER/standing.md, and what was found in FOLDER/TARGET/findings.
"""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

HERE = Path(__file__).parent
# By name, so that the runner itself loads none of the code under attack.
_NAMES = """
    people_counter face_terminal camlytics_webhook camlytics_poll camlytics_cloud_webhook camlytics_cloud_lists
    camlytics_cloud_events camlytics_cloud_totals camlytics_cloud_histograms camio callbacks_port xml json
    redaction masking http11 configuration control terminal
"""
TARGETS = tuple(_NAMES.split())
_SLICE_S = 300
_SLICE_RUNS = 1_000_000  # to begin costs seconds
_AT_ONCE = 2
_DONE = re.compile(r"stat::number_of_executed_units: *([0-9]+)")
_PROGRESS = re.compile(r"cov: ([0-9]+) ft: ([0-9]+) corp: ([0-9]+)/")


class Campaign:
    """What every target has reached."""

    def __init__(self, folder: Path, goal: int, names: list[str]) -> None:
        self.folder, self.goal = folder, goal
        self._lock = Lock()
        self._file = folder / "standing.json"
        kept = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.standing = {name: kept.get(name, {"runs": 0, "seconds": 0.0}) for name in names}
        self._busy: set[str] = set()
        for name, row in self.standing.items():  # slices that were ended from outside
            row["runs"] += self._executed(name)
        self._write()

    def next(self) -> str | None:
        """Take the target that is furthest behind."""
        with self._lock:
            open_ = [
                name
                for name, row in self.standing.items()
                if row["runs"] < self.goal and name not in self._busy
            ]
            if not open_:
                return None
            name = min(open_, key=lambda one: self.standing[one]["runs"])
            self._busy.add(name)
            return name

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
        runs, counted = _DONE.search(text), self._executed(name)
        row["runs"] += int(runs[1]) if runs else counted
        row["seconds"] += time.monotonic() - begun
        if reached := _PROGRESS.findall(text):
            row["edges"], row["features"], row["corpus"] = (int(number) for number in reached[-1])
        row["findings"] = sorted(
            path.name for path in (place / "findings").glob("*") if path.suffix != ".txt"
        )
        if code:
            row["ended"] = row.get("ended", 0) + 1
            (place / f"ended-{row['ended']}.log").write_text(text[-20_000:])
            time.sleep(5)

    def _executed(self, name: str) -> int:
        """Take the count that the running slice notes now and then."""
        file = self.folder / name / "executed"
        counted = int(file.read_text() or 0) if file.exists() else 0
        file.unlink(missing_ok=True)
        return counted

    def _write(self) -> None:
        self._file.write_text(json.dumps(self.standing, indent=1))
        lines = [
            "| parser | executions | per second | edges | corpus | findings |",
            "|---|---|---|---|---|---|",
        ]
        for name, row in self.standing.items():
            rate = row["runs"] / row["seconds"] if row["seconds"] else 0
            found = len(row.get("findings", ()))
            numbers = f"{row.get('edges', 0)} | {row.get('corpus', 0)} | {found}"
            lines.append(f"| {name} | {row['runs']:,} | {rate:,.0f} | {numbers} |")
        (self.folder / "standing.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    folder, goal = Path(sys.argv[1]).absolute(), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    os.nice(19)
    campaign = Campaign(folder, goal, sys.argv[3:] or list(TARGETS))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for one in [pool.submit(campaign.work) for _ in range(_AT_ONCE)]:
            one.result()
    sys.stdout.write((folder / "standing.md").read_text())
    found = [name for name, row in campaign.standing.items() if row.get("findings")]
    if found:
        sys.exit(f"Something was found in: {', '.join(found)}. Look into {folder}/NAME/findings.")


if __name__ == "__main__":
    main()
