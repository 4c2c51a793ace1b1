"""The gateway starts on what the card brought, shows what is wrong with a card, and forwards with its secrets."""

import json
import shutil
import subprocess
import sys
import time

import pytest
from brokers import Mosquitto, Subscriber
from card_box import CardBox
from site_under_test import SECRET, Site

BROKER = """\
[sinks.locked]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{port}"
username = "shop"
password = "broker-4711"
"""


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.close()


# A test has its store where a box would lose it.
_ANYWHERE = """
from gateway.firstboot import startable
startable.fleeting = lambda _place: None
from gateway.__main__ import main
main()
"""


def provision(box: CardBox) -> subprocess.CompletedProcess:
    """Run the command as the unit does, but for the folders."""
    return subprocess.run(
        [sys.executable, "-c", _ANYWHERE, "-c", str(box.config), "provision", "--from", str(box.card)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def faults(site: Site) -> dict[str, str]:
    status = site.daemon.command("status", "--json", timeout_s=90)
    return {fault["code"]: fault["sentence"] for fault in json.loads(status.stdout)["faults"]}


def eventually(site: Site, code: str, *, stands: bool) -> str:
    deadline = time.monotonic() + 60
    while (code in (seen := faults(site))) != stands:
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)
    return seen.get(code, "")


def card_of(site: Site, box: CardBox, more: str = "") -> str:
    """Write the settings of the site as a person would onto a card, with its authority beside."""
    text = site.daemon.config.read_text()
    text = text.replace(f'secret_file = "{site.directory}/signing-secret"', f'secret = "{SECRET}"')
    text = text.replace(f'ca_file = "{site.upstream.ca_file}"', 'ca_file = "ca.pem"') + more
    assert "signing-secret" not in text
    shutil.copyfile(site.upstream.ca_file, box.card / "ca.pem")
    box.write(text.replace("\n", "\r\n"))
    return text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_gateway_forwards_with_the_secrets_of_the_card(site, box, tmp_path):
    """An event reaches the upstream signed, and a broker that wants the password; a card that is wrong later is a fault
    until it is mended, and receiving and forwarding go on meanwhile."""
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-c", "-b", users, "shop", "broker-4711"], check=True, timeout=30)
    with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {users}") as broker:
        card_of(site, box, BROKER.format(port=broker.port))
        done = provision(box)
        assert (0, "") == (done.returncode, done.stderr)
        assert "broker-4711" not in box.everything_but_secrets()
        site.daemon.config = box.config
        site.daemon.start()
        with Subscriber(broker.port, "gateway/+/+/event", name="shop", password="broker-4711") as watcher:
            site.fresh_event(timeout_s=90)
            assert watcher.wait_for(len, 60)
        assert 0 == site.upstream.bad_signatures

        good = box.on_card()
        box.write(good.replace("mqtt://", "mqt://"))
        assert 0 == provision(box).returncode
        said = eventually(site, "config_card_rejected", stands=True)
        assert "sinks.home.endpoint" in said
        site.daemon.stop()
        site.daemon.start()
        assert "config_card_rejected" in faults(site)
        site.fresh_event(timeout_s=90)

        box.write(good)
        assert 0 == provision(box).returncode
        eventually(site, "config_card_rejected", stands=False)


def test_the_command_goes_on_whatever_is_wrong(box):
    """No card, a wrong card and a good one end with status 0, and each says in a line what became of it."""
    done = provision(box)
    assert (0, f"There is no gateway.toml in {box.card}.\n") == (done.returncode, done.stdout)
    box.write("[sinks")
    done = provision(box)
    assert 0 == done.returncode
    assert "gateway.toml is not used" in done.stderr
    box.write('[site]\nzone = "Europe/Lisbon"\n')
    done = provision(box)
    assert (0, "") == (done.returncode, done.stderr)
    assert "was taken over" in done.stdout


def test_a_box_whose_disk_refuses_everything_goes_on(box):
    """A folder of the configuration that cannot be made is told, and ends with status 0 too."""
    box.etc.rmdir()
    box.etc.write_text("no folder")
    box.write('[site]\nzone = "Europe/Lisbon"\n')
    done = provision(box)
    assert 0 == done.returncode
    assert "could not keep" in done.stderr or "refused it" in done.stderr


def test_the_very_first_card_may_be_wrong(box):
    """A box without any configuration shows the fault of its card too."""
    from gateway.daemon import card
    from gateway.faults import Faults

    box.write("[sinks")
    box.rejected()
    standing = Faults()
    card.look(box.etc, standing)
    (fault,) = standing
    assert ("config_card_rejected", "") == (fault.code, fault.subject)
    assert "line 1" in fault.sentence
    assert "no settings yet" in fault.sentence
    assert "gateway-problems.txt" in fault.action
    (box.card / "gateway.toml").unlink()
    box.start()
    card.look(box.etc, standing)
    assert [] == list(standing)
