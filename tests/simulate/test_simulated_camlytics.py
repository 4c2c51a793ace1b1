"""The made-up Camlytics PC: it must be honest, or a test against it proves nothing."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from gateway.commands import main
from gateway.simulate.camlytics import Pc
from gateway.simulate.camlytics.api import Api
from gateway.simulate.camlytics.story import CROSSING, Seen

NOON = 1_781_690_400.0


class HandClock:
    def __init__(self, now=NOON):
        self.at = now

    def now(self):
        return self.at


def pc(**more):
    return Pc(HandClock(), **{"rate": 6, "start": NOON - 1800, **more})


def test_one_seed_makes_one_day():
    """The same seed stores the same, however often it is looked at; another seed something else."""
    one, other, third = pc(seed=1), pc(seed=1), pc(seed=2)
    one.advance()
    for back in range(1800, -1, -60):
        other.clock.at = NOON - back
        other.advance()
    third.advance()
    crossings = [{s.at for s in each.stored if s.row["type"] == CROSSING} for each in (one, other, third)]
    assert crossings[0] == crossings[1] != crossings[2]


def test_numbers_rise_and_times_do_not_quite():
    """Two cameras write at once, so that now and then a higher number has an earlier time."""
    site = pc(rate=60)
    site.advance()
    assert [one.number for one in site.stored] == list(range(1, len(site.stored) + 1))
    assert [one.at for one in site.stored] != sorted(one.at for one in site.stored)


@pytest.mark.parametrize(("inclusive", "first"), [(False, 11), (True, 10)])
def test_since_and_limit_cut_the_list(inclusive, first):
    """sinceId, untilId, limit and order do what their names say."""
    api = Api(pc(), inclusive=inclusive)
    numbers = [row["event_id"] for row in api.events({"sinceId": "10", "limit": "5"})]
    assert list(range(first, first + 5)) == numbers
    assert [20, 19] == [
        row["event_id"] for row in api.events({"untilId": "20", "limit": "2", "order": "DESC"})
    ]


def test_times_are_local_and_have_no_offset():
    """The PC states what its Windows shows, with seven digits."""
    site = pc(zone=ZoneInfo("Europe/Lisbon"), rate=0)
    site.store(Seen(at=NOON, type="Sabotage", channel=0))
    (row,) = Api(site).events({})
    assert "2026-06-17T11:00:00.0000000" == row["time"]
    assert datetime.fromisoformat(row["time"]).tzinfo is None


def test_totals_are_those_of_the_stored_events():
    """By rule and by type, of exactly the span that is asked for."""
    site = pc()
    api = Api(site)
    rows = api.events({"limit": "100000"})
    span = {"sinceTime": "2026-06-17T09:40:00", "untilTime": "2026-06-17T09:50:00"}
    inside = [row for row in rows if "2026-06-17T09:40" <= row["time"] < "2026-06-17T09:50"]
    assert len(inside) == sum(total["type_count"] for total in api.totals_type(span))
    assert sum(row["rule_id"] != "-1" for row in inside) == sum(
        total["rule_count"] for total in api.totals_rule(span)
    )


def test_what_arrived_is_what_was_gone_on_behind():
    """Given out is not arrived: only an ask for what lies behind proves that."""
    site = pc()
    api = Api(site)
    last = api.events({"limit": "10"})[-1]["event_id"]
    assert len(site.stored) == site.unread
    api.events({"sinceId": str(last)})
    assert len(site.stored) - 10 == site.unread


def test_it_may_be_installed_anew_by_itself():
    """After its time the database is empty and numbers from one."""
    site = pc(reinstall_after_s=1900)
    site.advance()
    assert site.stored
    site.clock.at += 300
    site.advance()
    assert (1, []) == (site.reinstalls, site.stored)
    site.clock.at += 600
    site.advance()
    assert 1 == site.stored[0].number


def test_the_ledger_can_be_written_down():
    """Its keys and truths are JSON, so that a far end can be compared with a file."""
    site = pc()
    site.advance()
    for key, said in site.ledger.facts.items():
        json.dumps([key, [one.truth for one in said]])
    assert len(site.ledger.facts) == len(site.stored)


def test_the_command_is_a_pc_that_can_be_asked():
    """`gateway simulate camlytics` listens, ends by itself, and says how much was stored and read."""
    words = "simulate camlytics --port 0 --hours 0.1 --minutes 0.01 --json"
    result = CliRunner().invoke(main, words.split())
    assert 0 == result.exit_code, result.output
    told = json.loads(result.stdout)
    assert told["stored"] == told["unread"] > 0
