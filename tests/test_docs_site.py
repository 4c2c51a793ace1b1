"""What the documents for users show happens on a site that is set up as they say."""

import base64
import json
import re
import time
from collections.abc import Iterator

import pytest
from documented_site import SECRET, Site, running_site, upstream_example
from pages import DOCS, blocks, examples, rows
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.sinks.https.signature import Signer


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run such a site once for all tests, with pushes of every sort; its broker goes on, its gateway is stopped."""
    with running_site(tmp_path_factory.mktemp("docs")) as site:
        yield site


def test_the_example_of_a_receiver_takes_what_the_gateway_sends(site: Site) -> None:
    """The Python of upstream.md verifies real requests, single and batched and packed, and keeps every event."""
    assert {204} == {status for _, _, status in site.requests}
    kinds = {headers["content-type"] for headers, _, _ in site.requests}
    table = rows("upstream.md", "A request")["Content-Type"]
    assert len(kinds) == 2 and all(f"`{kind}`" in table for kind in kinds)
    assert any(headers.get("content-encoding") == "gzip" for headers, _, _ in site.requests)
    assert {event["id"] for event in site.events} == site.facts.keys()


def test_the_example_of_a_receiver_refuses_what_was_changed(site: Site) -> None:
    """The Python of upstream.md answers 401 to a changed body, another secret, an old stamp and a missing signature."""
    receive = upstream_example()["receive"]
    headers, body, _ = next(request for request in site.requests if "content-encoding" not in request[0])
    unsigned = {name: value for name, value in headers.items() if name != "webhook-signature"}
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    stamp = int(headers["webhook-timestamp"]) - 301
    old = {**headers, **Signer((SECRET,)).headers(headers["webhook-id"], stamp, body)}
    assert 204 == receive(SECRET, headers, body, {})
    changed = body.replace(b'"late":', b'"Late":')
    assert 401 == receive(SECRET, headers, changed, {})
    assert 401 == receive(other, headers, body, {})
    assert 401 == receive(SECRET, old, body, {})
    assert 401 == receive(SECRET, unsigned, body, {})


def test_the_request_is_as_described(site: Site) -> None:
    """upstream.md names every header that we set, and exactly the attributes of a CloudEvent."""
    documented = {name.lower() for name in rows("upstream.md", "A request")}
    plain = {"host", "accept", "accept-encoding", "connection", "content-length"}
    assert set() == {name for headers, _, _ in site.requests for name in headers} - documented - plain
    _, body, _ = next(request for request in site.requests if "content-encoding" not in request[0])
    cloud = json.loads(body)
    cloud = cloud[0] if isinstance(cloud, list) else cloud
    assert cloud.keys() == examples("upstream.md")[0].keys()


def test_the_envelope_is_as_described(site: Site) -> None:
    """The fields of delivered events are those in the table of events.md; no sink here lists personal ones."""
    documented = rows("events.md", "Fields of every event").keys()
    assert documented == {name for event in site.events for name in event} | {"personal", "clock_unsynced"}


def test_the_status_is_as_described(site: Site) -> None:
    """The status on MQTT, and the last word after a stop, have the fields that mqtt.md shows."""
    online, will = examples("mqtt.md")[:2]
    assert online.keys() == site.online.keys()
    assert online["faults"][0].keys() == site.online["faults"][0].keys()
    assert online["sinks"]["broker"].keys() == site.online["sinks"]["broker"].keys()
    assert {**will, "reason": "stopped"} == site.offline


def test_the_state_is_as_described(site: Site) -> None:
    """A device's state on MQTT has the fields that mqtt.md lists, is flat, and the example has no other ones."""
    fixed = {name for name in rows("mqtt.md", "state") if "…" not in name}
    assert len(site.states) > 3
    for state in site.states:
        own = {
            name
            for name in state
            if not name.endswith(("_today", "_total", "_last_hour", "_last_minute"))
            and not name.startswith("last_")
        }
        own |= {name for name in ("last_seen", "last_time") if name in state}
        assert own <= fixed
        assert not any(isinstance(value, dict | list) for value in state.values())
    example = next(one for one in examples("mqtt.md") if one.get("source") == "people_counter")
    counter = next(state for state in site.states if "passings_today" in state)
    assert example.keys() <= counter.keys()


def test_home_assistant_reads_fields_that_exist(site: Site) -> None:
    """Each field that a template of the Home Assistant example reads is in what its topic carries."""
    (example,) = blocks("mqtt.md", "yaml")
    carried = {
        "state": set().union(*site.states),
        "status": set(site.online),
        "event": set().union(*site.events),
    }
    leaf, read = "", 0
    for line in example.splitlines():
        if topic := re.search(r'topic: "gateway/lobby-1/(?:[a-z0-9_-]+/)?([a-z]+)"', line):
            leaf = topic[1]
        for name in re.findall(r"value_json\.(\w+)", line):
            assert name in carried[leaf], (leaf, name)
            read += 1
    assert read > 8


def test_nobody_comes_in_without_a_password(site: Site) -> None:
    """The broker that mqtt.md sets up refuses a client that shows no password."""
    answers: list = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda _client, _userdata, _flags, code, _properties: answers.append(code)
    client.connect("127.0.0.1", site.broker_port)
    deadline = time.monotonic() + 10
    while not answers and time.monotonic() < deadline:
        client.loop(0.1)
    client.disconnect()
    assert answers and answers[0].is_failure


def test_a_visitor_reads_what_the_page_says(site: Site) -> None:
    """A browser on the device port shows the two lines of devices.md, with its own address."""
    shown = re.search(r"^ +(This is the device port.*\n.*)$", DOCS["devices.md"], re.MULTILINE)[1]
    mine = re.sub(r"http://\S+", "ADDRESS", site.greeting)
    assert re.sub(r"http://\S+", "ADDRESS", re.sub(r"\n +", "\n", shown)) == mine.strip()


def test_the_messages_that_are_quoted_are_really_said(site: Site) -> None:
    """Each message that the pages about devices quote is said by the gateway, but for addresses and the serial number."""

    def plain(text: str) -> str:
        text = re.sub(r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS", " ".join(text.split()))
        return re.sub(r"terminal \S+ at", "terminal SERIAL at", text)

    pages = "\n".join(DOCS[page] for page in ("devices.md", "people-counter.md", "face-terminal.md"))
    quotes = re.findall(r"^> ! ((?:.*\n)(?:> .*\n)*)", pages, re.MULTILINE)
    said = " / ".join(plain(sentence) for sentence in site.sentences)
    assert len(quotes) > 6
    missing = [quote for quote in map(plain, (q.replace("\n> ", " ") for q in quotes)) if quote not in said]
    assert [
        "ADDRESS was refused: not_allowed, its network is not in listen.allow."
    ] == missing  # this box itself is always allowed


def test_the_exit_status_says_how_it_is(site: Site) -> None:
    """`gateway status` ends with 1 while a fault stands and with 2 when the gateway does not run."""
    assert [1, 2] == site.exits
