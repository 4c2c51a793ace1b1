"""Of sentences, addresses and names no more is in the support archive than its page says."""

import pytest

from gateway.config import loads
from gateway.doctor.box import Box
from gateway.doctor.bundle import shown, write
from gateway.doctor.finding import Finding
from gateway.sinks.https.verdict import Answer

SITE = """
[store]
path = "{folder}/store"
[runtime]
socket = "{folder}/control.sock"
[site]
zone = "Europe/Lisbon"
name = "Haus Mustermann"
[devices.frau-mustermann-door]
id = "counter-000001"
name = "Tür"
[terminals.mustermann]
endpoint = "http://127.0.0.1:9"
[sinks.upstream]
type = "https"
endpoint = "https://127.0.0.1:18938/sv/Zk9?k=Q1"
"""


def packed(folder, sentence: str, *, problem: str = "", path=None) -> dict[str, str]:
    """Make an archive with one finding that says this."""
    config = loads(SITE.format(folder=folder)) if not problem else loads("")
    finding = Finding("sink upstream", sentence, "https_login", "upstream")
    document = {"findings": [dict(finding.as_json())]}
    return write(folder / "a.tar.gz", Box(config, path, problem=problem), document, [finding]).members


def test_what_an_upstream_says_ends_where_we_say(tmp_path):
    """Quotation marks in an answer's body do not end our quote, in a sentence of today or in an old line of the log."""
    body = "x” Max Kartennummer 4711 geb. 1.1.70 “y"
    answer = Answer(403, {}, body)
    assert 1 == answer.said().count("”")
    old = f"127.0.0.1:18938/sv answered 403 Forbidden (“{body}”): check the token"
    for said in (f"It answered {answer.said()}: check the token", old, old.partition("”): ")[0]):
        assert "Max" not in shown.sentence(said)
        assert "4711" not in shown.sentence(said)
    assert "check the token" in shown.sentence(old)


def test_paths_of_addresses_are_out(tmp_path):
    """However short a path is, of an endpoint only host and port are in any member."""
    members = packed(
        tmp_path, "127.0.0.1:18938/sv/Zk9 answered 403: see https://127.0.0.1:18938/sv/Zk9?k=Q1."
    )
    everything = "\n".join(members.values())
    assert "Zk9" not in everything
    assert "k=Q1" not in everything
    assert "127.0.0.1:18938/*** answered 403: see https://127.0.0.1:18938/***" in members["doctor.txt"]


@pytest.mark.parametrize(
    "said",
    [
        "The disk of /var/lib/gateway/gateway.db is full: 3/4 of it.",
        "192.168.1.0/24 may connect and fe80::1/64, [::1]:8088 too.",
        "mqtt://broker.example:1883 and broker.example:1883 do not answer; see docs/operate.md.",
        "HTTP/1.1 and/or MQTT.",
    ],
)
def test_what_is_no_path_of_an_address_stays(said):
    """Files, networks and addresses without a path are told as they are."""
    assert said == shown.sentence(said)


def test_names_are_out(tmp_path):
    """Names of tables of devices and terminals, and the name of the site, are in no member."""
    members = packed(tmp_path, "devices.frau-mustermann-door is silent; so is [terminals.mustermann].")
    everything = "\n".join(members.values())
    assert "ustermann" not in everything
    assert "counter-000001" in members["config.json"]


def test_a_configuration_with_mistakes_still_masks(tmp_path):
    """Where the file does not load what it holds is masked all the same: token, address, names."""
    file = tmp_path / "config.toml"
    text = SITE.format(folder=tmp_path).replace('name = "Tür"', 'token = "word-of-the-door"')
    file.write_text(text + "nonsense = 1\n")
    members = packed(tmp_path, "word-of-the-door at sv/Zk9: /sv/Zk9, k=Q1", problem="wrong", path=file)
    everything = "\n".join(members.values())
    for word in ("word-of-the-door", "/sv/Zk9", "k=Q1"):
        assert word not in everything, word
