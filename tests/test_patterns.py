"""Holds the regular expressions to what every supported Python does with them."""

import ast
import re
from pathlib import Path

import pytest

GATEWAY = Path(__file__).parents[1] / "gateway"
# A repeat that gives nothing back, of a group: the sign behind a closing bracket's own repeat.
_REPEATED_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")


def _patterns():
    for path in sorted(GATEWAY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
                for found in _REPEATED_GROUP.finditer(text):
                    yield f"{path.relative_to(GATEWAY)}:{node.lineno}", _group(text, found.start())


def _group(text, end):
    """Give the group that ends there."""
    depth, place = 0, end
    while place >= 0:
        if text[place] in "()" and text[place - 1 : place] != "\\":
            depth += {")": 1, "(": -1}[text[place]]
        if depth == 0:
            return text[place : end + 1]
        place -= 1
    return text


@pytest.mark.parametrize(("where", "group"), [*_patterns()])
def test_a_group_that_gives_nothing_back_is_atomic_inside(where, group):
    """Python before 3.11.5, as in Debian 12, else keeps what the last, failed turn of such a repeat had taken."""
    assert group.startswith("(?:(?>") and group.endswith("))"), (
        f"{where}: write (?:(?>…))*+ instead of {group}"
    )


def test_there_are_such_groups():
    """The walk above finds what it is for."""
    assert len([*_patterns()]) >= 9
    assert "(?:a|b)" == _group("x(?:a|b)*+", 7)
