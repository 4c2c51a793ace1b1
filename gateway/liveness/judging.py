"""What the silence of a device means. Everything is in steady seconds and counts from the start of the gateway."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from gateway.outbox import Sign

ONLINE, SILENT, GONE, CANNOT_TELL = "online", "silent", "gone", "cannot_tell"
_AWAY = (SILENT, GONE)
_HINT_AFTER_S = 600.0  # a device that speaks by itself has done so by then
_OVERDUE = 1.5  # rhythms


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When silence is too long; replaced as a whole when the configuration is reloaded."""

    rhythms: float = 3.0
    at_least_s: float = 90.0
    gone_after_s: float = 86_400.0
    own: Mapping[str, float] = field(
        default_factory=dict
    )  # by device id, or by what stands behind its family

    def silent_after_s(self, sign: Sign) -> float | None:
        """Give the limit of a device; None when nobody can tell, or nobody wants to know."""
        own = self.own_of(sign.device)
        if own is not None:
            return own or None
        return None if sign.rhythm_s is None else max(self.at_least_s, self.rhythms * sign.rhythm_s)

    def own_of(self, device: str) -> float | None:
        """Give what the owner said about one device."""
        own = self.own.get(device)
        return self.own.get(device.partition("-")[2]) if own is None else own


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said about a device."""

    sign: Sign
    heard: float | None  # the sign moves on; this is what was judged
    state: str
    quiet_s: float


def judge(signs: Sequence[Sign], now: float, started: float, limits: Limits) -> list[Finding]:
    """Find the devices whose state changes."""
    findings = []
    for sign in signs:
        heard = sign.heard
        quiet_s = now - max(started if heard is None else heard, started)
        state = _state(sign, heard, quiet_s, now, started, limits)
        if state is not None and state != sign.state:
            findings.append(Finding(sign, heard, state, quiet_s))
    return findings


def _state(
    sign: Sign, heard: float | None, quiet_s: float, now: float, started: float, limits: Limits
) -> str | None:
    known, limit_s = sign.state, limits.silent_after_s(sign)
    gone_s = max(limits.gone_after_s, limit_s or 0.0)
    if limits.own_of(sign.device) == 0:
        return CANNOT_TELL if known or heard is not None else None
    if known in _AWAY and (heard is None or (limit_s is not None and quiet_s >= limit_s)):
        return (
            GONE if quiet_s >= gone_s else known
        )  # what was silent before a restart is so until it is heard
    if limit_s is None:
        unheard = known is None and heard is None
        return None if unheard else _unmeasured(sign, quiet_s, now, started, gone_s)
    if quiet_s >= limit_s:
        return SILENT if known else None
    return known if heard is None else ONLINE


def _unmeasured(sign: Sign, quiet_s: float, now: float, started: float, gone_s: float) -> str:
    """Judge a device of which nobody knows how often it speaks."""
    if sign.beat is not None:  # it does speak by itself, and has not said how often
        return GONE if quiet_s >= gone_s else ONLINE
    # One that was known before a restart has been watched since the start.
    watched_s = now - (started if sign.first is None else sign.first)
    return CANNOT_TELL if watched_s >= _HINT_AFTER_S or sign.state == CANNOT_TELL else ONLINE


def nobody_speaks(
    findings: Sequence[Finding],
    signs: Sequence[Sign],
    now: float,
    started: float,
    limits: Limits,
    together: AbstractSet[str] = frozenset(),
    pushed: float | None = None,
) -> bool:
    """Say whether devices that fall silent do so because nothing comes from anybody any more.

    Their rhythms differ, so those that are not silent yet are looked at too, beside those that fell silent
    ``together`` before: at least two must be overdue, and nobody at all may have spoken since one was missed,
    nor ``pushed`` anything: a device that is ignored or held proves the network as well.
    """
    silent = [finding for finding in findings if finding.state == SILENT]
    if not silent:
        return False
    missed_s = min(f.quiet_s / limits.rhythms * _OVERDUE for f in silent)
    if pushed is not None and now - pushed < missed_s:
        return False
    overdue = 0
    for sign in signs:
        quiet_s = now - max(started if sign.heard is None else sign.heard, started)
        if sign.heard is not None and quiet_s < missed_s:
            return False
        still = sign.state == ONLINE or sign.device in together
        watched = still and limits.silent_after_s(sign) is not None
        rhythm_s = sign.rhythm_s or (limits.silent_after_s(sign) or 0.0) / limits.rhythms
        overdue += watched and quiet_s > _OVERDUE * rhythm_s
    return overdue > 1
