"""What a check is, and what it is given to look at."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import Config
from gateway.doctor.finding import Finding


@dataclass(frozen=True, slots=True)
class Box:
    """The box and what is known of it before any check looks."""

    config: Config
    path: Path | None = None  # the configuration file; None: there is none, and the defaults hold
    problem: str = ""  # what is wrong with that file; then ``config`` is the last good one, or the defaults
    root: Path = field(default_factory=lambda: Path("/"))  # the system's own files are read below this
    told: Mapping[str, object] | None = None  # what the running daemon says of itself; None: nothing
    recalled: bool = False  # ``config`` is the last good one
    refused: str = ""  # why it was not asked: this user may not
    inside: bool = False  # the daemon itself asks

    def system(self, name: str) -> Path:
        """Give the path of a file of the system, such as "proc/meminfo"."""
        return self.root / name

    def read(self, name: str) -> str | None:
        """Give the text of a small file of the system; None when there is none or this user may not read it."""
        try:
            return self.system(name).read_text("utf-8", "replace").strip()
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at; it runs in a thread of its own and may hang without harm."""

    name: str  # in a word or two; the check of its findings: "clock", "disk", "sink upstream"
    look: Callable[[Box], Iterable[Finding]]  # what it yields before it hangs is kept
    codes: frozenset[str]  # every fault that it can find; each has a test that brings it about
    cheap: bool = False  # the daemon looks once a minute: no network, no program, no whole file
    looks: int = 1  # so often in a row it must be seen, or be gone, before the daemon believes it


def there(path: Path) -> bool:
    """Say whether something is there, as far as this user can see."""
    try:
        return path.exists()
    except OSError:  # in a folder that this user may not enter
        return False


def well(check: str, sentence: str, subject: str = "") -> Finding:
    """Say that something is as it should be."""
    return Finding(check, sentence, subject=subject)


def wrong(check: str, code: str, sentence: str, subject: str = "", *, remedy: str = "") -> Finding:
    """Say that something is wrong."""
    return Finding(check, sentence, code, subject, remedy=remedy)


def hindered(check: str, sentence: str, subject: str = "") -> Finding:
    """Say that it could be told, but something hangs or this user may not look."""
    return Finding(check, sentence, subject=subject, known=False, hindered=True)


def untold(check: str, sentence: str, subject: str = "") -> Finding:
    """Say that it cannot be told on this box, whoever asks, and why."""
    return Finding(check, sentence, subject=subject, known=False)
