"""Look at the silence of every device once a second, and say what changes: an event each, and faults for people."""

from collections.abc import Callable, Mapping, Sequence

import structlog

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.event import Json
from gateway.faults import Faults
from gateway.liveness import sentences
from gateway.liveness.judging import CANNOT_TELL, GONE, ONLINE, SILENT, Finding, Limits, judge, nobody_speaks
from gateway.outbox import Outbox, Sign, Verdict

log = structlog.get_logger()

_ROUND_S = 1.0
_ALL = "all_devices_silent"


class Liveness:
    """Judges the devices of one gateway."""

    def __init__(
        self,
        outbox: Outbox,
        faults: Faults,
        limits: Limits,
        ask: Callable[[], None] = lambda: None,
        pushed: Callable[[], float | None] = lambda: None,
        excused: Callable[[Sign], bool] = lambda _sign: False,
    ) -> None:
        self.limits = limits
        self._outbox = outbox
        self._faults = faults
        self._ask = ask  # has the answers of polled systems noted
        self._pushed = pushed  # when the last push of anybody was answered, in steady seconds
        self._excused = excused  # a fault of the system that is polled for a device stands already
        self._started = clock.steady()
        # Fell silent when nobody spoke; also in an earlier life, when none was left.
        known = {sign.device: sign.state for sign in outbox.signs.all()}
        silent = {device for device, state in known.items() if state == SILENT}
        self._together = silent if ONLINE not in known.values() else set()
        self._patience: float | None = None  # those that come back later than the first are given until then

    async def run(self) -> None:
        """Judge for ever."""
        while True:
            await self.round()
            await clock.sleep(_ROUND_S)

    async def round(self) -> None:
        """Judge once."""
        self._ask()
        now, signs = clock.steady(), self._outbox.signs.all()
        findings = judge(signs, now, self._started, self.limits)
        everybody = nobody_speaks(
            findings, signs, now, self._started, self.limits, self._together, self._pushed()
        )
        if findings:
            try:
                await self._enter(findings, everybody=everybody)
            except StoreUnavailable as error:  # the next round judges anew
                log.warning("liveness_not_kept", reason=str(error))
        self._tell(signs, now)

    async def _enter(self, findings: Sequence[Finding], *, everybody: bool) -> None:
        verdicts = [
            Verdict(
                device=finding.sign.device,
                previous=finding.sign.state,
                state=finding.state,
                heard=finding.heard,
                away=finding.state in (SILENT, GONE),
                told=_told(finding, everybody=everybody),
            )
            for finding in findings
        ]
        for finding, state in zip(findings, await self._outbox.enter(verdicts), strict=True):
            previous, finding.sign.state = finding.sign.state, state
            if state != finding.state:
                continue
            if finding.state == SILENT and everybody:
                self._together.add(finding.sign.device)
            log.info(
                "device_liveness",
                device=finding.sign.device,
                state=finding.state,
                previous=previous,
                quiet_s=round(finding.quiet_s),
            )

    # For people

    def _tell(self, signs: Sequence[Sign], now: float) -> None:
        away = {sign.device: sign for sign in signs if sign.state in (SILENT, GONE)}
        self._together &= away.keys()
        newest = min((self._quiet_s(sign, now) for sign in signs), default=0.0)
        if (pushed := self._pushed()) is not None:
            newest = min(newest, now - pushed)
        all_silent = len(self._together) > 1 and newest >= min(
            (self._quiet_s(away[device], now) for device in self._together), default=0.0
        )
        if all_silent:
            self._faults.report(_ALL, "", sentences.everybody(len(self._together), newest), again=False)
            self._patience = None
        elif self._faults.clear(_ALL) or (self._together and self._patience is None):
            self._patience = now
        for sign in signs:
            excused = sign.device in away and self._is_excused(sign, now, all_silent=all_silent)
            if sign.device not in away or excused or self._excused(sign):
                self._faults.clear("device_silent", sign.device)
                continue
            say = sentences.gone if sign.state == GONE else sentences.silent
            self._faults.report(
                "device_silent",
                sign.device,
                say(sign, self._quiet_s(sign, now)),
                sentences.action(sign.source),
                again=False,
            )

    def _is_excused(self, sign: Sign, now: float, *, all_silent: bool) -> bool:
        """Say whether one fault speaks for a device's silence, or did so until a moment ago."""
        if all_silent:
            return True  # whoever was silent before cannot come back either
        if sign.device not in self._together:
            return False
        since, limit_s = self._patience, self.limits.silent_after_s(sign) or self.limits.at_least_s
        if since is not None and now - since < limit_s:
            return True
        self._together.discard(sign.device)
        return False

    def _quiet_s(self, sign: Sign, now: float) -> float:
        return now - max(self._started if sign.heard is None else sign.heard, self._started)


def _told(finding: Finding, *, everybody: bool) -> Mapping[str, Json] | None:
    sign, state = finding.sign, finding.state
    if sign.state is None:
        return None  # that a new device is there is told by what it sends
    say = {ONLINE: lambda: sentences.back(sign), CANNOT_TELL: lambda: sentences.cannot_tell(sign)}
    away = sentences.gone if state == GONE else sentences.silent
    return {
        "rhythm_s": sign.rhythm_s,
        "scope": "all" if everybody and state == SILENT else "device",
        "sentence": say.get(state, lambda: away(sign, finding.quiet_s))(),
    }
