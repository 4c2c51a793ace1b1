"""Settings that cannot work are refused with a sentence, and nothing secret is shown."""

import base64
import subprocess
import sys

import pytest

from gateway.sink import Sink
from gateway.sinks.https import HttpsOptions, HttpsSink

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def options(**settings):
    return HttpsOptions(
        **{"name": "upstream", "endpoint": "https://upstream.example/events", "gateway_id": "gw7", **settings}
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://upstream.example",
        "https://upstream.example:8443/a/b?key=1",
        "https://[2001:db8::1]/events",
        "http://localhost:8080/events",
        "http://127.0.0.9/events",
        "http://[::1]:80/",
    ],
)
def test_good_endpoints(endpoint):
    """TLS anywhere and plain HTTP on this machine are accepted."""
    assert endpoint == options(endpoint=endpoint).endpoint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"endpoint": "http://upstream.example/events"}, "readable to upstream.example"),
        ({"endpoint": "http://192.168.1.10/events"}, "insecure_http"),
        ({"endpoint": "http://localhost.example/events"}, "insecure_http"),
        ({"endpoint": "upstream.example/events"}, "full address"),
        ({"endpoint": "ftp://upstream.example/"}, "full address"),
        ({"endpoint": "https://"}, "full address"),
        ({"endpoint": "https://upstream.example:0/"}, "full address"),
        ({"endpoint": "https://upstream.example:99999/"}, "not an address"),
        ({"endpoint": "https://[::1/"}, "not an address"),
        ({"endpoint": "https://up stream.example/"}, "space"),
        ({"endpoint": "https://upstream.example/\r\nX: y"}, "control character"),
        ({"endpoint": "https://user:pw@upstream.example/"}, "user and password"),
        ({"endpoint": "https://upstream.example/#part"}, "'#'"),
        ({"bearer": ""}, "token"),
        ({"bearer": "a\r\nX-Evil: 1"}, "token"),
        ({"bearer": "tökén"}, "token"),
        ({"bearer": "t", "headers": {"authorization": "Basic x"}}, "one of the two"),
        ({"headers": {"X Y": "1"}}, "not a header name"),
        ({"headers": {"X-Y": "1\n2"}}, "X-Y"),
        ({"headers": {"Content-Type": "text/plain"}}, "set by the gateway"),
        ({"headers": {"Webhook-Id": "1"}}, "set by the gateway"),
        ({"batch": 0}, "batch"),
        ({"batch_bytes": 0}, "batch_bytes"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"window": 0}, "window"),
        ({"secrets": ("abc",)}, "starts with whsec_"),
        ({"secrets": ("whsk_abc",)}, "Ed25519"),
        ({"secrets": ("whsec_***",)}, "not Base64"),
        ({"secrets": ("whsec_" + base64.b64encode(b"short").decode(),)}, "24 to 64 bytes"),
    ],
)
def test_settings_that_cannot_work(settings, words):
    """Each says in its message what is wrong, when the sink is built at the latest."""
    with pytest.raises(ValueError, match=words):
        HttpsSink(options(**settings))


def test_plain_http_when_a_person_insists():
    """insecure_http allows plain HTTP to another machine."""
    assert options(endpoint="http://192.168.1.10/events", insecure_http=True).insecure_http


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_secrets_without_padding_are_read(padding):
    """A secret that lost its trailing equals signs on the way is the same secret."""
    secret = "whsec_" + base64.b64encode(b"k" * (30 + padding)).decode()
    HttpsSink(options(secrets=(secret.rstrip("="), secret)))


def test_no_secret_is_shown():
    """Neither the description nor any repr has a secret, a token, a header value or the query of the endpoint."""
    settings = options(
        endpoint="https://upstream.example/events?code=hidden1",
        bearer="hidden2",
        headers={"X-Api-Key": "hidden3"},
        secrets=(SECRET,),
    )
    sink = HttpsSink(settings)
    shown = f"{settings!r} {sink!r} {sink.describe()!r}"
    assert "hidden" not in shown
    assert SECRET not in shown
    assert "upstream.example/events" == sink.describe()["endpoint"]
    assert "X-Api-Key" == sink.describe()["headers"]


def test_the_sink_keeps_the_contract():
    """It has what the core asks of a sink."""
    sink: Sink = HttpsSink(options(window=250))
    assert ("upstream", 250) == (sink.name, sink.window)


def test_importing_the_package_does_not_import_the_client():
    """A gateway without this sink does not pay for its HTTP client."""
    code = "import sys, gateway.sinks.https; sys.exit('httpx2' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
