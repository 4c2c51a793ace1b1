"""Puts how a campaign stands into docs/security.md: `report.py FOLDER`; also while it runs."""

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

GOAL = 10_000_000
PAGE = Path(__file__).parent.parent.parent / "docs" / "security.md"
_PLACE = re.compile(r"(<!-- fuzzing -->\n).*?(<!-- end of fuzzing -->)", re.DOTALL)
_HEAD = "| parser | executions | per second | inputs kept | branches | open findings |\n|---|---|---|---|---|---|\n"


def table(folder: Path) -> str:
    """Write the table; what a running slice has done is counted too."""
    standing = json.loads((folder / "standing.json").read_text())
    lines, short = [], 0
    for name, row in standing.items():
        note = folder / name / "executed"
        runs = int(row["runs"]) + (int(note.read_text() or 0) if note.exists() else 0)
        short += runs < GOAL
        rate = row["runs"] / row["seconds"] if row["seconds"] else 0
        grown = len(list((folder / name / "grown").glob("*")))
        open_ = len([path for path in (folder / name / "findings").glob("*") if path.suffix != ".txt"])
        lines.append(f"| {name} | {runs:,} | {rate:,.0f} | {grown} | {row.get('edges', '–')} | {open_} |")
    said = "Every parser has had them." if not short else f"{short} of {len(lines)} have not had them yet."
    return f"{said}\n\n{_HEAD}" + "\n".join(lines) + "\n"


def main() -> None:
    today = datetime.now(UTC).date().isoformat()
    head = f"As of {today}, on two cores shared with other work; each is to have {GOAL:,} inputs."
    said = f"\n{head} {table(Path(sys.argv[1]))}\n"
    text = PAGE.read_text("utf-8")
    PAGE.write_text(_PLACE.sub(lambda found: found[1] + said + found[2], text), "utf-8")
    sys.stdout.write(said)


if __name__ == "__main__":
    main()
