"""The oracles of the experiments see what they are for: each is shown the breach once, and fails for it."""

import asyncio
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from experiment import Experiment
from flapping import LOST
from killing import BATCH, WINDOW, may_double
from site_under_test import Site
from table import markdown
from watched_process import Watch

from gateway.simulate.ledger import Ledger, Verdict

pytestmark = pytest.mark.anyio

ENOUGH = {"obligations": 1, "faults": 1}


def one_fault(**found: int) -> Experiment:
    record = Experiment(name="one")
    record.hit("kill -9")
    record.owe(1)
    record.found(**found)
    return record


@pytest.mark.parametrize("breach", [{"missing": 1}, {"wrong": 1}, {"spurious": 1}, {"duplicated": 8}])
def test_a_breach_fails_the_experiment(breach):
    """One missing, wrong or invented event, and one double more than the faults explain, fail it."""
    one_fault(duplicated=7).demand(**ENOUGH, doubled=7)
    with pytest.raises(AssertionError):
        one_fault(**breach).demand(**ENOUGH, doubled=7)


def test_a_slow_recovery_fails_the_experiment():
    """The longest recovery is held, also where later ones were quick; a control run has none."""
    record = one_fault()
    for seconds in (61.0, 1.0):
        record.recovered(seconds)
    with pytest.raises(AssertionError, match="too long"):
        record.demand(**ENOUGH, doubled=0)
    control = Experiment(control=True, judged=True, recovery_s=1.0)
    with pytest.raises(AssertionError, match="recovers from nothing"):
        control.demand(obligations=0, faults=0, doubled=0)


def test_an_experiment_that_did_not_run_is_no_control():
    """A row without faults says why there are none: a control means to have none, one that was skipped proved nothing."""
    row = {**Experiment(name="one").as_dict(), "seconds": 0.0, "failed": False}
    told = [
        markdown([row | more]).splitlines()[-1].split("|")[2].strip()
        for more in (
            {"control": True, "not_run": ""},
            {"control": False, "not_run": ""},
            {"control": False, "not_run": "root alone may mount a disk"},
        )
    ]
    assert ["none (control)", "none", "NOT RUN: root alone may mount a disk"] == told


@pytest.mark.parametrize(("soak", "outcome"), [(True, "failed"), (False, "skipped")])
def test_the_long_form_skips_nothing(pytestconfig, monkeypatch, soak, outcome):
    """Whoever runs it: a table from which experiments are missing is not green."""
    hooks = pytestconfig.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py"))
    monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    asked = hooks.pytest_runtest_makereport(
        SimpleNamespace(nodeid="one", config=SimpleNamespace(getoption=lambda _: soak))
    )
    next(asked)
    with pytest.raises(StopIteration) as ended:
        asked.send(SimpleNamespace(skipped=True, outcome="skipped", longrepr=("", 1, "Skipped: no root")))
    assert outcome == ended.value.value.outcome


def test_what_a_fault_explains():
    """A kill explains a window at each end, a lost reply one batch upstream, a refusal nothing."""
    assert {"home": 2 * WINDOW, "cloud": 2 * WINDOW} == may_double({"kill -9": 2})
    assert {"home": 0, "cloud": 3 * BATCH} == may_double({LOST: 3, "upstream 503": 9})


def test_a_double_from_further_back_than_the_window():
    """A double with a window of other events since its first copy passes; one with more does not."""
    events = [{"id": str(number), "revision": 0} for number in range(11)]
    Site.doubles_in_flight(SimpleNamespace(events_at=lambda _: [*events, *events[1:]]), "home", 10)
    with pytest.raises(AssertionError, match="further back"):
        Site.doubles_in_flight(SimpleNamespace(events_at=lambda _: [*events, *events]), "home", 9)


def test_garbage_is_told_before_it_fails():
    """What came on the topic of events and is none is spurious, and in the record when the judgement fails."""
    arrival = SimpleNamespace(event=None, topic="gateway/gw/door/event", payload=b"{")
    site = SimpleNamespace(
        subscriber=SimpleNamespace(arrivals=[arrival]),
        upstream=SimpleNamespace(malformed=[]),
        daemon=SimpleNamespace(tail=str),
        events_at=lambda _: [],
    )
    told: dict[str, Verdict] = {}
    with pytest.raises(AssertionError, match="no event"):
        Site.judge(site, Ledger(), told=told.update)
    assert (1, 0) == (len(told["home"].spurious), len(told["cloud"].spurious))


async def test_a_watch_that_saw_nothing(tmp_path):
    """A watch whose folder has gone, and one that hardly looked, fail where they end."""
    async with Watch(os.getpid(), tmp_path, every_s=0.01):
        await asyncio.sleep(0.1)
    with pytest.raises(FileNotFoundError):
        async with Watch(os.getpid(), tmp_path / "gone", every_s=0.01):
            await asyncio.sleep(0.1)
    with pytest.raises(AssertionError, match="looks of"):
        async with Watch(os.getpid(), tmp_path, every_s=0.01):
            time.sleep(0.2)  # it is held up on purpose
