"""How a page is taken apart for the walk, and that a walk notices what a page says wrongly."""

import pytest
import walked_page
from walked_page import steps, unseen


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
