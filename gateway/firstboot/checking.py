"""Checks what a card would make of the box exactly as every configuration is checked, and says it for the card."""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gateway.config import Config, InvalidConfigError, Mistake, loads
from gateway.config.advice import dotted
from gateway.config.file_options import tables
from gateway.firstboot.plan import Plan
from gateway.firstboot.startable import unstartable

_SHELL = re.compile(r"run:|LoadCredential|openssl|chmod|/etc/gateway|credential")  # of no use without a shell
_DIRECT = re.compile(r"\b(password|secret|bearer|path_secret)_file\b")
_ADDRESSES = ("endpoint", "event_dest")
_ADDRESS = re.compile(r"(?:[^/?#]*?://)?(?:([^/?#]*)@)?[^/?#]*(.*)", re.DOTALL)
_PARTS = re.compile(r"[^/?#&=;\s]{8,}")
_SHOWN = 200  # characters of a value that a sentence shows at most
_LONG = 8  # a secret of so many characters is no word of ours


def check(drawn: Plan, address: str | None = None) -> Config:
    """Load it, and see that a gateway could start with it.

    Raises `InvalidConfigError` with every mistake, none of which holds a secret.
    """
    found = list((drawn.moved | drawn.mistakes).values())
    config = None
    with _staged(drawn) as staging:
        try:
            config = loads(drawn.checked_text(staging))
        except InvalidConfigError as error:
            found += [
                _for_card(mistake, drawn, staging)
                for mistake in error.mistakes
                if (mistake.key or "").partition("[")[0] not in drawn.moved | drawn.mistakes
            ]
    if config is not None:
        found += unstartable(drawn, config, address)
    if found or config is None:
        found.sort(key=lambda mistake: mistake.line or 0)
        raise InvalidConfigError([_without(mistake, drawn) for mistake in found])
    return config


@contextlib.contextmanager
def _staged(drawn: Plan) -> Iterator[Path]:
    """Put the new secrets where nobody else can read them and where no disk keeps them."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or "/dev/shm"  # noqa: S108 - a private folder in it
    memory = given if os.access(given, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="gateway-card-", dir=memory) as folder:
        for name, content in drawn.files.items():
            path = Path(folder, name)
            path.touch(mode=0o600)
            path.write_bytes(content)
        yield Path(folder)


def _for_card(mistake: Mistake, drawn: Plan, staging: Path) -> Mistake:
    """Say it with the words of the card, and without files and commands that nobody there can reach."""
    words = {dotted((*one.table, one.option.name)): one for one in drawn.found}
    one = words.get((mistake.key or "").partition("[")[0])
    if one is None:
        # A person with a card alone writes `password` where others name its file.
        return replace(
            mistake,
            problem=_DIRECT.sub(r"\1", mistake.problem),
            allowed=mistake.allowed and _DIRECT.sub(r"\1", mistake.allowed),
            suggestion=mistake.suggestion and _DIRECT.sub(r"\1", mistake.suggestion),
        )
    here = "what is written here" if one.written else "the file"
    files = re.compile(rf'"(?:{re.escape(str(staging))}|{re.escape(str(drawn.vault.folder))})/[^"]*"')
    problem = files.sub(here, mistake.problem)
    suggestion, allowed = mistake.suggestion, mistake.allowed
    if suggestion and (_SHELL.search(suggestion) or str(staging) in suggestion):
        suggestion = f"Correct {'it' if one.written else 'the file'}."
    return replace(
        mistake,
        key=dotted((*one.table, one.word)),
        problem=problem,
        suggestion=suggestion,
        allowed=allowed and re.sub(r", such as `[^`]*` prints", "", allowed),
    )


def _without(mistake: Mistake, drawn: Plan) -> Mistake:
    """Take a secret out that stands where it does not belong: as the value of another option, or in an address."""
    addresses = [table.get(name) for _, table in tables(drawn.raw) for name in _ADDRESSES]
    rests = {rest for address in addresses for rest in _behind(address)}
    secrets = drawn.secrets | rests

    def hidden(text: str | None) -> str | None:
        for secret in sorted(secrets, key=len, reverse=True) if text else ():
            text = text and text.replace(f'"{secret}"', '"***"')
            if len(secret) >= _LONG or secret in rests:
                for spelled in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
                    text = text and _cut_out(text, spelled)
        return text

    return replace(
        mistake,
        key=hidden(mistake.key),
        problem=hidden(mistake.problem) or "",
        allowed=hidden(mistake.allowed),
        suggestion=hidden(mistake.suggestion),
    )


def _cut_out(text: str, secret: str) -> str:
    """Take a word out, and its beginning where a long value was cut off with dots."""
    text = text.replace(secret, "***")
    if "..." in text:
        for length in range(min(len(secret), _SHOWN) - 1, 0, -1):
            text = text.replace(f"{secret[:length]}...", "***...")
    return text


def _behind(address: object) -> Iterator[str]:
    """Give what of an address may be a key: user and password, path and query, whole and in their parts."""
    for value in address if isinstance(address, list) else [address]:
        found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
        for rest in found.groups() if found else ():
            if rest and rest.strip("/"):
                yield rest
                yield from _PARTS.findall(rest)
