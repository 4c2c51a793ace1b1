"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from root_skips import no_root_can

# pytest loads readline, which puts COLUMNS behind Python's back into what programs that a test starts inherit: their
# tables would be folded as on an 80 column screen.
if "COLUMNS" not in os.environ:
    os.unsetenv("COLUMNS")


def pytest_addoption(parser):
    """The experiments of tests/chaos have a long form."""
    parser.addoption(
        "--soak", action="store_true", help="do the experiments of tests/chaos in their long form"
    )
    parser.addoption("--soak-table", type=Path, help="write the table of the experiments to this file")


@pytest.fixture
def anyio_backend():
    """The daemon runs on asyncio: its listener and its MQTT client use the asyncio loop directly."""
    return "asyncio"


def pytest_collection_modifyitems(items):
    """Spread the long ones evenly, so that each worker begins with some and the others fill the time beside them."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    share = -(-len(quick) // max(len(slow), 1))
    items[:] = [
        item
        for place in range(max(len(slow), 1))
        for item in slow[place : place + 1] + quick[place * share :][:share]
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A skipped check is no check: who may do everything here skips nothing, so that nobody takes silence for success.

    Nor does the long form, whoever runs it: its table is what others believe.
    """
    report, soak = (yield), item.config.getoption("--soak")
    if report.skipped and not hasattr(report, "wasxfail") and (soak or os.geteuid() == 0):
        why = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        if not soak and no_root_can(item.nodeid, str(why)):
            return report
        who = "the long form" if soak else "root"
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid}: {who} skips nothing, and this was: {why}. Mend that on this machine."
        )
    return report
