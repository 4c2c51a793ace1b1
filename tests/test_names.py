"""Test modules are found by their names, so no two may share one."""

from collections import Counter
from pathlib import Path


def test_no_two_test_modules_share_a_name():
    """Two files with one name would hide each other when all are collected together."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py") if path.name != "conftest.py")
    assert [] == [name for name, number in names.items() if number > 1]
