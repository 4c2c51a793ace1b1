"""Fixtures of the experiments, and the one table at the end of a run."""

import json
import sys
import time
from pathlib import Path

import pytest
from experiment import Experiment, Scale
from site_under_test import Site
from table import markdown

sys.path.insert(0, str(Path(__file__).parents[1] / "backup"))

_ROW = "experiment"
_ENDED_WELL = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let `experiment` know whether the test itself ended well."""
    report = yield
    if call.when == "call":
        item.stash[_ENDED_WELL] = report.passed
    return report


@pytest.fixture
def scale(request) -> Scale:
    """How much is done: the short form, or with ``--soak`` the long one."""
    return Scale(soak=request.config.getoption("--soak"))


@pytest.fixture
def experiment(request):
    """The record of this experiment; whatever becomes of the test, it is a line of the table.

    A test that ends well without having called `demand` proved nothing: it fails.
    """
    record, started = (
        Experiment(name=request.node.name.removeprefix("test_").replace("_", " ")),
        time.monotonic(),
    )
    yield record
    row = record.as_dict() | {"seconds": time.monotonic() - started}
    request.node.user_properties.append(
        (_ROW, json.dumps(row))
    )  # plain text crosses from worker to controller
    well = request.node.stash.get(_ENDED_WELL, False)
    assert record.demanded or not well, f"{record.name}: nothing was demanded of it"


@pytest.fixture
def site(tmp_path, request):
    """A site with default settings, or with those of a `site_with` marker."""
    marker = request.node.get_closest_marker("site_with")
    built = Site(tmp_path, **(marker.kwargs if marker else {}))
    yield built
    built.close()


_rows: dict[str, dict] = {}
_failed: set[str] = set()


def pytest_runtest_logreport(report):
    """Gather the records, also those of other workers."""
    if report.failed:
        _failed.add(report.nodeid)
    for name, value in report.user_properties:
        if name == _ROW:
            _rows[report.nodeid] = json.loads(value)


def pytest_terminal_summary(terminalreporter, config):
    """Print the table; ``--soak-table`` names a file for it."""
    if not _rows or not config.getoption("--soak"):
        return
    rows = [row | {"failed": nodeid in _failed} for nodeid, row in sorted(_rows.items())]
    table = markdown(rows)
    terminalreporter.write_line("\n" + table)
    if path := config.getoption("--soak-table"):
        path.write_text(table + "\n")
