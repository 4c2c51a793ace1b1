"""The page of figures is the text format of Prometheus, whatever is in a label, and leaves out what is not known."""

import math

import pytest
from promtool import promtool

from gateway.monitoring import process
from gateway.monitoring.exposition import Family, exposition
from gateway.monitoring.families import FAMILIES

SITE = Family("gateway_info", "gauge", 'Who, with a \\ and a\nbreak in "it".', ("site", "version"))
WAITING = Family("gateway_waiting_events", "gauge", "What waits.", ("sink",))
SINKS = [(("a",), 1.0), (("b",), 2.5)]


def test_a_label_may_hold_anything():
    """Quotes, backslashes, breaks and hostile text of a site's name stay inside of their quotes; promtool reads it."""
    hostile = 'Bäckerei "Süd" \\ 1\n# TYPE evil gauge\nevil 1'
    text = exposition(
        [SITE, WAITING], {"gateway_info": [((hostile, "1"), 1)], "gateway_waiting_events": SINKS}
    )
    assert '{site="Bäckerei \\"Süd\\" \\\\ 1\\n# TYPE evil gauge\\nevil 1",version="1"} 1\n' in text
    assert 6 == len(text.splitlines()) - 1
    done = promtool("check", "metrics", feed=text)
    assert (0, "") == (done.returncode, done.stderr)


def test_what_is_not_known_is_not_there():
    """A family without samples has no line at all, not even its help; and nothing is told that has no family."""
    assert "" == exposition([SITE, WAITING], {"gateway_info": []})
    with pytest.raises(KeyError, match="gateway_other"):
        exposition([SITE], {"gateway_other": [((), 1)]})
    with pytest.raises(ValueError, match="zip"):
        exposition([WAITING], {"gateway_waiting_events": [(("a", "b"), 1)]})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *((True, "1"), (False, "0"), (0.1, "0.1"), (10**15, "1000000000000000"), (-2.0, "-2"), (1e300, None)),
        *((math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")),
    ],
)
def test_numbers_are_written_as_they_are_read(value, written):
    """What is written reads back as the same number."""
    text = exposition([Family("gateway_x", "gauge", "X.")], {"gateway_x": [((), value)]})
    number = text.splitlines()[-1].split(" ")[1]
    assert written in (number, None)
    assert float(number) == value or math.isnan(value)


def test_the_families_keep_the_rules_of_names():
    """Names are unique, counters end in _total and nothing else does, and each has a sentence."""
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert family.name.startswith(("gateway_", "process_"))
        assert family.help.endswith(".")


def test_the_process_tells_of_itself():
    """Start, memory, files and processor time of this process are there and can be true."""
    told = {name: samples[0][1] for name, samples in process.figures(1_800_000_000.0).items()}
    assert {family.name for family in FAMILIES if family.name.startswith("process_")} == told.keys()
    assert 1_799_000_000 < told["process_start_time_seconds"] <= 1_800_000_000
    assert 0 < told["process_open_fds"] < told["process_max_fds"]
