"""Every text that a device says about itself or its facts, with every hostile text in it."""

import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote
from xml.sax.saxutils import escape

HOSTILE = {
    "mqtt wildcards": "a/+/#/b",
    "mqtt system topic": "$SYS/broker",
    "slashes": "/../..//x/",
    "line break": "one\ntwo\r\nthree: four",
    "log forgery": 'x\n{"level": "error", "event": "forged"}',
    "terminal title": "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "eight bit escape": "\x9b31mred\x85next",
    "control characters": "\x00\x01\x02\x7f\x08\x0b",
    "bidi override": "\u202egnp.exe\u202c\u2066x\u2069",
    "line separators": "a\u2028b\u2029c",
    "html": "<script>alert(1)</script>&\"'",
    "template": "{{7*7}} ${7*7} %s %n {0}",
    "header": "x\r\nX-Injected: yes\r\n\r\n",
    "toml": 'x"\n[sinks.evil]\ntype = "mqtt"',
    "spreadsheet": "=cmd|' /C calc'!A0",
    "sql": "'; DROP TABLE events; --",
    "path": "../../../../etc/passwd",
    "long": "y" * 3_000,
    "combining": "e" + "\u0301" * 300,
    "not assigned": "\U000e0001\uffff\ufdd0\U0010ffff",
}

Case = tuple[str, str, bytes, Mapping[str, str], str]  # field, text, body, headers, path
START = 1_761_991_200


def cases() -> Iterator[Case]:
    for number, (kind, text) in enumerate(HOSTILE.items()):
        for field in COUNTER:
            yield f"counter {field}", kind, _counter(number, **{field: text}), {}, "/"
        for field in RECORD:
            yield f"record {field}", kind, _record(number, field, text), {}, "/"
        for field in ("trace_id", "description", "deviceSN", "user_id", "new_field"):
            yield f"alarm {field}", kind, _alarm(number, field, text), {}, "/"
        if "\n" not in text and "\0" not in text and len(text) < 1_000:
            head = text.encode("utf-8").decode("latin-1")
            if all(char == "\t" or (char >= " " and char != "\x7f") for char in head):
                for name in ("sn", "model", "content-type", "host"):
                    yield (
                        f"header {name}",
                        kind,
                        _record(number, "uuid", f"h-{name}-{number}"),
                        {name: head},
                        "/",
                    )
        yield "path", kind, _record(number, "uuid", f"p-{number}"), {}, "/" + quote(text[:400], safe="")
        yield "letter", kind, text.encode("utf-8", "surrogatepass"), {}, "/" + quote(text[:400], safe="")


COUNTER = (
    "SiteId", "SiteName", "DeviceId", "DeviceName", "SerialNumber", "MacAddress", "IpAddress", "HostName", "HwPlatform",
    "SwRelease", "ConnectionType", "Timezone", "NewProperty", "ObjectId", "ObjectType", "ObjectName", "Status",
    "NewAttribute", "Date", "Enters",
)  # fmt: skip
_ATTRIBUTES = ("SiteId", "SiteName", "DeviceId", "DeviceName")
_WINDOW = ("ObjectId", "ObjectType", "ObjectName", "Status", "NewAttribute", "Date", "Enters")
RECORD = (
    "deviceSN",
    "uuid",
    "mode",
    "name",
    "user_id",
    "ic_number",
    "remark",
    "group",
    "new_field",
    "new_name",
)


def _counter(number: int, **said: str) -> bytes:
    texts = {
        "DeviceId": "matrix",
        "SerialNumber": "m1",
        "ObjectId": "0",
        "ObjectType": "0",
        "ObjectName": "n",
    } | said
    texts = {"Status": "0", "Date": "2025-11-01", "Enters": "1", "NewAttribute": ""} | texts
    quoted = {
        name: escape(text, {'"': "&quot;", "\n": "&#10;", "\r": "&#13;"}) for name, text in texts.items()
    }
    root = " ".join(f'{name}="{quoted[name]}"' for name in _ATTRIBUTES if name in quoted)
    properties = "".join(
        f"<{name}>{text}</{name}>" for name, text in quoted.items() if name not in (*_ATTRIBUTES, *_WINDOW)
    )
    start = START + 60 * number
    return (
        f"<RTMetrics {root}><Properties><TransmitTime>{start + 59}</TransmitTime>{properties}</Properties>"
        f'<ReportData Interval="1"><Report Date="{quoted["Date"]}"><Object Id="{quoted["ObjectId"]}" ObjectType='
        f'"{quoted["ObjectType"]}" Name="{quoted["ObjectName"]}"><Count StartTime="18:00:00" EndTime="18:01:00" '
        f'UnixStartTime="{start}" Enters="{quoted["Enters"]}" Exits="0" Status="{quoted["Status"]}" '
        f'New="{quoted["NewAttribute"]}"/></Object></Report></ReportData></RTMetrics>'
    ).encode()


def _record(number: int, field: str, text: str) -> bytes:
    user: dict[str, object] = {"user_id": "1", "type": 1}
    data: dict[str, object] = {
        "deviceSN": "M1", "uuid": f"{field}-{number}", "pass": True, "timestamp": START + number, "user": user,
    }  # fmt: skip
    if field in ("name", "user_id", "ic_number", "remark"):
        user[field] = text
    elif field == "group":
        user["groups"] = [{"id": text, "name": text}]
    elif field == "new_name":
        data[text] = 1
    else:
        data[field] = text
    return json.dumps({"type": 0, "data": data}).encode()


def _alarm(number: int, field: str, text: str) -> bytes:
    data = {
        "trace_id": f"{field}-{number}",
        "code": 1,
        "status": 0,
        "event_time": START * 1000,
        "deviceSN": "M1",
    }
    return json.dumps({"type": 1, "data": data | {field: text}}).encode()
