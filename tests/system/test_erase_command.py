"""`gateway erase` as a person uses it: daemon up and down, with a backlog, letters, pictures and a far end."""

import http.client
import json
import time

import pytest
from brokers import Mosquitto, Subscriber
from canaries import FACE_TEXT
from site_under_test import SMALL_SITE, Daemon, free_port

from gateway.control import views
from gateway.control.client import Client, DaemonDown
from gateway.outbox.reading import looking

CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-erase"
[pictures]
keep = true
[sinks.home]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{broker}"
personal = ["user_id", "name"]
backoff_max_s = 1
"""
)


class Site:
    """A daemon with terminals behind it, whose broker comes later."""

    def __init__(self, directory):
        self.store, self.broker_port = directory / "store", free_port()
        port = free_port()
        config = directory / "config.toml"
        config.write_text(CONFIG.format(port=port, directory=directory, broker=self.broker_port))
        self.daemon = Daemon(directory, config, port)

    def push(self, number, user, *, cut=False, picture=""):
        data = {
            "deviceSN": "SPT1",
            "uuid": f"u-{number}",
            "pass": True,
            "timestamp": 1761991200 + number,
            "rgb_image": picture,
            "user": {"user_id": user, "name": f"{user} Canary"},
        }
        body = json.dumps({"type": 0, "data": data}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=10)
        connection.request("POST", "/Record", body[:-9] if cut else body)
        assert 200 == connection.getresponse().status
        connection.close()

    def erase(self, *words):
        return self.daemon.asked("erase", *words)

    def wait_for_delivered(self, count):
        """Wait until the disk knows that the broker has had so many."""
        deadline = time.monotonic() + 60
        while True:
            with looking(self.store) as conn:
                (account,) = views.sink_accounts(conn)
            if account["delivered"] == count:
                return
            assert time.monotonic() < deadline, account
            time.sleep(0.1)

    def everything(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.store.rglob("*") if path.is_file())


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    made.daemon.start()
    yield made
    if made.daemon.running:
        made.daemon.stop()


def test_a_person_goes_while_the_daemon_runs_and_the_broker_is_away(site, tmp_path):
    """What waits leaves without the person, in the store there is nothing of them, and the account balances."""
    for number in range(20):
        site.push(number, "ada-4711" if number % 2 else "bob-4712", picture=FACE_TEXT if number == 1 else "")
    site.push(99, "ada-4711", cut=True)
    assert 1 == len(list((site.store / "pictures").iterdir()))
    asked = site.erase("--person", "ada-4711")
    assert (2, True) == (asked.returncode, "10 events" in asked.stdout)
    assert b"ada-4711" in site.everything()
    done = site.erase("--person", "ada-4711", "--yes", "--json")
    told = json.loads(done.stdout)
    assert (0, 10, 1) == (done.returncode, told["events"], told["pictures"])
    assert [] == list((site.store / "pictures").iterdir())
    site.push(1, "ada-4711")  # the terminal sends it again
    assert b"ada-4711" not in site.everything()
    with Mosquitto(tmp_path, port=site.broker_port), Subscriber(site.broker_port) as subscriber:
        events = subscriber.wait_for(
            lambda messages: sum(m.topic.endswith("/event") for m in messages) >= 20, 30
        )
    sent = [json.loads(m.payload) for m in events if m.topic.endswith("/event")]
    assert {"bob-4712"} == {event["personal"]["user_id"] for event in sent if "personal" in event}
    assert 10 == sum("personal" not in event and "person" not in event for event in sent)
    assert not any(b"ada-4711" in m.payload for m in events)
    (account,) = json.loads(site.daemon.asked("sinks", "--json").stdout)
    assert (20, True) == (account["received"], account["balanced"])
    assert "person_erased" in site.daemon.log.read_text()
    assert "ada-4711" not in site.daemon.log.read_text()


def test_with_the_daemon_down_and_for_nobody(site):
    """Without a daemon the store is changed directly; an id that is in nothing ends with status 1 and says so."""
    site.push(1, "ada-4711")
    site.daemon.stop()
    nobody = site.erase("--person", "eve-1", "--yes")
    assert (1, True) == (nobody.returncode, "Nothing was found" in nobody.stdout)
    done = site.erase("--person", "ada-4711", "--yes")
    assert (0, True) == (done.returncode, "the person in 1 events" in done.stdout)
    assert "Not reached:" in done.stdout and "terminals" in done.stdout
    assert b"ada-4711" not in site.everything()
    site.daemon.start()
    site.push(2, "bob-4712")
    site.daemon.stop()
    told = json.loads(site.erase("--person", "bob-4712", "--yes", "--json").stdout)  # and nothing but JSON
    assert (1, True) == (told["events"], told["done"])
    assert "Name one person" in site.erase("--yes").stderr
    site.daemon.start()
    site.push(1, "ada-4711")
    assert b"ada-4711" not in site.everything()


def test_pushes_go_on_after_a_kill_with_pictures_left_over(site):
    """A file that a crash has left without an event is gone after the next start; a kept one is still there."""
    site.push(1, "bob-4712", picture=FACE_TEXT)
    site.daemon.kill()
    (site.store / "pictures" / f"{'0' * 64}.jpg").write_bytes(b"left over")
    site.daemon.start()
    site.push(2, "bob-4712")
    names = [path.name for path in (site.store / "pictures").iterdir()]
    assert (1, False) == (len(names), f"{'0' * 64}.jpg" in names)


@pytest.mark.parametrize("killed", [False, True])
def test_a_kill_behind_the_commit_forgets_no_far_end(site, tmp_path, monkeypatch, killed):
    """A gateway that ends before it can answer has erased all the same: what was erased and who has had it is said."""
    with Mosquitto(tmp_path, port=site.broker_port):
        for number in range(3):
            site.push(number, "ada-4711")
        site.wait_for_delivered(3)
        post = Client.post

        def cut_off(client, path, wish):
            told = post(client, path, wish)
            if killed and wish["sure"]:
                site.daemon.kill()
                raise DaemonDown("The gateway is not running.")
            return told

        monkeypatch.setattr(Client, "post", cut_off)
        done = site.erase("--person", "ada-4711", "--yes")
    assert (0, killed) == (done.returncode, not site.daemon.running), done
    assert "Erased: the person in 3 events." in done.stdout
    assert 1 == done.stdout.count("- Sink home has had, or may have had, 3 of these events")
    assert b"ada-4711" not in site.everything()


def test_an_erasure_without_an_answer_names_the_far_ends_all_the_same(site, tmp_path, monkeypatch):
    """It may be done, and whoever asks once more may find nothing: who has had the person is said before it ends."""
    with Mosquitto(tmp_path, port=site.broker_port):
        site.push(1, "ada-4711")
        site.wait_for_delivered(1)
        post = Client.post

        def cut_off(client, path, wish):
            told = post(client, path, wish)
            if wish["sure"]:  # and systemd has started it again
                raise DaemonDown("The gateway is not running.")
            return told

        monkeypatch.setattr(Client, "post", cut_off)
        done = site.erase("--person", "ada-4711", "--yes")
    assert (2, True) == (done.returncode, "Another gateway already uses" in done.stderr), done
    assert "Sink home has had, or may have had, 1 of these events" in done.stdout
    assert b"ada-4711" not in site.everything()
