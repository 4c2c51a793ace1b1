"""Lays a snapshot out for a terminal of any size; pure, so that a test can read what a person sees."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from gateway.simulate.demo.screen import Line, Style, cut, fit, shown
from gateway.simulate.demo.snapshot import DeviceRow, SinkRow, Snapshot

_NAME, _NUMBER = 15, 7
_SAYS = 17
_WIDE, _MIDDLE = 76, 56
_MOST_FAULTS = 2
_HINTS_HEAD = "Try in a second terminal:"


def frame(now: Snapshot, columns: int, rows: int) -> list[Line]:
    """Give at most ``rows`` rows; what is least important comes last and gives way first."""
    above = [_title(now, columns), Line("")]
    below = [Line(""), *_sinks(now.sinks, columns), Line(""), *_notes(now, columns)]
    room = rows - len(above) - len(below) - 1
    devices = list(_devices(now.devices, columns, max(room, 2)))
    lines = [*above, *devices, *below][:rows]
    return lines + _hints(now.hints, columns, rows - len(lines))


def one_line(now: Snapshot) -> str:
    """Say it in one line, for a log or a pipe."""
    pushes = sum(device.pushes or 0 for device in now.devices)
    sinks = "; ".join(
        f"{sink.name} waiting {sink.waiting}, delivered {sink.delivered}, arrived {sink.arrived}"
        for sink in now.sinks
    )
    return f"{_clock(now.elapsed_s)}  {pushes} pushes, {now.received} events; {sinks}"


def _title(now: Snapshot, columns: int) -> Line:
    passed = _clock(now.elapsed_s) + (f" of {_clock(now.length_s)}" if now.length_s else "")
    long = f"gateway demo   {passed}   {now.received} events received   Ctrl-C ends it"
    short = f"gateway demo  {passed}  Ctrl-C ends it"
    return Line(long if columns >= len(long) else short, Style.BOLD)


def _devices(devices: Sequence[DeviceRow], columns: int, room: int) -> Iterator[Line]:
    wide = columns >= _WIDE
    head = fit("CAME IN FROM", _NAME) + (" " + fit("SPEAKS", _SAYS) if wide else "")
    yield Line(f"{head}{'PUSHES':>{_NUMBER}}  TODAY", Style.DIM)
    listed = devices if len(devices) < room else devices[: max(room - 2, 0)]
    for device in listed:
        name = fit(shown(device.name), _NAME) + (" " + fit(shown(device.says), _SAYS) if wide else "")
        pushes = "-" if device.pushes is None else device.pushes
        keeps = f", keeps {device.kept}" if device.kept else ""
        yield Line(cut(f"{name}{pushes:>{_NUMBER}}  {device.today}{keeps}", columns))
    if len(listed) < len(devices):
        yield Line(f"and {len(devices) - len(listed)} more", Style.DIM)


def _sinks(sinks: Sequence[SinkRow], columns: int) -> Iterator[Line]:
    wide, middle = columns >= _WIDE, columns >= _MIDDLE
    heads = ["WAITING", "ARRIVED", "TWICE"]
    heads = ["DELIVERED", *heads] if middle else heads
    heads = [*heads, "LETTERS"] if wide else heads
    width = 10 if middle else 8
    yield Line(
        fit("GOES TO", 9) + "".join(f"{head:>{width}}" for head in heads) + ("   FAR END" if middle else ""),
        Style.DIM,
    )
    for sink in sinks:
        amounts = {
            "DELIVERED": sink.delivered,
            "WAITING": sink.waiting,
            "ARRIVED": sink.arrived,
            "TWICE": sink.twice,
            "LETTERS": sink.lettered,
        }
        text = fit(shown(sink.name), 9) + "".join(f"{amounts[head]:>{width}}" for head in heads)
        away = "" if sink.connected else (", away" if middle else " away")
        end = f"   {shown(sink.far_end)}{away}" if middle else away
        yield Line(cut(text + end, columns), Style.PLAIN if sink.connected else Style.YELLOW)


def _notes(now: Snapshot, columns: int) -> list[Line]:
    """Say what happens on purpose, then what the gateway finds wrong."""
    lines = [Line(text, Style.YELLOW) for text in wrap(now.note, columns)[:2]]
    for fault in now.faults[:_MOST_FAULTS]:
        parts = wrap(f"! {shown(fault)}", columns, subsequent_indent="  ")
        shortened = parts[:2] if len(parts) <= 2 else [parts[0], cut(parts[1] + " …", columns)]
        lines += [Line(text, Style.RED) for text in shortened]
    if len(now.faults) > _MOST_FAULTS:
        lines.append(Line(f"  and {len(now.faults) - _MOST_FAULTS} more faults", Style.RED))
    return lines or [Line("No faults.")]


def _hints(hints: Sequence[str], columns: int, room: int) -> list[Line]:
    """Give the commands that fit as a whole: half a command is worse than none."""
    lines = [Line(""), Line(_HINTS_HEAD, Style.DIM)]
    left = room - len(lines)
    for hint in hints:
        line = Line(hint, whole=True)
        left -= line.rows(columns)
        if left < 0:
            break
        lines.append(line)
    return lines if len(lines) > 2 else []


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"
