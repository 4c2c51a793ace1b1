"""A name server that is gone, and certificates that are worth nothing: named, waited out, and nothing is lost."""

import asyncio
import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from lined_site import FAR_ENDS, IMPATIENT, LinedSite, Trouble, owed, settled, suffer
from load import Load, few
from odd_broker import with_broker
from site_under_test import Site

from gateway.simulate.ledger import Ledger
from gateway.simulate.ports import free_port

pytestmark = [pytest.mark.anyio]

_PROGRAM = str(Path(__file__).with_name("nameless_gateway.py"))
NAMES = {"home": "broker.test", "cloud": "localhost"}  # the upstream's certificate holds the second


async def test_name_server_gone(tmp_path, experiment, scale):
    """While a far end's name does not resolve its sink waits and says so; it goes on when the name is back."""
    hosts = tmp_path / "hosts"
    hosts.write_text("\n".join(NAMES.values()))
    site = Site(tmp_path, program=(_PROGRAM, str(hosts)), **IMPATIENT)
    lines, ledger = LinedSite(site), Ledger()
    lines.configure(
        (f"mqtt://127.0.0.1:{lines.home.port}", f"mqtt://{NAMES['home']}:{lines.home.port}"),
        (f"https://127.0.0.1:{lines.cloud.port}", f"https://{NAMES['cloud']}:{lines.cloud.port}"),
    )
    try:
        site.daemon.start()
        async with Load(few(lines.url, ledger)):
            await asyncio.sleep(0.5)
            for _ in range(scale.pick(1, 8)):
                for far_end in FAR_ENDS:
                    trouble = nameless(lines, far_end, hosts)
                    await suffer(lines, experiment, trouble, hold_s=scale.pick(0.2, 3.0))
            await owed(ledger, 30)
        await settled(lines, experiment, ledger)
        for far_end in FAR_ENDS:
            lines.doubles_only_in_trouble(far_end)
    finally:
        lines.close()
        site.close()
    experiment.demand(obligations=30, faults=2, doubled=lines.may_double())


def nameless(lines: LinedSite, far_end: str, hosts: Path) -> Trouble:
    """Make trouble of a name that does not resolve any more, and a connection that ends."""
    refused = hosts.with_suffix(".refused")

    def begin() -> None:
        hosts.write_text("\n".join(name for end, name in NAMES.items() if end != far_end))
        lines.line(far_end).cut()

    return Trouble(
        name=f"{far_end} without its name",
        far_end=far_end,
        begin=begin,
        over=lambda: hosts.write_text("\n".join(NAMES.values())),
        proof=lambda: refused.read_text().split().count(NAMES[far_end]) if refused.exists() else 0,
        codes=("mqtt_name", "https_name"),
    )


class Papers:
    """Certificates of one good authority, and of one that nobody knows."""

    def __init__(self) -> None:
        self.good, self._unknown = trustme.CA(), trustme.CA()
        self.begun = self.finished = 0  # handshakes with the upstream

    def heard(self, _line: object, way: str, _version: object, content: int, what: int, _data: bytes) -> None:
        """Hear one message of TLS that the upstream reads or writes."""
        if (way, content) == ("read", _HANDSHAKE):
            self.begun += what == _HELLO
            self.finished += what == _FINISHED

    @property
    def broken_off(self) -> int:
        """Say how many handshakes clients of the upstream gave up; one more may be on its way."""
        return max(0, self.begun - self.finished - 1)

    def issue(self, kind: str) -> trustme.LeafCert:
        if kind == "unknown CA":
            return self._unknown.issue_cert("127.0.0.1", "localhost")
        if kind == "wrong name":
            return self.good.issue_cert("elsewhere.test")
        end = datetime.now(UTC) - timedelta(days=1) if kind == "expired" else None
        return self.good.issue_cert("127.0.0.1", "localhost", not_after=end)


KINDS = ("expired", "unknown CA", "wrong name")
_HANDSHAKE, _HELLO, _FINISHED = 22, 1, 20  # content type and messages of TLS


@pytest.mark.slow
@pytest.mark.site_with(**IMPATIENT)
async def test_certificates_worth_nothing(site, experiment, scale):
    """An expired, an unknown or a foreign certificate stops its sink only, is named, and costs nothing once replaced."""
    papers, ledger = Papers(), Ledger()
    papers.good.cert_pem.write_to_path(str(site.directory / "ca.pem"))
    tls_port = free_port()
    renew_broker(site, papers.issue("good"))
    with_broker(site, f"listener {tls_port} 127.0.0.1", "allow_anonymous true", *tls_lines(site))
    renew_upstream(site, papers, "good")
    lines = LinedSite(site, broker_port=tls_port)
    lines.configure(
        (f"mqtt://127.0.0.1:{lines.home.port}", f"mqtts://127.0.0.1:{lines.home.port}"),
        ("[sinks.cloud]", f'ca_file = "{site.directory}/ca.pem"\n[sinks.cloud]'),
        (str(site.upstream.ca_file), f"{site.directory}/ca.pem"),
    )
    try:
        site.daemon.start()
        async with Load(few(lines.url, ledger)):
            await asyncio.sleep(0.5)
            for _ in range(scale.pick(1, 4)):
                for number, kind in enumerate(KINDS):
                    both = (broker_papers(lines, papers, kind), upstream_papers(lines, papers, kind))
                    for trouble in scale.pick(both[number % 2 :][:1], both):
                        await suffer(lines, experiment, trouble, hold_s=scale.pick(0.1, 3.0))
            await owed(ledger, 30)
        await settled(lines, experiment, ledger)
        for far_end in FAR_ENDS:
            lines.doubles_only_in_trouble(far_end)
    finally:
        lines.close()
    experiment.demand(obligations=30, faults=scale.pick(1, 8) * len(KINDS), doubled=lines.may_double())


def tls_lines(site: Site) -> tuple[str, ...]:
    return (f"certfile {site.directory}/broker.pem", f"keyfile {site.directory}/broker.key")


def renew_broker(site: Site, paper: trustme.LeafCert) -> None:
    paper.cert_chain_pems[0].write_to_path(str(site.directory / "broker.pem"))
    paper.private_key_pem.write_to_path(str(site.directory / "broker.key"))


def broken_off(site: Site) -> int:
    """Say how many handshakes the clients of the broker ended with an alert, by its own log."""
    return len(re.findall(r"SSL routines::.* alert ", site.broker.log.read_text()))


def renew_upstream(site: Site, papers: Papers, kind: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    papers.issue(kind).configure_cert(context)
    context._msg_callback = papers.heard  # there is no public way to see a handshake that fails
    site.upstream.stop()
    site.upstream._context = context
    site.upstream.start()


def broker_papers(lines: LinedSite, papers: Papers, kind: str) -> Trouble:
    """Restart the broker with another certificate, after its subscriber has got what is there."""

    def renew(how: str) -> None:
        lines.home.refuse()
        lines.still()
        renew_broker(lines.site, papers.issue(how))
        connects = lines.site.subscriber.connects
        lines.site.broker.restart()
        lines.back(connects)
        lines.home.listen()

    return trouble_of("home", kind, renew, lambda: broken_off(lines.site))


def upstream_papers(lines: LinedSite, papers: Papers, kind: str) -> Trouble:
    return trouble_of(
        "cloud", kind, lambda how: renew_upstream(lines.site, papers, how), lambda: papers.broken_off
    )


def trouble_of(far_end: str, kind: str, renew, broken_off) -> Trouble:
    return Trouble(
        name=f"{far_end} certificate {kind}",
        far_end=far_end,
        begin=lambda: renew(kind),
        over=lambda: renew("good"),
        proof=broken_off,  # at the far end itself: a handshake that the daemon ended
        codes=("mqtt_tls", "https_tls"),
    )
