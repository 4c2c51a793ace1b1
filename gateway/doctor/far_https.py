"""An HTTPS sink as it is looked at: the way to the upstream, then a test event and what it answers to that."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import anyio

from gateway import clock
from gateway.config import Config
from gateway.config.sink_sections import HttpsSection
from gateway.doctor import way
from gateway.doctor.box import Box, well
from gateway.doctor.finding import Finding
from gateway.doctor.way import FarEnd
from gateway.errors import SinkUnavailable
from gateway.outlets import https_options, tls_context

if TYPE_CHECKING:
    from gateway.sinks.https import HttpsOptions

CODES = frozenset({
    *("https_broken", "https_busy", "https_error", "https_gone", "https_login", "https_name", "https_not_found"),
    *("https_redirect", "https_refused", "https_test_refused", "https_timeout", "https_tls", "https_unexpected"),
    "https_unreachable",
})  # fmt: skip
_PORTS = {"https": 443, "http": 80}
_LEAST_S = 0.5


def far_end(config: Config, name: str) -> FarEnd:
    """Say where the upstream is."""
    section = _section(config, name)
    return _far_end(section, https_options(config, name, section))


def _section(config: Config, name: str) -> HttpsSection:
    section = config.sinks[name]
    if not isinstance(section, HttpsSection):
        raise TypeError(f"{name} is no HTTPS sink")
    return section


def _far_end(section: HttpsSection, options: "HttpsOptions") -> FarEnd:
    from gateway.sinks.https.failure import unanswered  # noqa: PLC0415 - only who has an upstream

    def explain(error: Exception, after_s: float) -> SinkUnavailable:
        if isinstance(error, TimeoutError):
            return SinkUnavailable(
                f"{options.place} did not answer within {after_s:g} s", fault="https_timeout"
            )
        return unanswered(error, options.place)

    url = urlsplit(options.endpoint)
    tls = (options.tls or tls_context(section)) if section.tls else None
    own = section.cert_file.path if section.cert_file and section.tls else None
    port = url.port or _PORTS[url.scheme]
    return FarEnd(f"sink {options.name}", options.name, url.hostname or "", port, tls, explain, own)


def look(box: Box, name: str) -> Iterator[Finding]:
    """Go as far as it goes."""
    end_s = clock.steady() + way.TOTAL_S
    section = _section(box.config, name)
    options = https_options(box.config, name, section)
    end = _far_end(section, options)
    reached = True
    for finding in way.look(box, end):
        reached = reached and finding.code in ("", "certificate_expires", "name_filtered")
        yield finding
    if reached:
        timeout_s = max(min(options.timeout_s, end_s - clock.steady()), _LEAST_S)
        yield _spoken(end, replace(options, timeout_s=round(timeout_s, 1)))


def _spoken(end: FarEnd, options: "HttpsOptions") -> Finding:
    from gateway.sinks.https.probe import probe  # noqa: PLC0415 - see above

    try:
        time = clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = anyio.run(lambda: probe(options, test_id=f"test:{uuid4()}", time=time))
    except SinkUnavailable as error:
        return way.fault(end, error)
    return well(end.check, f"Post: {options.place} took a test event and answered {said}.", end.subject)
