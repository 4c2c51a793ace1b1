"""Checks what a card would make of the box exactly as every configuration is checked, and says it for the card."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gateway.config import Config, InvalidConfigError, Mistake, loads
from gateway.config.advice import dotted
from gateway.firstboot.plan import Plan

_SHELL = re.compile(r"run:|LoadCredential|openssl|chmod|/etc/gateway|credential")  # of no use without a shell
_DIRECT = re.compile(r"\b(password|secret|bearer|path_secret)_file\b")
_LONG = 8  # a secret of so many characters is no word of ours


def check(drawn: Plan) -> Config:
    """Load it; raises `InvalidConfigError` with every mistake, none of which holds a secret."""
    found = list(drawn.mistakes.values())
    config = None
    with _staged(drawn) as staging:
        try:
            config = loads(drawn.checked_text(staging))
        except InvalidConfigError as error:
            found += [
                _for_card(mistake, drawn, staging)
                for mistake in error.mistakes
                if (mistake.key or "").partition("[")[0] not in drawn.mistakes
            ]
    if found or config is None:
        found.sort(key=lambda mistake: mistake.line or 0)
        raise InvalidConfigError([_without(mistake, drawn.secrets) for mistake in found])
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


def _without(mistake: Mistake, secrets: set[str]) -> Mistake:
    """Take a secret out that stands where it does not belong: as the value of another option."""

    def hidden(text: str | None) -> str | None:
        for secret in sorted(secrets, key=len, reverse=True) if text else ():
            text = text and text.replace(f'"{secret}"', '"***"')
            if len(secret) >= _LONG:
                text = text and text.replace(secret, "***")
        return text

    return replace(
        mistake,
        key=hidden(mistake.key),
        problem=hidden(mistake.problem) or "",
        allowed=hidden(mistake.allowed),
        suggestion=hidden(mistake.suggestion),
    )
