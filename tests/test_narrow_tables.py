"""Tables on the screen of a phone: every command that prints one, at 80 and at 40 columns."""

import pytest

from gateway.commands import accounting, adopting, asking, capturing, counting, devices, sinks, status

_LONG = {
    "device": "counter-201000002209190025",
    "name": "North door, ground floor",
    "serial": "201000002209190025",
    "address": "192.168.1.140",
    "source": "people_counter",
    "liveness": "online",
    "last_error": "Connection refused by the broker at 192.168.1.5 port 8883, tried for the fourth time",
    "sample": "count 2026-11-20T10:00:00Z enters 4 exits 2 passings 3 returns 0 of the object 0",
    "sink": "upstream",
    "path": "/counter/of/the/north/door",
}
_TIMES = (
    "last_seen",
    "first",
    "last",
    "first_seen",
    "last_reset",
    "next_reset",
    "since",
    "until",
    "time",
    "started",
)
_COLUMNS = {
    "sinks": sinks.SINK_COLUMNS,
    "devices": devices._COLUMNS,
    "occupancy": counting._COLUMNS,
    "adopt": adopting._COLUMNS,
    "account": accounting._COLUMNS,
    "capture": capturing._COLUMNS,
}


def row(columns):
    return {
        key: _LONG.get(key, "2026-11-21T11:47:25.672Z" if key in _TIMES else 1_234_567) for key in columns
    }


@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize("command", _COLUMNS)
def test_no_line_is_wider_than_the_screen(command, width, monkeypatch, capsys):
    """Each row becomes lines of heading and value that fit, and every heading is there for each of them."""
    monkeypatch.setenv("COLUMNS", str(width))
    columns = _COLUMNS[command]
    asking.table([row(columns), row(columns)], columns)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= width, lines
    for head in columns.values():
        assert 1 <= sum(line.startswith(head) or head in line.split("  ") for line in lines)


def test_the_last_error_is_short_on_a_narrow_screen(monkeypatch):
    """An error that stands above is not said twice; else a narrow screen has its first words, a file all of it."""
    sink = {"name": "home", "last_error": _LONG["last_error"]}
    monkeypatch.setenv("COLUMNS", "80")
    assert (
        "Connection refused by the broker at 192.168.1.5 port ..." == status._shorter(sink, [])["last_error"]
    )
    assert {"last_error": None} == status._shorter({"last_error": None}, [])
    monkeypatch.setenv("COLUMNS", "300")
    assert sink == status._shorter(sink, [])
    told = [{"sentence": f"Sink home: {sink['last_error']}"}]
    assert "told above" == status._shorter(sink, told)["last_error"]


def test_what_fits_stays_a_table(monkeypatch, capsys):
    """Two short columns are one line for each row, also on a phone."""
    monkeypatch.setenv("COLUMNS", "40")
    asking.table([{"a": 1, "b": None}, {"a": 2, "b": True}], {"a": "FIRST", "b": "SECOND"})
    assert ["FIRST  SECOND", "1      -", "2      yes"] == capsys.readouterr().out.splitlines()


def test_a_pipe_gets_whole_lines(monkeypatch, capsys):
    """Without a screen nothing is folded: grep and awk see one line for each row."""
    monkeypatch.delenv("COLUMNS", raising=False)
    asking.table([row(adopting._COLUMNS)], adopting._COLUMNS)
    assert 2 == len(capsys.readouterr().out.splitlines())


def test_an_id_is_never_broken(monkeypatch, capsys):
    """What a person has to copy is in one piece, even where it is wider than the screen."""
    monkeypatch.setenv("COLUMNS", "20")
    asking.table([{"device": _LONG["device"], "name": None}], {"device": "DEVICE", "name": "NAME"})
    assert ["DEVICE  counter-201000002209190025"] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, 40])
def test_the_hours_of_a_day_show_everybody_and_say_where_the_rest_is(width, monkeypatch, capsys):
    """Of twelve measures the four of the total are shown by the hour; a line names --json for the others."""
    monkeypatch.setenv("COLUMNS", str(width))
    measures = [
        f"{view}{name}"
        for view in ("", "adult_", "child_")
        for name in ("enters", "exits", "passings", "returns")
    ]
    counted = dict.fromkeys(measures, 3)
    hours = [{"hour": f"2026-11-21T{at:02}:00+00:00", **counted} for at in range(24)]
    counting._print_hours({"totals": counted, "hours": hours})
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines[:-1]) <= width
    assert "HOUR   ENTERS  EXITS  PASSINGS  RETURNS" == lines[1]
    assert "07:00  3       3      3         3" == lines[9]
    assert "--json" in lines[-1]


def test_an_hour_that_comes_twice_says_which_it_is(capsys):
    """In the night when the clocks go back each hour is shown with its offset."""
    hours = [{"hour": f"2026-10-25T01:00+0{offset}:00", "enters": 1} for offset in (1, 0)]
    counting._print_hours({"totals": {"enters": 2}, "hours": hours})
    assert ["01:00+01:00  1", "01:00+00:00  1"] == capsys.readouterr().out.splitlines()[2:]
