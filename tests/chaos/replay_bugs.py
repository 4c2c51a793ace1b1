"""Plant each deliberate bug alone in a copy of the tree, and see that the named tests notice; ends with a table.

``python tests/chaos/replay_bugs.py PART`` takes only the bugs that have this in their names.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from deliberate_bugs import Bug, bugs

ROOT = Path(__file__).parents[2]
# What targets of make keep in the tree is gigabytes, and no test of a bug reads it.
_NOT_COPIED = shutil.ignore_patterns(
    *(".*cache*", "__pycache__", ".hypothesis", ".git", ".venv*", "build", "dist"),
    *(".roots", ".peers", ".fuzz", ".deb", ".promtool"),
)
# What a test says when what it asserts is not so; anything else is an accident and proves nothing.
_ASSERTED = ("AssertionError", "assert ", "Failed: DID NOT RAISE")
_MOST_S = 300


def run(tree: Path, tests: list[str]) -> dict[str, str]:
    """Run tests in a tree; give by test what it said: "" for green."""
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--junitxml={report}", *tests],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_MOST_S,
        check=False,
    )
    return {case.get("name", ""): _said(case) for case in ET.parse(report).iter("testcase")}


def _said(case: ET.Element) -> str:
    for kind in ("error", "failure", "skipped"):
        found = case.find(kind)
        if found is not None:
            return f"{kind}: {found.get('message', '')}"
    return ""


def caught(told: dict[str, str], test: str) -> str | None:
    """Say why a named test has not caught a bug; None when it has. Of a file or a set of cases one is enough."""
    name = test.partition("::")[2]
    said = [words for case, words in told.items() if not name or case.partition("[")[0] == name]
    red = [words for words in said if words]
    if any(words.removeprefix("failure: ").startswith(_ASSERTED) for words in red):
        return None
    return red[0].splitlines()[0][:80] if red else "stayed green" if said else "was not run"


def replay(bug: Bug, tree: Path) -> tuple[bool, str]:
    """Plant a bug, run its tests, take it out again; give whether it was caught and what is to be said."""
    file = tree / bug.file
    source = file.read_text()
    file.write_text(bug.planted(source))
    try:
        told = run(tree, list(bug.tests))
    except subprocess.TimeoutExpired:
        return False, f"the tests did not end in {_MOST_S} s"
    except FileNotFoundError:
        return False, "no test was run"
    finally:
        file.write_text(source)
    missed = [f"{test}: {why}" for test in bug.tests if (why := caught(told, test))]
    return not missed, "; ".join(missed) or "caught"


def main() -> int:
    """Replay the list; 1 when a bug stays unnoticed."""
    chosen = [bug for bug in bugs() if all(word in bug.name for word in sys.argv[1:])]
    with tempfile.TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        shutil.copytree(ROOT, tree, ignore=_NOT_COPIED)
        began = time.monotonic()
        control = run(tree, sorted({test for bug in chosen for test in bug.tests}))
        red = {name: words for name, words in control.items() if words}
        print(
            f"control: {len(control)} tests without a bug, {len(red)} red, {time.monotonic() - began:.0f} s"
        )
        for name, words in red.items():
            print(f"  {name}: {words.splitlines()[0][:120]}")
        print("\n| bug | in | noticed by | seconds | verdict |\n|---|---|---|---|---|")
        missed = 0
        for bug in chosen:
            began = time.monotonic()
            was_caught, said = replay(bug, tree)
            missed += not was_caught
            names = ", ".join(test.rpartition("/")[2] for test in bug.tests)
            row = (bug.name, bug.file, names, f"{time.monotonic() - began:.0f}", said)
            print(f"| {' | '.join(row)} |", flush=True)
    print(f"\n{len(chosen) - missed} of {len(chosen)} bugs were caught.")
    return 1 if missed or red or not control else 0


if __name__ == "__main__":
    sys.exit(main())
