"""Find out what the checks go by, whatever hangs: the configuration, and what the running gateway says of itself."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gateway import clock
from gateway.config import Config, answering, last_good, load
from gateway.control.client import Client, DaemonDown
from gateway.doctor.box import Box, hindered, there
from gateway.doctor.finding import Finding
from gateway.errors import ConfigError, GatewayError
from gateway.outbox import identity
from gateway.outbox.reading import looking

_LOAD_S, _FIND_S, _ASK_S = 3.0, 0.5, 2.5  # together less than the checks have at most
_RUNNING = "running gateway"  # the check of what only the daemon itself knows
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the checks go by."""

    box: Box
    hung: list[Finding]  # what could not be had in time
    time: str
    spent_s: float


def prepare(path: Path | None) -> Prepared:
    """Give the box as far as it is known, in a few seconds whatever hangs."""
    began = clock.steady()
    hung: list[Finding] = []
    loaded = within(_LOAD_S, lambda: _load(path))
    if loaded is None:
        said = f"{path} could not be read in {_LOAD_S:g} s: its disk hangs. The defaults are assumed."
        hung.append(hindered("configuration", said))
    box = loaded or Box(Config(), path)
    socket = within(_FIND_S, lambda: _socket(box, path)) or box.config.socket
    told, refused = within(_ASK_S, lambda: _ask(socket)) or (None, "")
    known = str(told["gateway"]) if told else within(_FIND_S, lambda: _spoken(box.config))
    box = replace(box, config=box.config.going_on_as(known), told=told, refused=refused)
    return Prepared(box, hung, clock.now().isoformat(timespec="seconds"), clock.steady() - began)


def within(seconds: float, ask: Callable[[], T]) -> T | None:
    """Give what comes of a question in that time, else None; it may go on hanging in its own thread."""
    answers: list[T] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), name="doctor prepares", daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None


def _load(path: Path | None) -> Box:
    try:
        return Box(load(path), path)
    except ConfigError as error:
        recalled = last_good.recall(path)
        return Box(recalled or Config(), path, problem=str(error), recalled=recalled is not None)


def _socket(box: Box, path: Path | None) -> Path:
    """Find the control socket; a configuration with mistakes may still say where it is."""
    return answering(path) if box.problem and not box.recalled else box.config.socket


def _spoken(config: Config) -> str | None:
    """Find the id that the far ends know in what a stopped gateway left; without a store nobody knows any."""
    if config.gateway.id_written:
        return None
    try:
        with looking(config.store.path) as conn:
            return identity.spoken(conn)
    except (GatewayError, sqlite3.Error, OSError):
        return None


def _ask(socket: Path) -> tuple[Mapping[str, object] | None, str]:
    """Ask the daemon; else say why this user was not answered, where it is for that."""
    try:
        return Client(socket, timeout_s=_ASK_S - 0.5).get("/status"), ""
    except DaemonDown as down:
        denied = not os.access(socket, os.W_OK) and (there(socket) or not os.access(socket.parent, os.X_OK))
        return None, str(down) if denied and there(socket.parent) else ""
    except (GatewayError, OSError):
        return None, ""


def standing(box: Box, found: list[Finding]) -> Iterator[Finding]:
    """Give the faults of the running gateway that no check has found, once each."""
    seen = {(one.code, one.subject) for one in found}
    faults = (box.told or {}).get("faults")
    for fault in faults if isinstance(faults, list) else []:
        key = (str(fault["code"]), str(fault["subject"]))
        if key not in seen:
            seen.add(key)
            yield Finding(_RUNNING, str(fault["sentence"]), *key, remedy=str(fault["action"]))
