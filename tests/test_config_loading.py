"""What a good configuration becomes: defaults, values, the places of store and socket, the hash."""

import os
from ipaddress import ip_network
from pathlib import Path

import pydantic
import pytest

from gateway.config import (
    Config,
    HttpsSection,
    InvalidConfigError,
    MqttSection,
    load,
    loads,
    model,
    running,
    sections,
)
from gateway.config.lines import line_numbers


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_no_file_and_an_empty_file_are_the_same_valid_configuration(tmp_path):
    """The gateway runs with nothing configured: every device may push, and there is no sink."""
    (tmp_path / "empty.toml").write_text("")
    config = load(None)
    assert load(tmp_path / "empty.toml") == config
    assert (8088, "0.0.0.0") == (config.listen.port, config.listen.host)
    assert {} == config.sinks
    assert config.sources.people_counter.enabled and config.sources.face_terminal.enabled
    assert config.site.tzinfo is None


def test_only_local_networks_may_push_by_default():
    """Private, loopback and link-local addresses are allowed, public ones are not."""
    allowed = load(None).listen.allow

    def may(address: str) -> bool:
        return any(
            ip_network(address).subnet_of(net)
            for net in allowed
            if net.version == ip_network(address).version
        )

    local = ("10.1.2.3", "172.31.0.1", "192.168.0.1", "127.0.0.1", "169.254.1.1", "fd00::1", "fe80::1", "::1")
    assert [True] * len(local) == [may(address) for address in local]
    assert [False] * 4 == [may(address) for address in ("8.8.8.8", "172.32.0.1", "2001:db8::1", "100.64.0.1")]


def test_values_have_their_types_and_units():
    """Sizes may be text, durations may be whole numbers, and the endpoints are taken apart."""
    config = loads(
        """
        [listen]
        xml_bytes = "0.5 MiB"
        json_bytes = "2kB"
        other_bytes = 2048
        keep_alive_s = 5
        allow = ["192.168.1.7"]
        [site]
        zone = "America/Sao_Paulo"
        [sinks.a]
        type = "mqtt"
        endpoint = "mqtts://Broker.example"
        version = 3
        [sinks.b]
        type = "mqtt"
        endpoint = "mqtt://[fd00::5]:1885"
        order = "strict"
        [sinks.c]
        type = "https"
        endpoint = "https://events.example/in?site=1"
        """
    )
    assert (524_288, 2000, 2048, 5.0) == (
        config.listen.xml_bytes,
        config.listen.json_bytes,
        config.listen.other_bytes,
        config.listen.keep_alive_s,
    )
    assert (ip_network("192.168.1.7/32"),) == config.listen.allow
    assert config.site.tzinfo is not None
    assert config.site.tzinfo.key == "America/Sao_Paulo"
    a, b, c = config.sinks["a"], config.sinks["b"], config.sinks["c"]
    assert isinstance(a, MqttSection) and isinstance(b, MqttSection) and isinstance(c, HttpsSection)
    assert ("broker.example", 8883, True, "3.1.1", "live_first") == (
        a.host,
        a.port,
        a.tls,
        a.version,
        a.order,
    )
    assert ("fd00::5", 1885, False, "5", "strict") == (b.host, b.port, b.tls, b.version, b.order)
    assert (True, "strict", 1) == (c.tls, c.order, c.batch)


def test_a_loaded_configuration_cannot_be_changed():
    """Nobody changes an option behind the daemon's back."""
    with pytest.raises(pydantic.ValidationError):
        load(None).listen.port = 1


def test_the_store_is_where_systemd_says(monkeypatch, tmp_path):
    """The state and runtime folders of the unit are used when the file names none."""
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state:{tmp_path}/other")
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/run")
    config = load(None)
    assert (tmp_path / "state", tmp_path / "run/gateway.sock") == (config.store.path, config.socket)


@pytest.fixture
def box(monkeypatch, tmp_path):
    """The system's folders of a box, not made yet, for a user who may write at home and nowhere else."""
    system, access = tmp_path / "box", os.access
    system.mkdir()
    monkeypatch.setattr(sections, "_SYSTEM_STORE", system / "lib/gateway")
    for module in (sections, model):
        monkeypatch.setattr(module, "SYSTEM_RUNTIME", system / "run/gateway")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(
        os, "access", lambda path, how: system not in (path, *path.parents) and access(path, how)
    )
    return system


def test_without_systemd_an_ordinary_user_gets_folders_at_home(box, tmp_path):
    """Where there is no gateway of the box, the home folder is used for the store and the socket."""
    config = load(None)
    expected = tmp_path / ".local/share/gateway"
    assert (expected, expected / "gateway.sock") == (config.store.path, config.socket)


def test_the_commands_of_an_ordinary_user_are_about_the_gateway_of_the_box(box, tmp_path):
    """Who may not ask it finds that out at its own socket, and not an empty folder at home; a trial stays at home."""
    home = tmp_path / ".local/share/gateway"
    for name in ("lib", "run"):
        (box / name / "gateway").mkdir(parents=True)
    of_the_box = (box / "lib/gateway", box / "run/gateway/gateway.sock")
    config = load(None)
    assert of_the_box == (config.store.path, config.socket)
    with running():
        trial = load(None)
        assert (home, home / "gateway.sock") == (trial.store.path, trial.socket)
    (home / "gateway.sock").mkdir(parents=True)  # it runs
    config = load(None)
    assert (home, home / "gateway.sock") == (config.store.path, config.socket)


def test_whose_store_is_named_says_whose_socket_is_meant(box, tmp_path):
    """The store of the box on another disk has its socket among the system's folders, and one of our own beside it."""
    (box / "run/gateway").mkdir(parents=True)
    for store, folder in ((box / "ssd", box / "run/gateway"), (tmp_path / "mine", tmp_path / "mine")):
        assert folder / "gateway.sock" == loads(f'[store]\npath = "{store}"\n').socket


def test_a_user_without_a_home_still_loads(box, monkeypatch):
    """A user that systemd made up, without an entry and without HOME, gives no traceback."""

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert Path("/.local/share/gateway") == load(None).store.path
    assert Path("/store") == loads('[store]\npath = "~/store"\n').store.path


def test_the_owner_of_the_system_folders_finds_the_daemon(monkeypatch):
    """Commands of root, and of the user that owns the folders, meet the daemon without any option."""
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "access", lambda *_: True)
    config = load(None)
    assert (Path("/var/lib/gateway"), Path("/run/gateway/gateway.sock")) == (config.store.path, config.socket)


def test_a_written_path_wins_over_the_environment(monkeypatch, tmp_path):
    """What the file says is used, with the home folder for "~"."""
    monkeypatch.setenv("STATE_DIRECTORY", "/elsewhere")
    config = loads('[store]\npath = "~/store"\n[runtime]\nsocket = "/tmp/g.sock"\n')
    assert (tmp_path / "store", Path("/tmp/g.sock")) == (config.store.path, config.socket)


def test_a_socket_path_that_linux_refuses_is_a_mistake(box):
    """A store so deep that the socket beside it cannot be bound is found by the check and not by the start."""
    with pytest.raises(InvalidConfigError, match="longer than the 107 bytes"):
        loads(f'[store]\npath = "/{"x" * 120}"\n')


def test_the_id_comes_from_the_host_name(monkeypatch):
    """Without an id the first part of the host name is made legal, and an impossible one gets a plain word."""
    for name, expected in {"Lobby_Süd.example.org": "lobby_s-d", "---": "gateway", "pi": "pi"}.items():
        monkeypatch.setattr("socket.gethostname", lambda name=name: name)
        assert expected == load(None).gateway.id


def test_client_ids_are_unique_per_gateway_and_sink():
    """The id at the broker is the configured one, or is made of gateway and sink."""
    config = loads(
        '[gateway]\nid = "g1"\n[sinks.a]\ntype = "mqtt"\nendpoint = "mqtt://h"\n'
        '[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://i"\nclient_id = "mine"\n'
    )
    assert ("g1-a", "mine") == (config.client_id("a"), config.client_id("b"))


def test_the_hash_follows_every_option_but_no_secret(tmp_path):
    """The hash is stable, changes with an option, and does not change with a secret or a token."""
    secret = tmp_path / "password"
    secret.write_text("one\n")
    secret.chmod(0o600)
    text = f"""
        [devices.d]
        token = "a"
        [sinks.a]
        type = "mqtt"
        endpoint = "mqtt://h"
        username = "u"
        password_file = "{secret}"
    """
    first = loads(text)
    assert first.hash == loads(text).hash
    assert len(first.hash) == 12
    assert first.hash != loads(text.replace("mqtt://h", "mqtt://i")).hash
    assert first.hash == loads(text.replace('token = "a"', 'token = "b"')).hash
    secret.write_text("two\n")
    second = loads(text)
    assert first.hash == second.hash
    assert first != second  # so a reload notices a new password


def test_sections_and_options_are_what_the_sources_are_called():
    """Each source has its section under its own name."""
    from gateway.sources import registry

    assert {source.name for source in registry(frozenset())} == set(Config().sources.by_name())


TOML = '''\
a = 1
[x]
b = [ 1,
 # ] no end
 "z]", [2,
 3]]
c.d = {e = 1, "f.g" = """k
"""}
h = \'\'\'[not]
a table\'\'\'
[[y.z]]
q = 1
[[y.z]]
q = 2
[y.z.w]
"r s" = 3
'''


def test_every_key_has_its_line():
    """Nested lists, inline tables, quoted keys, texts of several lines and lists of tables are followed."""
    expected = {
        ("a",): 1,
        ("x",): 2,
        ("x", "b"): 3,
        ("x", "b", 0): 3,
        ("x", "b", 1): 5,
        ("x", "b", 2): 5,
        ("x", "b", 2, 0): 5,
        ("x", "b", 2, 1): 6,
        ("x", "c"): 7,
        ("x", "c", "d"): 7,
        ("x", "c", "d", "e"): 7,
        ("x", "c", "d", "f.g"): 7,
        ("x", "h"): 9,
        ("y",): 11,
        ("y", "z"): 11,
        ("y", "z", 0): 11,
        ("y", "z", 0, "q"): 12,
        ("y", "z", 1): 13,
        ("y", "z", 1, "q"): 14,
        ("y", "z", 1, "w"): 15,
        ("y", "z", 1, "w", "r s"): 16,
    }
    assert expected == line_numbers(TOML)
    assert expected == line_numbers(TOML.replace("\n", "\r\n"))


def test_an_id_that_is_known_stays_where_none_is_written(monkeypatch):
    """A configuration without an id goes on under the one that is known, and its hash knows neither; a written one stays."""
    monkeypatch.setattr("socket.gethostname", lambda: "old-host")
    text = '[gateway]\nname = "Hall"\n[sinks.a]\ntype = "mqtt"\nendpoint = "mqtt://h"\n'
    old = loads(text)
    monkeypatch.setattr("socket.gethostname", lambda: "new-host")
    new = loads(text)
    known = new.going_on_as("old-host")
    assert ("new-host", "old-host", "old-host-a") == (new.gateway.id, known.gateway.id, known.client_id("a"))
    assert old == known
    assert {old.hash} == {new.hash, known.hash}
    assert known == known.going_on_as(None) == known.going_on_as("old-host")
    assert not known.gateway.id_written
    written = loads('[gateway]\nid = "mine"\n')
    assert written is written.going_on_as("old-host")
    assert written.hash != loads('[gateway]\nid = "other"\n').hash
