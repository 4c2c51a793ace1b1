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
_NOT_RUN = pytest.StashKey[str]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let `experiment` know whether the test itself ended well, or why it did not run."""
    report = yield
    if call.when == "call":
        item.stash[_ENDED_WELL] = report.passed
        if call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception):
            item.stash[_NOT_RUN] = str(call.excinfo.value)
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
    not_run = request.node.stash.get(_NOT_RUN, "")
    row = record.as_dict() | {"seconds": time.monotonic() - started, "not_run": not_run}
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


class _LongRun:
    """What a run of two hours has found so far, told at once: it may be ended before its summary."""

    def __init__(self, config):
        self._path, self._plugins = config.getoption("--soak-table"), config.pluginmanager

    @pytest.hookimpl(trylast=True)  # behind what gathers the rows
    def pytest_runtest_logreport(self, report):
        if report.failed:
            console = self._plugins.get_plugin("terminalreporter")
            console.write_line(f"\n{report.nodeid}\n{report.longreprtext[-2_000:]}")
        if self._path and _rows:
            self._path.write_text(table_so_far() + "\n")


def pytest_configure(config):
    if config.getoption("--soak") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_LongRun(config))


def pytest_runtest_logreport(report):
    """Gather the records, also those of other workers."""
    if report.failed:
        _failed.add(report.nodeid)
    for name, value in report.user_properties:
        if name == _ROW:
            _rows[report.nodeid] = json.loads(value)


def table_so_far():
    """Write a row for each experiment that has ended."""
    return markdown([row | {"failed": nodeid in _failed} for nodeid, row in sorted(_rows.items())])


def pytest_terminal_summary(terminalreporter, config):
    """Print the table; ``--soak-table`` names a file for it."""
    if _rows and config.getoption("--soak"):
        terminalreporter.write_line("\n" + table_so_far())
