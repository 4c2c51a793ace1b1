"""The documents for users, taken apart: blocks of code, words between backticks, tables, JSON examples."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = {path.name: path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")}
PAGES = {"README.md": (ROOT / "README.md").read_text("utf-8"), **DOCS}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


def spans(page: str) -> list[str]:
    """Give what stands between backticks outside of blocks."""
    return re.findall(
        r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    )


def tables(page: str, heading: str) -> list[dict[str, str]]:
    """Give the tables under one heading: the names in the first cell of each line, and the whole line."""
    text = re.split(rf"^#+ {re.escape(heading)}$", PAGES[page], flags=re.MULTILINE)[1]
    section = re.split(r"^#+ ", text, flags=re.MULTILINE)[0]
    bodies = re.findall(r"^\|[-|]+\|\n((?:\|.*\n)+)", section, re.MULTILINE)
    return [
        {name: line for line in body.splitlines() for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])}
        for body in bodies
    ]


def rows(page: str, heading: str) -> dict[str, str]:
    """Give the first table under a heading."""
    return tables(page, heading)[0]


def examples(page: str) -> list[dict]:
    """Parse every JSON example of a page; lists give their members."""
    parsed = [json.loads(block) for block in blocks(page, "json")]
    return [item for value in parsed for item in (value if isinstance(value, list) else [value])]
