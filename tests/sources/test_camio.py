"""What Camio says: nothing of it is lost that may be kept, and nothing kept that may not."""

import contextlib
import json
import re
import time
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Unreadable
from gateway.event import Kind, tallies
from gateway.reading.json_body import read_json
from gateway.simulate.camio_json import DOORS, TYPES, Domain
from gateway.source import Post
from gateway.sources import callbacks, registry
from gateway.sources.camio import texts
from gateway.sources.camio.counters import COUNTERS
from gateway.sources.camio.names import is_never, is_personal
from gateway.sources.camio.parting import part
from gateway.sources.camio.texts import has_email

NOW = datetime(2026, 11, 21, 11, 48, 5, tzinfo=UTC)
CANARY = "Qx7canary"


def post(body: bytes) -> Post:
    return Post(method="POST", path="/", body=body, address="127.0.0.1", received_at=NOW)


def camio(*keep: str):
    return next(source for source in callbacks(frozenset(keep)) if source.name == "camio")


def written(event) -> str:
    return repr((event.id, event.device, event.data, event.personal))


def every_type(domain: Domain, seed: int = 1) -> dict[str, bytes]:
    """One callback of each of the eleven types."""
    luck = Random(seed)
    bodies = {}
    for number, kind in enumerate(TYPES):
        if kind == "incident.created":
            inner = domain.incident("Pier", 1.8e9, dict.fromkeys(COUNTERS, 120))
        elif kind == DOORS:
            inner = domain.doors([domain.entry(luck, 1.8e9)[0] for _ in range(3)])
        else:
            inner = domain.news(kind, "Pier", luck)[0]
        bodies[kind] = domain.write(f"id-{number}", kind, inner)
    return bodies


@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_recognised_here_and_nowhere_else(kind, comma):
    """Each of the eleven types is Camio's, is read, and no source of the device port would take it."""
    request = post(every_type(Domain(trailing_comma=comma))[kind])
    assert ["camio"] == [source.name for source in callbacks() if source.recognises(request)]
    assert [] == [source.name for source in registry() if source.recognises(request)]
    reading = camio().parse(request)
    wanted = Kind.ALARM if kind == "incident.created" else Kind.OBSERVATION
    assert {wanted} == {event.kind for event in reading.events}
    assert {comma} == {event.repaired for event in reading.events}


@pytest.mark.parametrize("kind", TYPES)
def test_no_personal_field_passes_without_being_listed(kind):
    """The canaries of every type are in no event: not in its id, its device, its data or its personal part."""
    domain = Domain(canary=CANARY)
    for event in camio().parse(post(every_type(domain)[kind])).events:
        assert CANARY not in written(event)


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_listed_passes_in_its_place_only(kind):
    """With "pacs" listed the persons of door events are in the personal part under that name, and nowhere else."""
    domain = Domain(canary=CANARY)
    found = set()
    for event in camio("pacs").parse(post(every_type(domain)[kind])).events:
        assert CANARY not in repr((event.id, event.device, event.data))
        assert set(event.personal) <= {"pacs"}
        found |= set(re.findall(CANARY + "[a-z]+", repr(event.personal)))
    listed = ("email", "userid", "badgeid", "cardholderkey") if kind == DOORS else ()
    assert {CANARY + name for name in listed} == found


def test_door_events_move_no_tally():
    """Nobody said whether anybody was let in, so nothing is counted as allowed or denied."""
    for event in camio().parse(post(every_type(Domain())[DOORS])).events:
        assert [] == list(tallies(event.kind, event.data))


def test_every_counter_is_raised_above_and_cleared_at_its_wanted_value():
    """Of each counter that the vendor names, the wanted value clears and one more raises."""
    domain = Domain()
    for name, counter in COUNTERS.items():
        states = []
        for value in (counter.wanted, counter.wanted + 1):
            inner = domain.incident("Pier", 1.8e9, {name: value})
            (event,) = camio().parse(post(domain.write("x", "incident.created", inner))).events
            states.append(event.data["state"])
            assert ">" in event.data["description"], "the second escaping was not undone"
            assert "\\u" not in event.data["description"]
        assert ["cleared", "raised"] == states


@pytest.mark.parametrize(
    "name",
    ["cardholder_key", "badge_id", "BadgeID", "firstName", "last_name", "name", "email", "licensePlate", "card_number",
     "UserId", "personnelNo", "phone", "operator", "holder", "visitorname", "usr", "description",
     "eventDescription", "message"],
)  # fmt: skip
def test_a_name_that_speaks_of_a_person_is_personal(name):
    """Names of persons, cards and plates are known in every way of writing."""
    assert is_personal(name)
    assert not is_never(name)


@pytest.mark.parametrize(
    "name",
    ["device_name", "devicename", "ControllerName", "serial_number", "event_type", "ip_address", "timestamp", "door",
     "reader", "area_name", "is_authorized", "message_id", "labels"],
)  # fmt: skip
def test_a_name_of_a_thing_is_open(name):
    """Doors, readers and their names are no persons."""
    assert not is_personal(name)
    assert not is_never(name)


@pytest.mark.parametrize(
    "name", ["pin", "PIN", "PinCode", "pin_number", "userPassword", "passwd", "api_key", "Authorization", "photo",
             "fingerprint_template", "clientSecret", "accessToken", "headers"]
)  # fmt: skip
def test_a_secret_is_never_kept(name):
    """Nothing switches secrets and pictures on."""
    said = part({name: "s3cret", "deep": [{name: ["s3cret"]}], "text": json.dumps({name: "s3cret"})})
    assert "s3cret" not in repr(said)
    assert [name] == said.withheld


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("abcxyz ,.:-_0123", max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["depth", "flags", "region", "extra", "device_id"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["alpha", "beta", "device_name", "gamma"]), JSON_VALUES, max_size=4))
@settings(max_examples=150, deadline=None)
def test_what_is_not_personal_stays_as_it_came(said):
    """Fields that nobody knows pass unchanged, whatever is in them."""
    parted = part(said)
    assert (said, {}, []) == (parted.open, parted.personal, parted.withheld)


@given(
    JSON_VALUES,
    st.sampled_from(["badge_id", "cardholder", "email"]),
    st.lists(st.sampled_from(["a", "b", 0]), max_size=5),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_a_person_is_found_however_deep(value, name, way, as_text):
    """A personal field is taken out of any nesting of objects, lists and texts of JSON, and nothing beside it is."""
    hidden: object = {name: CANARY, "beside": value}
    for step in reversed(way):
        hidden = [hidden] if step == 0 else {step: json.dumps(hidden) if as_text else hidden}
    parted = part({"outer": hidden})
    assert CANARY not in repr(parted.open)
    assert CANARY in repr(parted.personal)
    assert "beside" in repr(parted.open)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_unreadable(body):
    """Whatever comes, the source gives events or says that it cannot; it never fails."""
    wrapped = b'{"id":"1","type":"pacs.events.created","data":{"object":{"events":[' + body + b"]}}}"
    for attempt in (body, wrapped):
        with contextlib.suppress(Unreadable):
            camio("pacs").parse(post(attempt))


def test_a_hostile_body_takes_no_long_time():
    """Two megabytes of nearly-matches are read; a pattern that looks twice would take minutes here."""
    for filler in ("a" * 511 + " ", "a.", "<a", "//:@", "?token", "\\u00"):
        text = json.dumps(filler * (1_000_000 // len(filler)))
        body = (
            b'{"id":"1","type":"pacs.events.created","data":{"object":{"events":[{"text":%b}]}}}'
            % text.encode()
        )
        assert 1 == len(camio().parse(post(body)).events)
    assert read_json(b"[1]") == ([1], False)


def test_a_field_whose_name_is_a_book_is_taken_for_personal():
    """A name of a megabyte is not taken apart into words; what it names is kept from who did not ask for it."""
    began = time.process_time()
    parted = part({"entry": {"name": "aB " * 300_000, "value": CANARY}, "k" * 900_000: {"name": CANARY}})
    assert time.process_time() - began < 2.0
    assert CANARY not in repr(parted.open.get("entry"))
    assert CANARY in repr(parted.personal)


# As they were when an address and a key were looked for from their beginnings: slow, and easy to read.
EMAIL = re.compile(
    r"[A-Za-z0-9._+'-]{1,64}+(?:@|%40)[A-Za-z0-9-]{1,63}+(?:\.[A-Za-z0-9-]{1,63}+){1,8}", re.ASCII
)
IN_QUERY = re.compile(
    r"([?&;][A-Za-z0-9_.-]{0,40}(?:token|key|secret|sig|auth|passw|pin|code)[A-Za-z0-9_.-]{0,40}=)[^&;#\s\"'<>]*",
    re.IGNORECASE,
)
PIECES = (
    *(
        "@",
        "%40",
        "%",
        "40",
        ".",
        "-",
        "_",
        "+",
        "'",
        " ",
        "a",
        "b.c",
        "example.org",
        "x" * 63,
        "y" * 64,
        ".z" * 9,
    ),
    *(
        "?",
        "&",
        ";",
        "=",
        "#",
        "/",
        "://",
        "key",
        "Token",
        "pin",
        "sIg",
        "\u017fecret",
        "co\u212aey",
        "n" * 40,
        "m" * 41,
    ),
)


@settings(max_examples=1_000, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
def test_addresses_and_keys_are_found_from_their_middle_as_from_their_beginning(said):
    """Whatever a text is made of, the same of it is masked as by the plain patterns."""
    assert EMAIL.sub("***", said) == texts._without_emails(said)
    assert has_email(said) == (EMAIL.search(said) is not None)
    assert IN_QUERY.sub(r"\g<1>***", said) == texts._without_keys(said)


@pytest.mark.parametrize("value", ["." * 65_000, "://" + ("?" + "key" * 13) * 1_600, "://?" + "key" * 21_000])
def test_texts_of_nothing_but_beginnings_are_read_in_one_pass(value):
    """Megabytes of what could begin an address or a key cost no more than other texts."""
    began = time.process_time()
    for _ in range(300):
        assert not has_email(value)
        assert value == texts._without_keys(value)
    assert time.process_time() - began < 1.5
