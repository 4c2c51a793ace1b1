"""What of a document may leave the box: figures always, words only under names that are known to hold none of a person.

A list of what may stay, as the captures have one: what somebody adds to the status tomorrow is masked until it is named
here.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gateway.logs.cleaning import clean_text
from gateway.masking import masked_words

MASK = "***"
_ENDS = ".,:;!?"
_DEEPEST = 8
_MOST = 20_000  # items of one list
# Words of ours, or figures that are written as text.
_WORDS = frozenset({
    *("state", "gateway", "version", "config_hash", "clock", "time", "since", "last", "code", "subject", "type"),
    *("client_id", "topics", "format", "connected_since", "last_delivery", "sink", "device", "source", "address", "mac"),
    *("liveness", "day", "day_start", "last_seen", "first_seen", "counted_to", "last_time", "figure", "stage"),
    *("sender", "received", "oldest", "from", "until", "order", "check", "schema", "verdict", "hash", "direction"),
    *("sqlite", "python", "kernel", "system", "model", "machine", "listen", "table", "kind", "mode", "owner", "at"),
    "action",
})  # fmt: skip
# Sentences of ours, which may quote what somebody else said.
_SENTENCES = frozenset({"sentence", "hint", "reason", "stopped", "last_error", "failure", "advice"})
_ADDRESSES = frozenset({"endpoint", "event_dest"})
_FIRMWARE = re.compile(r"[A-Za-z]{0,4}[0-9]{1,8}(?:[._-][A-Za-z]{0,6}[0-9]{1,14}[a-z]?){0,6}")
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
# What is between quotation marks was said by somebody else, or is a value of theirs: up to the last mark of a line,
# because what they said may have marks in it.
_QUOTED = re.compile(r"“.*”(?=[^“\n]*$)|“.*|(?<!\w)'[^']*'(?!\w)", re.MULTILINE)
# An address in a sentence: what comes behind host and port may be a key.
_WEB = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s\"'<>“”()]+", re.IGNORECASE)
_PLACE = re.compile(
    r"(?<![\w/.:@-])((?:[\w-]+(?:\.[\w-]+)+|[\w-]+(?=:\d)|\[[0-9a-f:.]+\])(?::\d{1,5})?)"
    r"(?!/\d{1,3}(?![\w/?#.-]))[/?#][^\s\"'<>“”()]+",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\b(devices|terminals|zones)\.[A-Za-z0-9_-]+")
# Faults whose words are wholly those of somebody else.
_THEIRS = frozenset({"camio_incident"})


def document(value: object, words: frozenset[str] = _WORDS) -> object:
    """Return a document in which only known words are left; figures, and what is true or false, always stay."""
    return _shown(value, "", words, 0)


def sentence(text: str) -> str:
    """Return a sentence of ours without what it quotes."""
    text = _QUOTED.sub(f"'{MASK}'", masked_words(clean_text(text)))
    text = _WEB.sub(lambda found: _ended(address(found[0].rstrip(_ENDS)), found[0]), text)
    text = _PLACE.sub(lambda found: _ended(f"{found[1]}/{MASK}", found[0]), text)
    return _NAMED.sub(rf"\1.{MASK}", text)


def _ended(shown: str, whole: str) -> str:
    """Give the end of a sentence back that stood behind an address."""
    return shown + whole[len(whole.rstrip(_ENDS)) :]


def address(text: str) -> str:
    """Return scheme, host and port of an address: the rest may hold a key."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return MASK
    where = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    return where if not parts.path.strip("/") and not parts.query else f"{where}/{MASK}"


def _shown(value: object, name: str, words: frozenset[str], depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _text(value, name, words)
    if depth >= _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        theirs = ("sentence", "action", "subject") if value.get("code") in _THEIRS else ()
        return {
            _key(key): MASK if key in theirs else _shown(one, str(key), words, depth + 1)
            for key, one in value.items()
        }
    if isinstance(value, Sequence):
        return [_shown(one, name, words, depth + 1) for one in value[:_MOST]]
    return MASK


def _text(text: str, name: str, words: frozenset[str]) -> str:
    if name in _SENTENCES:
        return sentence(text)
    if name in _ADDRESSES:
        return address(text)
    if name == "firmware":
        return text if _FIRMWARE.fullmatch(text) else MASK
    return clean_text(text) if name in words else MASK


def _key(key: object) -> str:
    return str(key) if _KEY.fullmatch(str(key)) else MASK
