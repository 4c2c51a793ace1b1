"""What a person sees while the demo runs, on terminals of several sizes."""

import io

import pytest

from gateway.simulate.demo.live_view import frame, one_line
from gateway.simulate.demo.screen import Line, Screen, Style, cells, cut, fit, shown
from gateway.simulate.demo.snapshot import DeviceRow, SinkRow, Snapshot, today

HINTS = tuple(f".venv/bin/gateway -c /tmp/gwdemo-abcdefgh/config.toml {word}" for word in ("status", "tail"))


def snapshot(**changes):
    told = {
        "url": "http://127.0.0.1:8088/",
        "elapsed_s": 65.0,
        "length_s": 120.0,
        "received": 1234,
        "devices": [DeviceRow(f"Door {n}", "v1.0 interval", 3, 0, "in 15 out 19") for n in range(5)],
        "sinks": [
            SinkRow(
                "broker",
                "MQTT",
                connected=False,
                delivered=900,
                waiting=334,
                lettered=0,
                arrived=900,
                twice=2,
            ),
            SinkRow(
                "upstream",
                "HTTPS",
                connected=True,
                delivered=1234,
                waiting=0,
                lettered=0,
                arrived=1234,
                twice=0,
            ),
        ],
        "hints": HINTS,
    }
    return Snapshot(**(told | changes))


def texts(lines):
    return [line.text for line in lines]


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 132])
@pytest.mark.parametrize("rows", [10, 16, 24, 50])
def test_a_frame_fits(columns, rows):
    """No frame has more rows than the terminal, whatever is to be said, nor a cut line that is too wide."""
    busy = snapshot(
        note="The broker was stopped on purpose, for 12 s more. " * 3,
        faults=["Sink broker: " + "nothing there " * 30] * 5,
        devices=[DeviceRow("老" * 50, "x" * 90, None, 7, "in 1 out 2") for _ in range(30)],
    )
    lines = frame(busy, columns, rows)
    assert rows >= sum(line.rows(columns) for line in lines)
    with io.StringIO() as stream:
        Screen(stream)
    assert all(cells(cut(line.text, columns)) <= columns for line in lines if not line.whole)


def test_80_by_24_has_room_for_everything():
    """On a terminal of 80 by 24 all devices, sinks, two faults and every hint are there."""
    now = snapshot(
        note="The broker was stopped on purpose.", faults=["Sink broker: gone.", "Sink upstream: 503."]
    )
    told = "\n".join(texts(frame(now, 80, 24)))
    assert all(
        word in told
        for word in ("01:05 of 02:00", "Door 0", "Door 4", "334", "1234", "on purpose", "503", *HINTS)
    )


def test_a_hint_is_whole_or_absent():
    """A command that does not fit is left out as a whole, because half a command is worse than none."""
    for rows in range(8, 30):
        told = texts(frame(snapshot(), 40, rows))
        assert {text for text in told if "gwdemo" in text} <= set(HINTS)


def test_more_devices_than_rows_are_counted():
    """Devices that have no room are told in number."""
    now = snapshot(devices=[DeviceRow(f"Door {n}", "", 1, 0, "") for n in range(40)])
    told = texts(frame(now, 80, 24))
    listed = sum(text.startswith("Door") for text in told)
    assert f"and {40 - listed} more" in told
    assert listed > 5


def test_a_strangers_name_cannot_move_the_cursor():
    """Escapes, line ends and marks of direction in a name come out as question marks."""
    assert "?[2J??? x" == shown("\x1b[2J\r\n\u202e x")
    now = snapshot(
        devices=[DeviceRow("\x1b[31m\nevil", "\x07", None, 0, "in 1 out 0")], faults=["\x1b]0;x\x07"]
    )
    assert all(text.isprintable() for text in texts(frame(now, 80, 24)))


def test_wide_letters_are_counted_as_two():
    """Chinese letters take two columns, marks over letters none, and cutting never splits one."""
    assert 4 == cells("老王")
    assert 1 == cells("e\u0301")
    assert "老…" == cut("老王们", 4)
    assert 6 == cells(fit("老王", 6))


def test_today_tells_doors_from_terminals():
    """A counter shows in and out, a terminal who was let in; without any word there is nothing yet."""
    page = {"enters_today": 3, "exits_today": 1, "allowed_today": 5, "denied_today": 2, "alarms_today": 1}
    assert "in 3 out 1" == today(page, counts=True)
    assert "in 5 denied 2 strangers 0 alarms 1" == today(page, counts=False)
    assert "in 3 out 1" == today(page, counts=None)
    assert "nothing yet" == today(None, counts=None)


def test_one_line_has_both_sinks():
    """The line for a pipe says what came, what waits and what arrived."""
    line = one_line(snapshot())
    assert (
        "01:05  15 pushes, 1234 events; broker waiting 334, delivered 900, arrived 900; upstream waiting 0"
        in line
    )


def test_the_screen_is_given_back(monkeypatch):
    """What is drawn starts at the top, leaves no rest of the frame before, and the cursor comes back."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    with Screen(stream) as screen:
        screen.show([Line("one", Style.BOLD), Line("two")])
    drawn = stream.getvalue()
    assert drawn.startswith("\x1b[?1049h\x1b[?25l")
    assert "\x1b[H\x1b[1mone\x1b[0m\x1b[K\r\ntwo\x1b[K\x1b[J" in drawn
    assert drawn.endswith("\x1b[?25h\x1b[?1049l")


def test_no_colours_where_they_are_not_wanted(monkeypatch):
    """NO_COLOR leaves only the movements of the cursor."""
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    Screen(stream).show([Line("one", Style.RED)])
    assert "\x1b[31m" not in stream.getvalue()
