"""Secrets come from files: which file, who may read it, and what is in it.

The text of a secret leaves only through `SecretFile.reveal`; repr, messages, dumps and the hash show the
name of its file. A file that others can read or replace is refused, because it is no longer a secret.
"""

import base64
import binascii
import hashlib
import re
import shlex
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from gateway.config import credentials
from gateway.config.files import NotAFileError, read_file
from gateway.config.wording import shown_path, wrong

_LONGEST = 1_048_576  # a whole bundle of authorities fits
_PATH_WORD = re.compile(r"[A-Za-z0-9_-]{12,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLACE = f'the bare name of a file in {credentials.CREDENTIALS}, such as "mqtt-password", or an absolute path'


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret and the file it came from. Two are equal only when the secret is the same too."""

    name: str  # as written in the configuration
    path: Path
    _text: str = field(repr=False)

    def reveal(self) -> str:
        """Give the secret itself; never log, store or send what this returns."""
        return self._text


@dataclass(frozen=True, slots=True)
class PlainFile:
    """A file that another library opens by its path; the digest makes a changed file a changed option."""

    name: str
    path: Path
    digest: str


def _locate(name: Any) -> Path:
    if not isinstance(name, str):
        raise wrong("must be the name of a file, in quotes", allowed=_PLACE)
    if name.startswith(("whsec_", "-----BEGIN")):
        raise wrong(
            "this is the secret itself, and it belongs in a file",
            suggestion="write it to a file that only the gateway can read, and put the file's path here",
        )
    if name.startswith("/") and "\0" not in name:
        return credentials.moved(Path(name))
    # Not quoted from here on: who writes a password where its file's name belongs must not see it in a log.
    if not name or "/" in name or "\0" in name or name in {".", ".."}:
        raise wrong("this is neither an absolute path nor a bare name", allowed=_PLACE)
    found = credentials.find(name)
    if found is None:
        raise wrong(
            f"there is no secret of this name in {credentials.searched()}",
            allowed=_PLACE,
            suggestion=credentials.cure(),
        )
    return found


def _read(path: Path, *, secret: bool, lacks: str = "write the secret into it, on one line") -> bytes:
    named = shown_path(path)
    try:
        with credentials.rights_for(path):
            content, mode = read_file(path, _LONGEST + 1)
    except OSError as error:
        raise wrong(f"{named} cannot be read: {error.strerror}", suggestion=_cure(error, path)) from None
    except NotAFileError:
        raise wrong(f"{named} is not a file") from None
    if secret and mode & (stat.S_IRWXO | stat.S_IWGRP):
        who = "everybody can read or change" if mode & stat.S_IRWXO else "its group can change"
        raise wrong(
            f"{who} {named} (mode {stat.S_IMODE(mode):04o})",
            suggestion=f"run: chmod g-w,o= {shlex.quote(str(path))}",
        )
    if not content.strip():
        raise wrong(f"{named} is empty", suggestion=lacks)
    if len(content) > _LONGEST:
        raise wrong(f"{named} is larger than {_LONGEST} bytes", suggestion="is it the right file?")
    return content


def _cure(error: OSError, path: Path) -> str | None:
    if isinstance(error, PermissionError):
        return "let the gateway's user read it, or run this command as root"
    if isinstance(error, FileNotFoundError):
        return f"create it, and run: chmod 600 {shlex.quote(str(path))}"
    return None


def has_control(text: str) -> bool:
    """Say whether a secret has characters in it that nobody types: mostly a backslash was taken as the start of one."""
    return bool(_CONTROL.search(text))


def _secret(name: Any) -> SecretFile:
    path = _locate(name)
    try:
        text = _read(path, secret=True).decode("utf-8")
    except UnicodeDecodeError:
        raise wrong(
            f"{shown_path(path)} is not UTF-8 text", suggestion="write it anew, as plain text"
        ) from None
    text = text.removesuffix("\n").removesuffix("\r")  # editors end a line; a secret has just one
    if any(character in text for character in "\r\n\0"):
        raise wrong(
            f"{shown_path(path)} holds more than one line",
            suggestion="leave one line in it, with the secret only",
        )
    if has_control(text):
        raise wrong(
            f"{shown_path(path)} holds a control character, such as a TAB",
            suggestion="write it anew: a backslash means something else in double quotes and to some commands",
        )
    return SecretFile(name, path, text)


def secret_files(names: Any) -> tuple[SecretFile, ...]:
    """Read one file, or each of a list, so that a secret can be changed without a gap."""
    return tuple(_secret(name) for name in (names if isinstance(names, list) else [names]))


def _path_word(name: Any) -> SecretFile | None:
    if name is None:
        return None
    word = _secret(name)
    if not _PATH_WORD.fullmatch(word.reveal()):
        raise wrong(
            f"{shown_path(word.path)} does not hold a word for a path that nobody can guess",
            allowed="12 to 64 of the characters A-Z a-z 0-9 _ -, such as `openssl rand -hex 8` prints",
            suggestion=f"run: openssl rand -hex 8 > {shlex.quote(str(word.path))}",
        )
    return word


def _signing_secrets(names: Any) -> tuple[SecretFile, ...]:
    listed = secret_files(names)
    if not listed:
        raise wrong("an empty list signs nothing; leave the option out instead")
    for item in listed:
        try:
            raw = base64.b64decode(item.reveal().removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not item.reveal().startswith("whsec_") or len(raw) < 24:
            raise wrong(
                f"{shown_path(item.path)} does not hold a signing secret",
                allowed='"whsec_" and then at least 24 random bytes in Base64',
                suggestion="copy the whole of it again, just as whoever runs the upstream gave it",
            )
    return listed


def _pem(name: Any, word: str, *, secret: bool) -> PlainFile:
    path = _locate(name)
    content = _read(path, secret=secret, lacks=f"copy the whole PEM block of the kind {word} into it")
    if f"{word}-----".encode() not in content:
        raise wrong(f"{shown_path(path)} holds no PEM block of the kind {word}")
    if b"ENCRYPTED" in content:
        raise wrong(
            f"{shown_path(path)} is encrypted, and nobody is there to type its passphrase",
            suggestion="write the key without a passphrase to a file that only the gateway can read",
        )
    return PlainFile(name, path, hashlib.blake2b(content, digest_size=8).hexdigest())


def _certificate(name: Any) -> PlainFile:
    return _pem(name, "CERTIFICATE", secret=False)


def _private_key(name: Any) -> PlainFile:
    return _pem(name, "PRIVATE KEY", secret=True)


def _name_of(file: SecretFile | PlainFile | None) -> str | None:
    return file.name if file else None


def _names_of(files: tuple[SecretFile, ...]) -> list[str]:
    return [file.name for file in files]


_AS_NAME = PlainSerializer(_name_of)
SecretOption = Annotated[SecretFile | None, PlainValidator(_secret), _AS_NAME]
PathWord = Annotated[SecretFile | None, PlainValidator(_path_word), _AS_NAME]
SigningSecrets = Annotated[
    tuple[SecretFile, ...], PlainValidator(_signing_secrets), PlainSerializer(_names_of)
]
CertificateOption = Annotated[PlainFile | None, PlainValidator(_certificate), _AS_NAME]
KeyOption = Annotated[PlainFile | None, PlainValidator(_private_key), _AS_NAME]
