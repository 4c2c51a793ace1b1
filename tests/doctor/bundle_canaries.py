"""Words that must not leave a box: planted in everything that comes in, and searched for in every spelling."""

import base64
import http.client
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures"
WORD = "qzcanary"
# What tells devices apart stays in the archive, and its page says so.
_IDENTITY = re.compile(rb"(?i)serial|mac|devicesn|deviceid|\bsn\b|ipaddress")
_JSON_LEAF = re.compile(rb'("(?P<name>[^"\\]+)"\s*:\s*)(?:"[^"\\]*"|-?[0-9.]+)')
_ATTRIBUTE = re.compile(rb'(\s(?P<name>[\w:.-]+)\s*=\s*)"[^"]*"')
_ELEMENT = re.compile(rb"(<(?P<name>[\w:.-]+)>)[^<>]*(?=</)")


class Planted:
    """The canaries of one test, each another word."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}  # word: where it was planted

    def new(self, where: str) -> str:
        """Give a word that nobody else has: long, and with figures in it, as keys are."""
        word = f"{WORD}{len(self.words):04d}Xk7"
        self.words[word] = where
        return word

    def bodies(self, fixture: Path) -> Iterator[bytes]:
        """Give the body of a fixture once for each value in it, with that value replaced."""
        body = fixture.read_bytes()
        patterns = (_JSON_LEAF,) if body.lstrip()[:1] in (b"{", b"[") else (_ATTRIBUTE, _ELEMENT)
        for pattern in patterns:
            for found in pattern.finditer(body):
                if not _IDENTITY.search(found["name"]):
                    word = self.new(f"{fixture.parent.name}: {found['name'].decode()}").encode()
                    quoted = word if pattern is _ELEMENT else b'"%b"' % word
                    yield body[: found.start()] + found[1] + quoted + body[found.end() :]

    def found_in(self, raw: bytes) -> dict[str, str]:
        """Give the words that stand in these bytes in any spelling, and where each was planted."""
        low = raw.lower()
        whole = {word: where for word, where in self.words.items() if _spelled(word, raw, low)}
        return whole | ({WORD: "cut off"} if not whole and _spelled(WORD, raw, low) else {})


def _spelled(word: str, raw: bytes, low: bytes) -> bool:
    plain = word.encode()
    if plain.lower() in low or plain.hex().encode() in low:
        return True
    escaped = "".join(f"\\u{ord(char):04x}" for char in word).encode().lower()
    percent = "".join(f"%{ord(char):02x}" for char in word).encode()
    if escaped in low or percent in low or "".join(f"\\x{ord(c):02x}" for c in word).encode() in low:
        return True
    if any(plain.decode().encode(form) in raw for form in ("utf-16-le", "utf-16-be")):
        return True
    # In Base64 the word looks different by where it begins; its first and last letters depend on their neighbours.
    forms = (
        base64.b64encode(b"\0" * shift + plain)[(0, 2, 3)[shift] :].rstrip(b"=")[:-2] for shift in range(3)
    )
    return any(form in raw for form in forms)


def members(file: Path) -> dict[str, bytes]:
    """Give everything that is in an archive, unpacked, with the archive's own bytes and names beside it."""
    with tarfile.open(file) as archive:
        inside = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}
    return inside | {"the archive itself": file.read_bytes(), "the names": "\n".join(inside).encode()}


def packed(files: dict[str, bytes]) -> bytes:
    """Make an archive as somebody would who does not think about it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, raw in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def push(port: int, path: str, body: bytes) -> int:
    """Post a body as a device does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    kind = "application/json" if body.lstrip()[:1] in (b"{", b"[") else "text/xml"
    connection.request("POST", path, body, {"Content-Type": kind})
    status = connection.getresponse().status
    connection.close()
    return status


def document(file: Path, name: str) -> object:
    """Read a JSON member."""
    found = members(file)
    return json.loads(next(raw for member, raw in found.items() if member.endswith(f"/{name}")))
