"""Options that are right by themselves and wrong together."""

import pytest
import trustme

from gateway.config import InvalidConfigError, loads


def sink(name: str, type_: str, endpoint: str, *more: str) -> str:
    return "\n".join((f"[sinks.{name}]", f'type = "{type_}"', f'endpoint = "{endpoint}"', *more, ""))


def found(text: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidConfigError) as caught:
        loads(text, "f")
    assert all(mistake.line for mistake in caught.value.mistakes)
    assert all(mistake.suggestion for mistake in caught.value.mistakes)
    return [(str(mistake.key), mistake.problem) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        (
            sink("a", "mqtt", "mqtt://h", 'client_id = "x"')
            + sink("b", "mqtt", "mqtt://h:1883", 'client_id = "x"', 'base = "b"'),
            "sinks.b.client_id",
            "has the client id of [sinks.a] too",
        ),
        (
            '[gateway]\nid = "g"\n'
            + sink("a", "mqtt", "mqtt://h", 'client_id = "g-b"', 'base = "a"')
            + sink("b", "mqtt", "mqtt://H"),
            "sinks.b.client_id",
            "has the client id of [sinks.a] too",
        ),
        (
            sink("a", "mqtt", "mqtt://h") + sink("b", "mqtt", "mqtt://h"),
            "sinks.b.base",
            "has the endpoint and base of [sinks.a] too",
        ),
        (
            sink("a", "https", "https://h/x") + sink("b", "https", "https://h/x"),
            "sinks.b.endpoint",
            "is the endpoint of [sinks.a] too",
        ),
        (
            "[devices.a]\ntoken = 't'\n[devices.b]\ntoken = 't'\n",
            "devices.b.token",
            "is the token of [devices.a] too",
        ),
        ("[devices.a]\nid = 't'\n[devices.b]\nid = 't'\n", "devices.b.id", "is the id of [devices.a] too"),
        ("[devices.a]\nname = 't'\n", "devices.a", "says nothing about how to know the device"),
        (
            "[monitoring]\nenabled = true\nport = 8088\n",
            "monitoring.port",
            "is the port of [listen] too, and only one of them can have it",
        ),
        (
            "[sources.people_counter]\npath = '/a'\n[sources.face_terminal]\npath = '/a'\n",
            "sources.face_terminal.path",
            "is the path of [sources.people_counter] too",
        ),
        (
            sink("a", "mqtt", "mqtt://h", "inflight = 501"),
            "sinks.a.inflight",
            "is more than the window (500)",
        ),
        (sink("a", "https", "https://h", "batch = 501"), "sinks.a.batch", "is more than the window (500)"),
        (sink("a", "https", "http://h"), "sinks.a.endpoint", "sends everything in the clear"),
        (
            "[listen]\nconnections = 5\n",
            "listen.connections_per_address",
            "is more than listen.connections (5)",
        ),
        (
            "[listen]\nmax_bodies_bytes = '1 MiB'\n",
            "listen.json_bytes",
            "is more than listen.max_bodies_bytes",
        ),
        ("[store]\nletters_max = 5\n", "store.letters_per_sender", "is more than store.letters_max (5)"),
        ("[store]\nmax_bytes = '16 MiB'\n", "store.letters_bytes", "is more than store.max_bytes"),
    ],
)
def test_a_clash_is_found(text, key, problem):
    """Two options that contradict each other give one mistake, at the one of them that is to be changed."""
    clashes = found(text)
    assert [key] == [place for place, _ in clashes]
    assert problem in clashes[0][1]


@pytest.mark.parametrize(
    "text",
    [
        sink("a", "mqtt", "mqtt://h") + sink("b", "mqtt", "mqtt://h", "enabled = false"),
        sink("a", "mqtt", "mqtt://h") + sink("b", "mqtt", "mqtt://h:1884"),
        sink("a", "mqtt", "mqtt://h") + sink("b", "mqtt", "mqtt://h", "base = 'other'"),
        sink("a", "https", "https://h/x") + sink("b", "https", "https://h/y"),
        sink("a", "https", "http://h", "insecure_http = true"),
        sink("a", "mqtt", "mqtt://h", "inflight = 500"),
        "[devices.a]\ntoken = 't'\n[devices.b]\nid = 't'\n",
        "[sources.people_counter]\npath = '/a'\n[sources.face_terminal]\npath = '/b'\n",
    ],
)
def test_what_does_not_clash_is_allowed(text):
    """The neighbours of each rule load."""
    assert loads(text)


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Two certificates with their keys and the authority, as files."""
    folder, authority = tmp_path_factory.mktemp("pem"), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca")
    for name in ("one", "two"):
        leaf = authority.issue_cert(f"{name}.example")
        leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.cert")
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / f"{name}.key").chmod(0o600)
    return folder


def test_certificates_need_their_keys_and_tls(pem):
    """A certificate without a key, a key without a certificate, and TLS files without TLS are found."""
    cert, key, ca = f"cert_file = '{pem}/one.cert'", f"key_file = '{pem}/one.key'", f"ca_file = '{pem}/ca'"
    assert [("sinks.a.cert_file", "is of no use without key_file")] == found(
        sink("a", "mqtt", "mqtts://h", cert)
    )
    assert [("sinks.a.key_file", "is of no use without cert_file")] == found(
        sink("a", "mqtt", "mqtts://h", key)
    )
    unused = found(sink("a", "mqtt", "mqtt://h", ca))
    assert [("sinks.a.ca_file", "is not used, because the endpoint has no TLS")] == unused
    assert loads(sink("a", "https", "https://h", cert, key, ca))


def test_a_key_of_another_certificate_is_found(pem):
    """A pair that does not belong together is found by the check and not by the next start."""
    pair = (f"cert_file = '{pem}/one.cert'", f"key_file = '{pem}/two.key'")
    expected = [("sinks.a.key_file", "does not belong to the certificate in cert_file")]
    assert expected == found(sink("a", "mqtt", "mqtts://h", *pair))


def test_files_that_only_look_like_certificates_are_found(tmp_path):
    """Text between the right marks that is no certificate, and no key, gives a mistake for each file."""
    for word in ("CERTIFICATE", "PRIVATE KEY"):
        (tmp_path / word).write_text(f"-----BEGIN {word}-----\nMA==\n-----END {word}-----\n")
        (tmp_path / word).chmod(0o600)
    cert = f"{tmp_path}/CERTIFICATE"
    lines = (f"ca_file = '{cert}'", f"cert_file = '{cert}'", f"key_file = '{tmp_path}/PRIVATE KEY'")
    expected = ["sinks.a.ca_file", "sinks.a.key_file"]
    assert expected == [key for key, _ in found(sink("a", "https", "https://h", *lines))]


def test_a_password_without_user_needs_version_5(tmp_path):
    """MQTT 3.1.1 knows no password without a user; MQTT 5 does."""
    path = tmp_path / "p"
    path.write_text("x")
    path.chmod(0o600)
    option = f"password_file = '{path}'"
    assert (
        "allows no password without a user"
        in found(sink("a", "mqtt", "mqtt://h", option, "version = 3"))[0][1]
    )
    assert loads(sink("a", "mqtt", "mqtt://h", option))
    assert loads(sink("a", "mqtt", "mqtt://h", option, "version = 3", "username = 'u'"))


@pytest.mark.parametrize("port", ["8089", "0", "9188"])
def test_a_monitoring_port_of_its_own_is_no_clash(port):
    """Another port, any free one, or the callbacks' while those are off, is all right; off, no port is a clash."""
    loads(f"[monitoring]\nenabled = true\nport = {port}\n", "f")
    loads("[monitoring]\nport = 8088\n", "f")
