"""One capture on disk: a file for its owner only, one JSON object a line, with an end in bytes and in number."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.control.captures import ENDING, FOLDER, files
from gateway.guard import Request
from gateway.masking import masked, masked_words
from gateway.receiver import Watched
from gateway.redact import redact_path, redact_query, redact_text

MOST_BYTES = 20 * 2**20
MOST_LINES = 10_000
_MOST_FILES = 20
_BODY_MAX = 65_536
_TEXT_MAX = 200
_PROGRAM = re.compile(r"[A-Za-z0-9._-]{1,40}(?:/[A-Za-z0-9._-]{1,40})?(?![A-Za-z0-9._@/-])")
# What says how a device speaks. No other header is kept: one of them may be a login.
_HEADERS = ("content-type", "content-length", "transfer-encoding", "user-agent", "sn", "model", "timestamp")


@dataclass(slots=True)
class CaptureFile:
    """A file that is being written, in a thread of the one who captures."""

    path: Path
    lines: int = 0
    size: int = 0

    @classmethod
    def begin(cls, directory: Path, name: str, head: Mapping[str, object]) -> "CaptureFile":
        """Make the file, and remove the oldest when there are too many; raises `OSError`."""
        folder = directory / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        kept = files(directory)
        for row in kept[: max(len(kept) - _MOST_FILES + 1, 0)]:
            Path(str(row["file"])).unlink(missing_ok=True)
        path, number = folder / f"{name}{ENDING}", 1
        while path.exists():
            number += 1
            path = folder / f"{name}-{number}{ENDING}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        made = cls(path)
        made.add({"capture": head})
        made.lines = 0
        return made

    @property
    def full(self) -> bool:
        """It has reached one of its ends."""
        return self.size >= MOST_BYTES or self.lines >= MOST_LINES

    def add(self, line: Mapping[str, object]) -> None:
        """Write one line; raises `OSError`."""
        text = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        # Opened anew for each line: whoever removes the file meanwhile gets rid of it.
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "ab") as file:
            file.write(text)
        self.lines += 1
        self.size += len(text)


def line_of_push(watched: Watched) -> dict[str, object]:
    """Give a push as a line. Masking takes its time: call this in a thread."""
    post = watched.post
    body = masked(post.body)
    return {
        "at": post.received_at.isoformat(timespec="milliseconds"),
        "address": post.address,
        "method": post.method[:16],
        "path": watched.path[:_TEXT_MAX],
        "query": redact_query(post.query)[:_TEXT_MAX],
        "headers": _headers(post.headers),
        "body": body[:_BODY_MAX].decode("utf-8", "replace"),
        "bytes": len(post.body),
        "cut": len(body) > _BODY_MAX,
        "source": watched.source,
        "outcome": masked_words(watched.outcome),
    }


def line_of_visit(request: Request, at: str, tokens: frozenset[str]) -> dict[str, object]:
    """Give a request that was no push as a line."""
    return {
        "at": at,
        "address": request.address,
        "method": request.method[:16],
        "path": redact_path(request.path[:_TEXT_MAX], tokens),
        "query": redact_query(request.query)[:_TEXT_MAX],
        "headers": _headers(request.headers),
        "bytes": len(request.body),
        "outcome": "no push",
    }


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    shown = {name: redact_text(given[name][:_TEXT_MAX]) for name in _HEADERS if name in given}
    # A browser or a program of somebody's own may put anything there; which program it is, is said first.
    return {name: _program(text) if name == "user-agent" else text for name, text in shown.items()}


def _program(text: str) -> str:
    found = _PROGRAM.match(text)
    return found[0] if found else "***"
