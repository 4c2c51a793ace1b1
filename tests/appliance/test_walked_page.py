"""How a page is taken apart for the walk, and that a walk notices what a page says wrongly."""

import ast
from pathlib import Path

import pytest
import walked_page
from walked_page import headings, steps, unseen

WALK = Path(__file__).with_name("test_pages_walked.py").read_text("utf-8")


@pytest.fixture
def page(monkeypatch):
    feed = "sudo tee x <<'END'\none\n\ntwo\nEND\nls\n"
    text = f"# A\n\n## First\n\n```sh\n{feed}```\n\n```\nx\n```\n\n## Second\n\n```sh\npwd\n```\n"
    monkeypatch.setitem(walked_page.PAGES, "page.md", text)


def test_a_text_that_is_fed_in_belongs_to_its_command(page):
    """Two commands, of which the first has four lines more, and what one sees behind them."""
    (step,) = steps("page.md", "First")
    assert ["sudo tee x <<'END'\none\n\ntwo\nEND", "ls"] == step.commands
    assert ["x"] == step.seen


def test_a_page_is_walked_to_its_end(page):
    """Without a heading all commands come, in their order."""
    assert ["ls", "pwd"] == [step.commands[-1] for step in steps("page.md")]


def test_numbers_and_blanks_may_differ_and_nothing_else():
    """What the page promises must come, in its order."""
    printed = "SINK    DELIVERED\nbroker  yes   12034\n"
    assert [] == unseen(["SINK DELIVERED", "broker yes 7"], printed)
    assert ["broker no"] == unseen(["SINK DELIVERED", "broker no"], printed)
    assert ["SINK"] == unseen(["broker", "SINK"], printed)


def walked(text: str) -> dict[str, set[str]]:
    """Give what a test has walked: the headings of each page, all of them where it names none."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "go":
            page, *heading = (word.value for word in node.args)
            found.setdefault(page, set()).update(heading or headings(page))
    return found


def test_every_section_with_commands_is_walked():
    """No heading of the pages for installers has commands that nobody has tried on a fresh box."""
    assert {"install.md", "first-site.md"} == walked(WALK).keys()
    assert {} == {page: headings(page) - done for page, done in walked(WALK).items() if headings(page) - done}


def test_a_section_that_is_not_walked_is_noticed(page):
    """The control: of two headings one is walked, and a text without commands is none to be walked."""
    assert {"First", "Second"} == headings("page.md")
    assert {"page.md": {"First"}} == walked('walk.go("page.md", "First")')
    assert {"page.md": {"First", "Second"}} == walked('walk.go("page.md")')
