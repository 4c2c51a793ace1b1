"""Finds gateway.toml on the card under the names that people's programs give it, and reads it as they save it."""

import codecs
import difflib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from gateway.config import InvalidConfigError, Mistake
from gateway.config.files import NotAFileError, read_file

NAME = "gateway.toml"
PROBLEMS, ACCEPTED = "gateway-problems.txt", "gateway-accepted.txt"
FRESH = "gateway.toml.new"  # while the file is written anew; nothing of a person's ever has this name
_NAMES = (NAME, "gateway.toml.txt")  # Notepad adds the second end, and Windows hides it
# What programs make of the name: a word processor, a browser that had not finished.
_NEAR = re.compile(
    r"gateway(?!.*example).*\.(toml|txt|rtf|docx?|odt|pages|html?|md|json|ya?ml|conf|cfg|ini|download|crdownload|part)",
    re.DOTALL,
)
_TYPED = re.compile(r"(g[a-z]+)\.toml(\.[a-z]+)?")
_ALIKE = 0.7
_WRITTEN = (".rtf", ".doc", ".docx", ".odt", ".pages", ".htm", ".html")  # no plain text, whatever its name
_LARGEST = 1_000_000
_SAVE = 'In Notepad choose "Save as", and "UTF-8" beside "Encoding".'
_EJECT = "Copy it to the card again, and eject the card before you take it out."


@dataclass(frozen=True, slots=True)
class CardFile:
    """The text of the file, and the form in which it must be written back."""

    path: Path
    text: str
    encoding: str
    mark: bytes = b""

    def encoded(self, text: str) -> bytes:
        """Give another text in the form of this file."""
        return self.mark + text.encode(self.encoding)


def find(folders: tuple[Path, ...]) -> tuple[Path, list[str]] | None:
    """Give the first folder that has the file, and the names there that mean it."""
    near: tuple[Path, list[str]] | None = None
    for folder in folders:
        try:
            names = sorted(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        if meant := [name for name in names if name.casefold() in _NAMES]:
            return folder, meant
        close = [name for name in names if _is_near(name.casefold()) and not _ours(name)]
        near = near or ((folder, close) if close else None)
    return near


def read(folder: Path, names: list[str]) -> CardFile:
    """Read the file; raise `InvalidConfigError` with the one reason why not."""
    if len(names) > 1:
        raise wrong(
            f"there are {len(names)} files: {', '.join(map(spoken, names))}",
            f"Keep one of them, and call it {NAME}.",
        )
    path = folder / names[0]
    if names[0].casefold() not in _NAMES:
        cure = f"Call it {NAME}."
        if names[0].casefold().endswith(_WRITTEN):
            cure = f'Save it as plain text (TextEdit: "Format", "Make Plain Text"). {cure}'
        raise wrong(f"a file is called {spoken(names[0])}, and only {NAME} is read", cure)
    content = _content(path)
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if content.startswith(mark):
            return CardFile(path, _decoded(content[len(mark) :], encoding), encoding, mark)
    return CardFile(path, _decoded(content, "utf-8"), "utf-8")


def beside(folder: Path, name: str) -> Path | None:
    """Find a file that gateway.toml names, whatever the case of its letters; never one of ours, never a link."""
    for known in sorted(folder.iterdir()) if folder.is_dir() else ():
        same = known.name.casefold() == name.casefold()
        if same and not _ours(known.name) and known.name.casefold() not in _NAMES and _is_file(known):
            return known
    return None


def within(folder: Path, value: str) -> Path | None:
    """Give the place of a file on the card that is named by its whole path, in whichever way; None for any other name."""
    if not value.startswith("/") or "\0" in value:
        return None
    top, real = Path(os.path.realpath(folder)), Path(os.path.realpath(value))
    plain = Path(os.path.normpath(value))  # of a link, where the link itself lies
    return next((path for path in (real, plain) if top in path.parents), None)


def spoken(name: str) -> str:
    """Give the name of a file as text that can be written anywhere: not every name is text."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else "?" for char in text)


def wrong(problem: str, suggestion: str, *, line: int | None = None) -> InvalidConfigError:
    """Make the error for a file that cannot be read at all."""
    return InvalidConfigError(
        [Mistake(file=None, line=line, key=None, problem=problem, suggestion=suggestion)]
    )


def _is_near(name: str) -> bool:
    typed = _TYPED.fullmatch(name)
    if typed and difflib.SequenceMatcher(None, typed[1], "gateway").ratio() >= _ALIKE:
        return True
    return bool(_NEAR.fullmatch(name))


def _ours(name: str) -> bool:
    return name.casefold() in {PROBLEMS, ACCEPTED, FRESH}


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _content(path: Path) -> bytes:
    try:
        if path.is_symlink():
            raise wrong("it is a link to another file", "Put the file itself here.")
        content, _ = read_file(path, _LARGEST + 1)
    except NotAFileError:
        raise wrong("it is a folder, and not a file", f"Remove it, and put the file {NAME} here.") from None
    except OSError as error:
        raise wrong(
            f"the card cannot be read: {error.strerror}", f"{_EJECT} Else try another card."
        ) from None
    if len(content) > _LARGEST:
        raise wrong(f"it is larger than {_LARGEST} bytes", "Is it the right file?")
    if not content.strip(b"\0 \t\r\n"):
        raise wrong("it is empty", f"It may have been cut off when it was copied. {_EJECT}")
    return content


def _decoded(content: bytes, encoding: str) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = None if encoding != "utf-8" else content.count(b"\n", 0, error.start) + 1
        raise wrong("there are characters in it that are not UTF-8", _SAVE, line=line) from None
    if "\0" in text:
        raise wrong("there are bytes in it that are no text", f"{_SAVE} Is it damaged? {_EJECT}")
    return text
