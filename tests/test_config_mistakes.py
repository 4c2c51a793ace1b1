"""A good file with one or more lines made wrong: each mistake has its file, line, key and advice."""

import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import InvalidConfigError, load, loads, to_json
from gateway.errors import ConfigError

GOOD = """\
[gateway]
id = "lobby-1"
name = "Lobby"

[site]
zone = "Europe/Berlin"

[listen]
host = "0.0.0.0"
port = 8088
allow = [
  "10.0.0.0/8",
  "192.168.1.5",
]
json_bytes = "2 MB"
keep_alive_s = 75

[store]
keep_days = 30
when_full = "refuse"

[sources.people_counter]
enabled = true
path = "/counter"

[devices.lobby]
token = "k3v9-lobby"

[sinks.broker]
type = "mqtt"
endpoint = "mqtt://192.168.1.2"
version = "5"
personal = ["mask", "age"]

[sinks.upstream]
type = "https"
endpoint = "https://events.example/in"
gzip = true
headers = { X-Site = "north" }
"""


def mistakes_of(text: str):
    with pytest.raises(InvalidConfigError) as caught:
        loads(text, "gateway.toml")
    return caught.value.mistakes


def line_with(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_good_file_is_good():
    """The file that the other tests corrupt loads without a mistake."""
    assert loads(GOOD).gateway.id == "lobby-1"


# old line, new line, key, words of the problem, words of the advice (allowed or suggestion)
CORRUPTIONS = [
    ('id = "lobby-1"', 'id = "Lobby 1"', "gateway.id", "not a legal id", 'write "lobby-1"'),
    ('id = "lobby-1"', "id = 17", "gateway.id", "text in quotes, and 17 was read", 'write id = "17"'),
    ('id = "lobby-1"', 'idd = "lobby-1"', "gateway.idd", "no such option in [gateway]", 'did you mean "id"?'),
    ('name = "Lobby"', 'name = "a\\u0007b"', "gateway.name", "control characters", None),
    ('name = "Lobby"', f'name = "{"x" * 300}"', "gateway.name", "too long", "at most 200 characters"),
    ('zone = "Europe/Berlin"', 'zone = "europe/berlin"', "site.zone", "not a time zone", '"Europe/Berlin"?'),
    ('zone = "Europe/Berlin"', 'zone = "Berlin"', "site.zone", "not a time zone", '"Europe/Berlin"?'),
    ('zone = "Europe/Berlin"', 'zone = "Europe/Belrin"', "site.zone", "not a time zone", '"Europe/Berlin"?'),
    ('zone = "Europe/Berlin"', 'zone = "Europe"', "site.zone", "not a time zone", "IANA"),
    ('zone = "Europe/Berlin"', 'zone = "../../etc/passwd"', "site.zone", "not a time zone", "IANA"),
    ('zone = "Europe/Berlin"', 'zone = ""', "site.zone", "not a time zone", "IANA"),
    ('zone = "Europe/Berlin"', 'timezone = "UTC"', "site.timezone", "no such option", 'did you mean "zone"?'),
    ('host = "0.0.0.0"', 'host = "localhost"', "listen.host", "not an address", 'write "127.0.0.1"'),
    ("port = 8088", 'port = "8088"', "listen.port", "whole number", "write port = 8088"),
    ("port = 8088", "port = 8088.0", "listen.port", "whole number", "write port = 8088"),
    ("port = 8088", "port = 70000", "listen.port", "out of range, and 70000 was read", "0 to 65535"),
    ("port = 8088", "port = -1", "listen.port", "out of range", "0 to 65535"),
    ("port = 8088", "port = true", "listen.port", "whole number, and true was read", "0 to 65535"),
    ("port = 8088", "port = 0x" + "f" * 6000, "listen.port", "very many digits", "0 to 65535"),
    ("port = 8088", "port = 2026-01-01", "listen.port", "2026-01-01 was read", "0 to 65535"),
    ("port = 8088", "prot = 8088", "listen.prot", "no such option", 'did you mean "port"?'),
    ("port = 8088", "keep_days = 3", "listen.keep_days", "no such option", "it is an option of [store]"),
    ('  "10.0.0.0/8",', '  "10.0.0.1/8",', "listen.allow[1]", "bits set", 'write "10.0.0.0/8"'),
    ('  "192.168.1.5",', '  "192.168.1.500",', "listen.allow[2]", "not a network", "192.168.1.0/24"),
    ('  "192.168.1.5",', "  5,", "listen.allow[2]", "not a network", "192.168.1.0/24"),
    ('json_bytes = "2 MB"', 'json_bytes = "2 MegaByte"', "listen.json_bytes", "not a size", "500 MB"),
    ('json_bytes = "2 MB"', 'json_bytes = "1 TB"', "listen.json_bytes", "out of range", "64 MiB"),
    (
        "keep_alive_s = 75",
        "keep_alive_s = nan",
        "listen.keep_alive_s",
        "finite",
        "more than 0 to 3600 seconds",
    ),
    (
        "keep_alive_s = 75",
        "keep_alive_s = 0",
        "listen.keep_alive_s",
        "out of range",
        "more than 0 to 3600 seconds",
    ),
    (
        "keep_alive_s = 75",
        "keep_alive = 75",
        "listen.keep_alive",
        "no such option",
        'did you mean "keep_alive_s"?',
    ),
    (
        'when_full = "refuse"',
        'when_full = "drop"',
        "store.when_full",
        "one of the words",
        "refuse, drop_oldest",
    ),
    ("keep_days = 30", "keep_days = 1.5", "store.keep_days", "whole number, and 1.5 was read", "1 to 3650"),
    (
        "enabled = true",
        'enabled = "yes"',
        "sources.people_counter.enabled",
        "true or false",
        "write enabled = true",
    ),
    (
        'path = "/counter"',
        'path = "counter"',
        "sources.people_counter.path",
        "not a path",
        'write "/counter"',
    ),
    ("[sources.people_counter]", "[sources.counter]", "sources.counter", "no such option", "people_counter"),
    ("[devices.lobby]", '[devices."Lobby A"]', 'devices."Lobby A"', "not a legal id", 'write "lobby-a"'),
    ("[devices.lobby]", "[device.lobby]", "device", "no such section", 'did you mean "devices"?'),
    ('token = "k3v9-lobby"', 'token = "a/b"', "devices.lobby.token", "not a legal path token", "A-Z"),
    ('type = "mqtt"', 'type = "mqqt"', "sinks.broker.type", "not a type of sink", 'write type = "mqtt"'),
    ('type = "mqtt"', "", "sinks.broker.type", "is missing", 'write type = "mqtt"'),
    (
        'type = "https"',
        'type = "webhook"',
        "sinks.upstream.type",
        "not a type of sink",
        'write type = "https"',
    ),
    ('version = "5"', "version = 4", "sinks.broker.version", "one of the words", "5, 3.1.1"),
    ('version = "5"', "qos = 1", "sinks.broker.qos", "no such option", "inflight"),
    ('endpoint = "mqtt://192.168.1.2"', "", "sinks.broker.endpoint", "is missing", "mqtts://host:8883"),
    ('"mqtt://192.168.1.2"', '"mqtt://192.168.1.2/base"', "sinks.broker.endpoint", "has a path", '"base"'),
    (
        '"mqtt://192.168.1.2"',
        '"mqtt://192.168.1.2:99999"',
        "sinks.broker.endpoint",
        "not an endpoint",
        "65535",
    ),
    (
        '"mqtt://192.168.1.2"',
        '"192.168.1.2:1883"',
        "sinks.broker.endpoint",
        "scheme",
        '"mqtts://192.168.1.2:1883"',
    ),
    (
        '"mqtt://192.168.1.2"',
        '"192.168.1.5"',
        "sinks.broker.endpoint",
        "scheme",
        'write "mqtts://192.168.1.5" or "mqtt://192.168.1.5"',
    ),
    ('"mqtt://192.168.1.2"', '"tcp://192.168.1.2"', "sinks.broker.endpoint", "scheme", "mqtts://"),
    ('"mqtt://192.168.1.2"', '"mqtt://192.168. 1.2"', "sinks.broker.endpoint", "white space", "mqtts://"),
    ('"mqtt://192.168.1.2"', '"mqtt://[::1"', "sinks.broker.endpoint", "not an endpoint", "mqtts://"),
    ('endpoint = "https', 'url = "https', "sinks.upstream.url", "no such option", 'did you mean "endpoint"?'),
    ('"https://events', '"http://events', "sinks.upstream.endpoint", "in the clear", "insecure_http = true"),
    (
        '"mask", "age"',
        '"mask", "agee"',
        "sinks.broker.personal[2]",
        "one of the words",
        'did you mean "age"?',
    ),
    ('"mask", "age"', '"pin"', "sinks.broker.personal[1]", "a PIN is never kept", "user_id"),
    ('"mask", "age"', '"rgb_image"', "sinks.broker.personal[1]", "pictures of people never leave", "user_id"),
    (
        '["mask", "age"]',
        '"age"',
        "sinks.broker.personal",
        "a list in square brackets",
        'write personal = ["age"]',
    ),
    ('X-Site = "north"', 'Authorization = "x"', "sinks.upstream.headers", "holds a secret", "bearer_file"),
    ('X-Site = "north"', 'Content-Type = "x"', "sinks.upstream.headers", "set by the gateway itself", None),
    ('X-Site = "north"', '"X Site" = "x"', "sinks.upstream.headers", "HTTP does not allow", None),
    ("gzip = true", "gzip = 1", "sinks.upstream.gzip", "true or false", "write gzip = true"),
    ("[sinks.broker]", "[sink.broker]", "sink", "no such section", 'did you mean "sinks"?'),
    ("[listen]", "[lisen]", "lisen", "no such section", 'did you mean "listen"?'),
]


@pytest.mark.parametrize(("old", "new", "key", "problem", "advice"), CORRUPTIONS)
def test_one_corruption_is_explained(old, new, key, problem, advice):
    """Each corruption gives a mistake with its key, the line it is on, the problem and the advice."""
    assert old in GOOD
    found = {mistake.key: mistake for mistake in mistakes_of(GOOD.replace(old, new, 1))}
    assert key in found
    mistake = found[key]
    assert mistake.file == "gateway.toml"
    place = line_with(GOOD, old.splitlines()[0])
    # What is missing is at the table that it is missing from.
    assert mistake.line in {place, place - 1, place - 2} if "missing" in problem else mistake.line == place
    assert problem in mistake.problem
    assert advice is None or advice in f"{mistake.allowed} {mistake.suggestion}"
    assert len(mistake.problem) < 200


# text, line, key, words of the problem, words of the suggestion
SYNTAX = [
    ('[site]\nname = "a\nzone = "UTC"\n', 2, "site.name", "does not end on its line", "second quote"),
    ("[site]\nname = hall\n", 2, "site.name", "not TOML", "in quotes"),
    (
        "[sources.people_counter]\nenabled = True\n",
        2,
        "sources.people_counter.enabled",
        "not TOML",
        "write true",
    ),
    (
        "[sources.people_counter]\nenabled = no\n",
        2,
        "sources.people_counter.enabled",
        "not TOML",
        "write false",
    ),
    ("[site]\nname\n", 2, "site.name", 'a "=" is missing', "name = value"),
    ('[site]\nname = "a"\nname = "b"\n', 3, "site.name", "given twice", "keep one"),
    ('[site]\nname = "a"\n[listen]\n[site]\n', 4, "site", "opened twice", "under one heading"),
    ("[listen]\nallow = [\n", 2, "listen.allow", "does not end", "]"),
    ('[site]\nname = "C:\\x"\n', 2, "site.name", "backslash", "twice"),
    ("[site]\nname = \u201chall\u201d\n", 2, "site.name", "curly quotes", "on a phone hold the quote key"),
    ("[site]\nname = \u201ehall\u201c\n", 2, "site.name", "curly quotes", "straight ones"),
    ("[site]\nname = \u2018hall\u2019\n", 2, "site.name", "curly quotes", "straight ones"),
    ('[site]\nname = "hall\u201d  # ours\n', 2, "site.name", "curly quotes", "straight ones"),
    ('[site]\nname = "Maria\u2019s\n', 2, "site.name", "does not end on its line", "second quote"),
    ('[site]\n\u00a0name = "hall"\n', 2, "site.name", "an odd blank", "delete it"),
    ('[site]\nname =\u00a0"hall"\n', 2, "site.name", "an odd blank", "delete it"),
    ("[site]\n!\n", 2, None, "neither an option", "#"),
    ('[site]\nname = "a" b\n', 2, "site.name", "behind the end of the value", "one option per line"),
]


@pytest.mark.parametrize(("text", "line", "key", "problem", "suggestion"), SYNTAX)
def test_what_is_not_toml_is_explained(text, line, key, problem, suggestion):
    """A fault of syntax gives exactly one mistake, in plain words, with its line."""
    mistakes = mistakes_of(text)
    assert len(mistakes) == 1
    assert (line, key) == (mistakes[0].line, mistakes[0].key if key else None)
    assert problem in mistakes[0].problem
    assert suggestion in str(mistakes[0].suggestion)


def test_all_mistakes_come_at_once_and_in_order():
    """Wrong options in every section are all reported in one run, in the order of the file."""
    text = GOOD
    for old, new in (
        ("port = 8088", "prot = 8088"),
        ("keep_days = 30", "keep_days = 0"),
        ('token = "k3v9-lobby"', ""),
        ('type = "mqtt"', 'type = "mqqt"'),
        ('version = "5"', "inflight = 600"),
        ("gzip = true", "batch = 900"),
    ):
        text = text.replace(old, new, 1)
    expected = [
        "listen.prot",
        "store.keep_days",
        "devices.lobby",
        "sinks.broker.type",
        "sinks.broker.inflight",
        "sinks.upstream.batch",
    ]
    assert expected == [mistake.key for mistake in mistakes_of(text)]


def test_a_wrong_endpoint_does_not_hide_the_other_mistakes_of_its_sink():
    """Options that clash are found in a sink whose endpoint is wrong as well."""
    keys = {
        mistake.key
        for mistake in mistakes_of(
            GOOD.replace("mqtt://192.168.1.2", "x").replace('"5"', '"5"\ninflight=600')
        )
    }
    assert {"sinks.broker.endpoint", "sinks.broker.inflight"} == keys


def test_no_mistake_is_the_consequence_of_another():
    """A window that is wrong is not compared with what is in flight."""
    text = GOOD.replace('version = "5"', "inflight = 600\nwindow = 'x'")
    assert ["sinks.broker.window"] == [mistake.key for mistake in mistakes_of(text)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:127.0.0.5", "127.0.0.5/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("fd00::/8", "fd00::/8"),
    ],
)
def test_ipv4_that_is_written_as_ipv6_means_ipv4(written, meant):
    """The address of who comes over IPv4 is IPv4, and a pin or a list of networks in the other spelling must meet it."""
    config = loads(f'[listen]\nallow = ["{written}"]\n[callbacks]\nallow = ["{written}"]\n')
    assert [meant] * 2 == [
        str(network) for port in (config.listen, config.callbacks) for network in port.allow
    ]
    config = loads(f'[listen]\nallow = ["{meant}"]\n[devices.x]\nid = "counter-1"\naddress = "{written}"\n')
    assert [meant] == [str(network) for network in config.devices["x"].address]


def test_sections_of_another_shape_are_explained():
    """A section that is a value, and sinks in double brackets, are mistakes and not faults of ours."""
    found = {mistake.key: mistake for mistake in mistakes_of('listen = 5\n[[sinks]]\ntype = "mqtt"\n')}
    assert "must be a table, and 5 was read" == found["listen"].problem
    assert "give each a name: [sinks.some-name], in single brackets" == found["sinks"].suggestion
    found = {mistake.key: mistake for mistake in mistakes_of("port = 5\n[sinks]\nbroker = 3\n")}
    assert "it is an option: put it under [listen]" in str(found["port"].suggestion)
    assert "must be a table, and 3 was read" == found["sinks.broker"].problem


SECRET = "hunter2-Tr0ub4dor"


@pytest.mark.parametrize(
    "line",
    [
        f'password = "{SECRET}"',
        f'passwd = "{SECRET}"',
        f'token = "{SECRET}"',
        f'api_key = "{SECRET}"',
        f'password_file = "{SECRET}"',
        f'password_file = "dir/{SECRET}"',
        f'password_file = ["{SECRET}"]',
        f'password_file = "whsec_{SECRET}"',
        f'secret_file = "whsec_{SECRET}"',
        f'bearer_file = "{SECRET}"',
        f'headers = {{ Authorization = "{SECRET}" }}',
        f'headers = {{ X-Site = ["{SECRET}"] }}',
        f'headers = {{ X-Site = "{SECRET}\\n" }}',
        f'endpoint = "mqtt://user:{SECRET}@host"',
        f'endpoint = "user:{SECRET}@host"',
        f'endpoint = "mqtt:/user:{SECRET}@host"',
        f'endpoint = "mqtt:/user:{SECRET}@host//x"',
        f'id = "user:{SECRET}@host"\nbase = "user:{SECRET}@host #"',
        f'endpoint = "mqtt://user:{SECRET}@host:99999"',
        f'endpoint = "mqtt://user:{SECRET}@ho st"',
        f"password = {SECRET}",
        f'password = "{SECRET}',
        f'password = "{SECRET}"\npassword = "{SECRET}"',
    ],
)
@pytest.mark.parametrize("kind", ["mqtt", "https"])
def test_no_message_holds_a_secret(line, kind):
    """However a secret came into the file, neither the text, nor the JSON, nor the error repeats it."""
    text = f'[sinks.x]\ntype = "{kind}"\n{line}\n'
    with pytest.raises(InvalidConfigError) as caught:
        loads(text)
    said = [
        str(caught.value),
        repr(caught.value),
        repr(to_json(caught.value.mistakes)),
        repr(caught.value.__context__),
    ]
    assert [] == [words for words in said if SECRET in words]
    assert caught.value.mistakes


def test_an_inline_password_is_sent_to_a_file():
    """The advice for a password in the file names the option for its file and the right mode."""
    mistake = next(
        m for m in mistakes_of(GOOD.replace('version = "5"', 'password = "x"')) if "password" in str(m.key)
    )
    assert "put it in a file: password_file = " in str(mistake.suggestion)
    assert "chmod 600" in str(mistake.suggestion)


def test_mistakes_can_be_printed_and_dumped():
    """The text has a line per place; the JSON has every field of every mistake."""
    with pytest.raises(ConfigError) as caught:
        loads(GOOD.replace("port = 8088", "prot = 8088"), "gateway.toml")
    text = str(caught.value)
    assert text.startswith(
        "gateway.toml:10: listen.prot: there is no such option in [listen]\n"
        '    did you mean "port"?\n    allowed: host, port,'
    )
    expected = {"file", "line", "key", "problem", "allowed", "suggestion"}
    assert [expected] == [set(entry) for entry in to_json(caught.value.mistakes)]


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        (b"\xff\xfe[\x00s\x00", "not UTF-8", 1),
        (b'[site]\nname = "\xe9"\n', "not UTF-8", 2),
        (b"[site]\r\nzone = 'UTC'\r\nzome = 1\r\n", "no such option", 3),
        (b"a = " + b"[" * 5000, "nested too deep", None),
        (b"[listen]\nport = " + b"9" * 5000 + b"\n", "digits", 2),
        (b"\n" * 1_000_001, "larger than", None),
        (b"[listen]\nport = 1\x00\n", "", 2),
    ],
)
def test_odd_files_give_a_mistake(tmp_path, content, problem, line):
    """Another encoding, Windows line ends, absurd nesting, numbers and sizes are mistakes, never tracebacks."""
    file = tmp_path / "gateway.toml"
    file.write_bytes(content)
    with pytest.raises(InvalidConfigError) as caught:
        load(file)
    assert str(file) == caught.value.mistakes[0].file
    assert problem in caught.value.mistakes[0].problem
    assert line is None or line == caught.value.mistakes[0].line


def test_a_mark_of_windows_editors_is_no_mistake(tmp_path):
    """A byte order mark in front of the text is skipped."""
    file = tmp_path / "gateway.toml"
    file.write_bytes(b"\xef\xbb\xbf[site]\r\nname = 'hall'\r\n")
    assert load(file).site.name == "hall"


def test_a_file_that_is_not_there_or_no_file_is_a_mistake(tmp_path):
    """A missing file, a folder, a pipe and an impossible name are told apart, and none of them blocks."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = {}
    for name, path in {
        "gone": tmp_path / "gone",
        "folder": tmp_path,
        "pipe": pipe,
        "nul": tmp_path / "a\0b",
    }.items():
        with pytest.raises(InvalidConfigError) as caught:
            load(path)
        said[name] = caught.value.mistakes[0].problem
    assert "the file does not exist" == said["gone"]
    assert "this is not a file" == said["pipe"]
    assert "cannot be read" in said["folder"] or "not a file" in said["folder"]
    assert "cannot be read" in said["nul"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


_LINES = GOOD.splitlines()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_corruption_escapes_as_another_error(data):
    """Whatever happens to lines of the good file, it loads or gives mistakes with a line inside the file."""
    lines = list(_LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "double", "swap", "cut", "junk", "value"])):
            case "drop":
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                lines[at], lines[0] = lines[0], lines[at]
            case "cut":
                lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
            case "junk":
                lines[at] += data.draw(st.text(max_size=5))
            case "value":
                odd = [
                    "true",
                    "[]",
                    "{}",
                    "1e400",
                    "-1",
                    '""',
                    "[[1]]",
                    "07:32:00",
                    "{a.b = 1}",
                    '"\\u0000"',
                    "inf",
                ]
                lines[at] = lines[at].split("=")[0] + "= " + data.draw(st.sampled_from(odd))
    text = "\n".join(lines)
    found = []
    try:
        loads(text, "f")
    except InvalidConfigError as error:
        found = error.mistakes
    for mistake in found:
        assert mistake.problem
        assert mistake.line is None or 1 <= mistake.line <= text.count("\n") + 1
