"""Secrets come from files that only the gateway can read, and leave by one door only."""

import base64
import os
import stat
import subprocess

import pytest
import trustme

from gateway.config import InvalidConfigError, answering, load, loads

SECRET = "hunter2-Tr0ub4dor"
SIGNING = "whsec_" + base64.b64encode(bytes(range(24))).decode()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def mqtt(line: str):
    text = f'[sinks.x]\ntype = "mqtt"\nendpoint = "mqtts://h"\nusername = "u"\n{line}\n'
    return loads(text).sinks["x"]


def https(line: str):
    return loads(f'[sinks.x]\ntype = "https"\nendpoint = "https://h/"\n{line}\n').sinks["x"]


def refusal(build, line: str):
    with pytest.raises(InvalidConfigError) as caught:
        build(line)
    assert SECRET not in str(caught.value)
    return caught.value.mistakes[0]


@pytest.fixture
def file(tmp_path):
    """A well-kept file with a secret in it."""
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440, 0o700])
def test_a_file_of_the_owner_is_read(file, mode):
    """Owner and group may read; one line end is no part of the secret."""
    file.chmod(mode)
    assert SECRET == mqtt(f'password_file = "{file}"').password_file.reveal()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o660, 0o666, 0o777, 0o601])
def test_a_file_that_others_can_read_or_change_is_refused(file, mode):
    """The mistake names the file and its mode, and the command in it really cures it."""
    file.chmod(mode)
    mistake = refusal(mqtt, f'password_file = "{file}"')
    assert ("sinks.x.password_file", 5) == (mistake.key, mistake.line)
    assert f"{mode:04o}" in mistake.problem and str(file) in mistake.problem
    subprocess.run(mistake.suggestion.removeprefix("run: "), shell=True, check=True)
    assert SECRET == mqtt(f'password_file = "{file}"').password_file.reveal()
    assert stat.S_IMODE(file.stat().st_mode) == mode & 0o750


def test_a_path_with_odd_characters_gives_a_command_that_a_shell_takes(tmp_path):
    """The command quotes what a shell would otherwise take apart."""
    path = tmp_path / "it's a $ecret"
    path.write_text("x")
    path.chmod(0o644)
    mistake = refusal(mqtt, f'password_file = "{path}"')
    subprocess.run(mistake.suggestion.removeprefix("run: "), shell=True, check=True)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"two\nlines\n", "more than one line"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 1_100_000, "larger than"),
    ],
)
def test_a_file_without_one_plain_secret_is_refused(file, content, problem):
    """Empty, binary, endless files and such of several lines hold no secret."""
    file.write_bytes(content)
    assert problem in refusal(mqtt, f'password_file = "{file}"').problem


def test_what_is_no_file_is_refused_and_does_not_block(tmp_path):
    """A missing file, a folder and a pipe that nobody writes to are refused at once."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir()
    missing = refusal(mqtt, f'password_file = "{tmp_path}/gone"')
    assert "No such file" in missing.problem
    assert f"chmod 600 {tmp_path}/gone" in missing.suggestion
    assert "is not a file" in refusal(mqtt, f'password_file = "{tmp_path}/pipe"').problem
    assert refusal(mqtt, f'password_file = "{tmp_path}/folder"').problem


def test_a_bare_name_is_a_systemd_credential(file, monkeypatch):
    """A name without a folder is looked up where systemd puts credentials, and nowhere else."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(file.parent))
    assert SECRET == mqtt('password_file = "secret"').password_file.reveal()
    assert "no secret of this name" in refusal(mqtt, 'password_file = "other"').problem
    for name in ("../secret", "./secret", "..", ""):
        assert (
            "neither an absolute path nor a bare name" in refusal(mqtt, f'password_file = "{name}"').problem
        )


def test_a_secret_that_is_missing_says_where_it_belongs():
    """Outside of the unit the mistake names the folder that was looked into, and the command that puts it there."""
    mistake = refusal(mqtt, f'password_file = "{SECRET}"')
    assert "no secret of this name in /etc/gateway/credentials" in mistake.problem
    assert "install -D -m 600 /dev/stdin /etc/gateway/credentials/NAME" in mistake.suggestion


def test_a_secret_that_systemd_did_not_hand_over_says_what_to_do(tmp_path, monkeypatch):
    """Inside of the unit it names both folders, and that the copies are made at the start."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    mistake = refusal(mqtt, f'password_file = "{SECRET}"')
    assert str(tmp_path) in mistake.problem and "/etc/gateway/credentials" in mistake.problem
    assert "systemctl restart gateway" in mistake.suggestion


def test_the_name_that_systemd_gives_comes_first(tmp_path, monkeypatch):
    """A folder that is loaded as `gateway` gives files called gateway_NAME; one of the bare name is second."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name, text in (("mqtt-password", "by a line of its own"), ("gateway_mqtt-password", SECRET)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o440)
    assert SECRET == mqtt('password_file = "mqtt-password"').password_file.reveal()
    # The folder of the unit is closed to the daemon, so its copy is read for the whole path as well.
    assert SECRET == mqtt('password_file = "/etc/gateway/credentials/mqtt-password"').password_file.reveal()
    (tmp_path / "gateway_mqtt-password").unlink()
    assert "by a line of its own" == mqtt('password_file = "mqtt-password"').password_file.reveal()


def test_outside_of_the_unit_secrets_lie_beside_the_configuration(tmp_path):
    """What root runs finds a bare name in `credentials` beside the file; a copy of the file looks there as well."""
    config, copy = tmp_path / "etc" / "config.toml", tmp_path / "state" / "last-good.toml"
    kept = config.parent / "credentials" / "mqtt-password"
    for path in (kept, copy):
        path.parent.mkdir(parents=True)
    kept.write_text(SECRET)
    kept.chmod(0o600)
    text = (
        '[sinks.x]\ntype = "mqtt"\nendpoint = "mqtts://h"\nusername = "u"\npassword_file = "mqtt-password"\n'
    )
    config.write_text(text)
    copy.write_text(text)
    assert kept == load(config).sinks["x"].password_file.path
    assert kept == load(copy, stands_for=config).sinks["x"].password_file.path
    with pytest.raises(InvalidConfigError, match="no secret of this name") as caught:
        load(copy)
    assert str(copy.parent / "credentials") in str(caught.value)


def test_the_socket_is_found_whatever_is_wrong_with_the_file(tmp_path, monkeypatch):
    """A command that only needs the socket finds it in a file with mistakes, and without the secrets."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    config = tmp_path / "config.toml"
    config.write_text(
        f'[runtime]\nsocket = "{tmp_path}/control.sock"\nlog_level = 7\n[sinks.x]\npassword_file = "gone"\n'
    )
    assert tmp_path / "control.sock" == answering(config)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    config.write_text("[[[")
    assert tmp_path / "gateway.sock" == answering(config) == answering(None)


@pytest.mark.parametrize(
    "wrong", ["[sinks.x]\n[sinks.x]\n", "[events]\nlate_after_s = soon\n", '[site]\nzone = "\n']
)
@pytest.mark.parametrize("before", [True, False])
def test_the_socket_is_found_in_a_file_that_is_no_toml(tmp_path, wrong, before):
    """What is wrong with one section, or a section that is there twice, hides no other one."""
    config, good = tmp_path / "config.toml", f'[runtime]\nsocket = "{tmp_path}/control.sock"\n'
    config.write_text(f"{wrong}{good}" if before else f"{good}{wrong}")
    with pytest.raises(InvalidConfigError):
        load(config)
    assert tmp_path / "control.sock" == answering(config)


def test_a_secret_shows_in_no_representation(file):
    """Neither repr, nor str, nor any dump of the configuration holds the secret."""
    text = f'[sinks.x]\ntype = "mqtt"\nendpoint = "mqtts://h"\nusername = "u"\npassword_file = "{file}"\n'
    config = loads(text)
    password = config.sinks["x"].password_file
    shown = [repr(config), str(config), repr(password), f"{password}", config.model_dump_json()]
    assert [] == [text for text in shown if SECRET in text]
    assert [shown[0]] == [text for text in shown[:1] if str(file) in text]


def test_signing_secrets_are_one_or_several(tmp_path):
    """One file, or a list of files for a change of secrets without a gap; order is kept."""
    for number in (1, 2):
        path = tmp_path / f"s{number}"
        path.write_text("whsec_" + base64.b64encode(bytes([number]) * 32).decode())
        path.chmod(0o600)
    one = https(f'secret_file = "{tmp_path}/s1"').secret_file
    two = https(f'secret_file = ["{tmp_path}/s2", "{tmp_path}/s1"]').secret_file
    assert (1, 2) == (len(one), len(two))
    assert one[0] == two[1]
    assert () == https("").secret_file


@pytest.mark.parametrize(
    "content", ["plain", "whsec_", "whsec_dG9vIHNob3J0", "whsec_!!!!" + "A" * 40, SIGNING[6:]]
)
def test_what_cannot_sign_is_refused(file, content):
    """A signing secret has its prefix and at least 24 bytes in Base64."""
    file.write_text(content)
    refused = refusal(https, f'secret_file = "{file}"')
    assert "does not hold a signing secret" in refused.problem
    assert "copy the whole of it again" in (refused.suggestion or "")
    file.write_text(SIGNING + "\n")
    assert SIGNING == https(f'secret_file = "{file}"').secret_file[0].reveal()


@pytest.fixture(scope="module")
def authority():
    """A certificate authority of our own."""
    return trustme.CA()


def test_certificates_and_keys_are_told_apart(tmp_path, authority):
    """Certificates may be public, keys may not, and each option refuses the other's kind."""
    leaf = authority.issue_cert("gateway.example")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(leaf.cert_chain_pems[0].bytes())
    key.write_bytes(leaf.private_key_pem.bytes())
    cert.chmod(0o644)
    key.chmod(0o600)
    both = f'cert_file = "{cert}"\nkey_file = "{key}"'
    sink = mqtt(both)
    assert (cert, key) == (sink.cert_file.path, sink.key_file.path)
    key.chmod(0o644)
    assert "run: chmod g-w,o= " in refusal(mqtt, both).suggestion
    key.chmod(0o600)
    swapped = refusal(mqtt, f'cert_file = "{key}"\nkey_file = "{key}"')
    assert "no PEM block of the kind CERTIFICATE" in swapped.problem
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n-----END ENCRYPTED PRIVATE KEY-----\n")
    assert "nobody is there to type its passphrase" in refusal(mqtt, both).problem


@pytest.mark.parametrize(
    ("option", "kind"),
    [("ca_file", "CERTIFICATE"), ("cert_file", "CERTIFICATE"), ("key_file", "PRIVATE KEY")],
)
def test_an_empty_file_asks_for_what_belongs_into_it(file, option, kind):
    """Nobody is asked to write a secret into a certificate, or a key on one line."""
    file.write_text("")
    mistake = refusal(mqtt, f'{option} = "{file}"')
    assert "is empty" in mistake.problem
    assert kind in mistake.suggestion and "secret" not in mistake.suggestion
    assert "the secret" in refusal(mqtt, f'password_file = "{file}"').suggestion


def test_a_changed_certificate_is_a_changed_configuration(tmp_path, authority):
    """A reload notices a certificate that was renewed under the same name."""
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.cert_pem.bytes())
    first = mqtt(f'ca_file = "{file}"')
    assert first == mqtt(f'ca_file = "{file}"')
    file.write_bytes(trustme.CA().cert_pem.bytes())
    assert first != mqtt(f'ca_file = "{file}"')
