"""The example configuration is the manual, so it is held against the code in both directions."""

import base64
import re
import tomllib
from pathlib import Path

import pytest
import trustme
from pydantic_core import PydanticUndefined

from gateway.config import Config, HttpsSection, MqttSection, load, loads
from gateway.config.lines import line_numbers
from gateway.config.outline import table_at

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
_OPTION = re.compile(r"#([a-z_]+) = (.*?)(  # example)?")
_HEADING = re.compile(r"#?\[([a-z_.]+)\]")
_PROSE = re.compile(r"# (.*)")


def written():
    """Yield (section, option, text of its value, whether it is only an example) for each option in the file."""
    section = ""
    for line in EXAMPLE.read_text().splitlines():
        if heading := _HEADING.fullmatch(line):
            section = heading[1]
        elif option := _OPTION.fullmatch(line):
            yield section, option[1], option[2], bool(option[3])
        else:
            assert not line or line == "#" or _PROSE.fullmatch(line), f"neither prose nor option: {line}"


def sections() -> dict[str, type]:
    """Map each section of the file to the model that reads it."""
    found = {}
    for section, *_ in written():
        kinds = {"sinks.broker": "mqtt", "sinks.upstream": "https"}
        place = tuple(section.split("."))
        raw = {"sinks": {place[-1]: {"type": kinds[section]}}} if section in kinds else {}
        found[section] = table_at(place, raw)
    return found


def uncommented() -> str:
    return re.sub(r"^#(?=[a-z_]+ = |\[)", "", EXAMPLE.read_text(), flags=re.MULTILINE)


@pytest.fixture
def credentials(tmp_path, monkeypatch):
    """Make every file that the example names, and point the absolute paths to them."""
    authority = trustme.CA()
    leaf = authority.issue_cert("gateway.example")
    contents = {
        "ca_file": authority.cert_pem.bytes(),
        "cert_file": leaf.cert_chain_pems[0].bytes(),
        "key_file": leaf.private_key_pem.bytes(),
        "path_secret_file": b"a-word-for-a-path",
    }
    signing = b"whsec_" + base64.b64encode(bytes(32))
    text = uncommented()
    for section, option, value, _ in written():
        if option.endswith("_file"):
            for name in re.findall(r'"([^"]+)"', value):
                path = tmp_path / Path(name).name
                api_key = section.startswith("camlytics_cloud.")  # its key_file holds a key of another sort
                path.write_bytes(signing if api_key else contents.get(option, signing))
                path.chmod(0o600)
                text = text.replace(f'"{name}"', f'"{path.name}"')
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return text


def test_the_file_as_it_is_changes_nothing():
    """A person who installs the example unchanged has the defaults."""
    assert load(EXAMPLE) == load(None)


def test_every_option_is_in_the_manual():
    """An option that somebody adds to the code must be explained here."""
    documented = {(section, option) for section, option, *_ in written()}
    expected = {
        (section, option)
        for section, model in sections().items()
        if model is not None
        for option in model.model_fields
    }
    assert expected == documented
    named = {section.split(".")[0] for section, _ in documented}
    assert set(Config.model_fields) == named


def test_every_source_has_its_section():
    """A source that is registered has a section in the manual."""
    expected = {f"sources.{name}" for name in Config().sources.by_name()}
    assert expected == {section for section in sections() if section.startswith("sources.")}


def test_every_written_default_is_the_default():
    """A value that is written without "example" is the one in the code."""
    base = loads("")
    mqtt = MqttSection(type="mqtt", endpoint="mqtt://h")
    https = HttpsSection(type="https", endpoint="https://h/")
    compared = 0
    for section, option, value, example in written():
        if example or option == "type":
            continue
        name = section.split(".")
        text = f"{option} = {value}"
        if section == "sinks.broker":
            read = loads(f'[{section}]\ntype = "mqtt"\nendpoint = "mqtt://h"\n{text}\n').sinks["broker"]
            standing = mqtt
        elif section == "sinks.upstream":
            read = loads(f'[{section}]\ntype = "https"\nendpoint = "https://h/"\n{text}\n').sinks["upstream"]
            standing = https
        elif section == "zones.hall":
            read = loads(f"[{section}]\n{text}\n").zones["hall"]
            standing = loads(f"[{section}]\n").zones["hall"]
        elif section == "camlytics.hall":
            needed = f'[{section}]\nendpoint = "http://h"\n'
            read, standing = (loads(needed + more).camlytics["hall"] for more in (f"{text}\n", ""))
        elif section == "camlytics_cloud.shops":
            read, standing = (loads(f"[{section}]\n{more}\n").camlytics_cloud["shops"] for more in (text, ""))
        elif section == "terminals.door":
            least = f'[{section}]\nendpoint = "http://h"\n'
            read, standing = (loads(least + more).terminals["door"] for more in (f"{text}\n", ""))
        elif section == "devices.lobby":
            read = loads(f'[{section}]\ntoken = "t"\n{text}\n').devices["lobby"]
            standing = loads(f'[{section}]\ntoken = "t"\n').devices["lobby"]
        else:
            read, standing = loads(f"[{section}]\n{text}\n"), base
            for part in name:
                read, standing = getattr(read, part), getattr(standing, part)
        assert getattr(standing, option) == getattr(read, option), f"[{section}] {text}"
        compared += 1
    assert compared > 40


def test_only_options_without_a_default_are_examples():
    """What has a default shows it, so that nobody takes an example for one."""
    for section, option, _, example in written():
        field = sections()[section].model_fields[option]
        computed = (section, option) in {("gateway", "id"), ("store", "path")}
        empty = field.default in (None, (), PydanticUndefined) and field.default_factory is None
        fixed = option == "type" or (section, option) in {
            ("sinks.broker", "personal"),
            ("sinks.upstream", "personal"),
        }
        assert (computed or (empty and not fixed)) == example, f"[{section}] {option}"


def test_all_options_together_load(credentials):
    """Taking every # away gives a configuration without a mistake."""
    config = loads(credentials)
    assert {"broker", "upstream"} == set(config.sinks)
    assert len(config.sinks["upstream"].secret_file) == 2
    assert {"lobby"} == set(config.devices)


def test_every_option_of_the_example_has_a_line(credentials):
    """The place of every option in the file is known, down to the elements of lists."""
    lines = line_numbers(credentials)

    def places(value, at):
        if at:
            yield at
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from places(inner, (*at, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                yield from places(inner, (*at, index))

    assert set(lines) == set(places(tomllib.loads(credentials), ()))


def test_the_manual_is_written_in_sentences():
    """Each paragraph of prose begins with a capital or a quoted word and ends with a full stop."""
    paragraphs = re.findall(r"(?:^# .*\n)+", EXAMPLE.read_text(), flags=re.MULTILINE)
    texts = [" ".join(line[2:] for line in paragraph.splitlines()) for paragraph in paragraphs]
    assert [] == [text for text in texts if not text.endswith((".", ":")) or not re.match(r'[A-Z"]', text)]
    assert all(len(line) <= 130 for line in EXAMPLE.read_text().splitlines())
