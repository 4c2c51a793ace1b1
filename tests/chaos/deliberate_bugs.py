"""The list of deliberate bugs, and how one of them is planted."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("bugs.toml")


@dataclass(frozen=True)
class Bug:
    """A small change that breaks a promise, and the tests that must notice."""

    name: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def planted(self, source: str) -> str:
        """Give the text of the file with the bug; raises `ValueError` when its place is not to be found."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: its text stands {source.count(self.old)} times in {self.file}")
        return source.replace(self.old, self.new)


def bugs() -> list[Bug]:
    listed = tomllib.loads(LIST.read_text())["bug"]
    return [Bug(**{**one, "tests": tuple(one["tests"])}) for one in listed]
