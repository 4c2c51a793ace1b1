"""What docs/security.md says in numbers is what the product has by default."""

import re

import pytest
from pages import DOCS

from gateway.config import Config

PAGE = DOCS["security.md"]


def limits() -> list[tuple[str, str]]:
    """Give each option of the table of limits with the cell of its default."""
    section = PAGE.split("\n## Limits\n")[1].split("\n## ")[0]
    found = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 3:
            found += [(option, cells[1]) for option in re.findall(r"`([a-z_]+\.[a-z_]+)`", cells[2])]
    return found


def spelled(value: float) -> set[str]:
    """Give the ways in which a limit may be written."""
    forms = {f"{value:g} s", f"{value:,.0f}", f"{value:.0f}"}
    for unit, size in (("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30), ("MB", 10**6)):
        if not value % size:
            forms.add(f"{value // size:.0f} {unit}")
    return forms


@pytest.mark.parametrize(("option", "cell"), limits())
def test_a_limit_is_the_default_of_its_option(option, cell):
    """A number in the table of limits is the default of the option beside it."""
    section, name = option.split(".")
    value = getattr(getattr(Config(), section), name)
    assert any(re.search(rf"(?<!\d)(?<!\d,){re.escape(form)}(?!,?\d)", cell) for form in spelled(value)), (
        option,
        value,
    )


def test_the_table_has_the_limits_that_guard_the_port():
    """Connections, heads, bodies, letters, adoption and the store all have a line."""
    sections = {option.split(".")[0] for option, _ in limits()}
    assert {"listen", "store", "adoption"} == sections
    assert len(limits()) >= 18
