"""Puts how a campaign stands into docs/security.md: `report.py FOLDER`; also while it runs."""

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from campaign import GOAL, executed, table

PAGE = Path(__file__).parent.parent.parent / "docs" / "security.md"
_PLACE = re.compile(r"(<!-- fuzzing -->\n).*?(<!-- end of fuzzing -->)", re.DOTALL)


def standing_of(folder: Path) -> str:
    """Say how far a campaign is; what a running slice has done is counted too."""
    standing = json.loads((folder / "standing.json").read_text())
    short = sum(row["runs"] + executed(folder, name) < GOAL for name, row in standing.items())
    said = "Every parser has had them." if not short else f"{short} of {len(standing)} have not had them yet."
    return f"{said}\n\n{table(folder, standing)}"


def main() -> None:
    today = datetime.now(UTC).date().isoformat()
    head = f"As of {today}, on two cores shared with other work; each is to have {GOAL:,} inputs."
    said = f"\n{head} {standing_of(Path(sys.argv[1]))}\n"
    text = PAGE.read_text("utf-8")
    PAGE.write_text(_PLACE.sub(lambda found: found[1] + said + found[2], text), "utf-8")
    sys.stdout.write(said)


if __name__ == "__main__":
    main()
