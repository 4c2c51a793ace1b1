"""Reads the bytes of a device's body as XML, strictly, or after a repair that cannot change a value.

lxml lives only here. Its recovery mode is never used: it drops data without saying so. Its own error
texts are never shown: they quote the body, and a body can hold a password.
The declared encoding is believed when it fits the bytes, even where that gives wrong letters in a name:
any other choice would be a guess.
"""

import re
from collections.abc import Iterator
from typing import TypeAlias

from lxml import etree

from gateway.errors import Unreadable

Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml has no public name for the type of an element

_BLANK = b"\x00 \t\r\n"
_UTF8_BOM = b"\xef\xbb\xbf"
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]+")
_SPLIT_NUMBER = re.compile(rb"[0-9][\x00-\x08\x0b\x0c\x0e-\x1f]+[0-9]")
_DECLARED = re.compile(rb"(<\?xml\s[^>]*?\sencoding\s*+=\s*+[\"'])([^\"'>]*)")
# Every < of these is the byte of a <, or has it within, so that the tags of a body can be counted before it is read. In
# others (UTF-7, ISO-2022, HZ, and what the library knows besides) it can be written in letters: they are not believed.
_BELIEVED = re.compile(
    rb"utf[-_]?(?:8|16|32)(?:[lb]e)?|ucs-?[24]|iso-10646-ucs-[24]|(?:us-)?ascii|ansi_x3\.4-19[68]{2}|latin-?[0-9]{1,2}"
    rb"|iso[-_]?8859[-_]?[0-9]{1,2}|(?:windows-|cp)(?:125[0-8]|874|93[26]|949|950)|koi8-?[rtu]|macintosh|tis-?620"
    rb"|gb_?2312(?:-80)?|gbk|gb_?18030|big-?5(?:-?hkscs)?|euc-?(?:jp|kr|cn|tw)|shift[-_]?jis|sjis",
    re.IGNORECASE,
)
# lxml writes the whole namespace before the name of every tag and attribute that it is asked for. A prefix that is longer
# than any is refused as well, so that nobody hides behind one.
_LONG_NAMESPACE = re.compile(
    rb"xmlns(?::[^\s=<>]{257}|(?::[^\s=<>]{1,256}+)?\s*+=\s*+(?:\"[^\"]{513}|'[^']{513}))"
)
_CLOSING_TAG = re.compile(rb"</[^\s<>/]+\s*>")
_MOST_ATTRIBUTES = 128  # of one element; lxml takes seconds for 20 000, which fit into a body
_MOST_REPEATS = 8  # of a closing tag; one has been seen

_SENTENCES = {
    etree.ErrorTypes.ERR_DOCUMENT_EMPTY: "it is empty or does not begin with a tag",
    etree.ErrorTypes.ERR_DOCUMENT_END: "something follows the end of the document",
    etree.ErrorTypes.ERR_ENTITYREF_SEMICOL_MISSING: "an & is not written as &amp;",
    etree.ErrorTypes.ERR_RESERVED_XML_NAME: "an XML declaration stands in the middle, as if two were joined",
    etree.ErrorTypes.ERR_NAME_REQUIRED: "an & or < is not written as &amp; or &lt;",
    etree.ErrorTypes.ERR_UNDECLARED_ENTITY: "an & is not written as &amp;",
    etree.ErrorTypes.ERR_LT_IN_ATTRIBUTE: "a < is not written as &lt;",
    etree.ErrorTypes.ERR_ATTRIBUTE_REDEFINED: "an attribute is stated twice in one tag",
    etree.ErrorTypes.ERR_INVALID_CHAR: "it holds a character that XML forbids",
    etree.ErrorTypes.ERR_INVALID_ENCODING: "its bytes do not fit its encoding",
    etree.ErrorTypes.ERR_UNSUPPORTED_ENCODING: "it declares an encoding that is not known",
    etree.ErrorTypes.ERR_TAG_NAME_MISMATCH: "a closing tag does not fit the tag that it closes",
    etree.ErrorTypes.ERR_TAG_NOT_FINISHED: "it ends before its last tag is closed",
    etree.ErrorTypes.ERR_GT_REQUIRED: "it ends, or goes wrong, inside a tag",
    etree.ErrorTypes.ERR_SPACE_REQUIRED: "it ends, or goes wrong, inside a tag",
    etree.ErrorTypes.ERR_ATTRIBUTE_NOT_STARTED: "it ends, or goes wrong, inside an attribute",
    etree.ErrorTypes.ERR_ATTRIBUTE_NOT_FINISHED: "it ends, or goes wrong, inside an attribute",
    etree.ErrorTypes.ERR_RESOURCE_LIMIT: "it is nested too deeply or expands to too much",
    etree.ErrorTypes.NS_ERR_UNDEFINED_NAMESPACE: "it uses a name prefix that it does not declare",
}


def read(body: bytes) -> tuple[Element, bool]:
    """Return the root element and whether the body needed a repair, or raise `Unreadable`."""
    try:
        return _parse(body), False
    except etree.XMLSyntaxError as error:
        reason = _reason(error)
    for repaired in _repairs(body):
        try:
            return _parse_any_chinese(repaired), True
        except etree.XMLSyntaxError:
            continue
    raise Unreadable(reason)


def local_name(element: Element) -> str:
    """Return the element's name without namespace, in lower case."""
    tag: str = element.tag
    return (tag if tag[0] != "{" else _bare(tag)).lower()


def bare_name(element: Element) -> str:
    """Return the element's name without namespace, as the device spells it."""
    return _bare(element.tag)


def attributes(element: Element) -> dict[str, str]:
    """Return the attributes by bare name in lower case; names that differ only in case are refused."""
    items = _items(element)
    found = {(name if name[0] != "{" else _bare(name)).lower(): value for name, value in items}
    if len(found) != len(items):
        raise Unreadable(f"{bare_name(element)[:64]} states an attribute twice, in different spelling.")
    return found


def spelled_attributes(element: Element) -> list[tuple[str, str]]:
    """Return the attributes as the device spells them, without namespace."""
    return [(_bare(name), value) for name, value in _items(element)]


def text(element: Element) -> str:
    """Return the text in front of the element's first child, without blanks around it."""
    return (element.text or "").strip()


def _items(element: Element) -> list[tuple[str, str]]:
    if len(element.attrib) > _MOST_ATTRIBUTES:
        raise Unreadable(f"{bare_name(element)[:64]} has more than {_MOST_ATTRIBUTES} attributes.")
    return element.items()  # type: ignore[return-value]  # the stubs allow bytes


def _bare(name: str) -> str:
    return name.rpartition("}")[2] if name[0] == "{" else name


def _parse(body: bytes, encoding: str | None = None) -> Element:
    """Parse strictly; a parser is made for each body, because a used one keeps parts of the last body."""
    if _LONG_NAMESPACE.search(
        body.replace(b"\0", b"") if b"\0" in body else body
    ):  # in UTF-16 every second byte is 0
        raise Unreadable(
            "The XML names a namespace of more than 512 letters, which no device needs: it was not read."
        )
    declared = _DECLARED.match(body)
    if encoding is None and declared is not None and not _BELIEVED.fullmatch(declared[2]):
        body = declared[1] + b"unknown" + body[declared.end() :]
    parser = etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    root = etree.fromstring(body, parser)
    if root.getroottree().docinfo.internalDTD is not None:  # unlike a look at the bytes, true in UTF-16 too
        raise Unreadable("The XML declares a document type, which no device needs: it was not read further.")
    return root


def _parse_any_chinese(body: bytes) -> Element:
    """Parse as declared, then as gb18030, which has the letters that gb2312 lacks; never UTF-8 as gb18030."""
    try:
        return _parse(body)
    except etree.XMLSyntaxError:
        if not body.isascii() and _is_utf8(body):
            raise
    return _parse(body, "gb18030")


def _repairs(body: bytes) -> Iterator[bytes]:
    """Yield the body after each repair; every repair builds on the one before it."""
    if _is_utf16(body):
        return  # a byte is not a character there, so no repair of bytes is safe
    bom, rest = (_UTF8_BOM, body.lstrip(_BLANK).removeprefix(_UTF8_BOM)) if _has_bom(body) else (b"", body)
    body = bom + rest.strip(_BLANK)
    yield body
    if _CONTROLS.search(body):
        if _SPLIT_NUMBER.search(body):
            return  # joining the two halves could make another number
        body = _CONTROLS.sub(b"", body)
        yield body
    shorter = _without_repeated_close(body)
    if shorter is not None:
        yield shorter


def _without_repeated_close(body: bytes) -> bytes | None:
    """Cut repeats of the last closing tag, or return None when it is not repeated."""
    tag = body[body.rfind(b"</") :]
    if not _CLOSING_TAG.fullmatch(tag):
        return None
    for repeats in range(_MOST_REPEATS):
        rest = body[: len(body) - len(tag)].rstrip()
        if not rest.endswith(tag):
            return body if repeats else None
        body = rest
    return None


def _has_bom(body: bytes) -> bool:
    return body.lstrip(_BLANK).startswith(_UTF8_BOM)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_utf16(body: bytes) -> bool:
    """Say whether the body has the mark of UTF-16, or a NUL behind its first <, as both byte orders have."""
    return body.startswith((b"\xff\xfe", b"\xfe\xff")) or body.lstrip(_BLANK).startswith(b"<\0")


def _reason(error: etree.XMLSyntaxError) -> str:
    """Say what is wrong and where, in our words only."""
    line, column = error.position
    code = error.code  # type: ignore[attr-defined]  # lxml has it, its stubs do not
    sentence = _SENTENCES.get(code, "it is no well-formed XML")
    return f"The XML cannot be read: {sentence}, near line {line}, column {column}."
