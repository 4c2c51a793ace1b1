"""The two text files that a person finds beside gateway.toml: what is wrong with it, or that it was taken over.

Their lines end as Notepad of any age wants them. Neither holds a secret.
"""

import socket
from collections.abc import Sequence
from pathlib import Path

from gateway.config import Config, Mistake
from gateway.config.files import read_file
from gateway.errors import ConfigError
from gateway.firstboot.card import ACCEPTED, NAME, PROBLEMS
from gateway.firstboot.record import Record
from gateway.firstboot.writing import put_if_other

_LOCAL = ".local"


def sentence(mistake: Mistake) -> str:
    """Say a mistake in one line."""
    place = f"line {mistake.line}" if mistake.line else ""
    where = ", ".join(part for part in (place, mistake.key or "") if part)
    said = f"{where}: {mistake.problem}" if where else mistake.problem
    return f"{said}. {_ended(mistake.suggestion)}".strip()


def problems(name: str, mistakes: Sequence[Mistake], *, configured: bool) -> str:
    """Say what is wrong and what to do, in the order of the file."""
    runs = "It runs on with the settings that it had." if configured else (
        "It has no settings yet: it receives and keeps what devices send, and forwards nothing."
    )  # fmt: skip
    lines = [f"The gateway did not take over {name}. {runs}", ""]
    for mistake in mistakes:
        place = [f"Line {mistake.line}"] if mistake.line else []
        lines.append(", ".join([*place, *([mistake.key] if mistake.key else [])]) or name)
        lines.append(f"  What is wrong: {mistake.problem}.")
        lines += [f"  Allowed: {mistake.allowed}"] if mistake.allowed else []
        lines += [f"  What to do: {_ended(mistake.suggestion)}"] if mistake.suggestion else []
        lines.append("")
    lines += [
        f"Correct {NAME}, eject the card, put it back into the box, and switch the box on.",
        "This file goes away when all is right. If it stays as it is, the box did not read the card.",
    ]
    return "\n".join(lines) + "\n"


def accepted(config: Config, record: Record, address: str | None) -> str:
    """Say what the box is called and what to type into the devices."""
    name = f'"{config.gateway.name}"' if config.gateway.name else ""
    when = record.when.replace("T", " ").replace("+00:00", " UTC")
    doubt = "" if record.sure else " (by the clock of the box, which may not have been set yet)"
    host = socket.gethostname().split(".", 1)[0]
    lines = [
        f"The gateway took over {NAME} on {when}{doubt}.",
        "",
        f"It is called {config.gateway.id}{', ' + name if name else ''}.",
    ]
    if address:
        base = f"http://{address}:{config.listen.port}"
        lines += [
            f"Its address was {address} when it was switched on. Reserve this address for it in your router.",
            "Type this into the devices:",
            f"  people counter: {base}/counter",
            f"  face terminal:  {base}/Record",
            f"To see whether it answers, open {base}/ in a browser in the same network.",
        ]
    else:
        lines.append(
            "It had no address in the network when it was switched on: check its cable or its Wi-Fi."
        )
    lines += [
        f"Most computers in the same network find it under the name {host}{_LOCAL} too.",
        "",
        "Passwords and keys were moved into the box; gateway.toml does not hold them any more. Leave the words",
        '"(kept in the gateway)" where they are, or write a new password in their place.',
    ]
    if record.kept:
        lines += [
            "",
            "The settings that the box had before were written or changed on the box, and not by a card. They are",
            f"not used any more, and kept there as {record.kept}.",
        ]
    return "\n".join(lines) + "\n"


def tell_problems(folder: Path, said: str) -> None:
    """Write what is wrong; raises OSError when the card does not let itself be written."""
    put_if_other(folder / PROBLEMS, _bytes(said))
    _remove(folder / ACCEPTED)


def tell_accepted(folder: Path, config: Config, record: Record, address: str | None) -> None:
    """Write that all is right; raises OSError when the card does not let itself be written."""
    said = _bytes(accepted(config, record, address))
    if address is not None or not _says(folder / ACCEPTED, said.partition(b"\r\n")[0]):
        put_if_other(folder / ACCEPTED, said)  # a box that has no address yet does not forget the last one
    _remove(folder / PROBLEMS)


def _bytes(said: str) -> bytes:
    return said.replace("\n", "\r\n").encode("utf-8", "replace")


def _says(path: Path, begin: bytes) -> bool:
    line = begin + b"\r\n"
    try:
        return read_file(path, len(line))[0] == line
    except (OSError, ConfigError):
        return False


def _remove(path: Path) -> None:
    if path.exists() or path.is_symlink():
        path.unlink()


def _ended(text: str | None) -> str:
    if not text:
        return ""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."
