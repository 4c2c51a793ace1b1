"""The running gateway looks when certificates end, by the code of `gateway doctor`."""

import datetime as dt

import pytest
import trustme
from brokers import Mosquitto

from gateway.config import Config, load
from gateway.daemon.certificates import Certificates
from gateway.faults import Faults

pytestmark = pytest.mark.anyio


@pytest.fixture
def broker(tmp_path):
    """Start a broker whose certificate ends in so many days; give the configuration of a sink for it."""
    authority, running = trustme.CA(), []
    ca, cert, key = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.cert_pem.write_to_path(ca)

    def start(days: int) -> tuple[Mosquitto, Config]:
        paper = authority.issue_cert(
            "127.0.0.1", not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=days, hours=1)
        )
        paper.private_key_pem.write_to_path(key)
        paper.cert_chain_pems[0].write_to_path(cert)
        port = running[-1].port if running else 0
        running.append(Mosquitto(tmp_path, f"certfile {cert}", f"keyfile {key}", port=port))
        running[-1].start()
        file = tmp_path / "site.toml"
        file.write_text(
            f'[sinks.broker]\ntype = "mqtt"\nendpoint = "mqtts://127.0.0.1:{running[-1].port}"\nca_file = "{ca}"\n'
        )
        return running[-1], load(file)

    yield start
    for one in running:
        one.kill()


async def test_the_fault_stands_until_the_certificate_is_renewed(broker):
    """It is raised below 21 days, stays while the broker is away, and goes when a new certificate is seen."""
    faults = Faults()
    old, config = broker(days=5)
    looks = Certificates(config, faults)
    await looks.look()
    (fault,) = faults
    assert ("certificate_expires", "broker") == (fault.code, fault.subject)
    assert "in 5 days" in fault.sentence
    old.kill()
    await looks.look()
    assert 1 == len(faults)
    broker(days=300)
    await looks.look()
    assert 0 == len(faults)


async def test_a_sink_that_is_taken_away_takes_its_fault_along(broker):
    """With another configuration nothing stands of the sink that is no longer in it."""
    faults = Faults()
    _, config = broker(days=5)
    looks = Certificates(config, faults)
    await looks.look()
    looks.put(Config())
    await looks.look()
    assert 0 == len(faults)


async def test_nobody_logs_in_for_it(broker, tmp_path):
    """The daily look sends no CONNECT and publishes nothing."""
    running, config = broker(days=300)
    await Certificates(config, Faults()).look()
    assert "doctor" not in (tmp_path / "mosquitto.log").read_text()
    assert running.port
