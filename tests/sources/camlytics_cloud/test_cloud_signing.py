"""The signature, and the bytes that it is made over."""

from datetime import UTC, datetime

from cloud_asking import KEYS, NOON, account

from gateway.sources.camlytics_cloud import Keys, polls
from gateway.sources.camlytics_cloud.signing import signature

_VECTOR = (
    "7d2f7dc19c82680656bfbc8d41dc16188ae8b463a96f292ce0eeab13d5e00ae3"
    "785096a4d7eb5bc4c9001e0796d6f6f4e802fee6a7b43fb6648c9b43de0b6a1e"
)


def test_the_signature_is_the_one_of_the_vendors_example():
    """The example of the vendor's document gives the signature that two other implementations give."""
    target = "/service/api/v1/events?location_id=32&nonce=154&since=2020-10-13T06%3A12%3A00.000%2B01%3A00"
    assert _VECTOR == signature("ehsd7485746548574", target)


def test_what_is_signed_is_what_is_sent():
    """The whole request is built by us exactly as the vendor's example builds it, encoded once."""
    keys = Keys("public", "ehsd7485746548574")
    ask = keys.ask("events", location_id=32, nonce=154, since="2020-10-13T06:12:00.000+01:00", until=None)
    assert (
        ask.target
        == "/service/api/v1/events?location_id=32&nonce=154&since=2020-10-13T06%3A12%3A00.000%2B01%3A00"
    )
    assert _VECTOR == ask.headers["X-Sign"]
    assert ask.headers["X-Key"] == "public"


def test_every_poll_signs_its_own_target():
    """Each of the seven polls asks with the key, a nonce and the signature of its own target."""
    made = polls(account(locations=(7,)))
    methods = set()
    for poll in made:
        ask = poll.ask({}, NOON, 1_777_000_000)
        assert signature(KEYS.secret, ask.target) == ask.headers["X-Sign"], poll.name
        assert "nonce=1777000000" in ask.target
        methods.add(poll.name)
    assert len(made) == len(methods) == 7


def test_a_key_is_told_apart_and_never_shown():
    """Polls of one key share their mark; no repr of an account or a poll holds a key."""
    one, other = polls(account()), polls(account(keys=Keys("public-key-2", "secret-key-2")))
    assert len({poll.key for poll in one}) == 1
    assert {poll.key for poll in one}.isdisjoint({poll.key for poll in other})
    for text in (repr(one), str(one[0].key)):
        assert KEYS.public not in text
        assert KEYS.secret not in text


def test_equal_accounts_give_equal_polls():
    """A reload that changes nothing finds the same polls; another key makes others."""
    assert polls(account()) == polls(account())
    assert polls(account()) != polls(account(keys=Keys("public-key-1", "another")))


def test_the_box_clock_is_not_asked_where_to_begin():
    """A box that believes to be in 1970 asks for the same as one whose clock is right."""
    cursor = {"walk": {"since": 1_777_000_000_000, "until": None, "span": 10**9, "newest": None}, "names": {}}
    for poll in polls(account(), histograms=False):
        asked = {poll.ask(cursor, now, 5).target for now in (NOON, datetime(1970, 1, 1, tzinfo=UTC))}
        assert len(asked) == 1, poll.name
