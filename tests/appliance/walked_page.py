"""A page of the documents as steps: each command as it is worded, and what the page says that one sees."""

import re
from dataclasses import dataclass, field

from pages import PAGES

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass
class Step:
    """The commands of one block, and the lines that must come in this order in what they print."""

    commands: list[str]
    seen: list[str] = field(default_factory=list)


def steps(page: str, heading: str | None = None) -> list[Step]:
    """Give the steps of a page, or of one of its headings. A block without a language is what one sees."""
    text = PAGES[page]
    if heading is not None:
        text = re.split(rf"^## {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    found: list[Step] = []
    for language, block in _BLOCK.findall(text):
        if language == "sh":
            found.append(Step(list(_commands(block))))
        else:
            found[-1].seen += block.splitlines()
    return found


def headings(page: str) -> set[str | None]:
    """Name the headings of a page that have commands below them; None is what stands before the first."""
    before, *parts = re.split(r"^## ", PAGES[page], flags=re.MULTILINE)
    sections = {None: before, **dict(part.split("\n", 1) for part in parts)}
    return {
        name
        for name, text in sections.items()
        if any(language == "sh" for language, _ in _BLOCK.findall(text))
    }


def _commands(block: str):
    lines = iter(block.splitlines())
    for line in lines:
        command = line
        if here := re.search(r"<<'(\w+)'", line):
            for more in lines:
                command += f"\n{more}"
                if more == here[1]:
                    break
        if command.strip():
            yield command


def unseen(wanted: list[str], printed: str) -> list[str]:
    """Give the lines that did not come, in their order; numbers and blanks may differ."""
    lines = iter([_plain(line) for line in printed.splitlines()])
    return [want for want in wanted if not any(_plain(want) in line for line in lines)]


def _plain(line: str) -> str:
    return re.sub(r"\d+", "0", " ".join(line.split()))
