"""The corpus: hostile requests as bytes, and what each must come to.

To add one, add a line to `CORPUS`. ``status`` is what the first answer must say (None: closed without an answer, or
nothing said), ``letters`` how many bodies are kept for a person, ``served`` how many answers there are at all.
"""

import gzip
import json
from dataclasses import dataclass

COUNT = (
    '<?xml version="1.0"?><RTMetrics SiteId="s" DeviceId="{label}"><Properties><TransmitTime>{sent}</TransmitTime>'
    "<SerialNumber>{serial}</SerialNumber></Properties>"
    '<ReportData Interval="1"><Report Date="2025-11-01"><Object Id="0" ObjectType="0" Name="count"><Count '
    'StartTime="18:00:00" EndTime="18:01:00" UnixStartTime="{start}" Enters="{enters}" Exits="0"/>'
    "</Object></Report></ReportData></RTMetrics>"
)
START = 1_761_991_200


def post(body: bytes = b"", *, path: bytes = b"/push", extra: bytes = b"") -> bytes:
    """A POST of declared length."""
    return (b"POST %s HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n%s\r\n" % (path, len(body), extra)) + body


def chunked(*chunks: bytes) -> bytes:
    """A POST whose body comes in chunks."""
    head = b"POST /push HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def counted(serial: str = "evil", *, minute: int = 0, enters: int = 1, sent: int | None = None) -> bytes:
    start = START + 60 * minute
    return COUNT.format(
        label="door", serial=serial, start=start, enters=enters, sent=sent if sent is not None else start + 59
    ).encode()


def record(**data: object) -> bytes:
    data = {"deviceSN": "EVIL", "uuid": "u-1", "pass": True, "timestamp": START, "user": {}} | data
    return json.dumps({"type": 0, "data": data}).encode()


@dataclass(frozen=True)
class Hostile:
    name: str
    wire: bytes
    status: int | None
    letters: int = 0
    served: int = 1
    cut: bool = False  # we close our side at the end, as the request is not whole


INNER = post(counted("smuggled"), path=b"/smuggled")
HOST = b"Host: gw\r\n"


def raw(lines: bytes, body: bytes = b"") -> bytes:
    return b"POST /x HTTP/1.1\r\n" + HOST + lines + b"\r\n" + body


def _framing() -> list[Hostile]:
    inner = b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)
    size = b"%d" % len(INNER)
    lengths = {
        "two lengths": b"Content-Length: 5\r\nContent-Length: " + size + b"\r\n",
        "two lengths in one": b"Content-Length: 5, " + size + b"\r\n",
        "a signed length": b"Content-Length: +" + size + b"\r\n",
        "a negative length": b"Content-Length: -1\r\n",
        "a length with a blank in it": b"Content-Length: 1 0\r\n",
        "a length in hexadecimal": b"Content-Length: 0x10\r\n",
        "a length with an underscore": b"Content-Length: 1_0\r\n",
        "a length in Arabic digits": "Content-Length: ١٠\r\n".encode(),
        "an empty length": b"Content-Length: \r\n",
        "a length of 5,000 digits": b"Content-Length: " + b"9" * 5_000 + b"\r\n",
        "a length with NUL": b"Content-Length: 5\0\r\n",
        "a blank before the colon": b"Content-Length : " + size + b"\r\n",
        "a folded length": b"Content-Length:\r\n " + b"0\r\n 5\r\n",
    }
    codings = {
        "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "xchunked": b"Transfer-Encoding: xchunked\r\n",
        "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "chunked, identity": b"Transfer-Encoding: chunked, identity\r\n",
        "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
        "chunked with a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
        "chunked in quotes": b'Transfer-Encoding: "chunked"\r\n',
        "chunked behind a blank name": b"Transfer-Encoding : chunked\r\n",
        "a nameless header": b": chunked\r\n",
    }
    cases = [Hostile(name, raw(lines, INNER), 400) for name, lines in lengths.items()]
    cases += [Hostile(name, raw(lines, inner), 400) for name, lines in codings.items()]
    unknown = {"xchunked", "chunked, identity", "gzip, chunked", "chunked twice", "chunked in quotes"}
    return [Hostile(case.name, case.wire, 501 if case.name in unknown else 400, served=1) for case in cases]


def _chunks() -> list[Hostile]:
    head = raw(b"Transfer-Encoding: chunked\r\n")
    good = counted("evil")
    size = b"%x" % len(good)
    bad = {
        "a chunk without a size": head + b"\r\nabc",
        "a negative chunk": head + b"-1\r\nabc",
        "a chunk of 0x": head + b"0x3\r\nabc\r\n0\r\n\r\n",
        "a chunk of 30 digits": head + b"f" * 30 + b"\r\nabc",
        "a chunk that is longer than it says": head + b"3\r\nabcdef\r\n0\r\n\r\n",
        "a chunk extension without end": head + b"3;" + b"x" * 40_000,
        "a chunk extension of blanks": head + b"3;" + b" " * 16_000 + b"\n\r\n",
        "a trailer of blanks": head + b"0\r\nX:" + b" " * 16_000 + b"\0\r\n\r\n",
    }
    cases = [Hostile(name, wire, 400) for name, wire in bad.items()]
    cases += [
        Hostile("a chunk extension", head + size + b";a=b\r\n" + good + b"\r\n0\r\n\r\n", 200),
        Hostile("a chunked body without end", head + b"2000\r\n" + b"x" * 0x2000 + b"\r\n", None, cut=True),
        Hostile("chunks of one byte", chunked(*(good[i : i + 1] for i in range(len(good)))), 200),
        Hostile("20,000 chunks of one byte", chunked(b"{", *[b"x"] * 20_000), 400),
        Hostile("chunks beyond every limit", chunked(*[b"{" + b"x" * 60_000] * 40), 413),
    ]
    return cases


def _heads() -> list[Hostile]:
    good = counted("evil")
    size = b"Content-Length: %d\r\n" % len(good)
    line = b"POST /x HTTP/1.1\r\n"
    return [
        Hostile("NUL in a header", raw(size + b"X: a\0b\r\n", good), 400),
        Hostile("NUL in the path", b"POST /a\0b HTTP/1.1\r\n" + HOST + size + b"\r\n" + good, 400),
        Hostile("a folded header", raw(size + b"X: a\r\n b\r\n", good), 200),
        Hostile("a bare CR in a header", raw(size + b"X: a\rb\r\n", good), 400),
        Hostile("bare line feeds", (line + HOST + size + b"\r\n").replace(b"\r\n", b"\n") + good, 200),
        Hostile("another request behind it", post(good) + post(good), 200, served=2),
        Hostile("a request in a body", post(INNER), 200, letters=1),
        Hostile("absolute form", b"POST http://elsewhere/x HTTP/1.1\r\n" + HOST + size + b"\r\n" + good, 200),
        Hostile("asterisk form", b"POST * HTTP/1.1\r\n" + HOST + size + b"\r\n" + good, 200),
        Hostile("authority form", b"CONNECT gw:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        Hostile("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40), 505),
        Hostile("upgrade to h2c", raw(size + b"Upgrade: h2c\r\nConnection: Upgrade\r\n", good), 200),
        Hostile("HTTP/0.9", b"POST /x\r\n\r\n", 400),
        Hostile("HTTP/1.10", b"POST /x HTTP/1.10\r\n" + HOST + size + b"\r\n" + good, 400),
        Hostile("two hosts", raw(b"Host: other\r\n" + size, good), 400),
        Hostile("a thousand headers", raw(size + b"X: y\r\n" * 1_000, good), 200),
        Hostile("a head of 40 KB", raw(size + b"X: " + b"y" * 40_000 + b"\r\n", good), 431),
        *(
            Hostile(f"a header of 16,000 blanks and {end!r}", line + b"X:" + b" " * 16_000 + end + b"\r\n\r\n", 400)
            for end in (b"\0", b"\x0b", b"\x0c", b"\r")
        ),
        Hostile("a head of 40 KB of blanks", line + b"X:" + b" " * 40_000 + b"\0\r\n\r\n", 431),
        Hostile("a path of 3 KB", post(good, path=b"/" + b"a" * 3_000), 414),
        Hostile("TRACE", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        Hostile("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60), 400),
        Hostile("half a request", post(good)[:-40], None, cut=True),
        Hostile("no length at all", b"POST /x HTTP/1.1\r\n" + HOST + b"\r\n" + good, 411),
        *(
            Hostile(f"path {path.decode()}", post(good, path=path), 200)
            for path in (b"/../../etc/passwd", b"/..%2f..%2fetc/passwd", b"/%2e%2e/%00", b"/%0d%0aX:%20y",
                         b"/%1b[2J", b"/%E2%80%AE", b"/" + b"/" * 500, b"/%25%32%65", b"/k/", b"/k/%00%ff")
        ),
    ]  # fmt: skip


def _encodings() -> list[Hostile]:
    bomb = gzip.compress(bytes(20_000_000))
    return [
        *(
            Hostile(f"Content-Encoding {name}", post(bomb, extra=b"Content-Encoding: %s\r\n" % name.encode()), 415)
            for name in ("gzip", "deflate", "br", "zstd", "GZIP", "gzip, gzip", "identity, gzip")
        ),
        Hostile("gzip that says nothing", post(bomb), 200, letters=1),
        Hostile("a multipart bomb", post(b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n" * 1_400 + b"--b--",
                extra=b"Content-Type: multipart/form-data; boundary=b\r\n"), 200, letters=1),
        Hostile("HTML", post(b"<!DOCTYPE html><html><script>alert(1)</script></html>"), 200, letters=1),
        Hostile("2 MB declared, none sent", raw(b"Content-Length: 2000000\r\n"), None, cut=True),
        Hostile("10 MB declared", raw(b"Content-Length: 10000000\r\n"), 413),
        Hostile("blanks only", post(b" " * 60_000), 400),
    ]  # fmt: skip


LAUGHS = b"".join(b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10 if i else b"ha") for i in range(12))
DOCTYPES = {
    "billion laughs": b"<!DOCTYPE Metrics [" + LAUGHS + b"]><Metrics>&a11;</Metrics>",
    "quadratic blow-up": b'<!DOCTYPE Metrics [<!ENTITY a "' + b"x" * 50_000 + b'">]><Metrics>' + b"&a;" * 20_000,
    "external entity": b'<!DOCTYPE Metrics [<!ENTITY a SYSTEM "file:///etc/passwd">]><Metrics DeviceId="d">&a;</Metrics>',
    "external DTD": b'<!DOCTYPE Metrics SYSTEM "http://127.0.0.1:9/x.dtd"><Metrics DeviceId="d"/>',
    "parameter entity": b'<!DOCTYPE Metrics [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x">%a;]><Metrics DeviceId="d"/>',
    "default attribute": b'<!DOCTYPE Metrics [<!ATTLIST Metrics DeviceId CDATA "evil">]><Metrics/>',
}  # fmt: skip


def _xml() -> list[Hostile]:
    cases = [Hostile(f"XML: {name}", post(body), 200, letters=1) for name, body in DOCTYPES.items()]
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-7", "utf-32", "utf-32-le", "cp037"):
        wire = DOCTYPES["external entity"].decode().encode(encoding)
        cases.append(Hostile(f"XML: an entity in {encoding}", post(wire), 200, letters=1))
        declared = b'<?xml version="1.0" encoding="%s"?>' % encoding.encode() + DOCTYPES["billion laughs"]
        cases.append(Hostile(f"XML: laughs declared {encoding}", post(declared), 200, letters=1))
    xinclude = b'<Metrics xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></Metrics>'
    bodies = {
        "XInclude": xinclude,
        "nested": b"<Metrics>" + b"<a>" * 19_000,
        "nested and closed": b"<Metrics>" + b"<a>" * 5_000 + b"</a>" * 5_000 + b"</Metrics>",
        "60,000 tags": b'<Metrics DeviceId="d">' + b"<a/>" * 60_000 + b"</Metrics>",
        "30,000 attributes": b"<Metrics " + b" ".join(b'a%d=""' % n for n in range(25_000)) + b"/>",
        "PI storm": b"<?a?>" * 19_000 + b"<Metrics/>",
        "open comments": b"<!--" * 19_000,
        "CDATA without end": b"<Metrics><![CDATA[" + b"x" * 200_000,
        "a huge number": counted().replace(b'Enters="1"', b'Enters="' + b"9" * 5_000 + b'"'),
    }
    attributes = b"".join(b' b%d=""' % n for n in range(128))
    for network in (b"wifi" * 1015 + b"key", b"wifi" * 63 + b"key"):
        named = b"<%b>" % network + (b"<a" + attributes + b"/>") * 200 + b"</%b></Properties>" % network
        body = counted().replace(b"</Properties>", named)
        cases.append(Hostile(f"XML: a name of {len(network)} letters that repeats itself", post(body), 200))
    hidden = (
        b'<?xml version="1.0" encoding="utf-7"?><Metrics DeviceId="d">'
        + b"+ADw-a/+AD4-" * 20_000
        + b"</Metrics>"
    )
    cases.append(Hostile("XML: 20,000 tags in UTF-7", post(hidden), 200))
    return cases + [Hostile(f"XML: {name}", post(body), 200, letters=1) for name, body in bodies.items()]


def _json() -> list[Hostile]:
    wrong = {
        "1e999": b'{"type":0,"data":{"deviceSN":"EVIL","uuid":"u","pass":true,"timestamp":1e999}}',
        "NaN": b'{"type":0,"data":{"deviceSN":"EVIL","uuid":"u","pass":true,"timestamp":NaN}}',
        "Infinity": b'{"type":0,"data":{"deviceSN":"EVIL","uuid":"u","pass":true,"timestamp":-Infinity}}',
        "10,000 levels": b'{"type":0,"data":{"deviceSN":' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
        "10,000 levels of objects": b'{"type":0,"data":' + b'{"a":' * 10_000 + b"0" + b"}" * 10_001,
        "900,000 levels": b'{"type":0,"data":' + b"[" * 900_000,
        "4,301 digits": b'{"type":0,"data":{"deviceSN":"EVIL","uuid":"u","pass":true,"x":' + b"9" * 4_301 + b"}}",
        "a million digits": b'{"type":' + b"9" * 1_000_000 + b',"data":{}}',
        "a lone surrogate": b'{"type":0,"data":{"deviceSN":"EV\\ud800IL","uuid":"u","pass":true}}',
        "a key twice": b'{"type":0,"data":{"pass":false,"deviceSN":"EVIL","uuid":"u","pass":true}}',
        "a million zeros": b'{"type":0,"data":[' + b"0," * 990_000 + b"0]}",
        "quotes only": b"{" + b'"' * 1_900_000,
        "braces only": b"{" * 1_900_000,
        "types only": b'{"data":{' + b'"type"' * 300_000,
        "a list": b'[{"type":0,"data":{"deviceSN":"EVIL"}}]',
        "broken GB18030": b'{"type":0,"data":"\xff\xff"}',
    }  # fmt: skip
    cases = [Hostile(f"JSON: {name}", post(body), 200, letters=1) for name, body in wrong.items()]
    cases.append(Hostile("JSON: a key of 1 MB", post(record(**{"k" * 1_000_000: 1})), 200))
    cases.append(
        Hostile("JSON: a picture of 1.9 MB", post(record(uuid="u-2", rgb_image="A" * 1_900_000)), 200)
    )
    return cases


_ASKED = {
    "deviceSN": "SPT1",
    "recognizeStatus": 0,
    "qrcode_content": "x",
    "entry_mode": 1,
    "user": {"user_id": "1"},
}
_TEXT = json.dumps(_ASKED)
DOOR_QUESTIONS = {
    "as documented": _TEXT.encode(),
    "UTF-16 with a mark": _TEXT.encode("utf-16"),
    "UTF-16 without a mark": _TEXT.encode("utf-16-le"),
    "UTF-16, the other way": _TEXT.encode("utf-16-be"),
    "UTF-32": _TEXT.encode("utf-32"),
    "in a list": b"[" + _TEXT.encode() + b"]",
    "in two lists": b" [[" + _TEXT.encode() + b"]]",
    "behind NULs": b"\0\0" + _TEXT.encode(),
    "cut": _TEXT.encode()[:-20],
    "in other letters": _TEXT.encode().replace(b"recognizeStatus", b"RecognizeStatus").replace(b"qrcode", b"QRCode"),
    "with a number for all": b'{"recognizeStatus": NaN}',
    "without the two words": json.dumps({"deviceSN": "SPT1", "entry_mode": 1, "user": {}}).encode(),
    "with data in the user": json.dumps({**_ASKED, "user": {"data": {"pass": True}}}).encode(),
    "twice": _TEXT.encode() * 2,
}  # fmt: skip


def _doors() -> list[Hostile]:
    cases = [
        Hostile(f"door: {name}", post(body, path=path), 403)
        for name, body in DOOR_QUESTIONS.items()
        for path in (b"/Authentication",)
    ]
    head = b"GET %s HTTP/1.1\r\nHost: gw\r\n\r\n"
    return cases + [
        Hostile(f"door: GET {path}", head % path.encode(), 404) for path in ("/", "/Auth", "/pass")
    ]


CORPUS = [*_framing(), *_chunks(), *_heads(), *_encodings(), *_xml(), *_json(), *_doors()]
