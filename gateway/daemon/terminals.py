"""Look after where the configured face terminals push: read it, show one that points elsewhere, set it again.

A terminal is only written to where its section says `reapply`, and only when it was seen to point elsewhere,
or when it does not tell and nothing comes from it.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskGroup

from gateway import clock
from gateway.config import Config
from gateway.config.path_words import WhichDevice, section_for, with_word
from gateway.config.terminal_sections import TerminalSection
from gateway.daemon.supervision import supervise
from gateway.errors import GatewayError
from gateway.faults import Faults
from gateway.outbox import Outbox, reading
from gateway.provisioning import (
    Subscription,
    Terminal,
    TerminalTrouble,
    masked_url,
    own_address,
    push_url,
    word_in,
)

log = structlog.get_logger()

_CODES = ("terminal_points_elsewhere", "terminal_refuses", "terminal_unreachable")
_AWAY = frozenset({"refused", "timeout", "no_route", "name", "broken"})
_LEAST_S = 10.0  # a terminal is a small computer
_PATH = "/Record"


class Terminals:
    """The terminals of the configuration, each looked at on its own timer."""

    def __init__(self, outbox: Outbox, faults: Faults, port: Callable[[], int]) -> None:
        self._outbox = outbox
        self._faults = faults
        self._port = port
        self._config: Config | None = None
        self._since = clock.steady()
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._sections: dict[str, TerminalSection] = {}

    def put(self, tasks: TaskGroup, config: Config) -> None:
        """Look after these from now on; what is no longer configured, or was changed, begins anew."""
        self._config = config  # says which terminals need a secret word
        wanted = {name: section for name, section in config.terminals.items() if section.check_s}
        for name in [name for name in self._sections if self._sections[name] != wanted.get(name)]:
            self._scopes.pop(name).cancel()
            del self._sections[name]
            self._faults.clear_subject(name, _CODES)
        for name, section in wanted.items():
            if name not in self._sections:
                self._sections[name] = section
                self._scopes[name] = scope = anyio.CancelScope()
                tasks.start_soon(self._watch, name, section, scope)

    def end(self) -> None:
        """Ask nothing more."""
        for scope in self._scopes.values():
            scope.cancel()

    async def _watch(self, name: str, section: TerminalSection, scope: anyio.CancelScope) -> None:
        async def rounds() -> None:
            while True:
                await self.check(name, section)
                await clock.sleep(max(section.check_s, _LEAST_S))

        with scope:
            await supervise(f"terminal {name}", rounds, self._faults)

    async def check(self, name: str, section: TerminalSection) -> None:
        """Look once, and report or clear what is wrong."""
        terminal = Terminal(section.endpoint)
        try:
            ours, theirs = await to_thread.run_sync(own_address, terminal.host, terminal.port)
        except GatewayError as error:
            self._away(name, str(error))
            return
        try:
            dest = await to_thread.run_sync(self._dest, section, ours, theirs)
        except WhichDevice as which:
            self._unknown(name, section, str(which))
            return
        if section.ping:
            await self._ping(terminal, theirs)
        try:
            stated = await self._applied(terminal, section, dest, theirs)
        except TerminalTrouble as trouble:
            self._troubled(name, trouble)
            return
        self._faults.clear("terminal_unreachable", name)
        self._faults.clear("terminal_refuses", name)
        if stated.stated and not stated.leads_to(dest):
            self._elsewhere(name, section, stated, dest)
        else:
            self._faults.clear("terminal_points_elsewhere", name)

    def _dest(self, section: TerminalSection, ours: str, theirs: str) -> str:
        """Give the URL for a terminal, with the secret word that it is pinned to."""
        dest = section.event_dest or push_url(ours, self._port(), _PATH)
        if self._config is None or word_in(dest) is not None:
            return dest
        with self._outbox.looking() as conn:
            known = reading.seen_at(conn, "face_terminal", theirs)
        pinned = section_for(self._config, "terminal-", theirs, known)
        parts = urlsplit(dest)
        return parts._replace(path=with_word(parts.path or "/", pinned)).geturl()

    async def _applied(
        self, terminal: Terminal, section: TerminalSection, dest: str, theirs: str
    ) -> Subscription:
        """Read where it pushes; set it if that was asked for and is needed, and read again."""
        stated = await terminal.subscription()
        if not section.reapply or (stated.stated and stated.leads_to(dest)):
            return stated
        if not stated.stated and not await to_thread.run_sync(self._silent, theirs, section.check_s):
            return stated
        log.warning(
            "terminal_set_again", terminal=terminal.place, was=_shown(stated.dest), now=masked_url(dest)
        )
        await terminal.subscribe(dest)
        return await terminal.subscription()

    async def _ping(self, terminal: Terminal, theirs: str) -> None:
        try:
            await terminal.ping()
        except TerminalTrouble:
            return  # older firmware has no such call, and reading the setting says what is wrong
        device = await to_thread.run_sync(self._device_at, theirs)
        if device is not None:
            self._outbox.signs.answered(lambda sign: sign.device == device, clock.steady())

    def _device_at(self, address: str) -> str | None:
        with self._outbox.looking() as conn:
            return reading.known_at(conn, "face_terminal", address)

    def _silent(self, address: str, seconds: float) -> bool:
        """Say whether no push of a terminal came from there for so long."""
        with self._outbox.looking() as conn:
            devices = reading.seen_at(conn, "face_terminal", address)
        signs = [self._outbox.signs.of(device) for device in devices]
        # In steady seconds, so that a clock that is set makes nobody silent; before our start nothing was measured.
        heard = [self._since if sign is None or sign.heard is None else sign.heard for sign in signs]
        return not heard or clock.steady() - max(heard) > seconds

    def _elsewhere(self, name: str, section: TerminalSection, stated: Subscription, dest: str) -> None:
        where = _shown(stated.dest)
        if stated.enabled is False:
            where = f"nowhere, because its push is switched off (the address in it is {where})"
        if word_in(dest) is not None and stated.leads_to(masked_url(dest).replace("/k/***", "")):
            where = f"{where} without the secret word of its section in [devices]"
        sentence = f"The terminal {name} at {_host(section)} pushes to {where} and not to {masked_url(dest)}."
        self._faults.report("terminal_points_elsewhere", name, sentence, again=False)

    def _unknown(self, name: str, section: TerminalSection, why: str) -> None:
        self._faults.report(
            "terminal_points_elsewhere",
            name,
            f"The terminal {name} at {_host(section)} is left alone: {why}",
            "Pair it once with `gateway pair terminal` and --device, or write its `address` into its section of [devices].",
            again=False,
        )

    def _troubled(self, name: str, trouble: TerminalTrouble) -> None:
        if trouble.reason in _AWAY:
            self._away(name, str(trouble))
            return
        self._faults.clear("terminal_unreachable", name)
        sentence = f"The push setting of the terminal {name} cannot be read: {trouble}"
        self._faults.report("terminal_refuses", name, sentence, again=False)

    def _away(self, name: str, why: str) -> None:
        self._faults.clear("terminal_refuses", name)
        sentence = f"The terminal {name} cannot be asked: {why}"
        self._faults.report("terminal_unreachable", name, sentence, again=False)


def _host(section: TerminalSection) -> str:
    return urlsplit(section.endpoint).netloc


def _shown(text: str | None) -> str:
    """Make what a terminal says safe to show."""
    return masked_url("".join(char for char in text or "nothing" if char.isprintable()))[:200]
