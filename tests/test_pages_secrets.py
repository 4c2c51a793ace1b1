"""What the pages have people type leaves no secret in a log."""

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parent.parent / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_secret_is_an_argument_of_sudo(page):
    """sudo logs its arguments: in none of them the shell has put what is in a file of secrets, or a password."""
    logged = [
        line
        for line in page.read_text().splitlines()
        if re.match(r"sudo (?!sh -c ')[^|]*\$\((?:sudo )?cat ", line)
        or re.match(r"sudo mosquitto_passwd.* -b ", line)
    ]
    assert [] == logged
