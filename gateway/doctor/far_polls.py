"""A system that is polled as it is looked at: the way to it, then one request that changes nothing."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import anyio

from gateway import clock
from gateway.config import Config
from gateway.doctor import way
from gateway.doctor.box import Box, untold, well
from gateway.doctor.finding import Finding
from gateway.doctor.way import FarEnd
from gateway.errors import PollUnavailable
from gateway.source import Answer, Ask

CODES = frozenset({
    *("poll_broken", "poll_busy", "poll_error", "poll_login", "poll_name", "poll_not_found", "poll_redirect"),
    *("poll_refused", "poll_timeout", "poll_tls", "poll_unreachable"),
})  # fmt: skip
_LAN, _CLOUD = "camlytics", "camlytics_cloud"
_PORTS = {"https": 443, "http": 80}
_LEAST_S = 0.5


def found(config: Config) -> list[tuple[str, str]]:
    """Name the systems of a configuration that could be polled, by family and name."""
    return [
        *((_LAN, name) for name in config.camlytics),
        *((_CLOUD, name) for name in config.camlytics_cloud),
    ]


def endpoints(config: Config) -> list[str]:
    """Give the endpoints of those that are polled."""
    return [_endpoint(config, *one) for one in found(config) if not _idle(config, *one)]


def _endpoint(config: Config, family: str, name: str) -> str:
    return config.camlytics[name].endpoint if family == _LAN else config.camlytics_cloud[name].endpoint


def _idle(config: Config, family: str, name: str) -> str:
    """Say why a system is not polled; nothing when it is."""
    if family == _CLOUD:
        section = config.camlytics_cloud[name]
        if not section.enabled:
            return "It is switched off (enabled = false)."
        return "" if section.polled else "It has no keys: nothing is asked, its webhooks come in."
    pc = config.camlytics[name]
    if not pc.enabled or not config.sources.camlytics.enabled:
        return "It is switched off (enabled = false)."
    return "" if pc.mode == "poll" else f"It sends webhooks (mode = {pc.mode!r}): nothing is asked."


def look(box: Box, family: str, name: str) -> Iterator[Finding]:
    """Go as far as it goes."""
    end_s = clock.steady() + way.TOTAL_S
    end = _far_end(box.config, family, name)
    if idle := _idle(box.config, family, name):
        yield well(end.check, idle, end.subject)
        return
    reached = True
    for finding in way.look(box, end):
        reached = reached and finding.code in ("", "certificate_expires", "name_filtered")
        yield finding
    if reached:
        endpoint = _endpoint(box.config, family, name)
        yield from _spoken(end, endpoint, family, max(end_s - clock.steady(), _LEAST_S))


def _far_end(config: Config, family: str, name: str) -> FarEnd:
    from gateway.poller import fetching, trouble  # noqa: PLC0415 - only who polls

    endpoint = _endpoint(config, family, name)
    url = urlsplit(endpoint)

    def explain(error: Exception, after_s: float) -> PollUnavailable:
        return (
            trouble.late(endpoint, after_s)
            if isinstance(error, TimeoutError)
            else trouble.broken(endpoint, error)
        )

    tls = fetching.trust() if url.scheme == "https" else None
    port = url.port or _PORTS[url.scheme]
    return FarEnd(f"{family} {name}", f"{family}.{name}", url.hostname or "", port, tls, explain)


def _spoken(end: FarEnd, endpoint: str, family: str, timeout_s: float) -> Iterator[Finding]:
    from gateway.poller.trouble import refused, too_large  # noqa: PLC0415 - see above
    from gateway.sources.camlytics.steps import newest  # noqa: PLC0415 - see above

    ask = newest() if family == _LAN else Ask(target="/", timeout_s=timeout_s)
    try:
        answer = anyio.run(_fetched, endpoint, ask, timeout_s)
        if family == _LAN and not 200 <= answer.status <= 299:
            raise refused(endpoint, answer)
        if family == _LAN and answer.cut:
            raise too_large(endpoint, len(answer.body))
        if answer.status >= 500:
            raise refused(endpoint, answer)
    except PollUnavailable as error:
        yield way.fault(end, error)
        return
    if family == _LAN:
        yield well(
            end.check,
            f"Request: {endpoint} answered {answer.status} to the ask for its newest event.",
            end.subject,
        )
        return
    yield well(end.check, f"Request: {endpoint} answers HTTP ({answer.status}, without keys).", end.subject)
    said = (
        "Whether it takes the keys is the running gateway's to say: each signed request needs a higher number than "
        "the one before, and one from here would disturb it. `gateway status` has a fault if it does not."
    )
    yield untold(end.check, said, end.subject)


async def _fetched(endpoint: str, ask: Ask, timeout_s: float) -> Answer:
    from gateway.poller.fetching import Fetcher  # noqa: PLC0415 - see above

    fetcher = Fetcher(endpoint)
    try:
        return await fetcher.fetch(replace(ask, timeout_s=round(timeout_s, 1)))
    finally:
        await fetcher.close()
