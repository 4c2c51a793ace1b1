"""What each answer of a receiver means for the events."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gateway.errors import SinkUnavailable
from gateway.simulate.receiver import Outcome

pytestmark = pytest.mark.anyio


async def fault_of(sink, events):
    with pytest.raises(SinkUnavailable) as caught:
        await sink.send(events)
    return caught.value


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (301, "https_redirect"),
        (308, "https_redirect"),
        (401, "https_login"),
        (403, "https_login"),
        (404, "https_not_found"),
        (405, "https_not_found"),
        (402, "https_unexpected"),
        (409, "https_unexpected"),
        (451, "https_unexpected"),
        (408, "https_busy"),
        (425, "https_busy"),
        (429, "https_busy"),
        (500, "https_error"),
        (502, "https_error"),
        (503, "https_error"),
        (504, "https_error"),
        (599, "https_error"),
    ],
)
async def test_answers_that_mean_later(receiver, build_sink, make_events, status, fault):
    """The events stay with the gateway, nothing is refused, and the same sink delivers them afterwards."""
    receiver.script.append(Outcome(status=status, body=b"not\nnow"))
    sink = build_sink(receiver)
    events = make_events(2)
    error = await fault_of(sink, events)
    assert (fault, 0, False) == (error.fault, error.delivered, error.stop)
    assert str(status) in str(error)
    assert "“not now”" in str(error)
    await sink.open()
    assert {} == await sink.send(events)
    assert [event.id for event in events] == receiver.ledger.ids


async def test_gone_stops_the_sink(receiver, build_sink, make_events):
    """410 asks never to be called again, and nothing is refused."""
    receiver.script.append(Outcome(status=410))
    error = await fault_of(build_sink(receiver), make_events(1))
    assert ("https_gone", True) == (error.fault, error.stop)


@pytest.mark.parametrize("batch", [1, 2])
async def test_what_was_taken_before_a_fault_is_counted_exactly(receiver, build_sink, make_events, batch):
    """Two requests taken and the third answered 503: exactly their events count as delivered."""
    receiver.script.extend([Outcome(), Outcome(), Outcome(status=503)])
    error = await fault_of(build_sink(receiver, batch=batch), make_events(10))
    assert 2 * batch == error.delivered == receiver.ledger.unique


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><title>Log in</title>",
        b"\r\n <HTML><body>Back soon",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"',
        b"<!-- proxy 4 --><!DOCTYPE html>",
        b"<head><title>Sign in",
    ],
)
async def test_a_web_page_is_no_yes(receiver, build_sink, make_events, page):
    """200 with a page for people was written by what stands before the receiver: nothing counts as delivered."""
    receiver.script.append(Outcome(status=200, body=page, take=False))
    error = await fault_of(build_sink(receiver), make_events(3))
    assert ("https_unexpected", 0) == (error.fault, error.delivered)
    assert "200 OK" in str(error)


@pytest.mark.parametrize("body", [b"ok", b"", b"{}", b"<ok/>", b"<?xml version='1.0'?><header/>", b"\xff"])
async def test_whatever_else_comes_with_a_yes_is_a_yes(receiver, build_sink, make_events, body):
    """The body of a 2xx is the receiver's own affair."""
    receiver.script.append(Outcome(status=200, headers={"Content-Type": "text/html"}, body=body))
    assert {} == await build_sink(receiver).send(make_events(3))


async def test_retry_after_in_seconds(receiver, build_sink, make_events):
    """The receiver's wish is handed to the core."""
    receiver.script.append(Outcome(status=429, headers={"Retry-After": "17"}))
    assert 17.0 == (await fault_of(build_sink(receiver), make_events(1))).retry_after_s


async def test_retry_after_as_a_date(receiver, build_sink, make_events):
    """A date is turned into the seconds until then."""
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    receiver.script.append(Outcome(status=503, headers={"Retry-After": then}))
    assert (await fault_of(build_sink(receiver), make_events(1))).retry_after_s == pytest.approx(100, abs=3)


async def test_retry_after_as_a_date_is_counted_from_the_receivers_own_clock(
    receiver, build_sink, make_events
):
    """A gateway whose clock is years off still waits as long as the receiver meant."""
    headers = {"Date": "Thu, 01 Jan 2015 00:00:00 GMT", "Retry-After": "Thu, 01 Jan 2015 00:02:00 GMT"}
    receiver.script.append(Outcome(status=503, headers=headers))
    assert 120.0 == (await fault_of(build_sink(receiver), make_events(1))).retry_after_s


async def test_retry_after_is_capped(receiver, build_sink, make_events):
    """A wish of a year becomes the configured limit."""
    receiver.script.append(Outcome(status=503, headers={"Retry-After": "31536000"}))
    sink = build_sink(receiver, max_retry_after_s=60.0)
    assert 60.0 == (await fault_of(sink, make_events(1))).retry_after_s


@pytest.mark.parametrize(
    "wish", ["0", "-5", "soon", "", "nan", "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 99 Jan 2015", "1e9"]
)
async def test_a_retry_after_that_says_nothing_leaves_the_pause_to_the_core(
    receiver, build_sink, make_events, wish
):
    """Zero, the past and nonsense are no wish, so that the gateway never hammers a receiver in trouble."""
    receiver.script.append(Outcome(status=503, headers={"Retry-After": wish}))
    assert (await fault_of(build_sink(receiver), make_events(1))).retry_after_s is None


async def test_a_redirect_is_not_followed(receiver, start_receiver, build_sink, make_events):
    """The target of a redirect gets no request, and the sentence names it without its query."""
    target = start_receiver(tls=False)
    receiver.script.append(Outcome(status=307, headers={"Location": f"{target.url}?key=hidden"}))
    error = await fault_of(build_sink(receiver), make_events(1))
    assert 0 == target.connections
    assert target.url in str(error)
    assert "hidden" not in str(error)


async def test_foreign_text_in_a_reason_is_short_printable_and_without_our_secrets(
    start_receiver, build_sink, make_events, secret
):
    """Control characters, length and an echoed token do not get from the answer into the reason."""
    receiver = start_receiver(bearer="t0ken-of-ours")
    echo = f"\x1b[31mBearer t0ken-of-ours\r\n<6>{secret}\u202e{'y' * 500}".encode()
    receiver.script.append(Outcome(status=503, body=echo))
    text = str(await fault_of(build_sink(receiver, bearer="t0ken-of-ours"), make_events(1)))
    assert text.isprintable()
    assert "t0ken" not in text
    assert secret not in text
    assert len(text) < 400


@pytest.mark.parametrize("echo", [
    "Cannot POST /events?code=f1nd-Me%2Fkey&v=1",
    "Cannot POST /events?v=1&code=f1nd-Me/key",
    "no such code: f1nd-Me%2Fkey",
    "no such code: f1nd-Me/key",
    "Location f1nd-Me%2fkey",
])  # fmt: skip
async def test_the_key_in_the_query_of_an_endpoint_is_not_shown(receiver, build_sink, make_events, echo):
    """A far end that repeats what it was asked gets no key into the reason, in whatever way it writes it."""
    receiver.script.append(Outcome(status=503, body=f"code 1 of v: {echo}".encode()))
    sink = build_sink(receiver, endpoint=f"{receiver.url}?code=f1nd-Me%2Fkey&v=1")
    text = str(await fault_of(sink, make_events(1)))
    assert "f1nd-Me" not in text
    assert "code 1 of v: " in text  # a value of few letters may be part of any word


async def test_the_key_in_the_query_of_an_endpoint_is_not_shown_in_a_redirect(
    receiver, build_sink, make_events
):
    """Where a redirect points is shown without the key as well."""
    location = {"Location": "https://login.example/f1nd-Me-now/x?y"}
    receiver.script.append(Outcome(status=302, headers=location))
    text = str(await fault_of(build_sink(receiver, endpoint=f"{receiver.url}?f1nd-Me-now"), make_events(1)))
    assert "https://login.example/…/x" in text


@pytest.mark.parametrize("body", [b"\xff\xfe\x00bad", "é".encode("latin-1"), b""])
async def test_any_bytes_can_be_quoted(receiver, build_sink, make_events, body):
    """A body in no known encoding does not hide the status."""
    receiver.script.append(Outcome(status=500, body=body))
    assert "500 Internal Server Error" in str(await fault_of(build_sink(receiver), make_events(1)))
