"""The XML that stereo counters push, in each firmware's own spelling; invented from the field tables.

The dialects differ in casing, in which fields they know and in what they call live data, not in the tree.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from xml.sax.saxutils import escape, quoteattr

VIEWS = {"total": 0, "adult": 1, "child": 2, "demographics": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one firmware writes."""

    version: int | None = 1
    live_root: str | None = "RTMetrics"  # None: it pushes closed intervals only
    seconds: bool = False  # live data are closed windows of one second, not running sums of the minute
    site_name: str = "SiteName"
    device_name: str = "DeviceName"
    object_device_name: str = "DeviceName"
    unix_start: str = "present"  # present, absent, zero
    transmit_time: bool = True
    dst: bool = True
    device_type: bool = True
    zone_name: bool = False
    bystanders: bool = True  # Passings and Returns
    children: bool = True  # it can tell adults from children
    brickstream: bool = False  # HttpPort, HttpsPort, DivisionId, ExternalId
    lower_mac: bool = False
    end_time: str = "EndTime"  # one site writes a space before the equals sign
    release: str | None = ""


def _brickstream(version: int | None, **changes: object) -> Dialect:
    fields: dict[str, object] = {
        "live_root": None, "site_name": "Sitename", "device_name": "Devicename", "object_device_name": "Devicename",
        "zone_name": version is not None, "bystanders": False, "children": False, "brickstream": True,
        "device_type": False, "release": None if version is None else "4.7.20",
        "transmit_time": version is not None, "unix_start": "absent" if version is None else "present",
    }  # fmt: skip
    return Dialect(version=version, **{**fields, **changes})  # type: ignore[arg-type]  # a table of keywords


DIALECTS: Mapping[str, Dialect] = {
    "v1.0": Dialect(),
    "hx-v2.1": Dialect(
        live_root="Metrics",
        seconds=True,
        dst=False,
        device_type=False,
        lower_mac=True,
        release="V7.2.5.1-V5-21-RT",
    ),
    "brickstream-v1": _brickstream(None),
    "brickstream-v2": _brickstream(2),
    "brickstream-v3": _brickstream(3),
    "brickstream-v4": _brickstream(4),
    "brickstream-v5": _brickstream(5),
    "brickstream-zero": _brickstream(
        2, unix_start="zero", object_device_name="DeviceName", end_time="EndTime "
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a person typed on the device, and what it knows about itself. Any text may be hostile."""

    serial: str
    device_id: str = "door-1"
    device_name: str = "Door 1"
    site_id: str = "site-1"
    site_name: str = "Site 1"
    mac: str = "02:00:5E:00:00:01"
    address: str = "192.0.2.10"
    zone: tzinfo = UTC
    wifi_password: str | None = None  # on Wi-Fi, the device tells everybody in clear


@dataclass(frozen=True, slots=True)
class Window:
    """Counts between two instants (Unix seconds); ``traits`` only where the firmware tells them."""

    start: int
    end: int
    counts: Mapping[str, int]
    traits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """One counting line, which the firmware calls an Object, in one view of the people."""

    id: str
    name: str
    view: str  # of `VIEWS`; demographics only where the firmware tells gender and age
    windows: Sequence[Window]


class CountXml:
    """Writes the pushes of one device."""

    def __init__(self, identity: Identity, dialect: Dialect, *, double_close: bool = False) -> None:
        self._who, self._dialect, self._double_close = identity, dialect, double_close

    def counts(self, root: str, interval: int, sent_at: int, objects: Sequence[ObjectCounts]) -> bytes:
        """Write a push with counts."""
        days = sorted({self._local(window.start).date() for line in objects for window in line.windows})
        reports = "".join(
            f'<Report Date="{day}">\n{"".join(self._objects(objects, day.isoformat()))}</Report>\n'
            for day in days
        )
        return self._document(root, sent_at, f'<ReportData Interval="{interval}">\n{reports}</ReportData>\n')

    def heartbeat(self, sent_at: int) -> bytes:
        """Write a sign of life."""
        return self._document("Diags", sent_at, "")

    def _document(self, root: str, sent_at: int, content: str) -> bytes:
        who, says = self._who, self._dialect
        names = {"SiteId": who.site_id, says.site_name: who.site_name, "DeviceId": who.device_id}
        names |= {says.device_name: who.device_name} | ({"DivisionId": ""} if says.brickstream else {})
        known = "".join(
            f"<{name}>{escape(text)}</{name}>\n" for name, text in self._properties(root, sent_at)
        )
        text = f'<?xml version="1.0" encoding="utf-8"?>\n<{root}{_attributes(names)}>\n'
        text += f"<Properties>\n{known}</Properties>\n{content}</{root}>\n"
        return (text + f"</{root}>\n" * self._double_close).encode()

    def _properties(self, root: str, sent_at: int) -> Iterable[tuple[str, str]]:
        who, says = self._who, self._dialect
        local = self._local(sent_at)
        summer = local.dst() or timedelta()
        offset = (local.utcoffset() or timedelta()) - (summer if says.dst else timedelta())
        wireless = who.wifi_password is not None
        fields: dict[str, object] = {
            "Version": says.version, "TransmitTime": sent_at if says.transmit_time else None,
            "MacAddress": who.mac.lower() if says.lower_mac else who.mac, "IpAddress": who.address,
            "HttpPort": 80 if says.brickstream else None, "HttpsPort": 443 if says.brickstream else None,
            "ConnectionType": "Wifi" if wireless else "Wired", "WifiSSID": "backyard" if wireless else None,
            "WifiPassword": who.wifi_password if root != "Diags" or says.seconds else None,
            "IpAddressMethod": "DHCP", "HostName": f"Cam-{who.serial[-5:]}",
            "Timezone": int(offset.total_seconds() // 3600),
            "TimezoneName": str(who.zone) if says.zone_name else None,
            "DST": int(summer.total_seconds() // 3600) if says.dst else None,
            "HwPlatform": "", "SerialNumber": who.serial,
            "DeviceType": 0 if says.device_type else None, "SwRelease": says.release,
        }  # fmt: skip
        return ((name, str(value)) for name, value in fields.items() if value is not None)

    def _objects(self, objects: Sequence[ObjectCounts], day: str) -> Iterable[str]:
        who, says = self._who, self._dialect
        for line in objects:
            windows = [one for one in line.windows if self._local(one.start).date().isoformat() == day]
            if not windows:
                continue
            names = {"Id": line.id, "DeviceId": who.device_id, says.object_device_name: who.device_name}
            names |= {"ObjectType": str(VIEWS[line.view]), "Name": line.name}
            names |= {"ExternalId": ""} if says.brickstream else {}
            write = self._traits if line.view == "demographics" else self._count
            yield f"<Object{_attributes(names)}>\n{''.join(write(window) for window in windows)}</Object>\n"

    def _count(self, window: Window) -> str:
        counts = {name.capitalize(): str(number) for name, number in window.counts.items()}
        return f"<Count{_attributes(self._times(window) | counts | {'Status': '0'})} />\n"

    def _traits(self, window: Window) -> str:
        groups: dict[str, dict[str, str]] = {
            "GenderCount": {},
            "AgeCount": {},
            "WorkCardCount": {"workCardNum": "0"},
        }
        for name, number in window.traits.items():
            groups["AgeCount" if "age" in name.lower() else "GenderCount"][name] = str(number)
        times = self._times(window)
        return "".join(
            f'<{name}{_attributes(times | group)} Status="0" />\n' for name, group in groups.items()
        )

    def _times(self, window: Window) -> dict[str, str]:
        start, end = (f"{self._local(moment):%H:%M:%S}" for moment in (window.start, window.end))
        unix = {"present": {"UnixStartTime": str(window.start)}, "zero": {"UnixStartTime": "0"}}
        return {"StartTime": start, self._dialect.end_time: end} | unix.get(self._dialect.unix_start, {})

    def _local(self, moment: int) -> datetime:
        return datetime.fromtimestamp(moment, self._who.zone)


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items())
