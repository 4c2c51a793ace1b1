"""Reads what a push says about its sender: the attributes of its root and its Properties."""

import re
from collections.abc import Mapping
from functools import lru_cache
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
_SHORT = 1_000  # letters; what a device says about itself is remembered no longer than that
_WIDEST_OFFSET_MIN = 15 * 60  # 14 hours east, and one of daylight saving time


class Header(NamedTuple):
    """The sender of one push, and when it sent it."""

    device: Device
    names: Mapping[str, str]  # attributes of the root, by lower-case name, not cleaned
    sent_s: int | None  # TransmitTime, when one is stated
    properties: Mapping[str, str]  # known ones, by lower-case name, not cleaned


class _Said(NamedTuple):
    """What a push says about its sender, in its own words; it is the same in every push of a device."""

    source: str
    family: str
    token: str | None
    address: str
    serial: str
    mac: str
    label: str
    name: str
    site: str
    site_id: str
    firmware: str
    hardware: str
    timezone: str | None
    dst: str | None


def read_header(root: Element, post: Post, source: str, family: str, leftovers: Leftovers) -> Header:
    """Read the sender; what is not understood goes to the leftovers."""
    stated = xml_body.attributes(root)
    properties = _read_properties(root, leftovers)
    if not stated.keys() <= _ROOT_ATTRIBUTES:
        leftovers.attributes(root, _ROOT_ATTRIBUTES)
    said = _Said(
        source,
        family,
        post.token,
        post.address,
        properties.get("serialnumber", ""),
        properties.get("macaddress", ""),
        stated.get("deviceid", ""),
        stated.get("devicename", ""),
        stated.get("sitename", ""),
        stated.get("siteid", ""),
        properties.get("swrelease", ""),
        properties.get("hwplatform", ""),
        properties.get("timezone"),
        properties.get("dst"),
    )
    short = sum(len(text) for text in said if text) <= _SHORT
    device = _known_device(said) if short else _device(said)
    unread = () if device.mac else ("MacAddress",)
    for spelled in unread if device.utc_offset_min is not None else (*unread, "Timezone", "DST"):
        if properties.get(spelled.lower()):
            leftovers.note(spelled, properties[spelled.lower()])
    sent_s = unix_s("TransmitTime", properties.get("transmittime"))
    return Header(device, stated, sent_s, properties)


def _device(said: _Said) -> Device:
    label = clean(said.label) or None
    serial, mac = _serial(said.serial), _mac(said.mac)
    return Device(
        id=device_id(
            said.family, serial=serial, mac=mac, label=label, token=said.token, address=said.address
        ),
        source=said.source,
        serial=serial,
        mac=mac,
        label=label or clean(said.name) or None,
        site=clean(said.site) or clean(said.site_id) or None,
        address=said.address,
        firmware=clean(said.firmware) or None,
        hardware=clean(said.hardware) or None,
        utc_offset_min=_offset_min(said.timezone, said.dst),
    )


_known_device = lru_cache(maxsize=1024)(_device)  # 10 of the 60 µs that reading a minute takes


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
    unknown = []
    for section in root:
        name = xml_body.local_name(section)
        if name == "properties":
            _read_section(section, found, leftovers)
        elif name != "reportdata":
            unknown.append(section)
    leftovers.elements(unknown)
    return found


def _read_section(section: Element, found: dict[str, str], leftovers: Leftovers) -> None:
    leftovers.attributes(section, frozenset(), "Properties.")
    unknown = []
    for child in section:
        name = xml_body.local_name(child)
        if name not in _PROPERTIES or len(child):
            unknown.append(child)
            continue
        value = xml_body.text(child)
        if found.setdefault(name, value) != value:
            raise Unreadable(f"The push states {xml_body.bare_name(child)} twice, with different values.")
        if child.keys():
            leftovers.attributes(child, frozenset(), f"{name}.")
    leftovers.elements(unknown)


def _serial(text: str) -> str | None:
    """Return the serial number; one of zeros only is a device that was never given one."""
    return clean(text) if text.strip("0 -:.") else None


def _mac(text: str) -> str | None:
    """Return the MAC in upper case with colons; one that no device can have is as good as none."""
    mac = text.upper().replace("-", ":")
    return mac if _MAC.fullmatch(mac) and mac not in _NO_MAC else None


def _offset_min(timezone: str | None, dst: str | None) -> int | None:
    """Return what the device is ahead of UTC: Timezone and DST are hours that add up."""
    zone = hours_in_minutes(timezone)
    summer = hours_in_minutes(dst or "0")
    if zone is None or summer is None or abs(zone + summer) > _WIDEST_OFFSET_MIN:
        return None
    return zone + summer
