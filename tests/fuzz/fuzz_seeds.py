"""What a target begins with: the captured requests of the suite made small, and the words of the code as a dictionary."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
FIXTURES = HERE.parent / "fixtures"
GATEWAY = HERE.parent.parent / "gateway"
_PICTURE = re.compile(rb"[A-Za-z0-9+/]{80,}={0,2}")
_BETWEEN_TAGS = re.compile(rb">\s+<")
_LONGEST = 1_536
_WORD = range(2, 33)
_MOST_WORDS = 400

# Of which fixtures a target is made, what stands in front of each, and whose words it knows.
_BODIES = {
    "people_counter": ("people_counter", b"", ("sources/people_counter", "reading/xml_body.py")),
    "face_terminal": ("face_terminal", b"", ("sources/face_terminal",)),
    "camlytics_webhook": ("camlytics", b"", ("sources/camlytics",)),
    "camlytics_poll": ("", b"", ("sources/camlytics",)),
    "camlytics_cloud_webhook": ("camlytics_cloud", b"", ("sources/camlytics_cloud",)),
    "camlytics_cloud_lists": ("", b"", ("sources/camlytics_cloud",)),
    "camlytics_cloud_events": ("", b"", ("sources/camlytics_cloud",)),
    "camlytics_cloud_totals": ("", b"", ("sources/camlytics_cloud",)),
    "camlytics_cloud_histograms": ("", b"", ("sources/camlytics_cloud",)),
    "camio": ("camio", b"", ("sources/camio",)),
    "callbacks_port": ("camio", b"\0\x80", ("sources/camio", "sources/camlytics_cloud", "callbacks.py")),
    "xml": ("people_counter", b"", ("reading/xml_body.py", "sources/people_counter")),
    "json": ("camlytics", b"", ("reading/json_body.py",)),
    "redaction": ("face_terminal", b"\0\x80", ("redact", "sources/face_terminal")),
    "masking": ("face_terminal", b"\0\x80", ("masking.py",)),
    "http11": ("", b"", ("listener", "guard.py")),
    "configuration": ("", b"", ("config",)),
    "control": (
        "",
        b"",
        ("control/wishes.py", "control/server.py", "daemon/adoption.py", "daemon/erasing.py"),
    ),
    "terminal": ("", b"", ("provisioning",)),
}
_BESIDE = {"http11": ("h11",), "configuration": ("tomllib",)}
_COMMON = (
    *(
        "<?xml version='1.0'?>",
        "<!DOCTYPE",
        "<!ENTITY",
        "]]>",
        "<![CDATA[",
        "&amp;",
        "&#0;",
        "xmlns:",
        "UTF-16",
    ),
    *(
        "1e999",
        "NaN",
        "-Infinity",
        "\\ud800",
        "\\u0000",
        "9223372036854775808",
        "[[[[",
        '":{"',
        "null",
        "true",
    ),
    *(
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59",
        "+14:00",
        "2026-03-29T01:30:00",
        "\ufeff",
        "\u2028",
        "%00",
    ),
    *("+", "#", "/", "$SYS", "../", "\r\n", "Transfer-Encoding: chunked", "Content-Length: ", "0\r\n\r\n"),
)
_REQUESTS = (
    b"POST /e HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST /e HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    b"GET /utctime HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: g\r\n\r\nGET /a?b=c HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n",
    b"PUT //x/../y HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"POST http://g/e?q=1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}POST /f HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    b"POST /e HTTP/1.1\r\nHost: g\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
    b"POST /caf\xc3\xa9 HTTP/1.1\nHost: g\nContent-Length: 1\n\nx",
    b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)  # fmt: skip


def seeds(name: str) -> list[bytes]:
    """Give the inputs that a target begins with."""
    folder, front, _ = _BODIES[name]
    bodies = (
        [front + small(path.read_bytes()) for path in sorted(FIXTURES.glob(f"{folder}/*/body"))]
        if folder
        else []
    )
    return [body for body in [*bodies, *_special(name)] if len(body) <= _LONGEST]


def small(body: bytes) -> bytes:
    """Take out of a body what costs length and teaches nothing."""
    body = _PICTURE.sub(b"QUJD", _BETWEEN_TAGS.sub(b"><", body))
    try:
        return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError, UnicodeError):
        return body


def _special(name: str) -> Iterator[bytes]:
    import fuzz_sources

    if name in fuzz_sources.CLOUD_GROUPS:
        yield from fuzz_sources.cloud_answers(name)
    elif name == "camlytics_poll":
        yield from fuzz_sources.lan_answers()
    elif name == "http11":
        yield from (bytes([place]) + request for place, request in enumerate(_REQUESTS))
    elif name == "configuration":
        example = (HERE.parent.parent / "config.example.toml").read_text("utf-8")
        for part in re.split(r"\n(?=#? ?\[)", example):
            bare = "\n".join(line for line in part.splitlines() if not line.startswith("# ") and line.strip())
            yield bare.encode()
            yield re.sub(r"(?m)^#(?=\w|\[)", "", bare).encode()
    elif name == "control":
        yield b'\x40{"device":"counter-sn-1","ignore":true,"window_min":30}'
        yield b'\x03{"sink":"home","first":1,"last":9223372036854775807}'
        yield b'\x40{"zone":"hall","people":12}'
        yield b"\x40" + b"9223372036854775807"
        yield b'\x40{"person":"\\ud800","sure":1e999}'
    elif name == "terminal":
        yield b'\0{"code":200,"msg":"success","data":{"event_dest":"http://192.0.2.1:8080/","enabled":true}}'
        yield b"\x04not found"
        yield b"\0http://192.0.2.50:80"
        yield b"\0[2001:db8::1]:8080"


def leading(name: str) -> list[str]:
    """Name the modules whose branches lead the fuzzer."""
    ours = [f"gateway.{place.removesuffix('.py').replace('/', '.')}" for place in _BODIES[name][2]]
    return [*ours, "gateway.reading", *_BESIDE.get(name, ())]


def words(name: str) -> list[str]:
    """Give the texts that stand in the code of a target: field names, marks, values."""
    found: dict[str, None] = dict.fromkeys(_COMMON)
    for place in _BODIES[name][2]:
        path = GATEWAY / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                value = node.value if isinstance(node, ast.Constant) else None
                text = value.decode("latin-1") if isinstance(value, bytes) else value
                if isinstance(text, str) and len(text) in _WORD and " " not in text:
                    found[text] = None
    return list(found)[:_MOST_WORDS]


def dictionary(name: str) -> str:
    """Write the words as libFuzzer wants them."""
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n' for word in words(name))
