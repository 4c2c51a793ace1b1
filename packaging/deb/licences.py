"""Writes the copyright file from what each wheel says of its own licence."""

import email
import re
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

_TEXTS = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS|edl|epl)", re.IGNORECASE)
_CLASSIFIERS = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: Public Domain": "public-domain",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
}
_WORDINGS = {"Apache License, Version 2.0": "Apache-2.0", "MIT License": "MIT"}
_APACHE = re.compile(r"Apache License\s+Version 2\.0, January 2004")
_HOLDER = re.compile(
    r"^\W*(?:copyright|©).*\d{4}.*$|^\W*copyright (?:\(c\)|©) .*$", re.IGNORECASE | re.MULTILINE
)
_APACHE_PLACE = "The whole text is in /usr/share/common-licenses/Apache-2.0."
_BEGIN = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: site-gateway
Comment: Below /usr/lib/site-gateway lie Python packages of others, as their
 authors published them. Each has its licence in full in its directory
 NAME.dist-info as well. lxml holds libxml2, libxslt, zlib and libiconv.

Files: *
Copyright: the authors of site-gateway
License: Apache-2.0
 {place}
"""


@dataclass(frozen=True)
class Licence:
    """What one package says: its short name, whose it is, and the texts."""

    package: str
    name: str
    holders: tuple[str, ...]
    texts: tuple[str, ...]


def read(metadata: Path) -> Licence:
    """Read one ``dist-info`` directory; a package without a text of its licence ends the build."""
    said = email.message_from_bytes((metadata / "METADATA").read_bytes())
    files = [path for path in sorted(metadata.rglob("*")) if path.is_file() and _TEXTS.match(path.name)]
    texts = [path.read_text(errors="replace").strip() for path in files]
    if not any(texts):
        raise SystemExit(
            f"{metadata.name} brings no text of its licence: it must not be passed on like this."
        )
    holders = [" ".join(found.split()).lstrip("#* ") for text in texts for found in _HOLDER.findall(text)]
    ours = [one for one in dict.fromkeys(holders) if "yyyy" not in one and "[" not in one]
    return Licence(str(said["Name"]), _short(said, metadata.name), tuple(ours), tuple(dict.fromkeys(texts)))


def _short(said: Message, package: str) -> str:
    expression = said["License-Expression"]
    if expression:
        return str(expression).replace(" OR ", " or ").replace(" AND ", " and ")
    known = [_CLASSIFIERS[one] for one in said.get_all("Classifier", []) if one in _CLASSIFIERS]
    if known:
        return " or ".join(known)
    wording = str(said["License"] or "").strip()
    if not wording or "\n" in wording:
        raise SystemExit(f"{package} does not name its licence in a form that is known here.")
    return _WORDINGS.get(wording, wording)


def render(base: Path) -> str:
    """Give the copyright file for what lies below ``base``."""
    parts = [_BEGIN.format(place=_APACHE_PLACE)]
    found: dict[str, tuple[Licence, list[str]]] = {}
    for metadata in sorted(base.glob("*/*.dist-info")):
        licence = read(metadata)
        places = found.setdefault(licence.package, (licence, []))[1]
        places.append(f"usr/lib/site-gateway/{metadata.relative_to(base)}/*")
    parts += [_stanza(licence, places) for licence, places in found.values()]
    return "\n".join(parts)


def _stanza(licence: Licence, places: list[str]) -> str:
    text = "\n\n".join(_APACHE_PLACE if _APACHE.search(one) else one for one in licence.texts)
    body = "\n".join(f" {line.rstrip()}" if line.strip() else " ." for line in text.splitlines())
    holders = "\n ".join(licence.holders) or f"the authors of {licence.package}"
    files = "\n ".join(places)
    return (
        f"Files: {files}\nComment: {licence.package}\nCopyright: {holders}\nLicense: {licence.name}\n{body}\n"
    )
