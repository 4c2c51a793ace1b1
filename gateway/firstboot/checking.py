"""Checks what a card would make of the box exactly as every configuration is checked, and says it for the card."""

import bisect
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
_MOST = 100  # mistakes that are told: who has corrected so many learns the others then
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
        hidden = _Hidden(drawn)
        raise InvalidConfigError([hidden.without(mistake) for mistake in found[:_MOST]])
    return config


@contextlib.contextmanager
def _staged(drawn: Plan) -> Iterator[Path]:
    """Put the new secrets where nobody else can read them and where no disk keeps them."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or "/dev/shm"  # noqa: S108 - a private folder in it
    memory = given if os.access(given, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="gateway-card-", dir=memory) as folder:
        for name, content in drawn.files.items():
            path = Path(folder, Path(name).name)
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
    folders = "|".join(re.escape(str(one)) for one in (staging, drawn.vault.folder, drawn.vault.certificates))
    files = re.compile(rf'"(?:{folders})/[^"]*"')
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


class _Hidden:
    """Takes secrets out that stand where they do not belong: as the value of another option, or in an address."""

    def __init__(self, drawn: Plan) -> None:
        addresses = [table.get(name) for _, table in tables(drawn.raw) for name in _ADDRESSES]
        rests = {rest for address in addresses for rest in _behind(address)}
        self._quoted = sorted(drawn.secrets, key=len, reverse=True)
        whole = rests | {secret for secret in drawn.secrets if len(secret) >= _LONG}
        spelled = {one for text in whole for one in (text, json.dumps(text)[1:-1], repr(text)[1:-1])}
        self._whole = sorted(spelled, key=len, reverse=True)
        self._sorted = sorted(spelled)

    def without(self, mistake: Mistake) -> Mistake:
        """Give the mistake as it may be told."""
        return replace(
            mistake,
            key=self._taken_out(mistake.key),
            problem=self._taken_out(mistake.problem) or "",
            allowed=self._taken_out(mistake.allowed),
            suggestion=self._taken_out(mistake.suggestion),
        )

    def _taken_out(self, text: str | None) -> str | None:
        if not text:
            return text
        for secret in self._quoted:
            if secret in text:
                text = text.replace(f'"{secret}"', '"***"')
        for secret in self._whole:
            if secret in text:
                text = text.replace(secret, "***")
        *pieces, last = text.split("...")
        return "...".join([*map(self._cut_off, pieces), last])

    def _cut_off(self, piece: str) -> str:
        """Take out the beginning of a long value in front of the dots that it was cut off with."""
        for start in range(max(len(piece) - _SHOWN, 0), len(piece)):
            end = piece[start:]
            at = bisect.bisect_left(self._sorted, end)
            if at < len(self._sorted) and self._sorted[at].startswith(end):
                return f"{piece[:start]}***"
        return piece


def _behind(address: object) -> Iterator[str]:
    """Give what of an address may be a key: user and password, path and query, whole and in their parts."""
    for value in address if isinstance(address, list) else [address]:
        found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
        for rest in found.groups() if found else ():
            if rest and rest.strip("/"):
                yield rest
                yield from _PARTS.findall(rest)
