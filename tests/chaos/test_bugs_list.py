"""The list of deliberate bugs fits the code as it is, so that `make bugs` replays what it says."""

import ast
from pathlib import Path

import pytest
from deliberate_bugs import bugs

ROOT = Path(__file__).parents[2]


def test_there_are_eleven_bugs_of_different_names():
    """The list has eleven, each with a sentence of what it breaks and a test that must notice."""
    assert 11 == len({bug.name for bug in bugs()}) == len(bugs())
    assert all(bug.breaks and bug.tests for bug in bugs())


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug):
    """Its old text stands exactly once in its file, and what takes its place is Python."""
    source = (ROOT / bug.file).read_text()
    planted = bug.planted(source)
    assert source != planted
    ast.parse(planted)


@pytest.mark.parametrize("test", sorted({test for bug in bugs() for test in bug.tests}))
def test_a_named_test_exists(test):
    """The file of a named test is there and defines it."""
    file, _, name = test.partition("::")
    defined = ast.walk(ast.parse((ROOT / file).read_text()))
    names = {one.name for one in defined if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name.partition("[")[0] in names


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_a_bug_is_documented(bug):
    """Its row in docs/reliability.md says what it breaks and which tests notice."""
    rows = (ROOT / "docs" / "reliability.md").read_text().splitlines()
    tests = ", ".join(f"`{test.rpartition('::')[2]}`" for test in bug.tests)
    assert f"| {bug.name} | {bug.breaks} | {tests} |" in rows
