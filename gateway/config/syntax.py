"""Reads the text and its TOML; what is not TOML gives the one mistake that tomllib finds, in plain words.

No line of the text is quoted: it may hold a secret.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from gateway.config.files import NotAFileError, read_file
from gateway.config.mistakes import InvalidConfigError, Mistake, UnreadableConfigError

_LARGEST = 1_000_000
_WHERE = re.compile(
    r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL
)
_KEY = re.compile(r"\s*([A-Za-z0-9_.-]{1,60})\s*(?:=|$)")
_TABLE = re.compile(r"\s*\[{1,2}([A-Za-z0-9_. -]{1,80})\]{1,2}\s*(?:#.*)?")
_BOOLEAN = re.compile(r"[^=]*=\s*(true|false|yes|no|on|off)\b", re.IGNORECASE)

_CURLY = frozenset("\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u00ab\u00bb")
_ENDS_CURLY = re.compile(rf"[\"'][^\"']*[{''.join(sorted(_CURLY))}]\s*(?:#.*)?$")
_ODD_BLANKS = frozenset("\u00a0\u1680\u2007\u200b\u202f\u205f\u2060\u3000\ufeff")

# What tomllib says first -> what a person should hear, and what to do.
_PLAINLY = (
    ("Cannot overwrite a value", "this option is given twice", "keep one of the two"),
    ("Cannot declare", "this section is opened twice", "put the options of both under one heading"),
    ("Duplicate inline table key", "this option is given twice", "keep one of the two"),
    (
        "Expected ']' at the end of a table",
        "the name of the section has a blank or another character that no name has",
        "write - for a blank, as in: [devices.lobby-north]",
    ),
    ("Invalid value", "the value is not TOML", 'put text in quotes, as in: name = "hall"'),
    ("Expected '='", 'a "=" is missing after the name of the option', "write: name = value"),
    (
        "Expected newline",
        "there is something behind the end of the value",
        "put text in quotes; one option per line",
    ),
    ("Unterminated string", "a quoted text does not end", "close it with a second quote"),
    ("Illegal character", "a quoted text does not end on its line", "close it with a second quote"),
    ("Unclosed", "a list or table does not end", "close it with ] or }"),
    (
        "Unescaped '\\'",
        "a single backslash in quotes means something else",
        "write it twice, or use 'single quotes'",
    ),
    (
        "Invalid statement",
        "this is neither an option, nor a section, nor a comment",
        "begin a comment with #",
    ),
)


def read_text(path: Path) -> str:
    """Read the file, or raise `InvalidConfigError` saying why it cannot be read."""
    file = str(path)
    try:
        content, _ = read_file(path, _LARGEST + 1)
    except NotAFileError:
        raise _unusable(file, "this is not a file", "name the configuration file itself") from None
    except PermissionError:
        said = "there is no permission to read the file", "let the gateway's user read it"
        raise UnreadableConfigError(_unusable(file, *said).mistakes) from None
    except FileNotFoundError:
        raise _unusable(
            file, "the file does not exist", "check its name; config.example.toml is a start"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unusable(file, f"the file cannot be read: {error}") from None
    if len(content) > _LARGEST:
        raise _unusable(file, f"the file is larger than {_LARGEST} bytes", "is it the right file?")
    try:
        return content.decode("utf-8-sig")  # editors on Windows put a mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(file, "the text is not UTF-8", "save the file as UTF-8", line=line) from None


def parse(text: str, file: str | None) -> dict[str, Any]:
    """Parse TOML, or raise `InvalidConfigError` with the line of the first fault."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _unusable(file, "lists or tables are nested too deep to read") from None
    except ValueError as error:  # TOMLDecodeError, or a number that Python will not read
        raise InvalidConfigError([_explain(str(error), text, file)]) from None


def _explain(message: str, text: str, file: str | None) -> Mistake:
    lines = text.split("\n")
    match = _WHERE.match(message)
    what = match["what"] if match else message
    number = int(match["line"]) if match and match["line"] else len(text.rstrip().split("\n"))
    if match and not match["line"] and what == "Invalid value":
        what = "Unclosed"
    line = lines[min(number, len(lines)) - 1]
    problem, suggestion = what[:1].lower() + what[1:], None
    for start, plain, cure in _PLAINLY:
        if what.startswith(start):
            problem, suggestion = plain, cure
            break
    problem, suggestion = _odd_character(match, line) or (problem, suggestion)
    boolean = _BOOLEAN.match(line)
    if what == "Invalid value" and boolean:
        word = "true" if boolean[1].lower() in {"true", "yes", "on"} else "false"
        suggestion = f"write {word}, in lower case"
    key = _key_at(lines, number)
    return Mistake(file=file, line=number, key=key, problem=problem, suggestion=suggestion)


def _odd_character(match: re.Match[str] | None, line: str) -> tuple[str, str] | None:
    """Recognise what phones and word processors write in place of quotes and blanks."""
    at = int(match["column"]) - 1 if match and match["column"] else len(line)
    found = line[at : at + 1]
    if found in _CURLY or (at >= len(line.rstrip("\r")) and _ENDS_CURLY.search(line)):
        return "there are curly quotes", "type the straight ones, \" or '; on a phone hold the quote key"
    if found and (found in _ODD_BLANKS or "\u2000" <= found <= "\u200a"):
        return (
            "there is an odd blank, which only looks like one",
            "delete it, and type an ordinary blank or none",
        )
    return None


def _key_at(lines: list[str], number: int) -> str | None:
    """Name the option on a line as well as a text allows that is not TOML."""
    table = _TABLE.fullmatch(lines[number - 1].rstrip("\r"))
    if table:
        return table[1].strip()
    key = _KEY.match(lines[number - 1])
    if not key:
        return None
    for line in reversed(lines[: number - 1]):
        table = _TABLE.fullmatch(line.rstrip("\r"))
        if table:
            return f"{table[1].strip()}.{key[1]}"
    return key[1]


def _unusable(
    file: str | None, problem: str, suggestion: str | None = None, *, line: int | None = None
) -> InvalidConfigError:
    return InvalidConfigError(
        [Mistake(file=file, line=line, key=None, problem=problem, suggestion=suggestion)]
    )
