"""Unknown devices: who waits, what a person decides about them, and what was held of those that are known by now."""

import math
from collections.abc import Mapping
from ipaddress import ip_address

import anyio
import structlog
from anyio import to_thread

from gateway.control import waiting
from gateway.doctor.devices import waiting as waiting_told
from gateway.errors import GatewayError, StoreUnavailable
from gateway.faults import Faults
from gateway.intake import Intake
from gateway.outbox import Outbox, reading, strangers
from gateway.outbox.adoption_window import LONGEST_S

log = structlog.get_logger()

_PAUSE_S = 1.0  # when the store takes nothing, asking more often does not help
_MINUTE_S = 60.0
_NAMED = 3  # devices of which a sentence speaks


class Adoption:
    """Carries out decisions, and puts into the log what was held of devices that are adopted."""

    def __init__(self, outbox: Outbox, intake: Intake) -> None:
        self._outbox = outbox
        self._intake = intake

    async def run(self) -> None:
        """Work off what need not wait any longer, for ever; a start goes on where a crash interrupted it."""
        await self.review()
        while True:
            await self._outbox.desk.due.wait()
            self._outbox.desk.due.clear()
            try:
                while (settled := await self._outbox.desk.settle(self._intake.prepared)) is not None:
                    if not settled.left:
                        log.info("held_events_settled", new=settled.new, lettered=settled.lettered)
            except StoreUnavailable:  # the writer says why
                await anyio.sleep(_PAUSE_S)
                self._outbox.desk.due.set()

    async def review(self) -> None:
        """Look at what waits with the rules that hold now: what need not wait is adopted."""
        rules = self._outbox.settings.admission
        try:
            due = await self._outbox.desk.decide(lambda desk: desk.review(rules))
        except StoreUnavailable:
            return  # the next push of a device asks again
        if due:
            log.info("devices_adopted", devices=due)

    # What a person decides

    async def decide(self, wish: Mapping[str, object]) -> str:
        """Carry out what `gateway adopt` asks for; raises `GatewayError` with the reason when it makes no sense."""
        name = wish.get("device")
        if "window_min" in wish:
            return await self._open(wish["window_min"])
        if wish.get("all"):
            return await self._adopt_all()
        if not isinstance(name, str) or not name.strip():
            raise GatewayError("Say which device; `gateway adopt` lists those that wait.")
        return await (self._ignore(name.strip()) if wish.get("ignore") else self._adopt(name.strip()))

    async def _open(self, minutes: object) -> str:
        longest = LONGEST_S / _MINUTE_S
        if not isinstance(minutes, int | float) or not math.isfinite(minutes) or not 0 <= minutes <= longest:
            raise GatewayError(f"A window is 0 to {longest:.0f} minutes long.")
        await self._outbox.desk.put_window(minutes * _MINUTE_S)
        log.info("adoption_window", minutes=minutes)
        if not minutes:
            return "Closed. Unknown devices are treated as adoption.unknown_devices says."
        return f"Open for {minutes:g} minutes: each unknown device that pushes is adopted, within the bounds of [adoption]."

    async def _adopt_all(self) -> str:
        rows = await to_thread.run_sync(self._rows)
        devices = [str(row["device"]) for row in rows]
        if not devices:
            return "No device waits."
        await self._outbox.desk.decide(lambda desk: desk.adopt_all(devices))
        log.info("devices_adopted", devices=len(devices))
        return f"Adopted {_number(len(devices), 'device')}. {_held(rows)}"

    async def _adopt(self, name: str) -> str:
        rows = await to_thread.run_sync(self._rows)
        devices = waiting.named(rows, name)
        if len(devices) > 1:
            raise GatewayError(f"{name} can be {', '.join(devices[:5])}: say which one by its id.")
        if devices:
            await self._outbox.desk.decide(lambda desk: desk.adopt(devices[0]))
            log.info("device_adopted", device=devices[0])
            return f"Adopted {devices[0]}. {_held([row for row in rows if row['device'] == devices[0]])}"
        taken_back = self._ignored(name)
        if taken_back is not None:
            await self._outbox.desk.decide(lambda desk: desk.notice(taken_back))
            return f"{taken_back} is no longer ignored; what it pushes from now on is treated like that of any other."
        pages = await to_thread.run_sync(self._pages, name)
        if pages:
            return f"{pages[0]} is adopted already."
        raise GatewayError(
            f"No device called {name} waits; `gateway adopt` lists those that do. To let a device in that has not"
            " pushed yet, name its id in the configuration, in a section [devices.NAME]."
        )

    async def _ignore(self, name: str) -> str:
        rows = await to_thread.run_sync(self._rows)
        devices = waiting.named([row | {"address": None} for row in rows], name)
        devices = devices or await to_thread.run_sync(self._pages, name)
        if len(devices) > 1:
            raise GatewayError(f"{name} can be {', '.join(devices[:5])}: say which one by its id.")
        target = devices[0] if devices else _address(name)
        if target is None:
            raise GatewayError(f"No device called {name} waits or was seen, and it is no address either.")
        if target in self._outbox.settings.admission.configured:
            raise GatewayError(f"{target} is named in the configuration: take its section out first.")
        dropped = await self._outbox.desk.decide(lambda desk: desk.ignore(target))
        log.info("device_ignored", name=target, dropped=sum(dropped.values()))
        what = target if devices else f"Every unknown device of {target}"
        return (
            f"{what} is ignored from now on: what it pushes is answered and thrown away, and counted. "
            f"{_dropped(dropped)} `gateway adopt {target}` takes this back."
        )

    # What is there

    def describe(self) -> dict[str, object]:
        """Say how it stands, for the status."""
        lobby, rules, left_s = (
            self._outbox.desk.lobby,
            self._outbox.settings.admission,
            self._outbox.desk.window_left_s,
        )
        return {
            "unknown_devices": "hold" if rules.hold else "accept",
            "waiting_devices": lobby.devices,
            "waiting_events": lobby.events,
            "waiting_bytes": lobby.size,
            "taken_up": lobby.introduced,
            "window_min": math.ceil(left_s / _MINUTE_S),
            "ignored": dict(lobby.ignored),
        }

    def _rows(self) -> list[dict[str, object]]:
        with self._outbox.looking() as conn:
            return waiting.waiting(conn)

    def _pages(self, name: str) -> list[str]:
        with self._outbox.looking() as conn:
            return [str(page["id"]) for page in reading.devices(conn, name)]

    def _ignored(self, name: str) -> str | None:
        ignored = self._outbox.desk.lobby.ignored
        return next((known for known in (name, _address(name)) if known in ignored), None)


def tell_waiting(outbox: Outbox, faults: Faults) -> None:
    """Keep the fault about devices that wait as things are."""
    lobby = outbox.desk.lobby
    if not lobby.devices:
        faults.clear("devices_waiting")
        return
    faults.report("devices_waiting", "", waiting_told(lobby.devices, lobby.some).sentence, again=False)


def _address(name: str) -> str | None:
    try:
        ip_address(name.partition("%")[0].partition("/")[0])
    except ValueError:
        return None
    return strangers.introducer(name)


def _held(rows: list[dict[str, object]]) -> str:
    events = sum(int(str(row["events"])) for row in rows)
    return f"{_number(events, 'held event')} now go into the log, in the order in which they came."


def _dropped(events: Mapping[str, int]) -> str:
    """Say how many held events of which devices are gone."""
    most = sorted(events, key=lambda device: (-events[device], device))
    parts = [f"{events[device]} of {device}" for device in most[:_NAMED]]
    if len(most) > _NAMED:
        rest = sum(events[device] for device in most[_NAMED:])
        parts.append(f"{rest} of {_number(len(most) - _NAMED, 'other device')}")
    return f"{_number(sum(events.values()), 'held event')} dropped{': ' if parts else ''}{', '.join(parts)}."


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
