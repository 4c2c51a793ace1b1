"""The ceilings of docs/wear.md are the defaults of the product, and each is held by a test that exists."""

import re
from pathlib import Path

import pytest
from pages import DOCS, ROOT

from gateway.config import Config

SECTION = DOCS["wear.md"].split("\n## Ceilings\n")[1].split("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTION.splitlines()
    if line.startswith("|") and "---" not in line
][1:]
UNIT = (ROOT / "systemd" / "gateway.service").read_text("utf-8")


def spelled(value: float) -> set[str]:
    forms = {f"{value:g}", f"{value:g} days"}
    for unit, size in (("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30)):
        if not value % size:
            forms.add(f"{value // size:.0f} {unit}")
    return forms


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_ceiling_is_a_default_and_has_a_test(row):
    """The figures of a line are the defaults of the options in it, and the test that it names is there."""
    ceiling, options, tests = row[2], re.findall(r"`(\w+)\.(\w+)`", row[3]), re.findall(r"`([^`]+)`", row[4])
    for section, name in options:
        value = getattr(getattr(Config(), section), name)
        assert any(re.search(rf"\b{re.escape(form)}\b", ceiling) for form in spelled(value)), (name, value)
    assert tests
    assert all(Path(ROOT, test).exists() for test in tests)


def test_every_store_has_its_line():
    """Database, log, pictures, letters, captures, the lines of the log, the ballast: none is without a ceiling."""
    assert 10 == len(ROWS)
    words = " ".join(" ".join(row) for row in ROWS)
    for file in ("gateway.db", "gateway.db-wal", "pictures/", "captures/", "gateway.ballast", "the journal"):
        assert file in words


def test_the_unit_bounds_what_the_journal_gets():
    """A storm of errors is cut by systemd, because the gateway's own filter lets every error through."""
    limits = dict(re.findall(r"^(LogRateLimit\w+)=(\d+)$", UNIT, flags=re.MULTILINE))
    assert {"LogRateLimitIntervalSec": "30", "LogRateLimitBurst": "1000"} == limits
