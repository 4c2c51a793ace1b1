"""Reads what a push says about its sender: the attributes of its root and its Properties."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from gateway.errors import Unreadable
from gateway.event import Device, Json, device_id
from gateway.reading import xml_body
from gateway.reading.xml_body import Element
from gateway.source import Post
from gateway.sources.people_counter.fields import clean, hours_in_minutes, number_or_text, unix_s
from gateway.sources.people_counter.leftovers import Leftovers

# Where a heartbeat shows each property; None: it has a place of its own in every event.
_PROPERTIES: Mapping[str, str | None] = {
    "version": "version",
    "transmittime": None,
    "macaddress": None,
    "ipaddress": "ip",
    "connectiontype": "connection",
    "ipaddressmethod": "ip_method",
    "hostname": "host_name",
    "timezone": "timezone",
    "dst": "dst",
    "hwplatform": "hardware",
    "serialnumber": None,
    "devicetype": "device_type",
    "swrelease": "firmware",
}
_NUMBERS = frozenset({"version", "timezone", "dst", "device_type"})
_ROOT_ATTRIBUTES = frozenset({"siteid", "sitename", "deviceid", "devicename"})
_MAC = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){5}")
_NO_MAC = frozenset({"00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF"})
_WIDEST_OFFSET_MIN = 15 * 60  # 14 hours east, and one of daylight saving time


class Header(NamedTuple):
    """The sender of one push, and when it sent it."""

    device: Device
    names: Mapping[str, str]  # attributes of the root, by lower-case name, not cleaned
    sent_s: int | None  # TransmitTime, when one is stated
    properties: Mapping[str, str]  # known ones, by lower-case name, not cleaned


def read_header(root: Element, post: Post, source: str, family: str, leftovers: Leftovers) -> Header:
    """Read the sender; what is not understood goes to the leftovers."""
    stated = xml_body.attributes(root)
    properties = _read_properties(root, leftovers)
    if not stated.keys() <= _ROOT_ATTRIBUTES:
        leftovers.attributes(root, _ROOT_ATTRIBUTES)
    label = clean(stated.get("deviceid", "")) or None
    serial = _serial(properties.get("serialnumber", ""))
    mac = _mac(properties.get("macaddress", ""))
    offset_min = _offset_min(properties)
    unread = () if mac else ("MacAddress",)
    for spelled in unread if offset_min is not None else (*unread, "Timezone", "DST"):
        if properties.get(spelled.lower()):
            leftovers.note(spelled, properties[spelled.lower()])
    device = Device(
        id=device_id(family, serial=serial, mac=mac, label=label, token=post.token, address=post.address),
        source=source,
        serial=serial,
        mac=mac,
        label=label or clean(stated.get("devicename", "")) or None,
        site=clean(stated.get("sitename", "")) or clean(stated.get("siteid", "")) or None,
        address=post.address,
        firmware=clean(properties.get("swrelease", "")) or None,
        hardware=clean(properties.get("hwplatform", "")) or None,
        utc_offset_min=offset_min,
    )
    sent_s = unix_s("TransmitTime", properties.get("transmittime"))
    return Header(device, stated, sent_s, properties)


def shown_properties(header: Header) -> dict[str, Json]:
    """Name the known properties for a heartbeat; those that the device leaves empty are left out."""
    shown: dict[str, Json] = {}
    for name, key in _PROPERTIES.items():
        value = header.properties.get(name)
        if key and value:
            shown[key] = number_or_text(value) if key in _NUMBERS else clean(value)
    for name, key in (("devicename", "device_name"), ("siteid", "site_id")):
        if header.names.get(name):
            shown[key] = clean(header.names[name])
    return shown


def _read_properties(root: Element, leftovers: Leftovers) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in root:
        name = xml_body.local_name(section)
        if name == "properties":
            _read_section(section, found, leftovers)
        elif name != "reportdata":
            leftovers.element(section)
    return found


def _read_section(section: Element, found: dict[str, str], leftovers: Leftovers) -> None:
    leftovers.attributes(section, frozenset(), "Properties.")
    for child in section:
        name = xml_body.local_name(child)
        if name not in _PROPERTIES or len(child):
            leftovers.element(child)
            continue
        value = xml_body.text(child)
        if found.setdefault(name, value) != value:
            raise Unreadable(f"The push states {xml_body.bare_name(child)} twice, with different values.")
        if child.keys():
            leftovers.attributes(child, frozenset(), f"{name}.")


def _serial(text: str) -> str | None:
    """Return the serial number; one of zeros only is a device that was never given one."""
    return clean(text) if text.strip("0 -:.") else None


def _mac(text: str) -> str | None:
    """Return the MAC in upper case with colons; one that no device can have is as good as none."""
    mac = text.upper().replace("-", ":")
    return mac if _MAC.fullmatch(mac) and mac not in _NO_MAC else None


def _offset_min(properties: Mapping[str, str]) -> int | None:
    """Return what the device is ahead of UTC: Timezone and DST are hours that add up."""
    zone = hours_in_minutes(properties.get("timezone"))
    summer = hours_in_minutes(properties.get("dst") or "0")
    if zone is None or summer is None or abs(zone + summer) > _WIDEST_OFFSET_MIN:
        return None
    return zone + summer
