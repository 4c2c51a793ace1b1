"""Reads the reports of a push: which numbers were counted in which window.

All statements about one window are one `Window`: HX-CCD21 splits gender, age and staff cards into three
elements. The same number stated again with another value is refused, because neither adding the two nor
choosing one would be known to be true.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from gateway.errors import Unreadable
from gateway.event import Json, slug
from gateway.reading import xml_body
from gateway.reading.xml_body import Element
from gateway.sources.people_counter.clock import Clock, Start
from gateway.sources.people_counter.fields import (
    clean,
    date_parts,
    number,
    number_or_text,
    time_of_day_s,
    unix_s,
)
from gateway.sources.people_counter.leftovers import MOST_ENTRIES, Leftovers

DEMOGRAPHICS = 3

_VIEWS = {0: "total", 1: "adult", 2: "child", DEMOGRAPHICS: "demographics"}
_DATA_ATTRIBUTES = frozenset({"interval"})
_REPORT_ATTRIBUTES = frozenset({"date", "reportdate"})
_OBJECT_ATTRIBUTES = frozenset({"id", "deviceid", "devicename", "objecttype", "name"})
_WINDOW_ATTRIBUTES = frozenset({"starttime", "endtime", "unixstarttime", "status"})
_NUMBERS: Mapping[str, Mapping[str, str]] = {
    "count": {"Enters": "enters", "Exits": "exits", "Passings": "passings", "Returns": "returns"},
    "workcardcount": {"workCardNum": "work_card"},
    "gendercount": {"maleNum": "male", "femaleNum": "female", "unknownGenderNum": "unknown"},
    "agecount": {
        "ageLess10Num": "under_10",
        "age10to16Num": "10_16",
        "age17to30Num": "17_30",
        "age31to45Num": "31_45",
        "age46to60Num": "46_60",
        "ageOver60Num": "over_60",
        "unknownAgeNum": "unknown",
    },
}
_KNOWN = {
    name: _WINDOW_ATTRIBUTES | {attribute.lower() for attribute in numbers}
    for name, numbers in _NUMBERS.items()
}
_PERSONAL = {"gendercount": "gender", "agecount": "age"}


class Report(NamedTuple):
    """What is said about all windows of one Report."""

    kind: str  # "interval", "running_minute", "increment"
    interval: int | str | None  # as stated; the length of a window never follows from it
    day: tuple[int, int, int] | None


class Counted(NamedTuple):
    """What was counted: an Object of the report, without its windows."""

    object_id: str
    object_type: int | str
    name: str

    @property
    def view(self) -> str:
        """Name the people that this Object counts; views of the same people are never added up."""
        if isinstance(self.object_type, int):
            return _VIEWS.get(self.object_type, f"type_{self.object_type}")
        return f"type_{slug(self.object_type)}"


@dataclass(slots=True)
class Window:
    """The numbers of one Object in one stretch of time."""

    report: Report
    counted: Counted
    start: Start
    end_s: int
    numbers: dict[str, int] = field(default_factory=dict)
    personal: dict[str, dict[str, int]] = field(default_factory=dict)
    status: int | str | None = None
    extra: dict[str, Json] = field(default_factory=dict)

    @property
    def people(self) -> int:
        """Sum up every number, of whatever sort: it only rises while the window is being counted."""
        return sum(self.numbers.values()) + sum(sum(part.values()) for part in self.personal.values())


class WindowReader:
    """Collects the windows of one push.

    Unknown things travel with the first window after them, so that a body cannot make itself bigger.
    """

    def __init__(self, clock: Clock, names: Mapping[str, str], leftovers: Leftovers) -> None:
        self._clock = clock
        self._names = names  # attributes of the root, by lower-case name
        self._leftovers = leftovers
        self._windows: dict[tuple[Counted, int, int], Window] = {}
        self.kinds: set[str] = set()  # of the reports that were read, with windows or without

    def read(self, root: Element) -> Sequence[Window]:
        """Read every report, and return the windows in the order in which they are first stated."""
        running = xml_body.local_name(root) == "rtmetrics"
        for data in root:
            if xml_body.local_name(data) == "reportdata":
                self._report_data(data, running=running)
        return tuple(self._windows.values())

    def _report_data(self, data: Element, *, running: bool) -> None:
        stated = xml_body.attributes(data)
        if not stated.keys() <= _DATA_ATTRIBUTES:
            self._leftovers.attributes(data, _DATA_ATTRIBUTES, "ReportData.")
        interval = number_or_text(stated["interval"]) if stated.get("interval") else None
        kind = "running_minute" if running else "increment" if interval == 0 else "interval"
        self.kinds.add(kind)
        self._leftovers.elements([element for element in data if xml_body.local_name(element) != "report"])
        for element in data:
            if xml_body.local_name(element) != "report":
                continue
            own = xml_body.attributes(element)
            if not own.keys() <= _REPORT_ATTRIBUTES:
                self._leftovers.attributes(element, _REPORT_ATTRIBUTES, "Report.")
            report = Report(kind, interval, date_parts(own.get("date") or own.get("reportdate")))
            self._leftovers.elements([child for child in element if xml_body.local_name(child) != "object"])
            for child in element:
                if xml_body.local_name(child) == "object":
                    self._object(child, report)

    def _object(self, element: Element, report: Report) -> None:
        counted = self._counted(element)
        statements: list[tuple[str, Element]] = []
        unknown: list[Element] = []
        for child in element:
            name = xml_body.local_name(child)
            if name in _NUMBERS:
                statements.append((name, child))
            else:
                unknown.append(child)
        # Beside gender and age, an unknown element may be of that sort too.
        self._leftovers.elements(unknown, values=counted.object_type != DEMOGRAPHICS)
        for name, child in statements:
            self._statement(name, child, counted, report)

    def _counted(self, element: Element) -> Counted:
        """Read what an Object counts; it repeats the names of the device, which is told when they differ."""
        stated = xml_body.attributes(element)
        if not stated.keys() <= _OBJECT_ATTRIBUTES:
            self._leftovers.attributes(element, _OBJECT_ATTRIBUTES)
        for lower, name in (("deviceid", "DeviceId"), ("devicename", "DeviceName")):
            own = stated.get(lower)
            if own and own != self._names.get(lower):
                self._leftovers.note(f"Object.{name}", own)
        return Counted(
            object_id=clean(stated.get("id", "")),
            object_type=number_or_text(stated.get("objecttype", "")) or 0,
            name=clean(stated.get("name", "")),
        )

    def _statement(self, name: str, element: Element, counted: Counted, report: Report) -> None:
        stated = xml_body.attributes(element)
        window = self._window(stated, counted, report)
        _fill(window, name, stated)
        if "status" in stated and window.status is None:
            window.status = number_or_text(stated["status"])
        harmless = counted.object_type != DEMOGRAPHICS and name not in _PERSONAL
        if not stated.keys() <= _KNOWN[name]:
            self._leftovers.attributes(element, _KNOWN[name], values=harmless)
        if len(element):
            self._leftovers.elements(list(element), values=harmless)
        taken = self._leftovers.take()
        if taken and len(window.extra) < MOST_ENTRIES:
            window.extra = dict(islice((window.extra | taken).items(), MOST_ENTRIES))

    def _window(self, stated: Mapping[str, str], counted: Counted, report: Report) -> Window:
        """Find the window that a statement is about, or begin it."""
        start_label_s = time_of_day_s("StartTime", stated.get("starttime"))
        end_label_s = time_of_day_s("EndTime", stated.get("endtime"))
        unix = unix_s("UnixStartTime", stated.get("unixstarttime"))
        start = self._clock.start(unix, report.day, start_label_s)
        end_s = start.at_s
        if start_label_s is not None and end_label_s is not None:
            end_s = self._clock.end_s(start.at_s, start_label_s, end_label_s)
        key = (counted, start.at_s, end_s)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = Window(report, counted, start, end_s)
        return window


def _fill(window: Window, name: str, stated: Mapping[str, str]) -> None:
    """Add the numbers of one statement to its window."""
    part = _PERSONAL.get(name)
    numbers = window.numbers if part is None else window.personal.setdefault(part, {})
    stated_any = False
    for attribute, key in _NUMBERS[name].items():
        text = stated.get(attribute.lower())
        if text is None:
            continue
        stated_any = True
        people = number(attribute, text)
        if numbers.setdefault(key, people) != people:
            raise Unreadable(
                f"The same window of the same Object is stated twice, with different {attribute}."
            )
    if name == "count" and not stated_any:
        raise Unreadable(f"A Count states none of {', '.join(_NUMBERS[name])}.")
