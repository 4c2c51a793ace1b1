"""Bytes to XML: what is read strictly, what is repaired, and what never is."""

import contextlib
import re
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unreadable
from gateway.reading import xml_body

PLAIN = b'<?xml version="1.0" encoding="utf-8"?>\n<Metrics a="1"><Count Enters="12"/></Metrics>'
CHINESE = '<?xml version="1.0" encoding="{}"?><Metrics SiteName="{}"><Count Enters="12"/></Metrics>'
BOM = b"\xef\xbb\xbf"


def _enters(root: xml_body.Element) -> str:
    return xml_body.attributes(root[0])["enters"]


STRICT = {
    "plain": PLAIN,
    "no declaration": b'<Metrics><Count Enters="12"/></Metrics>',
    "space before a root without declaration": b' \n<Metrics><Count Enters="12"/></Metrics>',
    "byte order mark": BOM + PLAIN,
    "UTF-16 with mark, declared utf-8": PLAIN.decode().encode("utf-16"),
    "UTF-16 without mark": PLAIN.decode().encode("utf-16-le"),
    "gb2312": CHINESE.format("gb2312", "码头").encode("gb2312"),
    "gb18030": CHINESE.format("gb18030", "码头镕").encode("gb18030"),
    "byte order mark over a wrong declaration": BOM + CHINESE.format("gb2312", "码头").encode(),
    "CDATA": b'<Metrics><Count Enters="12"><![CDATA[&]]></Count></Metrics>',
}


@pytest.mark.parametrize("body", STRICT.values(), ids=STRICT)
def test_well_formed_bodies_are_not_repaired(body: bytes) -> None:
    """A body that is well-formed in its own encoding is read as it is and not marked as repaired."""
    root, repaired = xml_body.read(body)
    assert "12" == _enters(root)
    assert not repaired


REPAIRED = {
    "newline before the declaration": b"\r\n" + PLAIN,
    "newline between mark and declaration": BOM + b"\n" + PLAIN,
    "newline before the mark": b"\n" + BOM + PLAIN,
    "NUL at the end": PLAIN + b"\0\0\0",
    "NUL and blanks at both ends": b"\0 \n" + PLAIN + b"\n\0 ",
    "gb2312 with a letter that only gb18030 has": CHINESE.format("gb2312", "镕").encode("gbk"),
    "gb18030 declared as utf-8": CHINESE.format("utf-8", "码头").encode("gb18030"),
    "gb18030 without declaration": '<Metrics n="码头"><Count Enters="12"/></Metrics>'.encode("gb18030"),
    "ASCII declared as something unknown": PLAIN.replace(b"utf-8", b"x-camera"),
    "control character in a text": PLAIN.replace(b'a="1"', b'a="x\x01y"'),
    "NUL behind a number": PLAIN.replace(b'"12"', b'"12\0"'),
    "control character between tags": PLAIN.replace(b"><C", b">\x0b<C"),
    "root closed twice": PLAIN + b"\n</Metrics>\n",
    "root closed four times": PLAIN + b"</Metrics>" * 3,
    "everything at once": b"\n"
    + CHINESE.format("gb2312", "镕").encode("gbk").replace(b'"12"', b'"12\0"')
    + b"</Metrics>\0",
}


@pytest.mark.parametrize("body", REPAIRED.values(), ids=REPAIRED)
def test_harmless_faults_are_repaired(body: bytes) -> None:
    """A fault that cannot have changed a value is repaired, keeps the number, and is marked."""
    root, repaired = xml_body.read(body)
    assert "12" == _enters(root)
    assert repaired


@pytest.mark.parametrize(
    ("declared", "coded"),
    [("gb2312", "gbk"), ("utf-8", "gb18030"), ("gb18030", "gb18030"), ("utf-8", "utf-8")],
)
def test_names_are_read_in_the_encoding_that_fits(declared: str, coded: str) -> None:
    """A Chinese name comes out right when the bytes are UTF-8, or GBK in any declaration."""
    root, _ = xml_body.read(CHINESE.format(declared, "码头镕").encode(coded))
    assert "码头镕" == xml_body.attributes(root)["sitename"]


UNREADABLE = {
    "nothing": (b"", "empty"),
    "only NUL": (b"\0\0", "empty"),
    "text": (b"hello", "empty or does not begin with a tag"),
    "truncated": (PLAIN[:-5], "ends"),
    "truncated in an attribute": (PLAIN[:60], "inside"),
    "cut between tags": (PLAIN[: -len("</Metrics>")], "closed"),
    "unescaped ampersand": (PLAIN.replace(b'"1"', b'"a & b"'), "&amp;"),
    "ampersand without name": (PLAIN.replace(b'"1"', b'"a&b"'), "&amp;"),
    "unknown entity": (PLAIN.replace(b'"1"', b'"&b;"'), "&amp;"),
    "smaller-than": (PLAIN.replace(b'"1"', b'"<"'), "&lt;"),
    "attribute twice": (PLAIN.replace(b'a="1"', b'a="1" a="1"'), "twice"),
    "two bodies in one": (PLAIN + PLAIN, "two were joined"),
    "two roots": (b"<Metrics/><Metrics/>", "follows the end"),
    "text behind the root": (PLAIN + b"OK", "follows the end"),
    "another closing tag behind the root": (PLAIN + b"</Count>", "follows the end"),
    "root closed twice in other case": (PLAIN + b"</metrics>", "follows the end"),
    "root closed twenty times": (PLAIN + b"</Metrics>" * 20, "follows the end"),
    "control character inside a number": (PLAIN.replace(b'"12"', b'"1\x002"'), "forbids"),
    "undeclared prefix": (PLAIN.replace(b"Metrics", b"c:Metrics"), "prefix"),
    "too deep": (b"<a>" * 300 + b"</a>" * 300, "nested"),
    "document type": (b"<!DOCTYPE Metrics><Metrics/>", "document type"),
    "document type elsewhere": (b'<!DOCTYPE Metrics SYSTEM "http://192.0.2.1/d"><Metrics/>', "document type"),
    "document type in UTF-16": ("<!DOCTYPE Metrics><Metrics/>".encode("utf-16"), "document type"),
    "file entity": (b'<!DOCTYPE m [<!ENTITY f SYSTEM "file:///dev/null">]><m>&f;</m>', "document type"),
    "damaged UTF-16": (PLAIN.decode().encode("utf-16") + b"\0", "fit"),
    "Latin-1 declared as UTF-8": (PLAIN.replace(b'"1"', b'"caf\xe9"'), "encoding"),
    "UTF-8 declared as gb2312, not fitting": (CHINESE.format("gb2312", "码头镕").encode(), "encoding"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0\0", "begin with a tag"),
}


@pytest.mark.parametrize(("body", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_other_faults_are_unreadable_with_a_reason(body: bytes, words: str) -> None:
    """A fault whose repair would be a guess makes the body unreadable, and the reason names the fault."""
    with pytest.raises(Unreadable, match=re.escape(words)):
        xml_body.read(body)


LONG = "u" * 513


@pytest.mark.parametrize(
    "named",
    [
        f"xmlns='{LONG}'",
        f'xmlns:z = "{LONG}"',
        f"xmlns:{'p' * 300}='{LONG}'",
        f"xmlns:z\n=\n'{'&#117;' * 513}'",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_long_namespace_is_not_read(named: str, encoding: str) -> None:
    """It would be written before every name in the body: 256 KB of it take a second."""
    with pytest.raises(Unreadable, match="namespace of more than 512 letters"):
        xml_body.read(f"<?xml version='1.0'?><Metrics {named}/>".encode(encoding))
    shorter = f"<?xml version='1.0'?><m xmlns='{LONG[:512]}'><Count Enters='12'/></m>"
    assert "12" == _enters(xml_body.read(shorter.encode(encoding))[0])


def test_a_repair_does_not_bring_a_long_namespace_back() -> None:
    """What is left when control characters are taken out is looked at like what came."""
    with pytest.raises(Unreadable, match="namespace of more than 512 letters"):
        xml_body.read(f"<Metrics xm\x01lns:z='{LONG}'/>".encode())


def test_an_entity_bomb_is_refused_at_once() -> None:
    """Nested entities are refused, in text and in an attribute, without being expanded."""
    entities = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
    for use in ("<m>&m;</m>", '<m a="&m;"/>'):
        bomb = f'<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa">{entities}]>{use}'
        with pytest.raises(Unreadable):
            xml_body.read(bomb.encode())


@pytest.mark.parametrize("secret", ["hunter2&co;x", "hunter2<b>", "hunter2&", "hunter2<"])
def test_the_reason_never_quotes_the_body(secret: str) -> None:
    """A password that breaks the XML does not appear in the reason, which is logged and shown."""
    for body in (f"<m><WifiPassword>{secret}</WifiPassword></m>", f'<m p="{secret}"/>'):
        with pytest.raises(Unreadable) as caught:
            xml_body.read(body.encode())
        assert "hunter2" not in str(caught.value)
        assert "co" not in re.findall(r"\w+", str(caught.value))
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_names_are_compared_without_case_and_namespace() -> None:
    """Names of elements and attributes come without namespace and in lower case, or as they are spelled."""
    root, _ = xml_body.read(b'<c:RTMetrics xmlns:c="urn:x" c:SiteId="1" DeviceId="2"/>')
    assert "rtmetrics" == xml_body.local_name(root)
    assert "RTMetrics" == xml_body.bare_name(root)
    assert {"siteid": "1", "deviceid": "2"} == xml_body.attributes(root)
    assert [("SiteId", "1"), ("DeviceId", "2")] == list(xml_body.spelled_attributes(root))


def test_an_attribute_in_two_spellings_is_refused() -> None:
    """An attribute that is stated twice with different case is unreadable: nobody knows which one counts."""
    root, _ = xml_body.read(b'<Count Enters="1" enters="2"/>')
    with pytest.raises(Unreadable, match="twice"):
        xml_body.attributes(root)


def test_an_element_with_thousands_of_attributes_is_refused() -> None:
    """An element with more attributes than any device has is unreadable before they cost seconds."""
    root, _ = xml_body.read(b"<m " + b" ".join(b'a%d="1"' % n for n in range(20_000)) + b"/>")
    for read in (xml_body.attributes, xml_body.spelled_attributes):
        with pytest.raises(Unreadable, match="128 attributes"):
            read(root)


def test_a_comment_does_not_split_a_value() -> None:
    """Comments and processing instructions leave no trace: the text around them is one text."""
    root, _ = xml_body.read(b"<a> 16<!-- x -->67<?y z?>8 </a>")
    assert "16678" == xml_body.text(root)


HIDDEN_TAGS = {
    "utf-7": b"+ADw-a/+AD4-",
    "UNICODE-1-1-UTF-7": b"+ADw-a/+AD4-",
    "JAVA": rb"\u003ca/\u003e",
    "iso-2022-kr": b"\x0e\x0f<a/>",
    "HZ": b"~{~}<a/>",
}


@pytest.mark.parametrize("encoding", HIDDEN_TAGS)
@pytest.mark.parametrize("front", [b"", b"\n", b"\0"])
def test_no_tag_is_written_without_its_sign(encoding: str, front: bytes) -> None:
    """An encoding in which letters can make a tag is not believed: what is counted before the reading is all there is."""
    declared = b'%b<?xml version="1.0"\n encoding = "%b"?>' % (front, encoding.encode())
    body = declared + b"<Metrics>" + HIDDEN_TAGS[encoding] * 9 + b"</Metrics>"
    with contextlib.suppress(Unreadable):
        root, repaired = xml_body.read(body)
        assert repaired
        assert len(list(root.iter())) <= body.count(b"<")


@pytest.mark.parametrize(
    "encoding",
    [
        *(
            "UTF-8",
            "utf8",
            "ISO-8859-1",
            "latin1",
            "windows-1252",
            "cp1251",
            "GB2312",
            "GBK",
            "gb18030",
            "Big5",
        ),
        *("big5-hkscs", "EUC-JP", "euc-kr", "Shift_JIS", "KOI8-R", "us-ascii", "TIS-620", "ISO8859-15"),
    ],
)
def test_encodings_of_devices_are_believed(encoding: str) -> None:
    """What a device may declare is read as it declares it, without a repair."""
    body = f'<?xml version="1.0" encoding="{encoding}"?><Metrics><Count Enters="12"/></Metrics>'.encode()
    root, repaired = xml_body.read(body)
    assert ("12", False) == (_enters(root), repaired)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_unreadable(body: bytes) -> None:
    """Whatever the bytes are, nothing but `Unreadable` comes out of the reader."""
    with contextlib.suppress(Unreadable):
        xml_body.read(body)


@given(
    numbers=st.lists(st.integers(0, 10**9), min_size=1, max_size=5),
    name=st.text(st.characters(codec="gb18030", exclude_categories=["C", "Z"]), max_size=8),
    front=st.text("\0 \r\n", max_size=3),
    back=st.text("\0 \r\n", max_size=3),
    repeats=st.integers(0, 4),
    coded=st.sampled_from(["utf-8", "gb18030"]),
)
def test_a_repair_never_changes_a_value(
    numbers: list[int], name: str, front: str, back: str, repeats: int, coded: str
) -> None:
    """After any mix of repairable faults, each number and each name is what the device wrote."""
    counts = "".join(f'<Count Enters="{number}"/>' for number in numbers)
    body = f'{front}<?xml version="1.0" encoding="{coded}"?><M n={quoteattr(name)}>{counts}</M>'
    root, _ = xml_body.read((body + "</M>\n" * repeats + back).encode(coded))
    assert [str(number) for number in numbers] == [_enters([count]) for count in root]
    assert name == xml_body.attributes(root)["n"]


@given(st.data())
def test_a_shortened_body_never_loses_a_value_unseen(data: st.DataObject) -> None:
    """A body that was cut off anywhere is unreadable, unless only what follows the root is missing."""
    body = PLAIN + b"\n</Metrics>\n"
    cut = body[: data.draw(st.integers(0, len(body)))]
    try:
        root, _ = xml_body.read(cut)
    except Unreadable:
        return
    assert len(cut) >= len(PLAIN)
    assert "12" == _enters(root)
