"""Who may call back, and how the secret that they show is kept out of everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.callbacks import Key, forwarded_for

VALUE = 'token a/b"c-0123456789'
KEY = Key("Authorization", (VALUE, "token another-0123456789"))


@pytest.mark.parametrize("value", KEY.values)
def test_each_value_is_right(value):
    """Any of the values gets in, whatever the case of the header's name in the configuration."""
    assert KEY.objection({"authorization": value}) is None
    assert Key("X-KEY", (VALUE,)).objection({"x-key": VALUE}) is None


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_nothing_else_is(value):
    """Every other value is refused with a sentence that does not quote it."""
    if value not in KEY.values:
        assert "has another value than secret_file says" in str(KEY.objection({"authorization": value}))


def test_no_value_lets_nobody_in():
    """A key without values, as of a port that is off, fits nothing, not even emptiness."""
    assert Key("Authorization", ()).objection({"authorization": ""})
    assert Key("Authorization", ()).objection({})


def test_the_secret_is_masked_in_each_of_its_spellings():
    """Whole, without its scheme, and as JSON writes it."""
    body = b'token a/b"c-0123456789 | a/b"c-0123456789 | a/b\\"c-0123456789 | a\\/b\\"c-0123456789 | token'
    assert b"*** | *** | *** | *** | token" == KEY.masked(body).replace(b"token ***", b"***")
    assert VALUE not in repr(KEY)
    assert {"x": "y"} == KEY.without({"authorization": VALUE, "x": "y"})


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("10.0.0.1, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, <script>", ""),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
        ("unknown", ""),
        ("1.2.3.4\x1b[31m", ""),
        ("fe80::1%\x1b[2J any words", "fe80::1"),
        ("::1%<script>", "::1"),
    ],
)
def test_only_an_address_of_the_proxy_is_shown(said, shown):
    """The last address is the one that the proxy wrote; anything that is no address is not shown."""
    assert shown == forwarded_for({"x-forwarded-for": said})
